"""What a study's source said: its conclusions and its tables, so that a report can answer them.

Neither changes a trial; `essence` leaves both out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from automl_cv.errors import suggest
from automl_cv.study.sections import NAME_PATTERN, Section

if TYPE_CHECKING:
    from automl_cv.study.studyfile import StudyFile

S = TypeVar("S", bound=Section)
Value = str | int | float | bool


class _Sparse(Section):
    """A table of a study file that is stored as it was written: what it leaves out is not there."""

    @model_serializer(mode="wrap")
    def _leave_out_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if value not in (None, {}, [])}


class Claim(_Sparse):
    """One conclusion of a study's source, and which figures confirm or refute it.

    Without `stage` nothing here can: then `study` may name one that does.

    Args:
        text: the conclusion, as a sentence or the beginning of one.
        stage: whose best trial is looked at: its figure, or its distance from that of `against`.
        where: of its trials those that drew these values; of `against`, if that is the same
            stage, the others.
        against: the stage whose best trial it is compared with.
        more_than: what the figure or the distance is said to be above.
        less_than: what it is said to be below.
        matter: parameters of `stage` that are said to matter most.
        study: another study that says more.
    """

    text: str = Field(min_length=1, max_length=300)
    stage: str | None = None
    where: dict[str, Value] = {}
    against: str | None = None
    more_than: float | None = None
    less_than: float | None = None
    matter: tuple[str, ...] = ()
    study: str | None = Field(None, pattern=NAME_PATTERN)

    @model_validator(mode="after")
    def _check(self) -> Claim:
        bounds = [one for one in (self.more_than, self.less_than) if one is not None]
        asked = len(bounds) + bool(self.matter)
        if self.stage is None:
            if asked or self.where or self.against:
                raise ValueError("names no stage; say whose figures decide it: stage = …")
        elif asked != 1:
            raise ValueError("wants one of more_than, less_than and matter")
        if self.matter and (self.against or self.where):
            raise ValueError(
                "matter: asks for parameters of one stage; leave against and where out"
            )
        if self.where and self.against is None:
            raise ValueError("where: wants a stage to compare with: against = …")
        if self.against is not None and self.against == self.stage and not self.where:
            raise ValueError("against: is the same stage; `where` says which of its trials")
        return self


class PublishedRow(_Sparse):
    """One row of a source's table; what the source does not give is left out.

    Args:
        row: what it is called there.
        batch_size: images a step.
        optimizer: its name.
        learning_rate: initial rate.
        momentum: where the optimizer has one.
        epochs: passes over the training images.
        accuracy: on training images.
        val_accuracy: on validation images.
        loss: on training images.
        val_loss: on validation images.
    """

    row: str
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    epochs: int | None = None
    accuracy: float | None = None
    val_accuracy: float | None = None
    loss: float | None = None
    val_loss: float | None = None


class PublishedTable(_Sparse):
    """A table of a study's source, which a report shows beside the trials of the same stages.

    Args:
        heading: what stands above it.
        stages: whose trials belong there, one name or several.
        published: the source's own rows.
    """

    heading: str = Field(min_length=1, max_length=200)
    stages: tuple[str, ...] = Field(min_length=1)
    published: tuple[PublishedRow, ...] = ()

    @field_validator("stages", mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, str) else raw


def check(study: StudyFile) -> None:
    """Raise a ValueError where a claim or a table names a stage that the study has not."""
    stages = {stage.name: stage for stage in study.stages}
    for number, claim in enumerate(study.claims, start=1):
        for key in ("stage", "against"):
            _check_known(getattr(claim, key), f"claim.{number}.{key}", list(stages))
        if claim.stage and claim.against:
            trains_again = {
                bool(stages[name].retrained_stages) for name in (claim.stage, claim.against)
            }
            if len(trains_again) > 1:
                raise ValueError(
                    f"claim.{number}: one of {claim.stage} and {claim.against} trains trials "
                    "again and the other searches; name two of a kind"
                )
    for number, table in enumerate(study.tables, start=1):
        for name in table.stages:
            _check_known(name, f"table.{number}.stages", list(stages))


def _check_known(name: str | None, key: str, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        raise ValueError(f"{key}: the study has no stage {name!r}: {suggest(name, names)}")


def claims_of(study: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Return the claims of a study as it is stored; those of a newer automl-cv are left out."""
    return tuple(_read(Claim, study.get("claim", ())))


def tables_of(study: Mapping[str, Any]) -> tuple[PublishedTable, ...]:
    """Return the tables of a study's source, of a study as it is stored; see `claims_of`."""
    return tuple(_read(PublishedTable, study.get("table", ())))


def _read(model: type[S], stored: Sequence[Any]) -> Iterator[S]:
    for one in stored:
        with suppress(ValidationError):
            yield model.model_validate(one)
