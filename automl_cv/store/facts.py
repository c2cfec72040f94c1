"""What the database holds of a study and of its stages beside the trials.

In memory: facts of the study, which all stages share, and facts of one stage. A run's facts, for
its readers, are those of its stages joined. The database holds, with each stage, one record in
the form of a run's facts, with maps by stage that have one name: a reader of any version finds
in it what it knows, and none goes on with a stage whose finalists it does not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.store.progress import Progress
from automl_cv.store.records import MEMBERS, TrialRecord
from automl_cv.study.space import Space
from automl_cv.study.stage import Stage
from automl_cv.words import trials_text


class Narrowed(BaseModel):
    """The space of a stage that narrows another stage's: what, whence and why.

    Args:
        stage: name of the stage that was narrowed from.
        trials: its trials that the space was derived from, best first.
        space: what is searched instead of that stage's space.
        reasons: one line for each parameter of that stage and of this one: why it has the
            ends or values it has, or why it was dropped.
        remarks: lines that a reader of the results should know.
        best_now: its best trials when a search last looked. Others than `trials` where it
            got more of them after the first trial was drawn from `space`, which then stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    trials: tuple[int, ...]
    space: Space
    reasons: dict[str, str]
    remarks: tuple[str, ...] = ()
    best_now: tuple[int, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks, and a line where the best trials are no longer those it came from."""
        if self.best_now in ((), self.trials):
            return self.remarks
        return (
            *self.remarks,
            f"the best of {self.stage} are now {trials_text(self.best_now)}; the ranges stay "
            "those that the first trials were drawn from, `search --new` narrows anew",
        )


@dataclass(frozen=True)
class Extraction:
    """What the features of a backbone at an image size cost the stage that drew them.

    Args:
        backbone: its name, or the file of a saved model.
        image_size: as a trial has it; None for the backbone's own.
        pixels: height and width of the images, in any case.
        images: that passed it for this stage; 0 where all were cached.
        seconds: what that took.
        milliseconds: an image takes, once the network has warmed up, all cores together; None
            where that was not measured.
        megabytes: of the file of weights; None where that is not known.
        licence: of the weights; None of a file of the user's.
    """

    backbone: str
    image_size: int | None
    pixels: int
    images: int
    seconds: float
    milliseconds: float | None
    megabytes: float | None
    licence: str | None


def joined_extractions(each: Iterable[Extraction]) -> tuple[Extraction, ...]:
    """Add up what was extracted for one backbone and image size, whichever blocks, and later."""
    found: dict[tuple[str, int | None], Extraction] = {}
    for one in each:
        key = (one.backbone, one.image_size)
        before = found.get(key)
        if before is not None:
            images, seconds = before.images + one.images, before.seconds + one.seconds
            measured = one.milliseconds or before.milliseconds
            one = replace(one, images=images, seconds=seconds, milliseconds=measured)
        found[key] = one
    return tuple(found.values())


@dataclass(frozen=True)
class StudyFacts:
    """What must be known of a study to read its results, the same for all stages of a run.

    Args:
        study: the study file as plain data (`StudyFile.as_toml_data`).
        digest: hash of all in it that changes results.
        seed: every random number derives from it.
        versions: version by name: automl-cv, python, optuna, keras, tensorflow, numpy.
        data_source: folder, manifest or built-in name.
        data_fingerprint: hash of the images and their splits.
        class_names: in the order of their indices.
        split_sizes: number of images by split: train, validation, test.
        ledger: what became of each file that was found: `automl_cv.data.ledger.Ledger` as a dict.
        warnings: lines that belong above the leaderboard.
        reference: a classifier that nothing was searched for, on the same features and
            split: label, accuracy, val_accuracy, loss, val_loss, seconds.
        waiting: how far stages came that the search left no room for and that so have no
            record of their own, by name.
    """

    study: Mapping[str, Any]
    digest: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    data_source: str = ""
    data_fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    split_sizes: Mapping[str, int] = field(default_factory=dict)
    ledger: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reference: Mapping[str, Any] | None = None
    waiting: Mapping[str, Progress] = field(default_factory=dict)

    @property
    def backbone(self) -> str:
        """Name of the frozen network."""
        return str(self.study.get("backbone", {}).get("name", ""))

    @property
    def networks(self) -> dict[str, str]:
        """Names of the networks that stages train from scratch, by stage."""
        stages = self.study.get("stage", ())
        return {stage["name"]: stage["network"]["name"] for stage in stages if stage.get("network")}

    @property
    def n_known(self) -> int:
        """Number of train and validation images."""
        return self.split_sizes.get("train", 0) + self.split_sizes.get("validation", 0)

    @property
    def is_over_folds(self) -> bool:
        """Whether each train and validation image is validated once, out of its fold."""
        return self.study.get("validation") == "folds"

    @property
    def n_validation(self) -> int | None:
        """Number of images that say what a trial is worth; None where it is not known."""
        return self.n_known if self.is_over_folds else self.split_sizes.get("validation")

    @property
    def metric(self) -> MetricEntry:
        """What trials are ranked by."""
        return METRICS[self.study.get("metric", ACCURACY)]


@dataclass(frozen=True)
class StageFacts:
    """What must be known of one stage to read its results, and to go on with it.

    Args:
        notes: lines that belong below the leaderboard.
        narrowed: the space that it searches, where that is derived from another stage.
        finalists: the trials that it ever trained again, in the order of its slots, as
            "stage/trial", or the combinations that it ever had; empty where it searches.
        contenders: those of them that count now, best first: others were the best only until
            a stage above went on. Empty where it searches, and in databases of before
            automl-cv told them apart, when all finalists counted.
        progress: how far it came; None before a search came to it.
        sample: how many images of each split its trials saw, where they did not see all of train
            and validation images; else empty.
        extractions: what each backbone and image size cost, where its trials may draw several.
        started: when the stage began, UTC. Optuna's own times are naive and local.
    """

    notes: tuple[str, ...] = ()
    narrowed: Narrowed | None = None
    finalists: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    progress: Progress | None = None
    sample: Mapping[str, int] = field(default_factory=dict)
    extractions: tuple[Extraction, ...] = ()
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def counting(self) -> tuple[str, ...]:
        """The finalists that count now."""
        return self.contenders or self.finalists

    def counts(self, record: TrialRecord) -> bool:
        """Tell whether a trial counts: not one that was trained again and is outdone since."""
        source = record.parameters.get("source", record.parameters.get(MEMBERS))
        return not self.contenders or source is None or source in self.contenders

    def searched_space(self, stage: Stage) -> Space:
        """Return the space that the stage searches: the derived one, or the one it declares."""
        return stage.space if self.narrowed is None else self.narrowed.space


@dataclass(frozen=True)
class RunFacts(StudyFacts):
    """The facts of several stages of one run as one: of the study, and by stage.

    Args:
        notes: lines that belong below the leaderboard.
        narrowed: the space that each stage with `narrow_from` searches.
        finalists: see `StageFacts`, of each stage with `retrain`.
        contenders: see `StageFacts`, of each stage with `retrain`.
        progress: how far each stage came; also those that wait, and that nothing else says.
        samples: see `StageFacts.sample`, of each stage with `images`.
        extractions: see `StageFacts`, of each stage whose trials may draw several.
        started: when the first of the stages began, UTC.
    """

    notes: tuple[str, ...] = ()
    narrowed: Mapping[str, Narrowed] = field(default_factory=dict)
    finalists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contenders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    extractions: Mapping[str, tuple[Extraction, ...]] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def space_of(self, stage: str) -> Space | None:
        """Return what a stage searches; None where it trains trials again, or is not known."""
        if stage in self.narrowed:
            return self.narrowed[stage].space
        for declared in self.study.get("stage", ()):
            if declared["name"] == stage and not declared.get("retrain") and "space" in declared:
                return Space.model_validate(declared["space"])
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain dicts, lists and strings."""
        narrowed = {name: one.model_dump(mode="json") for name, one in self.narrowed.items()}
        values = {**asdict(self), "narrowed": narrowed, "started": self.started.isoformat()}
        del values["waiting"]
        for name in ("samples", "extractions"):
            if not values[name]:  # as before there were any
                del values[name]
        # Progress was called a course at first, and is so in every database.
        return {"courses" if key == "progress" else key: one for key, one in values.items()}


def joined(of_study: Sequence[StudyFacts], of_stages: Mapping[str, StageFacts]) -> RunFacts:
    """Return the facts of several stages of one run as one: the last one's, every line kept.

    Args:
        of_study: as each stage has them stored, in order; at least one.
        of_stages: of the same stages.
    """
    warnings = _unique([line for one in of_study for line in one.warnings])
    reference = next((one.reference for one in reversed(of_study) if one.reference), None)
    last = {each.name: getattr(of_study[-1], each.name) for each in fields(StudyFacts)}
    return RunFacts(
        **{**last, "warnings": warnings, "reference": reference, "waiting": {}},
        notes=_unique([line for one in of_stages.values() for line in one.notes]),
        narrowed={name: one.narrowed for name, one in of_stages.items() if one.narrowed},
        finalists={name: one.finalists for name, one in of_stages.items() if one.finalists},
        contenders={name: one.contenders for name, one in of_stages.items() if one.contenders},
        progress=_progress(of_study, of_stages),
        samples={name: one.sample for name, one in of_stages.items() if one.sample},
        extractions={name: one.extractions for name, one in of_stages.items() if one.extractions},
        started=min(one.started for one in of_stages.values()),
    )


def _progress(
    of_study: Sequence[StudyFacts], of_stages: Mapping[str, StageFacts]
) -> dict[str, Progress]:
    """Join how far stages came; what one says of itself counts before what others noted of it."""
    found: dict[str, Progress] = {}
    for shared, (name, one) in zip(of_study, of_stages.items(), strict=True):
        own = {} if one.progress is None else {name: one.progress}
        for about, progress in {**own, **shared.waiting}.items():
            if about not in found or progress.is_begun:
                found[about] = progress
    return found


def _unique(lines: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def facts_to_json(stage: str, of_study: StudyFacts, of_stage: StageFacts) -> dict[str, Any]:
    """Return what is stored with a stage, as plain data.

    Args:
        stage: its name.
        of_study: facts of the study.
        of_stage: its own.
    """
    return joined([of_study], {stage: of_stage}).to_json()


def facts_from_json(stage: str, stored: Mapping[str, Any]) -> tuple[StudyFacts, StageFacts]:
    """Return the facts that `facts_to_json` wrote, now or before.

    Keys of a newer automl-cv are left out, those that an older one did not know are empty.

    Args:
        stage: its name.
        stored: the record.
    """
    known = {each.name for each in fields(StudyFacts)} - {"waiting"}
    of_study = {name: value for name, value in stored.items() if name in known}
    for name in ("class_names", "warnings"):
        of_study[name] = tuple(of_study.get(name, ()))
    narrowed = stored.get("narrowed", {}).get(stage)
    progress = {name: _read_progress(one) for name, one in stored.get("courses", {}).items()}
    of_stage = StageFacts(
        notes=tuple(stored.get("notes", ())),
        narrowed=None if narrowed is None else Narrowed.model_validate(narrowed),
        finalists=tuple(stored.get("finalists", {}).get(stage, ())),
        contenders=tuple(stored.get("contenders", {}).get(stage, ())),
        progress=progress.pop(stage, None),
        sample=stored.get("samples", {}).get(stage, {}),
        extractions=tuple(
            Extraction(**one) for one in stored.get("extractions", {}).get(stage, ())
        ),
        started=datetime.fromisoformat(stored["started"]),
    )
    return StudyFacts(**of_study, waiting=progress), of_stage


def _read_progress(stored: Mapping[str, Any]) -> Progress:
    return replace(Progress(**stored), redrawn=tuple(stored["redrawn"]))
