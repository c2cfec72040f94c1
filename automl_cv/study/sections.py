"""Tables of a study file: what all of them share, and those that stand in a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from automl_cv.errors import suggest
from automl_cv.registry import Table

# As long as a file name and Optuna's names of studies (512 signs) have room for, beside others.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Section(BaseModel):
    """A table of a study file: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Reading(Section):
    """What a user says of how images and labels are to be read; nothing for what can be told.

    Args:
        path_column: the column of a manifest that holds paths.
        label_column: the column that holds labels.
        root: the folder that its paths are relative to, beside the manifest or from here.
        class_level: at which level the class folders stand, from 1, below the folder given.
        window: which values of greys of more than 8 bits become black and white.
    """

    path_column: str | None = None
    label_column: str | None = None
    root: str | None = None
    class_level: int | None = Field(None, ge=1, le=9)
    window: tuple[float, float] | None = None

    @field_validator("window")
    @classmethod
    def _rises(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError("expected [low, high], low below high")
        return window

    @model_serializer(mode="wrap")
    def _leave_out_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what was not said: studies of before say nothing of it."""
        written: dict[str, Any] = handler(self)
        unsaid = {name for name in Reading.model_fields if written.get(name) is None}
        return {key: value for key, value in written.items() if key not in unsaid}


def known_name(table: Table[Any], name: str) -> str:
    """Return a name that stands in a table; ValueError with close matches otherwise."""
    if name not in table:
        raise ValueError(f"unknown {table.kind} {name!r}: {suggest(name, table.names)}")
    return name


class Named(Section):
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


class NarrowFrom(Section):
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


class Retrain(Section):
    """Which trials a stage trains again: `{ stages = "narrowed", top = 3, repeats = 5 }`.

    Args:
        stages: those above whose best trials are trained again, one name or several.
        top: how many trials, the best of all these stages.
        repeats: seeds for each; the first is the trial's own.
        folds: in place of seeds, folds of the train and validation images; each validates once.
        drawn_augmentation: whether what a trial drew of its augmentation counts again. By
            default where the stage sets no augmentation of its own.
    """

    stages: tuple[str, ...] = Field(min_length=1)
    top: int = Field(1, ge=1)
    repeats: int = Field(1, ge=1)
    folds: int | None = Field(None, ge=2)
    drawn_augmentation: bool = True

    @field_validator("stages", mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _check(self) -> Retrain:
        if self.folds is not None and self.repeats > 1:
            raise ValueError("repeats and folds exclude each other; leave one out")
        return self

    @property
    def n_repeats(self) -> int:
        """Trainings of each trial."""
        return self.folds or self.repeats

    def __str__(self) -> str:
        trials = "trial" if self.top == 1 else f"{self.top} trials"
        times = f"over {self.folds} folds" if self.folds else f"over {self.repeats} seeds"
        over = "" if self.n_repeats == 1 else f" {times}"
        return f"the best {trials} of {' and '.join(self.stages)} trained again{over}"


class Combine(Section):
    """Whose trials a stage combines: `{ stages = ["exact", "coarse"], top = 8 }`.

    Args:
        stages: those above whose trials are combined, one name or several.
        top: how many trials at most. Of trials that differ in numbers alone the best stands for
            all.
    """

    stages: tuple[str, ...] = Field(min_length=1)
    top: int = Field(8, ge=2, le=100)

    @field_validator("stages", mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, str) else raw

    def __str__(self) -> str:
        return f"the best {self.top} unlike trials of {' and '.join(self.stages)} combined"


class FineTune(Section):
    """What of the backbone a stage trains too: `{ blocks = 1, rate_factor = 0.1 }`.

    Args:
        blocks: how many of its last blocks; all of them, and its stem is trained as well.
        rate_factor: what the trial's learning rate is multiplied by.
        block_rate_factor: what the rate of each block is multiplied by again for the block before
            it, nearer to the image; 1 trains all at one rate. Howard and Ruder 2018
            (https://arxiv.org/abs/1801.06146, section 3.2) take 1 / 2.6.
    """

    blocks: int = Field(1, ge=1)
    rate_factor: float = Field(0.1, gt=0, le=1)
    block_rate_factor: float = Field(1.0, gt=0, le=1)

    def __str__(self) -> str:
        blocks = "last block" if self.blocks == 1 else f"last {self.blocks} blocks"
        rates = f"at {self.rate_factor:g} of the rate"
        if self.block_rate_factor != 1:
            rates += f", each block at {self.block_rate_factor:g} of the next one's"
        return f"{blocks} of the backbone trained too, {rates}"
