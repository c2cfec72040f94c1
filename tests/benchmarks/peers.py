"""The same search by automl-cv and by its peers: what each takes, as ratios measured in one run.

    pip install -c .ci/constraints.txt -e '.[peers]'
    python tests/benchmarks/peers.py [--python PEERS/bin/python] [--out peers]
    python tests/benchmarks/peers.py --rows ours optuna --images 1000 10000 --features 128 2048

Peers need not be installed beside automl-cv: `--python` names an interpreter that has TensorFlow
and some of them; what is missing is named. Not in the extra: AutoKeras 3.0, which fails with Keras
3.15 (it gives a layer's units as NumPy's integer). Not among the rows: AutoGluon Multimodal, whose
networks come from Hugging Face's hub alone. Each row is a process of its own (`peer.py`), one after
the other, with the same threads and flags. Its
processor time is that of all processes that it started; so is its memory, the largest sum of what
they hold (PSS), looked at every two seconds. Only the ratios of processor time say something where
others use the machine too.

An axis of `--images`, `--features`, `--classes`, `--trials` is gone along alone, from 1,000 images
of 128 features, ten classes and ten trials, of vectors drawn at random. Writes OUT.json and OUT.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import peer
from peer import ROWS, Given, Row

HERE = Path(__file__).parent
GROUPS = {
    "features": "heads on features that are there",
    "exact": "logistic regression's penalty out of five folds",
    "whole": "the backbone inside each model",
    "time": "a search from pixels, stopped after the same processor time",
}
BASE = {"images": 1_000, "features": 128, "classes": 10}
EPOCHS, PATIENCE = 20, 4
NEAR = 0.99
EVERY = 2.0
FAILED = BROKEN, NO_TRIAL = "failed", "no trial ended"

STUDY = """
name = "peers"
[data]
source = {source}
split = {{ train = 0.6, validation = 0.2, test = 0.2 }}
[backbone]
{backbone}
"""
TRAINED = """
validation = "split"
[[stage]]
name = "coarse"
trials = {trials}
epochs = {epochs}
pruner = {{ name = "early_stopping", patience = {patience} }}
head = {{ name = "linear", normalization = true }}
[stage.space]
optimizer = {optimizers}
batch_size = {{ low = {batches[0]}, high = {batches[1]}, log = true }}
learning_rate = {{ low = {rates[0]}, high = {rates[1]}, log = true }}
momentum = {{ low = 0.0, high = 0.9, when = {{ optimizer = {with_momentum} }} }}
"""
SOLVED = """
validation = "folds"
folds = 5
[[stage]]
name = "solved"
exact = "logistic"
trials = 1
"""


@dataclass(frozen=True)
class Measured:
    """What a row took.

    Args:
        row: its name.
        about: for people.
        group: rows that are compared.
        size: images, features, classes and trials of the data; empty for digits.
        trials: that ended.
        epochs: of all of them.
        steps: of all of them.
        accuracy: the best validation accuracy.
        command: processor seconds of the whole command.
        search: of these, from where the search began.
        wall: seconds of the command.
        near: processor seconds until 0.99 of the best accuracy of its group was there.
        memory: the most that its processes held at once, MiB.
        missing: packages without which nothing was measured.
        ended: why it did not end by itself, in a word; empty if it did.
    """

    row: str
    about: str
    group: str
    size: str = ""
    trials: int = 0
    epochs: int = 0
    steps: int = 0
    accuracy: float = 0.0
    command: float = 0.0
    search: float = 0.0
    wall: float = 0.0
    near: float | None = None
    memory: float = 0.0
    missing: tuple[str, ...] = ()
    ended: str = ""


def prepare_digits(folder: Path, given: dict[str, Any]) -> None:
    """Extract digits' features into a cache; write arrays, the network and studies."""
    import keras

    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.data import dataset
    from automl_cv.data.images import decode
    from automl_cv.engine import images as engine_images
    from automl_cv.engine import pretraining
    from automl_cv.engine.extract import extract
    from automl_cv.features import FeatureCache, recipe
    from automl_cv.study.studyfile import Backbone, Split

    split = Split(train=0.6, validation=0.2, test=0.2)
    cache = folder / "cache"
    digits = dataset.load("digits", split=split, seed=0, cache_dir=cache)
    backbone = Backbone(name="compact", features="all")
    wanted, hashes = recipe(backbone), list(digits.images["content_hash"])
    paths = [Path(path) for path in digits.images["path"]]
    extract(backbone, paths, hashes, FeatureCache(cache), wanted)
    features = FeatureCache(cache).open(wanted, hashes, "all").array
    arrays: dict[str, np.ndarray] = {}
    for name in ("train", "validation"):
        rows = np.flatnonzero(digits.images["split"] == name)
        pixels = [engine_images.resize(decode(paths[row]), wanted.image_size) for row in rows]
        arrays[name] = features[rows]
        arrays[f"{name}_labels"] = digits.labels(name)
        arrays[f"pixels_{name}"] = (np.stack(pixels) / 127.5 - 1).astype(np.float32)
    np.savez(folder / "data.npz", **arrays)

    network = pretraining.build()
    network.load_weights(str(BACKBONES["compact"].weights.path))
    names = [*(f"stage{n}_block1_preact_relu" for n in (2, 3, 4)), "post_relu"]
    maps = [network.get_layer(name).output for name in names]
    pooled = keras.layers.Concatenate()(
        [keras.layers.GlobalAveragePooling2D()(one) for one in maps]
    )
    keras.Model(network.input, pooled).save(folder / "network.keras")
    write_studies(folder, given, "digits", 'name = "compact"\nfeatures = "all"')


def prepare_drawn(folder: Path, given: dict[str, Any], size: dict[str, int]) -> None:
    """Write vectors drawn at random, as arrays and as another tool's, with a tiny image each."""
    from PIL import Image

    draw = np.random.default_rng(0)
    count = size["images"] + size["images"] // 5
    labels = draw.integers(0, size["classes"], count).astype(np.int32)
    centres = draw.normal(size=(size["classes"], size["features"])).astype(np.float32)
    features = draw.normal(size=(count, size["features"])).astype(np.float32)
    features += 2 / size["features"] ** 0.25 * centres[labels]
    splits = np.where(np.arange(count) < size["images"], "train", "validation")
    (folder / "images").mkdir()
    with (folder / "images.csv").open("w") as table:
        rows = csv.writer(table)
        rows.writerow(["path", "label", "split"])
        for number in range(count):
            # Each image's own number in its bits: no two are copies.
            bits = np.unpackbits(np.array([number], ">u4").view(np.uint8)).reshape(4, 8)
            path = folder / "images" / f"{number}.png"
            Image.fromarray((255 * bits).astype(np.uint8)).save(path)
            rows.writerow([str(path), f"class{labels[number]:04d}", splits[number]])
    np.save(folder / "features.npy", features)
    arrays: dict[str, np.ndarray] = {}
    for name in ("train", "validation"):
        arrays[name] = features[splits == name]
        arrays[f"{name}_labels"] = labels[splits == name]
    np.savez(folder / "data.npz", **arrays)
    backbone = f'features = "{folder}/features.npy"\nids = "{folder}/images.csv"'
    write_studies(folder, given, str(folder / "images.csv"), backbone)


def write_studies(folder: Path, given: dict[str, Any], source: str, backbone: str) -> None:
    """Write what automl-cv searches: the peers' space, and solved heads."""
    head = STUDY.format(source=json.dumps(source), backbone=backbone)
    # Keys of the whole file stand above its tables.
    for name, stages in (("study", TRAINED), ("exact_study", SOLVED)):
        whole, _, rest = stages.partition("[[stage]]")
        text = (
            whole
            + head
            + "[[stage]]"
            + rest.format(
                trials=given["trials"],
                epochs=given["epochs"],
                patience=given["patience"],
                optimizers=json.dumps(peer.OPTIMIZERS),
                with_momentum=json.dumps(peer.WITH_MOMENTUM),
                batches=peer.BATCHES,
                rates=peer.RATES,
            )
        )
        Path(given[name]).write_text(text, encoding="utf-8")


def given_in(folder: Path, trials: int, classes: int) -> dict[str, Any]:
    """Return what a row is given, as it stands in its file."""
    return asdict(
        Given(
            trials=trials,
            epochs=EPOCHS,
            patience=PATIENCE,
            workers=1,
            data=str(folder / "data.npz"),
            classes=classes,
            network=str(folder / "network.keras"),
            study=str(folder / "study.toml"),
            exact_study=str(folder / "exact.toml"),
            cache=str(folder / "cache"),
        )
    )


def environment(threads: int) -> dict[str, str]:
    """Return the variables of every row."""
    names = ("OMP", "OPENBLAS", "MKL", "TF_INTRAOP", "TF_INTEROP")
    own = {f"{name}_NUM_THREADS": str(threads) for name in names[:3]}
    own |= {f"TF_NUM_{name}_THREADS": str(threads) for name in ("INTRAOP", "INTEROP")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return {
        **os.environ,
        **own,
        **quiet,
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "KERAS_BACKEND": "tensorflow",
    }


def memory(root: int) -> float:
    """Return what a process and all that it started hold, shared pages by their share, in MiB."""
    total = 0.0
    for number, _ in peer.family(root):
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def measure(
    row: Row, given: dict[str, Any], asked: argparse.Namespace, folder: Path
) -> tuple[Measured, list[dict[str, Any]]]:
    """Run a row; return what it took and what it told."""
    trials = min(given["trials"], asked.few) if row.few else given["trials"]
    file = folder / f"{row.name}.json"
    file.write_text(json.dumps({**given, "workers": row.workers, "trials": trials}))
    python = sys.executable if row.is_own else asked.python
    told_in, said_in = folder / f"{row.name}.out", folder / f"{row.name}.err"
    started, used, most, ended = time.time(), 0.0, 0.0, ""
    with told_in.open("w") as out, said_in.open("w") as err:
        process = subprocess.Popen(
            [python, str(HERE / "peer.py"), row.name, str(file)],
            cwd=folder,
            env=environment(asked.threads),
            stdout=out,
            stderr=err,
        )
        while process.poll() is None:
            used = max(used, peer.processor_seconds(process.pid))
            most = max(most, memory(process.pid))
            if row.group == "time" and used > asked.seconds:
                ended = "stopped"
            if time.time() - started > asked.limit:
                ended = "too long"
            if ended:
                stop(process)
            time.sleep(EVERY)
    wall = time.time() - started
    told = [json.loads(line) for line in told_in.read_text().splitlines() if line[:1] == "{"]
    if process.returncode and not ended:
        print(said_in.read_text()[-2000:], file=sys.stderr)
        ended = BROKEN
    found = Measured(row.name, row.about, row.group, ended=ended, wall=wall, memory=most)
    missing = tuple(name for one in told for name in one.get("missing", ()))
    if missing or not told:
        return replace(found, missing=missing), told
    of_trials = [one for one in told if one.get("trial")]
    if not of_trials and row.group != "time":
        return replace(found, ended=ended or NO_TRIAL), told
    began = next((one["cpu"] for one in told if one.get("began")), 0.0)
    last = (of_trials or told)[-1]["cpu"]
    return (
        replace(
            found,
            trials=len(of_trials),
            epochs=sum(one["epochs"] for one in of_trials),
            steps=sum(one["steps"] for one in of_trials),
            accuracy=max((one.get("accuracy", 0.0) for one in told), default=0.0),
            command=max(used, told[-1]["cpu"]),
            search=last - began,
        ),
        told,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a row's process and all that it started."""
    for number, _ in [*peer.family(process.pid)]:
        try:
            os.kill(number, 15)
        except ProcessLookupError:
            continue
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def with_near(
    rows: Sequence[tuple[Measured, list[dict[str, Any]]]],
) -> list[Measured]:
    """Return the rows with the time until they were near the best of their group."""
    found = []
    for row, told in rows:
        group = [one.accuracy for one, _ in rows if one.group == row.group]
        wanted = NEAR * max(group)
        times = [one["cpu"] for one in told if one.get("accuracy", 0.0) >= wanted > 0]
        found.append(replace(row, near=min(times, default=None)))
    return found


def table(rows: Sequence[Measured]) -> str:
    """Return a group as a table in Markdown; ratios are to its first row."""
    lines = [
        "| | trials | epochs | command, s | ratio | ms an epoch | ratio | ms a step | trials an "
        "hour | best accuracy | s to 0.99 of the best | MiB |",
        "|---|" + "---:|" * 11,
    ]
    first = rows[0]

    def ratio(own: float, other: float) -> str:
        return f"**{own / other:.1f}**" if own and other else ""

    for one in rows:
        if one.missing or one.ended in FAILED:
            why = f"not installed: {', '.join(one.missing)}" if one.missing else one.ended
            lines.append(f"| {one.about} | {why} |" + " |" * 10)
            continue
        epoch = 1000 * one.search / one.epochs if one.epochs else 0.0
        theirs = 1000 * first.search / first.epochs if first.epochs else 0.0
        cells = [
            f"{one.about}{f' ({one.ended})' if one.ended else ''}",
            f"{one.trials}" if one.trials else "",
            f"{one.epochs}" if one.epochs else "",
            f"{one.command:.1f}",
            ratio(one.command, first.command),
            f"{epoch:.1f}" if epoch else "",
            ratio(epoch, theirs),
            f"{1000 * one.search / one.steps:.2f}" if one.steps else "",
            f"{3600 * one.trials / one.search:,.0f}" if one.trials and one.search else "",
            f"{one.accuracy:.4f}" if one.accuracy else "",
            f"{one.near:.1f}" if one.near is not None else "",
            f"{one.memory:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(out: Path, rows: Sequence[Measured]) -> str:
    """Write all rows as JSON and as Markdown; return the latter."""
    parts = []
    for size in dict.fromkeys(one.size for one in rows):
        for group, about in GROUPS.items():
            own = [one for one in rows if (one.size, one.group) == (size, group)]
            if own:
                parts.append(f"**{size or 'digits'}: {about}**\n\n{table(own)}\n")
    text = "\n".join(parts)
    out.with_suffix(".json").write_text(json.dumps([asdict(one) for one in rows], indent=1))
    out.with_suffix(".md").write_text(text)
    return text


def sizes(asked: argparse.Namespace) -> list[dict[str, int]]:
    """Return the sizes of drawn vectors: along each axis alone."""
    base = {**BASE, "trials": asked.count}
    found = []
    for axis in base:
        for value in getattr(asked, axis):
            if (size := {**base, axis: value}) not in found:
                found.append(size)
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="*", choices=names, default=names, metavar="ROW")
    parser.add_argument("--python", default=sys.executable, help="has the peers")
    parser.add_argument("--out", type=Path, default=Path("peers"))
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--count", type=int, default=10, help="trials")
    parser.add_argument("--few", type=int, default=2, help="trials with the backbone inside")
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time from pixels")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of a row at most")
    for axis in (*BASE, "trials"):
        parser.add_argument(f"--{axis}", type=int, nargs="*", default=[])
    return parser.parse_args()


def main() -> None:
    """Measure all rows, digits or each size, and write what was measured after each."""
    asked = parsed()
    rows = [row for row in ROWS if row.name in asked.rows]
    done: list[Measured] = []
    wanted = sizes(asked)
    for size in wanted or [None]:
        here: list[tuple[Measured, list[dict[str, Any]]]] = []
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            given = given_in(
                folder, size["trials"] if size else asked.count, size["classes"] if size else 10
            )
            if size:
                prepare_drawn(folder, given, size)
            else:
                prepare_digits(folder, given)
            about = ", ".join(f"{value:,} {axis}" for axis, value in (size or {}).items())
            for row in rows:
                if size and row.group != "features":
                    continue
                found, told = measure(row, given, asked, folder)
                here.append((replace(found, size=about), told))
                print(f"{about or 'digits'} {row.name}: {found}", file=sys.stderr, flush=True)
                write(asked.out, [*done, *with_near(here)])
        done += with_near(here)
    print(write(asked.out, done))


if __name__ == "__main__":
    main()
