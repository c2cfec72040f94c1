"""How much faster two machines of a cluster extract than one, and what a lost one costs.

    PYTHONPATH=. python tests/benchmarks/spread.py [--images 1500] [--rounds 3] [--backbone NAME]

Two Dask workers stand on a core each and share a cache folder. In each round one of them, then
both of them extract the same photographs (noise of 300 pixels, as JPEG) into a cache that has
none; loading the network counts. Beside the time, which others on the machine stretch, stands
the processor time of one by that of whichever of the two had more: what the ratio is where nobody
else is. Then, once more, one machine is killed on the way; no image may be there twice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from automl_cv.data.images import content_hash, decode
from automl_cv.orders.cluster import ClusterCrew
from automl_cv.orders.crew import ENGINE
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Extracting, Prepare, PrepareFeatures, SpaceNeeded
from automl_cv.study.studyfile import Backbone
from tests.machines import Machines

OnProgress = Callable[[Extracting | SpaceNeeded], None]


def photographs(count: int, folder: Path) -> Images:
    """Write smooth noise, 300 pixels square."""
    draw, paths = np.random.default_rng(0), []
    for number in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (12, 12, 3), np.uint8))
        paths.append(folder / f"{number:05d}.jpg")
        coarse.resize((300, 300)).save(paths[-1])
    return Images(
        paths=tuple(map(str, paths)),
        content_hashes=tuple(content_hash(decode(path)) for path in paths),
        labels=(np.arange(count) % 2).astype(np.int32),
        splits=np.array(["train", "validation"] * count)[:count],
        groups=(None,) * count,
        classes=("a", "b"),
    )


def processor_seconds(worker: subprocess.Popen[bytes]) -> float:
    """Return what the processes of a Dask worker have taken."""
    own = psutil.Process(worker.pid)
    times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


@dataclass
class Cluster:
    """Two machines, and what they extract.

    Args:
        folder: for caches.
        images: all of them.
        backbone: what they pass.
    """

    folder: Path
    images: Images
    backbone: Backbone

    def __post_init__(self) -> None:
        (self.folder / "dask").mkdir()
        self.machines = Machines(self.folder / "dask")
        self.workers = [self.machines.add(core) for core in (0, 1)]

    def extract(
        self, place: str, workers: int, on_progress: OnProgress = lambda progress: None
    ) -> tuple[float, float]:
        """Return the seconds that extraction takes, and the most processor time of a machine."""
        here = self.folder / place
        with ClusterCrew(
            1,
            self.machines.address,
            cache_dir=here,
            loads=lambda number: (ENGINE,),
            limit=workers,
        ) as crew:
            given = Prepare(self.images, self.backbone, here, 0, "accuracy", extracts=False)
            crew.prepare(given, on_progress)
            while len(crew.workers) < workers:
                list(crew.answers(timeout=0.1))
            before = [processor_seconds(worker) for worker in self.workers]
            began = time.perf_counter()
            crew.prepare(PrepareFeatures(self.backbone), on_progress)
            took = time.perf_counter() - began
            alive = [worker for worker in self.workers if worker.poll() is None]
            after = map(processor_seconds, alive)
            return took, max(one - other for one, other in zip(after, before, strict=False))


def copies(cache_dir: Path) -> tuple[int, int]:
    """Return how many images the cache has features of, and how many it has twice."""
    rows: Counter[str] = Counter()
    for index in cache_dir.glob("features/*/shards/*/index.json"):
        rows.update(json.loads(index.read_text())["content_hashes"])
    return len(rows), rows.total() - len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="EfficientNetLite0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images = photographs(options.images, folder / "images")
        backbone = Backbone(name=options.backbone, engine="tensorflow")
        cluster = Cluster(folder, images, backbone)
        try:
            ratios = []
            for number in range(options.rounds):
                one, two = (cluster.extract(f"{number}-{n}", n) for n in (1, 2))
                ratios.append((one[0] / two[0], one[1] / two[1]))
                print(f"seconds, and of a processor: one {one}, two {two}")
            time_ratio, processor_ratio = map(statistics.median, zip(*ratios, strict=True))
            print(f"two by one: {time_ratio:.2f} x in time, {processor_ratio:.2f} x by processor")

            def kill(progress: Extracting | SpaceNeeded) -> None:
                assert isinstance(progress, Extracting)
                if progress.done > 0.4 * progress.total and cluster.workers[1].poll() is None:
                    cluster.workers[1].kill()

            took, _ = cluster.extract("killed", 2, kill)
            distinct, twice = copies(folder / "killed")
            print(f"one killed on the way: {took:.1f} s, {distinct} images, {twice} of them twice")
        finally:
            cluster.machines.close()


if __name__ == "__main__":
    main()
