"""A search in one process: a real database, budget and crew, and workers that follow a script."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from automl_cv.drawing.origins import StoredRun
from automl_cv.orders.images import Images
from automl_cv.search import events
from automl_cv.search.budget import Budget
from automl_cv.search.context import SearchContext
from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.study import studyfile
from automl_cv.study.stage import Stage
from tests.orders.scripted import PREPARE, Script, ScriptedCluster, ScriptedCrew, obedient

STUDY = studyfile.parse(
    tomllib.loads("""
        name = "s"
        [[stage]]
        name = "coarse"
        trials = 4
        epochs = 2
        [stage.space]
        optimizer = ["SGD", "Adam"]
        batch_size = { low = 16, high = 64 }
        learning_rate = { low = 0.01, high = 0.1 }
        momentum = { low = 0.0, high = 0.9, when = { optimizer = ["SGD"] } }
        [[stage]]
        name = "narrowed"
        narrow_from = "coarse"
        trials = 2
        epochs = 2
        [[stage]]
        name = "finalists"
        retrain = { stages = ["coarse", "narrowed"], top = 2, repeats = 2 }
        [[stage]]
        name = "scratch"
        retrain = { stages = "finalists", top = 1, repeats = 1 }
        network = { name = "ResNet10", stem = "small", width = 0.125 }
    """),
    "s.toml",
)


SPLITS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
IMAGES = Images(
    paths=tuple(f"{row}.png" for row in range(10)),
    content_hashes=tuple(f"hash {row}" for row in range(10)),
    labels=np.arange(10, dtype=np.int32) % 2,
    splits=np.array(SPLITS),
    groups=(None,) * 10,
    classes=("a", "b"),
)


@cache
def empty_database() -> bytes:
    """Make a database once: its tables take longer than all that these tests write into them."""
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{folder}/empty.db", create=True)
        storage.remove_session()
        storage.engine.dispose()
        return (Path(folder) / "empty.db").read_bytes()


class Told(list[events.Event]):
    """A listener that keeps what it is told."""

    def of(self, kind: type) -> list:
        return [event for event in self if isinstance(event, kind)]


@contextmanager
def conducted(
    folder: Path,
    script: Script = obedient,
    *,
    workers: int = 1,
    seconds: float | None = None,
    stages: Sequence[Stage] = STUDY.stages,
    cluster: ScriptedCluster | None = None,
) -> Iterator[tuple[SearchContext, Told]]:
    """Give the context of a search whose workers are ready, and what it tells."""
    told = Told()
    path = folder / "s.db"
    if not path.exists():
        path.write_bytes(empty_database())
    storage = open_storage(f"sqlite:///{path}", create=True)
    sizes = {"train": 6, "validation": 2, "test": 2}
    facts = StudyFacts(STUDY.as_toml_data(), seed=STUDY.seed, split_sizes=sizes)
    taken = claim(storage, "s", stages[0].name, facts)
    assert taken is not None
    hired = cluster.crew(folder, script) if cluster else ScriptedCrew(workers, script)
    with taken.kept(), hired as crew:
        crew.prepare(PREPARE, told.append)
        yield (
            SearchContext(
                run=StoredRun(STUDY, storage, "s"),
                claim=taken,
                facts=facts,
                crew=crew,
                budget=Budget(STUDY, stages, seconds, workers),
                listen=told.append,
                cache_dir=folder / "cache",
                images=IMAGES,
            ),
            told,
        )
