"""In which order trials stand, and so which is the winner.

On the split that one validation set is, the highest figure is first, and of equal ones the lower
loss: the rule of the published experiment. Out of fold every image counts once, and what trials
differ by is mostly chance still. So of those within one standard error of the highest share the
lowest log loss is first (the one-standard-error rule of Breiman et al. 1984, "Classification and
Regression Trees", section 3.4.3, with log loss in place of the size of a tree): it says of each
image how sure, where accuracy says right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from automl_cv.history import Epoch, History
from automl_cv.results import rules
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import TrialRecord
from automl_cv.study import reference


def in_order(records: Iterable[TrialRecord], facts: StudyFacts) -> list[TrialRecord]:
    """Return trials with a result, the winner first.

    Args:
        records: of stages that search, in the order of stages and slots, which decides last.
        facts: of the study: its metric, and what validates.
    """
    ranked = sorted(records, key=_merit)
    least = least_share(ranked, facts)
    if least is None:
        return ranked
    close = [one for one in ranked if best_of(one).merit >= least]
    return sorted(close, key=lambda one: best_of(one).val_loss) + ranked[len(close) :]


def in_order_on_sample(
    records: Iterable[TrialRecord], facts: StudyFacts, sample: Mapping[str, int]
) -> list[TrialRecord]:
    """Return trials that saw a sample of the images, the best first.

    Out of fold it is the lowest log loss near the highest share, as for all images: of few,
    accuracy tells two backbones apart by a picture or none.

    Args:
        records: of one stage, in the order of slots.
        facts: of the study.
        sample: how many images of each split they saw.
    """
    ranked = (one for one in records if one.is_ranked)
    return in_order(ranked, replace(facts, split_sizes=sample))


def reference_record(facts: StudyFacts, run: str) -> TrialRecord | None:
    """Return the reference as a trial; None where its figures are not of the same images.

    Args:
        facts: of the study.
        run: name of the run.
    """
    found = facts.reference
    if found is None or not facts.is_over_folds or facts.metric.of_epoch is None:
        return None
    epoch = Epoch(
        epoch=1,
        accuracy=float(found["accuracy"]),
        val_accuracy=float(found["val_accuracy"]),
        loss=float(found["loss"]),
        val_loss=float(found["val_loss"]),
        learning_rate=0.0,
        seconds=float(found["seconds"]),
    )
    if facts.metric.has_own_column:
        score = facts.metric.score(getattr(epoch, facts.metric.of_epoch))
        epoch = replace(epoch, score=score)
    penalty = float(found["penalty"])
    parameters = {**found.get("parameters", {}), "exact": "logistic", "penalty": penalty}
    history = History((epoch,), "epochs", seconds=epoch.seconds)
    return TrialRecord(run, reference.NAME, 0, "complete", parameters, history)


def is_beaten_by_reference(ranked: Sequence[TrialRecord], facts: StudyFacts, run: str) -> bool:
    """Tell whether the reference stands before every trial; False where it can't compete.

    Args:
        ranked: trials with a result.
        facts: of the study.
        run: name of the run.
    """
    floor = reference_record(facts, run)
    return floor is not None and bool(ranked) and in_order([*ranked, floor], facts)[0] is floor


def least_share(ranked: list[TrialRecord], facts: StudyFacts) -> float | None:
    """Return the share down to which trials stand by their loss; None where none do.

    Args:
        ranked: trials by merit.
        facts: of the study.
    """
    if not ranked or not facts.is_over_folds or not facts.metric.is_share_of_images:
        return None
    return float(rules.least_share(best_of(ranked[0]).merit, facts.n_known))


def rule_of(facts: StudyFacts) -> rules.Rule:
    """Return by which rule the first is the winner, for resamples of the images.

    Args:
        facts: of the study.
    """
    if facts.is_over_folds and facts.metric.is_share_of_images:
        return rules.within_one_standard_error(facts.n_known)
    return rules.highest


def best_of(record: TrialRecord) -> Epoch:
    """Return the best epoch of a trial with a result."""
    assert record.best is not None, "only ranked trials come here"
    return record.best


def _merit(record: TrialRecord) -> tuple[float, float]:
    best = best_of(record)
    return -best.merit, best.val_loss
