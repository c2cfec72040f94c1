"""`backbone = "auto"`: the backbones that are on this machine race, and nothing is downloaded.

Embedded weights, those of installed packages, and files that Keras downloaded before are at hand.
What would be a download is named, and left to the user to ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from automl_cv.catalog.backbones import AUTO, BACKBONES
from automl_cv.catalog.origins import ORIGINS
from automl_cv.errors import UserError
from automl_cv.study.space import Constant
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile, parse

RACE = "race"
# Images of a race that nobody declared, and sets of parameters that are counted at most.
IMAGES = 200
MOST_SETS = 10_000


@dataclass(frozen=True)
class AtHand:
    """What races, and what would.

    Args:
        names: backbones at hand, in the order of the table.
        downloads: names and megabytes of those that Keras would download.
        packages: names of those that are in packages which are not installed, by extra.
    """

    names: tuple[str, ...]
    downloads: dict[str, float]
    packages: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        """Return a line for people."""
        parts = [f"backbones at hand race: {', '.join(self.names)}"]
        parts += [
            f"{', '.join(names)} would too after pip install '.[{extra}]' in automl-cv's folder"
            for extra, names in self.packages.items()
        ]
        if self.downloads:
            sizes = ", ".join(f"{name} ({size:.0f} MB)" for name, size in self.downloads.items())
            parts.append(f"not downloaded, name one as the backbone and it will be: {sizes}")
        return "; ".join(parts)


def at_hand() -> AtHand:
    """Look which backbones of the table have their weights on this machine."""
    others = [entry for entry in BACKBONES if not entry.is_at_hand]
    in_packages = [entry for entry in others if entry.weights.package]
    extras = dict.fromkeys(entry.weights.extra for entry in in_packages)
    return AtHand(
        names=tuple(entry.name for entry in BACKBONES if entry.is_at_hand),
        downloads={one.name: one.weights.megabytes for one in others if one.weights.url},
        packages={
            extra: tuple(one.name for one in in_packages if one.weights.extra == extra)
            for extra in extras
        },
    )


def resolved(study: StudyFile) -> tuple[StudyFile, AtHand | None]:
    """Return a study with "auto" replaced by what is at hand, and what that is.

    In a space it becomes the list of them. As the study's own backbone it becomes a first stage
    in which they race, unless a stage searches backbones already; every stage that declares a
    space of its own then takes backbone and blocks from the best.

    Returns:
        The same study, and None, where nothing is "auto".

    Raises:
        UserError: a stage can't take its backbone from a race.
    """
    drawing = [one.name for one in study.stages if _draws_auto(one)]
    if not drawing and study.backbone.name != AUTO:
        return study, None
    found = at_hand()
    raw = study.as_toml_data()
    if study.backbone.name == AUTO:
        # The last one: of those in the table's order, `compact` is the first.
        raw["backbone"]["name"] = found.names[-1]
        if not any("backbone" in one.space.parameters for one in study.stages):
            raw["stage"] = [_race(found), *map(_narrowed_from_race, raw["stage"])]
    for stage in raw["stage"]:
        parameters = stage["space"]["parameters"]
        if stage["name"] in drawing:
            parameters["backbone"] = {"choices": list(found.names)}
    whole = parse(raw, study.name)
    for stage, one in zip(raw["stage"], whole.stages, strict=True):
        if one.name in (*drawing, RACE):
            stage["trials"] = max(one.trials, _n_sets(one))
    return parse(raw, study.name), found


def _draws_auto(stage: Stage) -> bool:
    drawn = stage.space.parameters.get("backbone")
    return isinstance(drawn, Constant) and drawn.value == AUTO


def _race(found: AtHand) -> dict[str, Any]:
    """Return the stage in which backbones race, as plain data."""
    return {
        "name": RACE,
        "about": "which features tell the classes apart, by discriminant analysis on a sample",
        "exact": "lda",
        "trials": 1,
        "images": IMAGES,
        "space": {
            "parameters": {
                "backbone": {"choices": list(found.names)},
                "features": {"choices": ["last", "all"]},
            }
        },
    }


def _narrowed_from_race(stage: dict[str, Any]) -> dict[str, Any]:
    """Have a stage that searches take backbone and blocks from the race."""
    if stage["name"] == RACE:
        raise UserError(
            f"backbone.name: {AUTO!r} puts a stage {RACE!r} before all others, and the study has "
            "one of that name; give it another, or have its space draw the backbone"
        )
    if any(entry.key and stage.get(entry.key) for entry in ORIGINS):
        return stage
    return {**stage, "narrow_from": {"stage": RACE, "top": 1}}


def _n_sets(stage: Stage) -> int:
    """Return how many sets of parameters a stage may draw; 0 where there is no end of them."""
    try:
        return sum(1 for _ in islice(stage.space.sets(), MOST_SETS))
    except ValueError:
        return 0
