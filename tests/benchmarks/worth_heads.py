"""A study's exact and combined stages on features at hand, in this process: what `worth.py` asks.

The product's own code, from the solvers to the ranking and the fit, without the images, the
command line and TensorFlow's start: 36 splits in minutes where the product takes an hour. Heads
that are trained in steps are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import softmax

from automl_cv.catalog.kinds import KINDS
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Fit
from automl_cv.results.ranking import best_of, in_order, rule_of
from automl_cv.results.resamples import Candidates
from automl_cv.results.selection import correct
from automl_cv.store.facts import StudyFacts
from automl_cv.store.predictions import packed, unpacked
from automl_cv.store.records import TrialRecord
from automl_cv.study import library
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile
from automl_cv.study.trial import Member, Trial, plan
from automl_cv.worker.folds import division, fold_numbers

REFERENCE = {"exact": "logistic", "scaling": "standard"}


class FeatureMaterials:
    """What `worker.materials.Materials` is to kinds of training, of features in memory.

    Args:
        features: float32 (images, features).
        images: labels and splits; "test" for those that nothing is trained on.
        apart: where train and validation images are apart; None for these materials themselves.
    """

    def __init__(
        self, features: np.ndarray, images: Images, apart: FeatureMaterials | None = None
    ) -> None:
        self.images, self.whole, self._apart = images, apart is not None, apart
        self.given = SimpleNamespace(seed=0, images=images)
        self.features = SimpleNamespace(plain=lambda backbone: features)
        self.known = np.flatnonzero(images.splits != "test")
        self._kinds: dict[str, Any] = {}
        self._folds: dict[int, np.ndarray] = {}

    def kind(self, stage: Stage) -> Any:
        """Return what trains a stage's trials."""
        return self.kind_named(stage.kind.name)

    def kind_named(self, name: str) -> Any:
        """Return a kind, made once."""
        if name not in self._kinds:
            self._kinds[name] = KINDS[name].load()(self)
        return self._kinds[name]

    def apart(self) -> FeatureMaterials:
        """Return the materials of the search."""
        return self._apart or self

    def prepare_trial(self, trial: Trial) -> None:
        """Do nothing: features are there."""

    def division(self, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that train and those that validate."""
        if self.whole:
            return self.known, self.known
        if trial.folds is None:
            return division(self.images, None, None)
        if trial.folds not in self._folds:
            self._folds[trial.folds] = fold_numbers(self.images, self.known, trial.folds, 0)
        return division(self.images, self._folds[trial.folds], trial.fold)


def measure(
    features: np.ndarray, labels: np.ndarray, known: int, study: str, *, validation: int = 0
) -> dict[str, Any]:
    """Search, choose and fit; return what the winner and the reference say of the other images.

    Args:
        features: float32 (images, features), those that train and validate first.
        labels: class indices (images,).
        known: how many train and validate.
        study: name or path of one that has exact stages.
        validation: how many of these, the last ones, are the split that validates; 0 for folds.

    Returns:
        `winner` and `reference`, probabilities (other images, classes); `chosen`, which trial
        that is; its `promised` accuracy, corrected for having been chosen as the product does,
        with `promised_low` and `promised_high`; `raw`, not corrected; seconds of all but the
        reference's fit.
    """
    started = time.perf_counter()
    loaded = library.load(study).decided_as("split" if validation else "folds")
    images = _images(labels, known, validation)
    materials = FeatureMaterials(features.astype(np.float32), images)
    sizes = {"train": known - validation, "validation": validation}
    facts = StudyFacts(loaded.as_toml_data(), split_sizes=sizes)
    records: list[TrialRecord] = []
    trained: dict[tuple[str, int], Any] = {}
    for trial in _trials(loaded, trained):
        result = materials.kind(trial.stage).train(trial, lambda epoch: None, None)
        name = (trial.stage.name, trial.number)
        trained[name] = (trial, result)
        records.append(TrialRecord("worth", *name, "complete", trial.parameters, result.history))
    first = in_order(records, facts)[0]
    whole = FeatureMaterials(features.astype(np.float32), images, materials)
    others = np.arange(known, len(labels))

    def said(trial: Trial) -> np.ndarray:
        order: Any = Fit(materials.given, (trial,), (), None)  # type: ignore[arg-type]
        logits = np.mean(whole.kind(trial.stage).fit(order, others, lambda e: None).logits, axis=0)
        return np.asarray(softmax(logits.astype(np.float64), axis=1))

    winner = said(trained[first.stage, first.trial][0])
    seconds = time.perf_counter() - started
    best = first.best
    assert best is not None, "it is ranked"
    reference = next(trial for trial, _ in trained.values() if trial.parameters == REFERENCE)
    return {
        "winner": winner,
        "reference": said(reference),
        "chosen": f"{first.stage}/{first.trial}",
        "raw": best.val_accuracy,
        **_promise(
            labels[known - validation if validation else 0 : known],
            [result for _, result in trained.values()],
            records,
            facts,
        ),
        "seconds": seconds,
    }


def _promise(
    labels: np.ndarray, results: list[Any], records: list[TrialRecord], facts: StudyFacts
) -> dict[str, float]:
    """Return what the winner's accuracy is worth, as `results.corrected` has it."""
    ranked = in_order(records, facts)
    order = [records.index(one) for one in ranked]
    said = np.stack(
        [unpacked(packed(results[place].probabilities)).probabilities for place in order]
    )
    found = correct(Candidates(labels, said), facts.metric, rule=rule_of(facts), selected=0).metric
    assert found is not None, "any image determines its accuracy"
    move = best_of(ranked[0]).merit - found.raw
    return {
        "promised": found.value + move,
        "promised_low": max(found.low + move, 0.0),
        "promised_high": min(found.high + move, 1.0),
    }


def _images(labels: np.ndarray, known: int, validation: int) -> Images:
    count = len(labels)
    sizes = [known - validation, validation, count - known]
    return Images(
        paths=tuple(map(str, range(count))),
        content_hashes=tuple(f"{row:032x}" for row in range(count)),
        labels=labels.astype(np.int32),
        splits=np.repeat(["train", "validation", "test"], sizes),
        groups=(None,) * count,
        classes=tuple(map(str, range(int(labels.max()) + 1))),
    )


def _trials(study: StudyFile, trained: dict[tuple[str, int], Any]) -> Iterator[Trial]:
    """Yield every trial of the exact stages, then the combination of the best unlike ones."""
    for stage in study.stages:
        if stage.kind.name == "exact":
            for number, parameters in enumerate(stage.space.sets()):
                yield plan(study, stage, number, parameters, seed=1)
        elif stage.kind.name == "combined":
            yield plan(study, stage, 0, {}, seed=1, members=_members(stage, trained))


def _members(stage: Stage, trained: dict[tuple[str, int], Any]) -> tuple[Member, ...]:
    def loss(one: tuple[Trial, Any]) -> float:
        return float(one[1].history.best.val_loss)

    families: dict[tuple[Any, ...], tuple[Trial, Any]] = {}
    for trial, result in sorted(trained.values(), key=loss):
        own = tuple(value for value in trial.parameters.values() if isinstance(value, str))
        families.setdefault((trial.stage.name, *own), (trial, result))
    return tuple(
        Member(
            trial, result.history.epochs, 1, unpacked(packed(result.probabilities)).probabilities
        )
        for trial, result in list(families.values())[: stage.combining.top]
    )
