"""The published stages with finalists, augmented ones and another head, as a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import RDBStorage

from automl_cv.store.trials import StageTrials
from tests import published
from tests.published import (
    COARSE,
    FACTS,
    NARROWED,
    STAGE_FACTS,
    distributions_of,
    history_of,
    parameters_of,
)
from tests.stored import put

ROWS = {"coarse/5": COARSE[5], "narrowed/3": NARROWED[3]}
CHOSEN = CategoricalDistribution(list(ROWS))


def declared(name: str, head: str = "linear", **retrain: int) -> dict:
    return {"name": name, "head": {"name": head}, "retrain": retrain or None}


STUDY = {
    **FACTS.study,
    "stage": [
        declared("coarse"),
        declared("narrowed"),
        declared("finalists", repeats=3),
        declared("augmented", repeats=3),
        declared("wide", "mlp", folds=3),
        declared("folded", folds=3),
    ],
}

# By stage and source: how far each repeat lies from the published accuracy.
SHIFTS = {
    "finalists": {"narrowed/3": [0.0, -0.002, -0.001], "coarse/5": [0.0, -0.003, 0.001]},
    "augmented": {"narrowed/3": [0.0205, 0.0185, 0.02]},
    "wide": {"coarse/5": [-0.02, -0.01, -0.03]},
    "folded": {"narrowed/3": [0.02, 0.01, 0.03]},
}


def retrained(folder: Path, file: str = "automl-cv.db") -> str:
    """Make the database; return its address."""
    return put(folder / file, store)


def store(storage: RDBStorage) -> None:
    published.store(storage)
    for hour, (stage, by_source) in enumerate(SHIFTS.items(), start=10):
        own = replace(STAGE_FACTS, started=STAGE_FACTS.started.replace(hour=hour))
        facts = replace(FACTS, study=STUDY)
        trials = StageTrials.create(storage, "slides", stage, facts, own)
        trial = 0
        for source, shifts in by_source.items():
            for repeat, shift in enumerate(shifts):
                row = ROWS[source]
                shifted = (*row[:6], row[6] + shift, *row[7:])
                own = parameters_of(shifted)
                given = {"source": source, "repeat": repeat}
                trials.finish(
                    trial,
                    {**given, **own},
                    {"source": CHOSEN, "repeat": IntDistribution(0, 2), **distributions_of(own)},
                    history_of(shifted),
                )
                trial += 1
