"""A study as its TOML file declares it: frozen models, checked as a whole.

Everything is checked before TensorFlow loads. `library` finds and reads the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from automl_cv.catalog import engines
from automl_cv.catalog.backbones import AUTO, BACKBONES
from automl_cv.catalog.engines import ENGINES, FLOAT32
from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.catalog.presets import PRESETS
from automl_cv.errors import UserError, suggest
from automl_cv.study import across_stages, claims, essence
from automl_cv.study.claims import Claim, PublishedRow, PublishedTable
from automl_cv.study.inheritance import inherit
from automl_cv.study.mistakes import explain
from automl_cv.study.parameters import (
    BACKBONE_PARAMETERS,
    OWN,
)
from automl_cv.study.sections import (
    NAME_PATTERN,
    FineTune,
    NarrowFrom,
    Reading,
    Retrain,
    Section,
    known_name,
)
from automl_cv.study.space import Choice, Constant, FloatRange, IntRange
from automl_cv.study.stage import Stage
from automl_cv.words import listed, without_long_words

VECTORS = ".npy"
LATER = ("ids", "engine", "precision")  # keys of a backbone that studies had not at first

# Train and validation images up to which "auto" takes folds.
MOST_FOLDED = 5000


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


class Data(Reading):
    """Where the images are, and how they are split where the source has no splits itself.

    How they are read, if that can't be told: see `Reading`.

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
        name: an entry of the table of backbones, the path of a saved `.keras` model, or "auto":
            those at hand race, see `at_hand`.
        image_size: height and width in pixels that images are resized to; None takes
            the backbone's own.
        features: "last" gives a head the pooled output of the last block, "all" that
            of every block (as Head2Toe does, https://arxiv.org/abs/2201.03529).
        weights: "imagenet", or the path of a weights file; None takes the backbone's own.
        ids: of vectors that another tool made, the file that says which image each is of. They
            are in `name`, where a study file writes them as `features`: `{ features =
            "features.npy", ids = "ids.csv" }`.
        engine: an entry of the table of engines, which runs the network; "auto" is decided when a
            run begins, see `features.engines`.
        precision: in which it computes, as far as the engine can.
    """

    name: str = "compact"
    image_size: int | None = Field(None, ge=8, le=4096)
    features: Literal["last", "all"] = "last"
    weights: str | None = None
    ids: str | None = None
    engine: str = engines.AUTO
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    @model_validator(mode="before")
    @classmethod
    def _name_vectors(cls, raw: Any) -> Any:
        features = raw.get("features") if isinstance(raw, Mapping) else None
        if not isinstance(features, str) or not features.endswith(VECTORS):
            return raw
        # A name may come from the study that this one extends.
        return {**raw, "name": features, "features": "all"}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name.endswith((".keras", VECTORS)) or name == AUTO:
            return name
        return known_name(BACKBONES, name)

    @model_validator(mode="after")
    def _check_vectors(self) -> Backbone:
        if self.name.endswith(VECTORS) != (self.ids is not None):
            raise ValueError(
                f'vectors of another tool are {{ features = "FILE{VECTORS}", ids = "FILE.csv" }}, '
                "both or neither"
            )
        of_networks = ("weights", "image_size", "engine", "precision")
        said = [
            key for key in of_networks if getattr(self, key) != type(self).model_fields[key].default
        ]
        if self.ids is not None and said:
            raise ValueError(f"{self.name} is vectors: leave {listed(said)} out")
        return self

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, engine: str) -> str:
        return engine if engine == engines.AUTO else known_name(ENGINES, engine)

    @model_validator(mode="after")
    def _check_precision(self) -> Backbone:
        if self.engine != engines.AUTO:
            ENGINES[self.engine].check_precision(self.precision)
        return self

    @model_serializer(mode="wrap")
    def _leave_out_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what studies had not at first: stored ones and their digests stay."""
        written: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        unsaid = {key for key in LATER if getattr(self, key) == fields[key].default}
        return {key: value for key, value in written.items() if key not in unsaid}

    def on_engine(self, engine: str) -> Backbone:
        """Return the same with "auto" decided."""
        if self.engine != engines.AUTO or self.ids is not None:
            return self
        return self.model_copy(update={"engine": engine})

    @model_validator(mode="after")
    def _check_size(self) -> Backbone:
        if self.image_size is not None and self.name in BACKBONES:
            BACKBONES[self.name].check_size(self.image_size)
        return self

    @model_validator(mode="after")
    def _check_auto(self) -> Backbone:
        if self.name == AUTO and self.weights is not None:
            raise ValueError(f"weights: belong to one backbone, and {AUTO!r} is several")
        return self


def drawn_backbone(backbone: Backbone, parameters: Mapping[str, Any]) -> Backbone:
    """Return the backbone of a trial: the study's own, with what the trial drew laid over it.

    Args:
        backbone: the study's `[backbone]`.
        parameters: of a trial; `backbone`, `image_size` and `features` count here.
    """
    drawn = {
        key: parameters[name] for name, key in BACKBONE_PARAMETERS.items() if name in parameters
    }
    if drawn.get("image_size") == OWN:
        drawn["image_size"] = None
    return Backbone.model_validate({**backbone.model_dump(), **drawn}) if drawn else backbone


class StudyFile(Section):
    """A whole study, as its file declares it.

    Args:
        name: what `search`, `report` and the storage call it.
        about: one line for people.
        seed: every random number of the study derives from it.
        metric: an entry of the table of metrics: what says which epochs and trials are best.
        validation: "split": the validation images say what a trial is worth. "folds": train and
            validation images do, each image by a training that it had no part in; so all of them
            count, and a trial takes as many trainings. "auto": folds where they are so few that
            one split says little (`decided`).
        folds: how many.
        data: where the images are.
        backbone: what makes features of them.
        stages: searches, in order.
        claims: what the study's source concluded, for the report to answer.
        tables: the source's tables, for the report to lay beside its own.
    """

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    metric: str = ACCURACY
    validation: Literal["split", "folds", "auto"] = "split"
    folds: int = Field(5, ge=2, le=20)
    data: Data = Data()
    backbone: Backbone = Backbone()
    stages: tuple[Stage, ...] = Field(alias="stage")
    claims: tuple[Claim, ...] = Field((), alias="claim")
    tables: tuple[PublishedTable, ...] = Field((), alias="table")

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
        across_stages.check(self)
        claims.check(self)
        return self

    @model_serializer(mode="wrap")
    def _leave_out_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what studies had not at first: stored ones and their digests stay."""
        written: dict[str, Any] = handler(self)
        if self.validation == "split":
            written.pop("validation", None)
            written.pop("folds", None)
        unsaid = {key for key in ("claim", "table") if not written.get(key)}
        return {key: value for key, value in written.items() if key not in unsaid}

    def decided(self, images: int, fewest: int) -> StudyFile:
        """Return the study with "auto" decided.

        Args:
            images: how many train and validate.
            fewest: of the class that has the fewest; copies and members of a group count once.
        """
        few = images <= MOST_FOLDED and fewest >= self.folds
        can = all(one.training.takes_folds for one in self.stages)
        return self.decided_as("folds" if few and can else "split")

    def decided_as(self, validation: str) -> StudyFile:
        """Return the study with "auto" decided, as it was before."""
        if self.validation != "auto":
            return self
        return self.model_copy(update={"validation": validation})

    def on_engine(self, engine: str) -> StudyFile:
        """Return the study with the engine of its backbones decided, where it is "auto"."""
        return self.model_copy(update={"backbone": self.backbone.on_engine(engine)})

    def in_float32(self) -> StudyFile:
        """Return the study with its backbones in full precision, as a saved network has them."""
        full = self.backbone.model_copy(update={"precision": FLOAT32})
        return self.model_copy(update={"backbone": full})

    @property
    def validating_folds(self) -> int | None:
        """How many folds of train and validation images validate; None for the split."""
        return self.folds if self.validation == "folds" else None

    def folds_of(self, stage: Stage) -> int | None:
        """Return how many folds the trials of a stage have: its own, where each is a trial."""
        return stage.folds or self.validating_folds

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

        Descriptions and claims do not count, nor does the number of trials: a search may be
        extended. Nor where the images lie: what they are has a fingerprint of its own.
        """
        return essence.digest(self.as_toml_data())


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
        lines = [f"{where}: {without_long_words(line)}" for line in explain(error, raw, _SECTIONS)]
        raise UserError("\n".join(lines)) from None


def overridden(
    study: StudyFile,
    *,
    data: str | None = None,
    reading: Reading | None = None,
    seed: int | None = None,
    trials: int | None = None,
    preset: str | None = None,
) -> StudyFile:
    """Return a study with what the command line sets in place of its own.

    Args:
        study: the study of the file.
        data: a source of images.
        reading: how it is read; what it does not say stays.
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
    if reading is not None:
        raw["data"].update(reading.model_dump(mode="json"))
    if seed is not None:
        raw["seed"] = seed
    scaled = None if preset is None else PRESETS[preset].load()
    for stage in raw["stage"]:
        if stage["retrain"] is not None or stage.get("combine") is not None:
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
    return essence.difference(old.as_toml_data(), new.as_toml_data())


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
    "claim": Claim,
    "table": PublishedTable,
    "published": PublishedRow,
    "IntRange": IntRange,
    "FloatRange": FloatRange,
    "Choice": Choice,
    "Constant": Constant,
}
