"""What an image costs a search in memory, and a worker: of very many, whose features are there.

    PYTHONPATH=. python tests/benchmarks/many_images.py [--images 100000 1000000] [--searches]

Each line is of a process of its own: what it holds of its own (RssAnon: mapped files are shared,
and given back when memory is short) and its peak (VmHWM, mapped files that it looked at included),
beyond what it held before. The conductor's part is what it hands to workers; a worker's is that
order, the features in order, and a trial of an exact head. --searches: `automl-cv search` of so
many image files of 4 x 4 pixels, whole, its process and its worker.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from automl_cv.data.texts import Texts
from automl_cv.features import FeatureCache, recipe
from automl_cv.orders.crew import Worker
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Failed, Order, Prepare, PrepareFeatures, Train
from automl_cv.study import studyfile
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import plan

BACKBONE = Backbone(name="compact")
SHARD, WIDTH = 4096, 8
KINDS = ("automl_cv.worker.exact_heads",)
STUDY = studyfile.parse(
    {
        "name": "many",
        "validation": "split",
        "backbone": {"name": "compact"},
        "stage": [{"name": "exact", "exact": "lda", "trials": 1}],
    },
    "many.toml",
)


def memory(process: int | str = "self") -> tuple[float, float]:
    """Return what a process holds of its own, and its peak, in bytes."""
    lines = dict(
        line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    own, peak = (1024 * int(lines[name].split()[0]) for name in ("RssAnon", "VmHWM"))
    return own, peak


def hash_of(row: int) -> str:
    return hashlib.blake2b(row.to_bytes(8, "little"), digest_size=16).hexdigest()


def images_of(count: int) -> Images:
    """Return so many images: paths of 60 characters, no groups."""
    rows = range(count)
    return Images(
        paths=Texts.of(f"/home/somebody/images/class{row % 4}/{row:032d}.png" for row in rows),
        content_hashes=Texts.of(map(hash_of, rows)),
        labels=(np.arange(count) % 4).astype(np.int32),
        splits=np.resize(["train", "train", "train", "validation", "test"], count),
        groups=Texts.of("" for _ in rows),
        classes=("a", "b", "c", "d"),
    )


def fill(cache_dir: Path, count: int) -> None:
    """Put features of all of them into the cache."""
    cache, draw = FeatureCache(cache_dir), np.random.default_rng(0)
    for start in range(0, count, SHARD):
        rows = range(start, min(start + SHARD, count))
        block = draw.normal(size=(len(rows), WIDTH)).astype(np.float32)
        cache.add(recipe(BACKBONE), [hash_of(row) for row in rows], [block])


def said(what: str, count: int, before: tuple[float, float], after: tuple[float, float]) -> str:
    own, peak = ((late - early) / 1e6 for early, late in zip(before, after, strict=True))
    return (
        f"{what:32} {own:8,.0f} MB of its own ({1e6 * own / count:4,.0f} bytes an image), "
        f"peak {peak:8,.0f} MB ({1e6 * peak / count:4,.0f})"
    )


def answered(worker: Worker, order: Order) -> None:
    worker.send(order)
    answer = worker.receive()
    assert not isinstance(answer, Failed), answer.reason


def processor_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def measure(cache_dir: Path, count: int) -> None:
    """Print what the order costs here, and what comes of it in a worker."""
    before = memory()
    images = images_of(count).kept(cache_dir)
    print(said("conductor: images", count, before, memory()), flush=True)
    order = Prepare(images, BACKBONE, cache_dir, 0, "accuracy", extracts=False)
    print(f"{'the order':32} {len(ForkingPickler.dumps(order)):12,} bytes", flush=True)
    worker = Worker(0, loads=KINDS)
    try:
        time.sleep(5)  # it has loaded its modules by then
        pid = worker._process.pid
        start = memory(pid)
        trial = plan(STUDY, STUDY.stage("exact"), 0, {}, seed=0)
        steps: dict[str, Order] = {
            "worker: order": order,
            "worker: features in order": PrepareFeatures(BACKBONE),
            "worker: again": PrepareFeatures(BACKBONE),
            "worker: trial": Train(trial),
        }
        for what, step in steps.items():
            began = processor_seconds(pid)
            answered(worker, step)
            took = processor_seconds(pid) - began
            line = said(what, count, start, memory(pid))
            print(f"{line}, {took:.1f} s of processor time", flush=True)
    finally:
        worker.close()


def searched(folder: Path, count: int) -> None:
    """Search so many files, and print what the processes held."""
    from tests.benchmarks.same_board import HEADER

    draw = np.random.default_rng(0)
    with (folder / "images.csv").open("w") as table:
        table.write("path,label\n")
        for number in range(count):
            place = folder / "files" / f"{number // 10_000:03d}" / f"{number:08d}.bmp"
            if number % 10_000 == 0:
                place.parent.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (4, 4), np.uint8)
            Image.fromarray(pixels).save(place)
            table.write(f"{place},class{number % 4}\n")
    np.save(folder / "features.npy", draw.normal(size=(count, WIDTH)).astype(np.float32))
    study = folder / "many.toml"
    stage = '[[stage]]\nname = "exact"\nexact = "lda"\ntrials = 1\n'
    study.write_text(HEADER.format(folder=folder).replace('"same"', '"many"') + stage)
    command = [sys.executable, "-c", "from automl_cv.cli.app import main; main()", "search"]
    command += [str(study), "--storage", f"sqlite:///{folder}/many.db", "--quiet"]
    command += ["--cache-dir", f"{folder}/cache", "--despite-findings"]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    most: dict[str, tuple[float, float]] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children()):
                try:
                    name = "worker" if "worker.process" in " ".join(one.cmdline()) else "search"
                    now = memory(one.pid)
                except (psutil.Error, OSError, KeyError):
                    continue
                most[name] = tuple(map(max, now, most.get(name, (0, 0))))  # type: ignore[assignment]

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    assert code == 0
    print(f"search of {count:,} files: {time.perf_counter() - began:.0f} s")
    for name, found in most.items():
        print(said(f"{name}, at most", count, (0, 0), found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--searches", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.one), options.images[0])
        return
    for count in options.images:
        with tempfile.TemporaryDirectory() as name:
            print(f"{count:,} images", flush=True)
            if options.searches:
                searched(Path(name), count)
                continue
            fill(Path(name), count)
            again = [sys.executable, __file__, "--one", name, "--images", str(count)]
            subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
