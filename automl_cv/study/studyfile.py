"""A study as its TOML file declares it: frozen models, checked as a whole.

Everything is checked before TensorFlow loads. `library` finds and reads the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.catalog.presets import PRESETS
from automl_cv.errors import UserError, suggest
from automl_cv.study.mistakes import explain
from automl_cv.study.parameters import (
    AUGMENTATION_STRENGTHS,
    BACKBONE_PARAMETERS,
    MIXING_AUGMENTATIONS,
    check_cached_views,
)
from automl_cv.study.sections import (
    NAME_PATTERN,
    FineTune,
    NarrowFrom,
    Retrain,
    Section,
    known_name,
)
from automl_cv.study.space import Choice, Constant, FloatRange, IntRange, Parameter
from automl_cv.study.stage import ONLINE, Stage, inherit


class Split(Section):
    """Shares of the images that train, that select, and that are kept aside; they sum to 1."""

    train: float = Field(0.6, gt=0, lt=1)
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Split:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, got {total:g}")
        return self


class Data(Section):
    """Where the images are, and how they are split where the source has no splits itself.

    Args:
        source: a folder, a CSV or Parquet manifest, or a built-in name; None where
            the file leaves it to `--data`.
        split: shares of the three splits.
    """

    source: str | None = None
    split: Split = Split()


class Backbone(Section):
    """The frozen network whose features the heads learn from.

    Args:
        name: an entry of the table of backbones, or the path of a saved `.keras` model.
        image_size: height and width in pixels that images are resized to; None takes
            the backbone's own.
        features: "last" gives a head the pooled output of the last block, "all" that
            of every block (as Head2Toe does, https://arxiv.org/abs/2201.03529).
        weights: "imagenet", or the path of a weights file; None takes the backbone's own.
    """

    name: str = "compact"
    image_size: int | None = Field(None, ge=8, le=4096)
    features: Literal["last", "all"] = "last"
    weights: str | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return name if name.endswith(".keras") else known_name(BACKBONES, name)


def drawn_backbone(backbone: Backbone, parameters: Mapping[str, Any]) -> Backbone:
    """Return the backbone of a trial: the study's own, with what the trial drew laid over it.

    Args:
        backbone: the study's `[backbone]`.
        parameters: of a trial; `backbone`, `image_size` and `features` count here.
    """
    drawn = {
        key: parameters[name] for name, key in BACKBONE_PARAMETERS.items() if name in parameters
    }
    return Backbone.model_validate({**backbone.model_dump(), **drawn}) if drawn else backbone


class StudyFile(Section):
    """A whole study, as its file declares it.

    Args:
        name: what `search`, `report` and the storage call it.
        about: one line for people.
        seed: every random number of the study derives from it.
        metric: an entry of the table of metrics: what says which epochs and trials are best.
        data: where the images are.
        backbone: what makes features of them.
        stages: searches, in order.
    """

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    metric: str = ACCURACY
    data: Data = Data()
    backbone: Backbone = Backbone()
    stages: tuple[Stage, ...] = Field(alias="stage")

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, metric: str) -> str:
        return known_name(METRICS, metric)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        return inherit(raw) if isinstance(raw, Mapping) else raw

    @model_validator(mode="after")
    def _check(self) -> StudyFile:
        if not self.stages:
            raise ValueError("stage: the list is empty; a study needs at least one [[stage]]")
        names = [stage.name for stage in self.stages]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two stages are called {twice[0]!r}")
        for index, stage in enumerate(self.stages):
            for source in stage.narrowed_stages:
                if source not in names[:index]:
                    raise ValueError(
                        f"stage.{stage.name}.narrow_from.stage: no stage {source!r} stands "
                        f"above it: {suggest(source, names[:index])}"
                    )
            self._check_retrain(stage, names[:index])
            self._check_drawn_views(stage)
            if "backbone" in stage.space.parameters and self.backbone.weights is not None:
                raise ValueError(
                    f"stage.{stage.name}.space.backbone: excludes backbone.weights, which belong "
                    "to one backbone; leave one out"
                )
        return self

    def _check_retrain(self, stage: Stage, above: list[str]) -> None:
        retrained = stage.retrained_stages
        if not retrained:
            return
        key = f"stage.{stage.name}.retrain"
        if stage.narrowed_stages:
            raise ValueError(f"{key}: excludes narrow_from; leave one out")
        if stage.training.begins_with_head and self.backbone.name.endswith(".keras"):
            raise ValueError(
                f"stage.{stage.name}.fine_tune: {self.backbone.name} is a saved model, whose "
                "blocks aren't known; take a backbone of the table"
            )
        on_features = stage.training.learns_from == "features"
        for name in retrained:
            if name not in above:
                raise ValueError(
                    f"{key}.stages: no stage {name!r} stands above it: {suggest(name, above)}"
                )
            if on_features and self.stage(name).head != stage.head:
                raise ValueError(
                    f"{key}.stages: {name!r} has another head than {stage.name!r}; a trial is "
                    "trained again with its own"
                )
            first = self.stage(retrained[0]).augmentation
            is_taken_over = bool(stage.redrawn_stages) and stage.augmentation == first
            if is_taken_over and self.stage(name).augmentation != first:
                raise ValueError(
                    f"{key}.stages: {name!r} has another augmentation than {stage.name!r}; set "
                    "one for all, or name the stages in stages of their own"
                )
        if len({bool(self.stage(name).retrained_stages) for name in retrained}) > 1:
            raise ValueError(
                f"{key}.stages: {' and '.join(retrained)} can't be ranked together: "
                "trials of some were trained once, of others again and count by their mean; "
                "name stages of one kind"
            )

    def _check_drawn_views(self, stage: Stage) -> None:
        """Refuse what a stage would take over from those above, but can't cache."""
        drawn = self._drawn(stage)
        if stage.training.begins_with_head:
            self._check_fine_tuned(stage, drawn)
        if not stage.caches_views:
            return
        if stage.retrained_stages:  # its values are known: no ranges
            drawn = {name: Constant(value=True) for name in drawn}
        try:
            check_cached_views(drawn)
        except ValueError as error:
            raise ValueError(f"stage.{stage.name}: {error}") from None

    def _check_fine_tuned(self, stage: Stage, drawn: Collection[str]) -> None:
        """Refuse views of which no feature maps can be cached, or none for each fold."""
        key = f"stage.{stage.name}.fine_tune"
        tables = [stage, *map(self.stage, stage.retrained_stages)]
        scratch = [one.name for one in tables if one.network]
        if scratch:
            raise ValueError(
                f"{key}: {scratch[0]!r} trains a network from scratch; only heads on the "
                "backbone can go on with its last blocks"
            )
        own = [one.name for one in stage.alteration.of_level("batch", "features").operations]
        mixing = [*own, *(name for name in drawn if name in MIXING_AUGMENTATIONS)]
        if mixing:
            raise ValueError(
                f"{key}: {mixing[0]} mixes images, which fine-tuning can't; leave it out"
            )
        if stage.views == ONLINE:
            raise ValueError(f"{key}: trains on cached views; set views to a number")
        is_altered = any(one.augmentation for one in tables) or any(
            name in AUGMENTATION_STRENGTHS for name in drawn
        )
        if stage.folds is not None and is_altered:
            raise ValueError(f"{key}: augmentation goes with repeats, not with folds")

    def _drawn(self, stage: Stage) -> dict[str, Parameter]:
        """Return the parameters of a stage, those of the stages that it rests on among them."""
        found: dict[str, Parameter] = {}
        for name in (*stage.narrowed_stages, *stage.redrawn_stages):
            found |= self._drawn(self.stage(name))
        return {**found, **stage.space.parameters}

    def stage(self, name: str) -> Stage:
        """Return the stage called `name`; UserError with close matches if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = [stage.name for stage in self.stages]
        raise UserError(f"study {self.name!r} has no stage {name!r}: {suggest(name, names)}")

    def as_toml_data(self) -> dict[str, Any]:
        """Return the study as plain data, every default written out; `parse` reads it back."""
        return self.model_dump(mode="json", by_alias=True)

    def digest(self) -> str:
        """Return a hash of all that changes results but the images: 16 hexadecimal digits.

        Descriptions do not count, nor does the number of trials: a search may be extended. Nor
        where the images lie: what they are has a fingerprint of its own.
        """
        text = json.dumps(_essence(self.as_toml_data()), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def parse(raw: Mapping[str, Any], where: str) -> StudyFile:
    """Check plain data as a study.

    Args:
        raw: what `tomllib` read, `extends` already resolved.
        where: the file, for messages.

    Raises:
        UserError: one line for each mistake: file, key path, what came, what was expected.
    """
    try:
        return StudyFile.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {line}" for line in explain(error, raw, _SECTIONS)]
        raise UserError("\n".join(lines)) from None


def overridden(
    study: StudyFile,
    *,
    data: str | None = None,
    seed: int | None = None,
    trials: int | None = None,
    preset: str | None = None,
) -> StudyFile:
    """Return a study with what the command line sets in place of its own.

    Args:
        study: the study of the file.
        data: a source of images.
        seed: a seed.
        trials: finished trials that each stage which searches wants.
        preset: an entry of the table of presets, which scales the study's own number of them.

    Raises:
        UserError: a value is out of its bounds, there is no such preset, or both are given.
    """
    if trials is not None and preset is not None:
        raise UserError("--trials and --preset exclude each other; leave one out")
    raw = study.as_toml_data()
    if data is not None:
        raw["data"]["source"] = data
    if seed is not None:
        raw["seed"] = seed
    scaled = None if preset is None else PRESETS[preset].load()
    for stage in raw["stage"]:
        if stage["retrain"] is not None:
            continue  # A stage that trains again has a trial for each finalist and repeat.
        if scaled is not None:
            stage["trials"] = scaled(stage["trials"])
        if trials is not None:
            stage["trials"] = trials
    return parse(raw, "command line")


def difference(old: StudyFile, new: StudyFile) -> list[str]:
    """Return one line for each thing that changes results: "stage.coarse.epochs: 50 -> 60".

    Stages that only one of them has do not count: they change nothing in the others.
    """
    left, right = (_essence(study.as_toml_data()) for study in (old, new))
    common = set(left["stage"]) & set(right["stage"])
    for side in (left, right):
        side["stage"] = {name: side["stage"][name] for name in side["stage"] if name in common}
    before, after = dict(_flatten(left)), dict(_flatten(right))
    lines = []
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key, "(absent)"), after.get(key, "(absent)")
        if was != now:
            lines.append(f"{key.replace('.parameters', '')}: {was} -> {now}")
    return lines


def _essence(study: dict[str, Any]) -> dict[str, Any]:
    """Leave out what does not change the result of a trial; key stages by name.

    The place of the images is left out too: a moved folder holds the same ones, and their
    fingerprint is compared on its own.
    """
    kept = {key: value for key, value in study.items() if key not in ("about", "name")}
    kept["data"] = {key: value for key, value in study["data"].items() if key != "source"}
    kept["stage"] = {
        stage["name"]: {
            key: value for key, value in stage.items() if key not in ("about", "name", "trials")
        }
        for stage in study["stage"]
    }
    return kept


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


# What an unknown key could have been, by the name of the table it stands in; "" is the file.
_SECTIONS: dict[str, type[BaseModel]] = {
    "": StudyFile,
    "data": Data,
    "split": Split,
    "backbone": Backbone,
    "stage": Stage,
    "narrow_from": NarrowFrom,
    "retrain": Retrain,
    "fine_tune": FineTune,
    "IntRange": IntRange,
    "FloatRange": FloatRange,
    "Choice": Choice,
    "Constant": Constant,
}
