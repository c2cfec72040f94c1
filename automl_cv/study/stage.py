"""A stage of a study as its file declares it: what it searches, or what it trains again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from automl_cv.catalog.augmentations import Augmentation, augmentation, drawn_augmentation
from automl_cv.catalog.exact_heads import EXACT_HEADS
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.kinds import DEFAULT_KIND, KINDS, KindEntry, in_steps, kind_by_keys
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.networks import NETWORKS
from automl_cv.catalog.origins import ORIGINS
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.catalog.settings import SettableEntry
from automl_cv.registry import Table
from automl_cv.study.parameters import (
    NOT_CACHED,
    check_cached_views,
    check_drawn_names,
    checked_space,
    known_parameters,
)
from automl_cv.study.sections import (
    NAME_PATTERN,
    Combine,
    FineTune,
    Named,
    NarrowFrom,
    Retrain,
    Section,
    known_name,
)
from automl_cv.study.space import Space, Value

S = TypeVar("S", bound=SettableEntry)

# What a stage has whose trials are trained in steps, and a solved head has not.
_OF_STEPS = ("schedule", "loss", "class_weight", "augmentation")
ONLINE = "online"
MIXED = "mixed_float16"
MOST_VIEWS = 1000

# The tables whose entries a stage names, by key.
TABLES: dict[str, Table[Any]] = {
    "sampler": SAMPLERS,
    "pruner": PRUNERS,
    "head": HEADS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "network": NETWORKS,
    "exact": EXACT_HEADS,
    "kind": KINDS,
}


class Stage(Section):
    """One search: how many trials, of how many epochs, over which space.

    Args:
        name: unique within the file.
        about: one line for people.
        trials: finished trials the stage wants.
        images: about how many train and validation images its trials see, drawn by content and
            stratified; None for all. What they come to says which trials are worth a stage on all
            images, and competes with none of these.
        epochs: passes over the training images a trial may take at most.
        sampler: an entry of the table of samplers.
        pruner: an entry of the table of pruners; the only thing that stops a trial early.
        head: an entry of the table of heads.
        schedule: an entry of the table of schedules: how the learning rate changes.
        loss: an entry of the table of losses: what training minimises.
        class_weight: "balanced" makes up for classes of few images; None counts each image
            alike.
        network: an entry of the table of networks, trained from scratch on pixels in place of
            a head on features.
        exact: an entry of the table of exact heads, solved in place of one that is trained in
            steps. Such a stage has one epoch and needs no optimizer.
        combine: the trials that are combined as they are, in place of a training.
        narrow_from: the stage whose best trials give the space.
        retrain: the trials that are trained again, in place of a search. Such a stage takes
            epochs, pruner, head, schedule, loss, class_weight, augmentation and views from
            the first stage it names, and its number of trials from `retrain`, unless it sets
            its own.
        fine_tune: how much of the backbone is trained on, once the head is trained.
        kind: an entry of the table of kinds of training; `network` and `fine_tune` say it too.
        views: altered views of each training image, of which each epoch draws one; "online"
            makes them anew in each epoch, for which the backbone runs on all of them.
        augmentation: how training images are altered, by operation; see the table.
        precision: in which networks compute as they train; MIXED is half precision with weights
            in float32, for GPUs.
        space: what is searched; it may hold parameters of the head and of the schedule.
            With `narrow_from`, only what the rule shall not decide; none with `retrain`.
    """

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    trials: int = Field(ge=1, le=1_000_000)
    images: int | None = Field(None, ge=2)
    epochs: int = Field(ge=1, le=1_000_000)
    sampler: Named = Named(name="random")
    pruner: Named = Named(name="none")
    head: Named = Named(name="linear")
    schedule: Named = Named(name="constant")
    loss: Named = Named(name="cross_entropy")
    class_weight: Literal["balanced"] | None = None
    network: Named | None = None
    exact: Named | None = None
    combine: Combine | None = None
    narrow_from: NarrowFrom | None = None
    retrain: Retrain | None = None
    fine_tune: FineTune | None = None
    kind: Named = Named(name=DEFAULT_KIND)
    views: int | Literal["online"] = 8
    augmentation: dict[str, Any] = {}
    precision: Literal["float32", "mixed_float16"] = "float32"
    space: Space = Space(parameters={})

    @model_validator(mode="before")
    @classmethod
    def _say_kind(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        said = {"kind": kind_by_keys(raw), **raw}
        solved = isinstance(said["kind"], str) and not in_steps(said["kind"])
        once = {"trials": 1} if said.get("combine") is not None else {}
        return {"epochs": 1, **once, **said} if solved else said

    @field_validator(*TABLES)
    @classmethod
    def _check_entry(cls, named: Named | None, info: ValidationInfo) -> Named | None:
        return named and _checked(TABLES[str(info.field_name)], named)

    @field_validator("views", mode="before")
    @classmethod
    def _check_views(cls, raw: Any) -> Any:
        is_count = isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MOST_VIEWS
        if not is_count and raw != ONLINE:
            raise ValueError(
                f"expected a whole number from 1 to {MOST_VIEWS} or {ONLINE!r}, got {raw!r}"
            )
        return raw

    @field_validator("augmentation")
    @classmethod
    def _check_augmentation(cls, raw: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        checked = augmentation(raw)
        mixing = checked.of_level("batch").operations
        if mixing and _caches_views(info.data):
            raise ValueError(f"{mixing[0].name} {NOT_CACHED}")
        return checked.as_data()

    @field_validator("fine_tune")
    @classmethod
    def _check_fine_tune(cls, fine_tune: FineTune | None, info: ValidationInfo) -> FineTune | None:
        # An absent retrain has a mistake of its own.
        if fine_tune is not None and info.data.get("retrain", True) is None:
            raise ValueError(
                'only a stage that retrains fine-tunes; add `retrain = { stages = "…" }`'
            )
        return fine_tune

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, kind: Named, info: ValidationInfo) -> Named:
        said, key = kind_by_keys(info.data), KINDS[kind.name].key
        keys = [entry.key for entry in KINDS if entry.key and info.data.get(entry.key) is not None]
        if {"exact", "combine"} & set(keys) and len(keys) > 1:
            raise ValueError(f"{' and '.join(keys)} exclude each other; leave one out")
        if kind.name != said and key in info.data:  # where absent it has a mistake of its own
            raise ValueError(f"{kind.name!r} wants the key {key}, which says what is trained")
        if kind.name != said and KINDS[said].key:
            raise ValueError(f"{kind.name!r} excludes the key {KINDS[said].key}; leave one out")
        return kind

    @model_validator(mode="after")
    def _check_images(self) -> Stage:
        """Refuse a sample where trials of others are taken as they are."""
        if self.images is not None and (self.retrain or self.combine):
            raise ValueError("images: a stage that retrains or combines sees all; leave it out")
        return self

    @model_validator(mode="after")
    def _check_solved(self) -> Stage:
        """Refuse what only a training in steps has, or only that of a network."""
        if self.precision == MIXED and not self.training.is_long:
            raise ValueError("precision: heads train in float32; leave it out")
        if not in_steps(self.kind.name):
            own = type(self).model_fields
            for key in (*_OF_STEPS, "epochs"):
                if getattr(self, key) != (1 if key == "epochs" else own[key].default):
                    raise ValueError(f"{key}: nothing is trained in steps; leave it out")
        if self.combine and (self.trials != 1 or self.space.parameters):
            raise ValueError("a stage that combines has one trial, and no space; leave both out")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_what_keys_say(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write a kind only where no other key says it: stored studies and digests stay."""
        written: dict[str, Any] = handler(self)
        if self.kind.name == kind_by_keys(dict(self)):
            written.pop("kind", None)
        for key in ("exact", "combine", "images"):
            if written.get(key) is None:
                written.pop(key, None)
        if self.precision != MIXED:
            written.pop("precision", None)
        return written

    @property
    def folds(self) -> int | None:
        """How many folds of train and validation images its trials have; None for the splits."""
        return self.retrain.folds if self.retrain else None

    @property
    def training(self) -> KindEntry:
        """The entry of its kind: what its trials train, and what they learn from."""
        return KINDS[self.kind.name]

    @property
    def trained(self) -> Named:
        """What its trials train: a head or a network, with what the stage sets of it.

        Of a kind that trains nothing of a name, the kind's own.
        """
        key = self.training.trained
        named: Named = getattr(self, key) if key else Named(name=self.kind.name)
        return named

    @property
    def origin(self) -> str:
        """Where its trials come from: an entry of the table of origins."""
        said = (entry.name for entry in ORIGINS if entry.key and getattr(self, entry.key))
        return next(said, "searched")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stages above that this one rests on; none where it searches anew."""
        return (*self.narrowed_stages, *self.retrained_stages, *self.combined_stages)

    @property
    def narrowed_stages(self) -> tuple[str, ...]:
        """Name of the stage whose best trials give the space; none where it declares its own."""
        return (self.narrow_from.stage,) if self.narrow_from else ()

    @property
    def retrained_stages(self) -> tuple[str, ...]:
        """Names of the stages whose best trials are trained again; none where it searches."""
        return self.retrain.stages if self.retrain else ()

    @property
    def combined_stages(self) -> tuple[str, ...]:
        """Names of the stages whose trials are combined; none where it trains itself."""
        return self.combine.stages if self.combine else ()

    @property
    def combining(self) -> Combine:
        """What it combines; ValueError where its origin is another than "combined"."""
        combine: Combine = self._said("combine")
        return combine

    @property
    def redrawn_stages(self) -> tuple[str, ...]:
        """Those of them whose trials keep what they drew of their augmentation."""
        return self.retrain.stages if self.retrain and self.retrain.drawn_augmentation else ()

    @property
    def retraining(self) -> Retrain:
        """What it trains again; ValueError where its origin is another than "retrained"."""
        retrain: Retrain = self._said("retrain")
        return retrain

    @property
    def narrowing(self) -> NarrowFrom:
        """What it narrows; ValueError where its origin is another than "narrowed"."""
        narrow_from: NarrowFrom = self._said("narrow_from")
        return narrow_from

    @property
    def tuning(self) -> FineTune:
        """What of the backbone it trains; ValueError where its kind is another."""
        fine_tune: FineTune = self._said("fine_tune")
        return fine_tune

    def _said(self, key: str) -> Any:
        """Return the value of a key that its kind or origin has: it was asked for by those."""
        value = getattr(self, key)
        if value is None:
            raise ValueError(f"stage {self.name!r} has no {key}")
        return value

    @property
    def rules(self) -> tuple[NarrowFrom | Retrain | FineTune | Combine, ...]:
        """What it says of stages above and of the backbone; each has a line for people."""
        said = (self.narrow_from, self.retrain, self.fine_tune, self.combine)
        return tuple(one for one in said if one is not None)

    @property
    def known_parameters(self) -> set[str]:
        """Names of all parameters that a trial of the stage takes, whatever its optimizer."""
        return known_parameters(self.training, self.trained.name, self.schedule.name)

    @property
    def caches_views(self) -> bool:
        """Whether it trains on cached views, where images are altered."""
        return _caches_views({"views": self.views, "kind": self.kind})

    @property
    def alteration(self) -> Augmentation:
        """How training images are altered, as far as the stage itself says; false for not."""
        return self.augmentation_of({})

    def augmentation_of(self, parameters: Mapping[str, Value]) -> Augmentation:
        """Return how a trial's training images are altered; false where they are not.

        Args:
            parameters: of the trial, which win over what the stage sets.
        """
        return drawn_augmentation(self.augmentation, parameters)

    @field_validator("space", mode="before")
    @classmethod
    def _tell_misspelt(cls, raw: Any) -> Any:
        """Tell of a misspelt optimizer before the conditions that it breaks."""
        if isinstance(raw, Mapping):
            check_drawn_names(raw)
        return raw

    @field_validator("space")
    @classmethod
    def _check_space(cls, space: Space, info: ValidationInfo) -> Space:
        # Where an entry's own name is wrong it is absent here.
        schedule = info.data.get("schedule")
        # An absent narrow_from has a mistake of its own.
        is_partial = info.data.get("narrow_from", True) is not None
        if info.data.get("retrain", True) is not None:
            if space.parameters:
                raise ValueError("a stage that retrains searches nothing; leave the space out")
            return space
        kind = info.data.get("kind")
        training = KINDS[kind.name] if kind else None
        trained = info.data.get(training.trained) if training and training.trained else None
        checked = checked_space(
            space,
            training,
            trained and trained.name,
            schedule and schedule.name,
            is_partial=is_partial,
        )
        if _caches_views(info.data):
            check_cached_views(checked.parameters)
        return checked


def _caches_views(stage: Mapping[str, Any]) -> bool:
    """Tell whether a stage trains on cached views, not on the pixels of each epoch.

    Args:
        stage: its fields; absent ones have a mistake of their own.
    """
    kind = stage.get("kind")
    on_features = kind is not None and KINDS[kind.name].learns_from == "features"
    return on_features and stage.get("views", ONLINE) != ONLINE


def head_stage(stage: Stage, declared: Mapping[str, Stage], searched: str) -> Stage | None:
    """Return the stage that trained the head which fine-tuning begins with; None without any.

    Where stages that fine-tune name each other, it is the one above them all.

    Args:
        stage: one that may fine-tune.
        declared: all stages of the study, by name.
        searched: the stage that searched the trial.
    """
    found = stage
    while found.training.begins_with_head:
        named = found.sources  # of a stage that retrains: only such a one fine-tunes
        found = declared[searched if searched in named else named[0]]
    return None if found is stage else found


def _checked(table: Table[S], named: Named) -> Named:
    """Check an entry's name and its parameters against its table; return it with defaults."""
    entry = table[known_name(table, named.name)]
    return Named(name=entry.name, parameters=entry.completed(named.parameters))
