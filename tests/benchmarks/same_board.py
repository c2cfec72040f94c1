"""Whether a board is the same to the bit: for any number of workers, and whatever is killed.

    PYTHONPATH=. python tests/benchmarks/same_board.py [workers] [kills] [conductor] [cluster]

Whole searches, each a command with a database and worker processes of its own. Their trials are
heads of one layer on vectors, which need no TensorFlow, so that 64 processes fit one machine.

workers: a stage for each sampler and pruner that promises it, trials narrowed from one of them and
trained again, with 1, 2, 8 and 64 workers. cluster: the same with Dask workers, each a process.
kills: 1,000 trials on eight workers, each of which is killed with 3 % each second. conductor: the
stages of `workers`, whose search is killed ten times, wherever it is, and begun again.

Says how many trials were lost or are there twice, and whether the board is that of the search with
one worker that nothing happened to.
"""

from __future__ import annotations

import argparse
import csv
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from optuna.trial import TrialState
from PIL import Image

from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.history import History
from automl_cv.store.database import open_storage
from automl_cv.store.records import TRIAL
from automl_cv.store.runs import runs
from automl_cv.store.trials import StageTrials
from tests.machines import Machines

IMAGES, FEATURES, CLASSES = 600, 16, 4
PRUNERS = {
    "none": "",
    "early-stopping": "patience = 2",
    "median": "n_startup_trials = 3, n_warmup_steps = 2, n_min_trials = 2",
    "percentile": "percentile = 30.0, n_startup_trials = 3, n_warmup_steps = 1",
    "hyperband": "",
    "successive-halving": "reduction_factor = 2",
}
HEADER = """
name = "same"
validation = "split"
[data]
source = "{folder}/images.csv"
[backbone]
features = "{folder}/features.npy"
ids = "{folder}/images.csv"
"""
STAGE = """
[[stage]]
name = "{name}"
trials = {trials}
epochs = {epochs}
head = {{ name = "linear" }}
sampler = {{ {sampler} }}
pruner = {{ {pruner} }}
[stage.space]
optimizer = ["SGD"]
batch_size = {{ low = 16, high = 64 }}
learning_rate = {{ low = 1e-4, high = 1.0, log = true }}
momentum = {{ low = 0.0, high = 0.9 }}
"""
RESTS = """
[[stage]]
name = "narrowed"
narrow_from = "{name}"
trials = 8
epochs = 10
head = {{ name = "linear" }}
[[stage]]
name = "finalists"
retrain = {{ stages = ["{name}", "narrowed"], top = 4, repeats = 3 }}
"""
TRIALS, EPOCHS, LAG = 64, 10, 8
KILLED = {"trials": 1000, "epochs": 150}
"""What is killed takes a second or so where eight workers have two cores."""

UNSET = "cma:optimizer"
"""CMA-ES's state, in which the package leaves some memory as it found it (`_funhist_values`). What
it draws from the rest are the parameters of later trials."""

COUNTED = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"


def stages(names: Sequence[str]) -> str:
    """Return a stage for each of these samplers with each pruner, and stages that rest on one."""
    text = []
    for sampler in (SAMPLERS[name] for name in names):
        if not all(map(find_spec, sampler.needs)):
            print(f"{sampler.name} is left out: it needs {' and '.join(sampler.needs)}")
            continue
        own = f'name = "{sampler.name}"' + (f", lag = {LAG}" if sampler.learns else "")
        for pruner, more in PRUNERS.items():
            named = f'name = "{pruner.replace("-", "_")}"' + (f", {more}" if more else "")
            name = f"{sampler.name}-{pruner}"
            text.append(
                STAGE.format(name=name, trials=TRIALS, epochs=EPOCHS, sampler=own, pruner=named)
            )
    return "".join(text) + RESTS.format(name=f"{'tpe' if 'tpe' in names else names[0]}-median")


def killed_stage() -> str:
    """Return the stage whose workers are killed: what is drawn and judged knows other trials."""
    own, pruner = f'name = "tpe", lag = {2 * LAG}', 'name = "median", n_startup_trials = 8'
    return STAGE.format(name="killed", sampler=own, pruner=pruner, **KILLED)


def write(folder: Path) -> None:
    """Write vectors, an image for each, and the table of both."""
    draw = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    centres = draw.normal(size=(CLASSES, FEATURES))
    vectors = centres[labels] + 2.5 * draw.normal(size=(IMAGES, FEATURES))
    np.save(folder / "features.npy", vectors.astype(np.float32))
    with (folder / "images.csv").open("w") as table:
        rows = csv.writer(table)
        rows.writerow(["path", "label"])
        for number, pixels in enumerate(draw.integers(0, 256, (IMAGES, 4, 4), np.uint8)):
            Image.fromarray(pixels).save(folder / f"{number}.png")
            rows.writerow([folder / f"{number}.png", f"class{labels[number]}"])


@dataclass(frozen=True)
class Search:
    """A search that is begun as often as it needs.

    Args:
        folder: of the images.
        name: of its study file and database, in that folder.
        stages: of the study.
        workers: how many.
        cluster: address of a scheduler; None for this machine.
    """

    folder: Path
    name: str
    stages: str
    workers: int
    cluster: str | None = None

    @property
    def database(self) -> Path:
        return self.folder / f"{self.name}.db"

    @contextmanager
    def begun(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the command; it is killed at the block's end if it still runs."""
        study = self.folder / f"{self.name}.toml"
        study.write_text(HEADER.format(folder=self.folder) + self.stages)
        where = [] if self.cluster is None else ["--cluster", self.cluster]
        command = [
            *(sys.executable, "-c", "from automl_cv.cli.app import main; main()"),
            *("search", str(study), "--workers", str(self.workers), "--quiet", *where),
            *("--storage", f"sqlite:///{self.database}", "--cache-dir", str(self.folder / "cache")),
            "--despite-findings",
        ]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def complete(self) -> float:
        """Search undisturbed; return the seconds it took."""
        began = time.perf_counter()
        with self.begun() as process:
            if process.wait() != 0:
                raise RuntimeError((self.folder / f"{self.name}.log").read_text())
        return time.perf_counter() - began

    def n_finished(self) -> int:
        """Return how many trials have a result, while others write."""
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as opened:
                return int(opened.execute(COUNTED).fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    def board(self) -> tuple[dict[tuple[str, int], Any], int, int]:
        """Return all that decides the board, by trial; trials lost; and trials done twice."""
        storage = open_storage(f"sqlite:///{self.database}", create=False)
        found: dict[tuple[str, int], Any] = {}
        lost = twice = 0
        (run,) = runs(storage)
        for stage in run.stages:
            opened = StageTrials.open(storage, run.name, stage)
            for one in opened.records():
                own = one.system_attributes.items()
                found[stage, one.trial] = (
                    one.state,
                    dict(one.parameters),
                    without_seconds(one.history),
                    dict(one.optimizer_config),
                    {key: kept for key, kept in own if not key.startswith(UNSET)},
                    one.said,
                )
                lost += not one.is_done
            done = Counter(
                trial.user_attrs[TRIAL]
                for trial in opened.study.get_trials(deepcopy=False)
                if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            )
            twice += sum(count - 1 for count in done.values())
            wanted = opened.stage_facts.progress
            assert wanted is not None
            lost += wanted.wanted - sum(name == stage for name, _ in found)
        storage.engine.dispose()
        return found, lost, twice


def without_seconds(history: History) -> History:
    """Return what of a history does not depend on the clock."""
    return replace(history, epochs=tuple(replace(one, seconds=0.0) for one in history.epochs))


def tell(what: str, search: Search, expected: dict[tuple[str, int], Any]) -> None:
    """Print what came of a search."""
    found, lost, twice = search.board()
    keys = expected.keys() | found.keys()
    others = sorted(key for key in keys if expected.get(key) != found.get(key))
    same = "the same board" if not others else f"another board, first at {others[0]}"
    stops = Counter(one[2].stop_reason for one in found.values())
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(stops.items()))
    print(
        f"{what}: {len(found):,} trials ({said}), {lost} lost, {twice} twice, "
        f"{len(others)} others; {same}",
        flush=True,
    )


def with_workers(one: Search, counts: Sequence[int], expected: dict[tuple[str, int], Any]) -> None:
    """Search with so many workers each."""
    for count in counts:
        search = replace(one, name=f"workers{count}", workers=count)
        seconds = search.complete()
        tell(f"{count} workers, {seconds:.0f} s", search, expected)


def on_cluster(one: Search, counts: Sequence[int], expected: dict[tuple[str, int], Any]) -> None:
    """Search with so many Dask workers each."""
    for count in counts:
        place = one.folder / f"dask{count}"
        place.mkdir()
        with closing(Machines(place)) as machines:
            for _ in range(count):
                machines.add()
            search = replace(one, name=f"dask{count}", workers=count, cluster=machines.address)
            seconds = search.complete()
        tell(f"{count} Dask workers, {seconds:.0f} s", search, expected)


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the worker processes of a search."""
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if "automl_cv.worker.process" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def with_killer(folder: Path, chance: float, seconds: float, draw: random.Random) -> None:
    """Search 1,000 trials while workers are killed; begin again as long as some are missing."""
    whole = Search(folder, "undisturbed", killed_stage(), workers=2)
    took = whole.complete()
    expected, _, _ = whole.board()
    search = replace(whole, name="killed", workers=8)
    killed, begun, began = 0, 0, time.perf_counter()
    code: int | None = None
    while code != 0:
        begun += 1
        with search.begun() as process:
            while process.poll() is None:
                time.sleep(seconds)
                for worker in workers_of(process):
                    if draw.random() < chance:
                        worker.kill()
                        killed += 1
            code = process.returncode
    said = f"{killed} kills of workers, {time.perf_counter() - began:.0f} s ({took:.0f} with none)"
    tell(f"{said}, begun {begun} times", search, expected)


def with_conductor_killed(
    one: Search, times: int, expected: dict[tuple[str, int], Any], draw: random.Random
) -> None:
    """Kill the search after so many trials as are drawn, and some time, and begin it again."""
    search = replace(one, name="conductor", workers=8)
    after = sorted(draw.sample(range(len(expected)), times))
    found: list[int] = []
    for wanted in after:
        with search.begun() as process:
            while search.n_finished() < wanted and process.poll() is None:
                time.sleep(0.01)
            time.sleep(draw.random() / 4)
            assert process.poll() is None, "it was to be killed before its end"
        found.append(search.n_finished())
    search.complete()
    tell(f"search killed with {', '.join(map(str, found))} trials done", search, expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="of workers, cluster, kills, conductor; all")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8, 64])
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS.names, choices=SAMPLERS.names)
    parser.add_argument("--machines", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--chance", type=float, default=0.03, help="that a worker is killed")
    parser.add_argument("--seconds", type=float, default=1.0, help="between two draws of that")
    parser.add_argument("--times", type=int, default=10, help="that the search is killed")
    parser.add_argument("--seed", type=int, default=0, help="of all that is killed")
    options = parser.parse_args()
    parts = options.parts or ["workers", "cluster", "kills", "conductor"]
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        if {"workers", "cluster", "conductor"} & {*parts}:
            one = Search(folder, "workers1", stages(options.samplers), workers=1)
            seconds = one.complete()
            expected, _, _ = one.board()
            tell(f"1 worker, {seconds:.0f} s", one, expected)
        if "workers" in parts:
            with_workers(one, options.workers, expected)
        if "cluster" in parts:
            on_cluster(one, options.machines, expected)
        if "kills" in parts:
            with_killer(folder, options.chance, options.seconds, draw)
        if "conductor" in parts:
            with_conductor_killed(one, options.times, expected, draw)


if __name__ == "__main__":
    main()
