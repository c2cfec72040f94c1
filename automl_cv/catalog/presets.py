"""Presets: how thorough a search is, as the number of trials of the stages that search.

Only that number: it may change within a run, so that a quick search can be gone on with as a
thorough one.
"""

from __future__ import annotations

from automl_cv.registry import Entry, Table

# A stage that narrows looks at the best two trials as a rule; of fewer than three, that is all.
LEAST_TRIALS = 3


def a_third(trials: int) -> int:
    """Return a third of a stage's trials, rounded up, but at least three where it has them."""
    return min(trials, max(LEAST_TRIALS, -(-trials // 3)))


def as_declared(trials: int) -> int:
    """Return a stage's trials as they are."""
    return trials


def four_times(trials: int) -> int:
    """Return four times a stage's trials."""
    return 4 * trials


PRESETS: Table[Entry] = Table(
    "preset",
    [
        Entry(
            name="quick",
            about="a third of the trials, at least 3",
            target="automl_cv.catalog.presets:a_third",
        ),
        Entry(
            name="balanced",
            about="the trials of the study file",
            target="automl_cv.catalog.presets:as_declared",
        ),
        Entry(
            name="thorough",
            about="four times the trials",
            target="automl_cv.catalog.presets:four_times",
        ),
    ],
)
