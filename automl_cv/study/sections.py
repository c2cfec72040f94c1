"""Tables of a study file as frozen models: what they have in common, and where trials come from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """A table of a study file: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


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
