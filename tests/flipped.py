"""One bit of a file flipped, and what the store, the report and the saved folder make of it."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from optuna.storages import RDBStorage
from optuna.storages._rdb.storage import _VersionManager

from automl_cv.errors import AutomlError, trouble
from automl_cv.history import Epoch, History
from automl_cv.saved import folder
from automl_cv.store import claims
from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.labels import read_labels, write_labels
from automl_cv.store.lease import Lease
from automl_cv.store.progress import Progress
from automl_cv.store.records import DAMAGED, TrialRecord
from automl_cv.store.runs import find_run
from automl_cv.store.trials import StageTrials
from tests.results.drawn import DISTRIBUTIONS, SPACE, accuracy_of, draw

RUN, STAGE = "made-up", "coarse"
N_IMAGES, N_CLASSES, N_EPOCHS = 60, 3, 12
OUTCOMES = ("same figures", "told", "other figures", "a bug")


@dataclass(frozen=True)
class Seen:
    """What is seen of a file.

    Args:
        text: all that is shown.
        parts: what each part of it is, by name, so that those can be compared that are left.
        told: lines that say that something is damaged.
    """

    text: str
    parts: dict[str, str]
    told: tuple[str, ...] = ()


def fill(storage: RDBStorage, n_trials: int = 30) -> None:
    """Store a stage as a search does: finished trials, a failed and an interrupted one."""
    declared = {
        "name": STAGE,
        "space": {"parameters": SPACE},
        "retrain": None,
        "sampler": {"name": "random"},
    }
    known = StudyFacts(
        study={"name": RUN, "stage": [declared], "backbone": {"name": "compact"}},
        digest="0123456789abcdef",
        seed=1,
        versions={"automl-cv": "1.0", "keras": "3.15.1"},
        data_source="digits",
        data_fingerprint="fedcba9876543210",
        class_names=("cat", "dog", "emu"),
        split_sizes={"train": 300, "validation": N_IMAGES, "test": 60},
        warnings=("a line above the leaderboard",),
        reference={"label": "nearest mean", "accuracy": 0.8, "val_accuracy": 0.7, "seconds": 0.1},
    )
    with pytest.MonkeyPatch.context() as patch:
        # The file of one seed is that of another process and machine, but for the time.
        lease = Lease("here", 4321, "boot 1", datetime(2026, 1, 2, 3, 4, 5, 6, UTC))
        patch.setattr(Lease, "of_this_process", lambda: lease)
        patch.setattr(Lease, "renewed", lambda one: one)
        patch.setattr(claims, "place", lambda: "boot 1")
        patch.setattr(claims, "uuid4", lambda: UUID(int=7))
        patch.setattr(claims, "database_seconds", lambda storage: 1.0)
        _store(storage, known, n_trials)


def _store(storage: RDBStorage, known: StudyFacts, n_trials: int) -> None:
    taken = claim(storage, RUN, STAGE, known)
    assert taken is not None
    trials = StageTrials.create(storage, RUN, STAGE, known)
    generator = np.random.default_rng(1)
    write_labels(storage, RUN, np.arange(N_IMAGES) % N_CLASSES)
    for number in range(n_trials):
        parameters = draw(generator)
        value = accuracy_of(parameters, generator)
        figures = generator.uniform(0, 0.1, (N_EPOCHS, 4))
        history = History(
            tuple(
                Epoch(
                    place + 1,
                    float(1 - one[0]),
                    float(value - one[1]),
                    float(one[2]),
                    float(0.3 + one[3]),
                    parameters["learning_rate"],
                    0.01,
                )
                for place, one in enumerate(figures)
            ),
            "failed" if number == 3 else "epochs",
            "out of memory" if number == 3 else None,
            0.1,
        )
        distributions = {name: DISTRIBUTIONS[name] for name in parameters}
        if number % 5 == 0:
            trials.begin(number, parameters, distributions)
            trials.write_epochs(number, History(history.epochs[:4]))
        if number == 10:
            trials.interrupt(number, History(history.epochs[:5]))
            continue
        said = generator.dirichlet(np.ones(N_CLASSES), N_IMAGES).astype(np.float32)
        trials.finish(
            number,
            parameters,
            distributions,
            history,
            optimizer_config={"name": parameters["optimizer"], "epsilon": 1e-7},
            system_attributes={"sampler": [number, 0.5]},
            probabilities=None if number == 3 else said,
        )
    trials.update_facts(progress=Progress(n_trials))
    taken.release()


def seen_of_records(file: Path) -> Seen:
    """Read all of a database that our code reads, as a search does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        storage = open_storage(f"sqlite:///{file}", create=False)
        try:
            run = find_run(storage)
            stage = StageTrials.open(storage, run.name, STAGE)
            records = stage.records()
            said = stage.predictions(records)
            labels = read_labels(storage, run.name)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    damaged = [one for one in records if one.reason == DAMAGED]
    parts = {one.name: _shown(one) for one in records if one not in damaged}
    parts |= {f"said {slot}": repr(one.probabilities.tolist()) for slot, one in said.items()}
    parts |= {"run": repr((run.name, run.stages, run.facts, run.stage_facts))}
    parts |= {} if labels is None else {"labels": repr(labels.classes.tolist())}
    told = (*(str(one.message) for one in caught), *(f"{one.name}: {DAMAGED}" for one in damaged))
    return Seen("\n".join(parts.values()), parts, told)


def _shown(record: TrialRecord) -> str:
    parameters = sorted(record.parameters.items())
    system = sorted(record.system_attributes.items())
    return repr((record.state, parameters, record.history, record.optimizer_config, system))


def seen_of_manifest(file: Path) -> Seen:
    """Read a saved classifier as all that use one do."""
    saved = folder.read(file.parent)
    # Where it is the checksum that was hit, all the rest is sound.
    shown = repr((saved.classes, saved.manifest.model_copy(update={"checksum": None})))
    return Seen(shown, {"manifest": shown})


def outcome(file: Path, see: Callable[[Path], Seen], sound: Seen) -> tuple[str, str]:
    """Return what becomes of a file of which a bit was flipped: one of OUTCOMES, and a line.

    Args:
        file: the damaged file.
        see: reads it.
        sound: what was seen of it before.
    """
    try:
        seen = see(file)
    except AutomlError as error:
        is_line = len(str(error).splitlines()) == 1
        return "told" if is_line else "a bug", str(error)
    except Exception as error:
        lacks = trouble(error)
        return ("told", lacks) if lacks else ("a bug", f"{type(error).__name__}: {error}")
    changed = [name for name, part in seen.parts.items() if sound.parts.get(name) != part]
    if changed or (not seen.told and seen.text != sound.text):
        return "other figures", f"{changed}, {sorted(sound.parts.keys() - seen.parts.keys())}"
    return ("told", seen.told[0]) if seen.told else ("same figures", "")


def flips(
    file: Path, see: Callable[[Path], Seen], tries: int, seed: int
) -> tuple[Counter[str], list[tuple[int, str, str]]]:
    """Flip a random bit of a file, `tries` times, and put it back each time.

    Returns:
        How often each of OUTCOMES came, and bit, outcome and line of each try.
    """
    content = file.read_bytes()
    sound = see(file)
    assert not sound.told
    drawn = random.Random(seed)
    found = []
    with _one_head_version():
        for _ in range(tries):
            bit = drawn.randrange(8 * len(content))
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            file.write_bytes(damaged)
            found.append((bit, *outcome(file, see, sound)))
    file.write_bytes(content)
    return Counter(one for _, one, _ in found), found


@contextmanager
def _one_head_version() -> Iterator[None]:
    """Let Optuna load the list of its schemas once: half of a try, and the same for all."""
    with pytest.MonkeyPatch.context() as patch:
        head = open_storage("sqlite:///:memory:", create=True).get_head_version()
        patch.setattr(_VersionManager, "get_head_version", lambda _: head)
        yield
