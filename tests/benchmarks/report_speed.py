"""What one finished trial costs to store, and what a report of a thousand costs to make.

    python tests/benchmarks/report_speed.py [--trials 1000] [--epochs 50]

Prints milliseconds and, since those depend on the machine and its load, ratios: ours
against Optuna's `add_trial` and `get_all_trials` on the same trials, and `automl-cv report`
against an interpreter that only lets Optuna open an empty database.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from automl_cv.history import Epoch, History
from automl_cv.results.leaderboard import leaderboard
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import HISTORY, TRIAL, history_to_json
from automl_cv.store.trials import StageTrials

DISTRIBUTIONS = {
    "batch_size": IntDistribution(10, 100),
    "optimizer": CategoricalDistribution(("SGD", "RMSprop")),
    "learning_rate": FloatDistribution(0.0001, 0.3),
    "momentum": FloatDistribution(0.0, 0.9),
}
PARAMETERS = {"batch_size": 32, "optimizer": "SGD", "learning_rate": 0.1, "momentum": 0.5}
N_TIMED = 30


def made_up(n_epochs: int) -> History:
    """Return a history with the digits of real figures: they decide its size."""
    epochs = tuple(
        Epoch(number, *(random.random() for _ in range(4)), 0.1, random.random())
        for number in range(1, n_epochs + 1)
    )
    return History(epochs, "epochs", seconds=random.random())


def median_milliseconds(action: Callable[[], object], times: int = N_TIMED) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def seconds_of(*command: str) -> float:
    """Return the least wall-clock time of five runs of a Python program."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def writing(folder: Path, n_epochs: int) -> None:
    storage = open_storage(f"sqlite:///{folder}/writing.db", create=True)
    trials = StageTrials.create(storage, "speed", "writing", StudyFacts(study={}))
    slots = iter(range(10**6))

    def ours() -> None:
        trials.finish(next(slots), PARAMETERS, DISTRIBUTIONS, made_up(n_epochs))

    def add_trial() -> None:
        history = made_up(n_epochs)
        trials.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=history.best.val_accuracy if history.best else 0.0,
                params=PARAMETERS,
                distributions=DISTRIBUTIONS,
                user_attrs={TRIAL: next(slots), HISTORY: history_to_json(history)},
                intermediate_values={e.epoch: e.val_accuracy for e in history.epochs},
            )
        )

    def ask_report_tell() -> None:
        history = made_up(n_epochs)
        trial = trials.study.ask(DISTRIBUTIONS)
        for epoch in history.epochs:
            trial.report(epoch.val_accuracy, epoch.epoch)
        trial.set_user_attr(HISTORY, history_to_json(history))
        trials.study.tell(trial, 0.5)

    base = median_milliseconds(ours)
    print(f"storing one finished trial of {n_epochs} epochs")
    print(f"  finish                     {base:7.1f} ms    1.0")
    for name, action, times in (
        ("add_trial with its curve", add_trial, N_TIMED),
        ("ask, report, tell", ask_report_tell, N_TIMED // 3),
    ):
        taken = median_milliseconds(action, times)
        print(f"  {name:26s} {taken:7.1f} ms  {taken / base:5.1f}")


def reading(folder: Path, n_trials: int, n_epochs: int) -> None:
    url = f"sqlite:///{folder}/reading.db"
    storage = open_storage(url, create=True)
    trials = StageTrials.create(storage, "speed", "reading", StudyFacts(study={}))
    for slot in range(n_trials):
        trials.finish(slot, PARAMETERS, DISTRIBUTIONS, made_up(n_epochs))
    study_id = storage.get_study_id_from_name(trials.name)

    base = median_milliseconds(lambda: leaderboard(storage), 5)
    whole = median_milliseconds(lambda: storage.get_all_trials(study_id, deepcopy=False), 3)
    print(f"reading {n_trials} trials of {n_epochs} epochs")
    print(f"  leaderboard                {base:7.0f} ms    1.0")
    print(f"  get_all_trials             {whole:7.0f} ms  {whole / base:5.1f}")

    opens = "from optuna.storages import RDBStorage; RDBStorage('sqlite://')"
    run = "from automl_cv.cli.app import main; main()"
    base = seconds_of("-c", opens)
    report = seconds_of("-c", run, "report", "--storage", url)
    print(f"automl-cv report of {n_trials} trials, as a program")
    print(f"  python, Optuna, its storage {base:6.2f} s     1.0")
    print(f"  automl-cv report           {report:7.2f} s   {report / base:5.1f}")
    print(f"  difference                 {report - base:7.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    random.seed(0)
    print(f"optuna {optuna.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        writing(Path(folder), options.epochs)
        reading(Path(folder), options.trials, options.epochs)


if __name__ == "__main__":
    main()
