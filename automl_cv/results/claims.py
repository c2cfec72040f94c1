"""Which conclusions of a study's source its trials confirm, and which they refute.

A claim says that a figure, or the distance of two, lies above or below a bound. It is confirmed
where the whole 95 % interval does, refuted where none of it does, else not settled. One training
of each trial that is trained again settles nothing: see `results.comparison.Pair.verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from optuna.storages import RDBStorage

from automl_cv.results.comparison import Pair, compare
from automl_cv.results.intervals import paired_right, signed_difference
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.results.ranking import best_of
from automl_cv.results.said import key, right_of
from automl_cv.store.records import TrialRecord
from automl_cv.study import essence, library
from automl_cv.study.claims import Claim, PublishedTable, claims_of, tables_of
from automl_cv.words import counted, signed

if TYPE_CHECKING:
    from automl_cv.results.importance import Importance

Verdict = Literal["confirmed", "refuted", "not settled"]


@dataclass(frozen=True)
class Judged:
    """A claim and what became of it.

    Args:
        claim: what the study's file says.
        verdict: by the trials of one run.
        figures: by which figures, in words.
        value: the figure, or the distance; None where there is none.
        low: lower end of its 95 % interval; None where there is none.
        high: upper end.
    """

    claim: Claim
    verdict: Verdict
    figures: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


def declared(read: RunTrials) -> tuple[tuple[Claim, ...], tuple[PublishedTable, ...]]:
    """Return the claims and the tables of a run's study.

    Runs that were searched before their study had any are answered too: by the file that ships
    under the name, where it declares the same search.
    """
    study: Mapping[str, Any] = read.facts.study
    if not ("claim" in study or "table" in study) and read.run.study in library.shipped():
        now = library.load(read.run.study).as_toml_data()
        if ("claim" in now or "table" in now) and not _differs(study, now):
            study = now
    return claims_of(study), tables_of(study)


def _differs(stored: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    try:
        return bool(essence.difference(dict(stored), dict(now)))
    except (KeyError, TypeError):  # as an older automl-cv stored it
        return True


def claims(storage: str | RDBStorage, study: str | None = None) -> pd.DataFrame:
    """Return the conclusions of a study's source, and what the trials of a run say of each.

    Args:
        storage: the database, or its address.
        study: as for `automl_cv.leaderboard`.

    Returns:
        One row a claim: claim; verdict, "confirmed", "refuted" or "not settled"; figures, by
        which, in words; value, low and high: the figure that decides, or the distance of two in
        merit (more is better), with its 95 % interval, missing where there is none.

    Raises:
        UserError: no such database or study.
    """
    return claims_frame(judged(read_run(storage, study)))


def claims_frame(found: Sequence[Judged]) -> pd.DataFrame:
    """Return claims as a table; see `claims`."""
    texts = {
        "claim": [one.claim.text for one in found],
        "verdict": [one.verdict for one in found],
        "figures": [one.figures for one in found],
    }
    numbers = {name: [getattr(one, name) for one in found] for name in ("value", "low", "high")}
    return pd.DataFrame(
        {name: pd.Series(column, dtype="str") for name, column in texts.items()}
        | {name: pd.Series(column, dtype="float64") for name, column in numbers.items()}
    )


def judged(read: RunTrials, *, most: int | None = None) -> list[Judged]:
    """Judge the claims of a run's study by all of its trials, in the file's order.

    Args:
        read: the trials of a whole run.
        most: trials of a stage whose parameters are evaluated at most, as that takes seconds for
            hundreds; None for all.
    """
    found, _ = declared(read)
    return [_judged(read, claim, most) for claim in found]


def _judged(read: RunTrials, claim: Claim, most: int | None) -> Judged:
    if claim.stage is None:
        return Judged(claim, "not settled", "no stage of this study asks for it" + _more(claim))
    missing = [
        name
        for name in dict.fromkeys((claim.stage, claim.against))
        if name is not None and not _has_result(read, name)
    ]
    if missing:
        stages = " and ".join(missing)
        return Judged(claim, "not settled", f"no result yet of {stages}" + _more(claim))
    if claim.matter:
        number = sum(record.stage == claim.stage for record in read.ranked)
        if most is not None and number > most:
            told = f"{number:,} trials are not evaluated here; report {read.run.name} --claims does"
            return Judged(claim, "not settled", told)
        return _of_parameters(read, claim)
    if claim.against is None:
        return _of_figure(read, claim)
    pair = _pair(read, claim)
    if pair is not None:
        return _of_pair(read, claim, *pair)
    return _of_bests(read, claim)


def _more(claim: Claim) -> str:
    return f"; study {claim.study} asks more" if claim.study else ""


def _has_result(read: RunTrials, stage: str) -> bool:
    return any(row.record.stage == stage for row in read.rows)


def _verdict(claim: Claim, low: float | None, high: float | None) -> Verdict:
    """Return what an interval says of a claim's bound."""
    if low is None or high is None:
        return "not settled"
    if claim.more_than is not None:
        above, below = low > claim.more_than, high <= claim.more_than
    else:
        assert claim.less_than is not None  # of both a claim has one
        above, below = high < claim.less_than, low >= claim.less_than
    return "confirmed" if above else "refuted" if below else "not settled"


def _of_figure(read: RunTrials, claim: Claim) -> Judged:
    """Judge what is said of the best figure of one stage."""
    row = next(row for row in read.rows if row.record.stage == claim.stage)
    metric = read.facts.metric
    value = metric.score(row.figures.merit)
    low, high = row.interval if metric.is_share_of_images else (None, None)
    text = f"{claim.stage} {value:.4f}{_interval(low, high, '{:.4f}'.format)}"
    if row.n_images:
        text += f", {counted(row.n_images, 'image')}"
    return Judged(claim, _verdict(claim, low, high), text, value, low, high)


def _pair(read: RunTrials, claim: Claim) -> tuple[Pair, bool] | None:
    """Return the pair of retrained trials that a claim is about, and whether it is turned."""
    if claim.where:
        return None
    pairs = compare(read.repeated, read.facts, read.right).pairs
    sides = (claim.stage, claim.against)
    for pair in pairs:
        if pair.kind == "sources":
            found = tuple(one.source.rpartition("/")[0] for one in (pair.left, pair.right))
        else:
            found = (pair.left.stage, pair.right.stage)
        if found == sides:
            return pair, False
        if found == sides[::-1] and found != sides:
            return pair, True
    return None


def _of_pair(read: RunTrials, claim: Claim, pair: Pair, is_turned: bool) -> Judged:
    """Judge by trials that were trained again, over seeds or folds."""
    metric = read.facts.metric
    left, right = (pair.right, pair.left) if is_turned else (pair.left, pair.right)
    sign = -1.0 if is_turned else 1.0
    value = sign * pair.difference.mean
    low, high = _turned((pair.difference.low, pair.difference.high), is_turned)
    text = (
        f"{claim.stage} {metric.score(left.merit):.4f}, {claim.against} "
        f"{metric.score(right.merit):.4f}: {signed(value)}"
    )
    if pair.difference.n_repeats < 2:
        over = pair.over_images and _turned(pair.over_images, is_turned)
        told = "" if over is None else f"{_interval(*over, signed)} over images"
        again = pair.over.removesuffix("s")
        return Judged(claim, "not settled", f"{text}{told}; one {again} each", value)
    text += f"{_interval(low, high, signed)}, {counted(pair.difference.n_repeats, pair.over[:-1])}"
    return Judged(claim, _verdict(claim, low, high), text, value, low, high)


def _turned(ends: tuple[float, float], is_turned: bool) -> tuple[float, float]:
    return (-ends[1], -ends[0]) if is_turned else ends


def _of_bests(read: RunTrials, claim: Claim) -> Judged:
    """Judge by the best trials of stages, trained once each, over images."""
    metric = read.facts.metric

    def fits(record: TrialRecord) -> bool:
        return all(record.parameters.get(name) == value for name, value in claim.where.items())

    first, second = (
        _best(read, claim.stage, lambda one: not claim.where or fits(one)),
        _best(read, claim.against, lambda one: claim.stage != claim.against or not fits(one)),
    )
    drawn = " ".join(str(value) for value in claim.where.values())
    if first is None or second is None:
        lacking = drawn if first is None else f"other than {drawn}"
        return Judged(claim, "not settled", f"no trial of {claim.stage} drew {lacking}")
    merits = [best_of(one).merit for one in (first, second)]
    value = merits[0] - merits[1]
    low, high = _over_images(read, first, second, merits) or (None, None)
    text = (
        f"{_named(first)} {metric.score(merits[0]):.4f}, {_named(second)} "
        f"{metric.score(merits[1]):.4f}: {signed(value)}{_interval(low, high, signed)}"
    )
    if low is not None:
        text += " over images"
    return Judged(claim, _verdict(claim, low, high), text, value, low, high)


def _best(
    read: RunTrials, stage: str | None, is_meant: Callable[[TrialRecord], bool]
) -> TrialRecord | None:
    own = (row.record for row in read.rows if row.record.stage == stage and row.repeats == 1)
    return next((record for record in own if is_meant(record)), None)


def _named(record: TrialRecord) -> str:
    optimizer = record.parameters.get("optimizer")
    return record.name if optimizer is None else f"{record.name} ({optimizer})"


def _over_images(
    read: RunTrials, first: TrialRecord, second: TrialRecord, merits: Sequence[float]
) -> tuple[float, float] | None:
    """Return the 95 % interval of a difference over images; paired where predictions are kept."""
    n_images = read.facts.n_validation
    if not read.facts.metric.is_share_of_images or not n_images:
        return None
    if read.storage is not None:
        right = right_of(read.storage, read.run, [first, second])
        if key(first) in right and key(second) in right:
            return paired_right(right[key(first)], right[key(second)])
    return signed_difference(merits[0], merits[1], n_images)


def _of_parameters(read: RunTrials, claim: Claim) -> Judged:
    """Judge which parameters matter most, by both evaluators."""
    # scikit-learn's forests load for a second, and few reports ask.
    from automl_cv.results.evaluators import LABELS
    from automl_cv.results.importance import importances

    found = [one for one in importances(read, claim.stage) if not one.within]
    one = next((one for one in found if one.stage == claim.stage), None)
    if one is None or one.evaluation is None:
        reason = "it searches no parameter" if one is None else one.reason
        return Judged(claim, "not settled", f"{claim.stage}: {reason}" + _more(claim))
    verdicts = {name: _order(one, claim, name) for name in one.evaluation.shares}
    told = "; ".join(
        f"{LABELS[name]}: {_shares(one, name)}, {verdict}" for name, verdict in verdicts.items()
    )
    every = set(verdicts.values())
    verdict: Verdict = every.pop() if len(every) == 1 else "not settled"
    more = _more(claim) if verdict == "not settled" else ""
    return Judged(claim, verdict, f"{counted(one.n_trials, 'trial')}, {told}{more}")


def _order(one: Importance, claim: Claim, evaluator: str) -> Verdict:
    """Tell whether the shares of some parameters lie above all others', intervals and all."""
    assert one.evaluation is not None
    shares = one.evaluation.shares[evaluator]
    named = [share for name, share in shares.items() if name in claim.matter]
    others = [share for name, share in shares.items() if name not in claim.matter]
    if not named or not others:
        return "not settled"
    if min(share.low for share in named) > max(share.high for share in others):
        return "confirmed"
    if any(other.low > share.high for other in others for share in named):
        return "refuted"
    return "not settled"


def _shares(one: Importance, evaluator: str) -> str:
    assert one.evaluation is not None
    shares = one.evaluation.shares[evaluator]
    ordered = sorted(shares.items(), key=lambda pair: -pair[1].share)
    return ", ".join(
        f"{name.replace('_', ' ')} {share.share:.2f} ({share.low:.2f}–{share.high:.2f})"
        for name, share in ordered
    )


def _interval(low: float | None, high: float | None, form: Callable[[float], str]) -> str:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" ({form(low)} to {form(high)})"
