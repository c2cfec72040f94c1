"""A study as its TOML file declares it: frozen models, checked as a whole.

Everything is checked before TensorFlow loads. `library` finds and reads the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.catalog.settings import SettableEntry
from automl_cv.errors import UserError, suggest
from automl_cv.mistakes import explain
from automl_cv.parameters import checked_space
from automl_cv.registry import Table
from automl_cv.space import Choice, Constant, FloatRange, IntRange, Space

S = TypeVar("S", bound=SettableEntry)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _known(table: Table[Any], name: str) -> str:
    if name not in table:
        raise ValueError(f"unknown {table.kind} {name!r}: {suggest(name, table.names)}")
    return name


class Split(_Section):
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


class Data(_Section):
    """Where the images are, and how they are split where the source has no splits itself.

    Args:
        source: a folder, a CSV or Parquet manifest, or a built-in name; None where
            the file leaves it to `--data`.
        split: shares of the three splits.
    """

    source: str | None = None
    split: Split = Split()


class Backbone(_Section):
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
        return name if name.endswith(".keras") else _known(BACKBONES, name)


class Named(_Section):
    """An entry of a table with its own parameters: `"random"` or `{ name = "tpe", … }`."""

    name: str
    parameters: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        if isinstance(raw, str):
            return {"name": raw}
        if isinstance(raw, Mapping) and "parameters" not in raw:
            own = {key: value for key, value in raw.items() if key != "name"}
            return {**{key: raw[key] for key in ("name",) if key in raw}, "parameters": own}
        return raw


class NarrowFrom(_Section):
    """Where a stage takes its space from: `"coarse"` or `{ stage = "coarse", top = 2 }`.

    Args:
        stage: one that stands above.
        top: how many of its best trials the space is derived from.
    """

    stage: str
    top: int = Field(2, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        return {"stage": raw} if isinstance(raw, str) else raw

    def __str__(self) -> str:
        trials = "trial" if self.top == 1 else f"{self.top} trials"
        return f"narrowed from the best {trials} of {self.stage}"


class Stage(_Section):
    """One search: how many trials, of how many epochs, over which space.

    Args:
        name: unique within the file.
        about: one line for people.
        trials: finished trials the stage wants.
        epochs: passes over the training images a trial may take at most.
        sampler: an entry of the table of samplers.
        pruner: an entry of the table of pruners; the only thing that stops a trial early.
        head: an entry of the table of heads.
        schedule: an entry of the table of schedules: how the learning rate changes.
        narrow_from: the stage whose best trials give the space.
        space: what is searched; it may hold parameters of the head and of the schedule.
            With `narrow_from`, only what the rule shall not decide.
    """

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    sampler: Named = Named(name="random")
    pruner: Named = Named(name="none")
    head: Named = Named(name="linear")
    schedule: Named = Named(name="constant")
    narrow_from: NarrowFrom | None = None
    space: Space = Space(parameters={})

    @field_validator("sampler")
    @classmethod
    def _check_sampler(cls, sampler: Named) -> Named:
        return _checked(SAMPLERS, sampler)

    @field_validator("pruner")
    @classmethod
    def _check_pruner(cls, pruner: Named) -> Named:
        return _checked(PRUNERS, pruner)

    @field_validator("head")
    @classmethod
    def _check_head(cls, head: Named) -> Named:
        return _checked(HEADS, head)

    @field_validator("schedule")
    @classmethod
    def _check_schedule(cls, schedule: Named) -> Named:
        return _checked(SCHEDULES, schedule)

    @field_validator("space")
    @classmethod
    def _check_space(cls, space: Space, info: ValidationInfo) -> Space:
        # Where an entry's own name is wrong it is absent here.
        head, schedule = info.data.get("head"), info.data.get("schedule")
        # An absent narrow_from has a mistake of its own.
        is_partial = info.data.get("narrow_from", True) is not None
        for name, parameter in space.parameters.items():
            if is_partial and parameter.when:
                raise ValueError(
                    f"{name}.when: a parameter set beside narrow_from keeps the condition it "
                    "has in the stage above; leave `when` out"
                )
        names = (head and head.name, schedule and schedule.name)
        return checked_space(space, *names, is_partial=is_partial)


class StudyFile(_Section):
    """A whole study, as its file declares it.

    Args:
        name: what `search`, `report` and the storage call it.
        about: one line for people.
        seed: every random number of the study derives from it.
        data: where the images are.
        backbone: what makes features of them.
        stages: searches, in order.
    """

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    data: Data = Data()
    backbone: Backbone = Backbone()
    stages: tuple[Stage, ...] = Field(alias="stage")

    @model_validator(mode="after")
    def _check(self) -> StudyFile:
        if not self.stages:
            raise ValueError("stage: the list is empty; a study needs at least one [[stage]]")
        names = [stage.name for stage in self.stages]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two stages are called {twice[0]!r}")
        for index, stage in enumerate(self.stages):
            source = stage.narrow_from
            if source is not None and source.stage not in names[:index]:
                raise ValueError(
                    f"stage.{stage.name}.narrow_from.stage: no stage {source.stage!r} stands "
                    f"above it: {suggest(source.stage, names[:index])}"
                )
        return self

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
        """Return a hash of all that changes results: 16 hexadecimal digits.

        Descriptions do not count, nor does the number of trials: a search may be extended.
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
) -> StudyFile:
    """Return a study with what the command line sets in place of its own.

    Args:
        study: the study of the file.
        data: a source of images.
        seed: a seed.
        trials: finished trials that each stage wants.

    Raises:
        UserError: a value is out of its bounds.
    """
    raw = study.as_toml_data()
    if data is not None:
        raw["data"]["source"] = data
    if seed is not None:
        raw["seed"] = seed
    if trials is not None:
        for stage in raw["stage"]:
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


def _checked(table: Table[S], named: Named) -> Named:
    """Check an entry's name and its parameters against its table; return it with defaults."""
    entry = table[_known(table, named.name)]
    return Named(name=entry.name, parameters=entry.completed(named.parameters))


def _essence(study: dict[str, Any]) -> dict[str, Any]:
    """Leave out what does not change the result of a trial; key stages by name."""
    kept = {key: value for key, value in study.items() if key not in ("about", "name")}
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
    "IntRange": IntRange,
    "FloatRange": FloatRange,
    "Choice": Choice,
    "Constant": Constant,
}
