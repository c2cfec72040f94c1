"""What a race on a sample of the images chooses, beside probing everything on all of them.

    apt-get download tuxpaint-stamps-default ufoai-textures
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/race.py --root debian --out race

EfficientNet-Lite 0, 1 and 2 at three image sizes, with the worker's own sampling, folds and
solver: discriminant analysis on the features of all blocks, out of five folds, on a sample of the
train and validation images and on all of them; and solved on all of these, on test images. Two
sets of `worth_sets.py`, five splits as in `photographs.py`.

Races: "at once", all nine on the sample; "in turn", as `photos` does it: the three networks at
their own size, then the sizes of the best. The lowest log loss within a standard error of the
highest accuracy is chosen. Seconds are processor seconds of extraction; solving is left out.

Each measurement is a line of OUT/race.jsonl, and what is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import photographs
import worth_sets
from scipy.special import softmax

from automl_cv.data.images import content_hash, decode
from automl_cv.engine.extract import extract
from automl_cv.features import FeatureCache, recipe
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Prepare
from automl_cv.results.rules import within_one_standard_error
from automl_cv.study.studyfile import Backbone, parse
from automl_cv.study.trial import plan
from automl_cv.worker.materials import Materials

NETWORKS = ("EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2")
SIZES = ("160", "own", "320")
Config = tuple[str, str]
CONFIGS: list[Config] = [(name, size) for name in NETWORKS for size in SIZES]
FOLDS = 5
Row = dict[str, Any]


def backbone_of(config: Config) -> Backbone:
    """Return a network at a size, with all blocks."""
    name, size = config
    return Backbone(name=name, image_size=None if size == "own" else int(size), features="all")


def extracted(pool: worth_sets.Pool, hashes: list[str], config: Config, out: Path) -> Row:
    """Extract a pool; return how many images that were, and processor seconds."""
    backbone, cache = backbone_of(config), FeatureCache(out / "cache")
    started = time.process_time()
    count = extract(backbone, list(pool.paths), hashes, cache, recipe(backbone))
    return {"images": count, "cpu": time.process_time() - started}


def images_of(pool: worth_sets.Pool, hashes: list[str], parts: np.ndarray) -> Images:
    """Return a split of a pool as a worker gets it."""
    classes = tuple(sorted(set(pool.labels)))
    groups = tuple(map(str, pool.groups)) if pool.is_grouped else (None,) * len(parts)
    return Images(
        paths=tuple(map(str, pool.paths)),
        content_hashes=tuple(hashes),
        labels=np.searchsorted(classes, pool.labels).astype(np.int32),
        splits=parts,
        groups=groups,
        classes=classes,
    )


def measured(images: Images, config: Config, count: int, seed: int, out: Path) -> Row:
    """Return the figures of a configuration on a sample, or on all images and on test images.

    Args:
        images: a split.
        config: network and size.
        count: images of the sample; 0 for all.
        seed: of sample and folds.
        out: folder that holds the cache.
    """
    stage = {"name": "race", "exact": "lda", "trials": 1, **({"images": count} if count else {})}
    backbone = backbone_of(config)
    raw = {"name": "s", "validation": "folds", "backbone": backbone.model_dump(), "stage": [stage]}
    study = parse(raw, "s.toml")
    given = Prepare(images, backbone, out / "cache", seed, "accuracy", FOLDS)
    materials = Materials(given, lambda *progress: None, lambda space: None)
    trial = plan(study, study.stages[0], 0, {}, seed=0)
    materials.prepare_trial(trial)
    (epoch,) = materials.kind(trial.stage).train(trial, lambda epoch: None, None).history.epochs
    seen = materials.among(trial.stage.images).images
    known = int((seen.splits != "test").sum())
    found = {"acc": epoch.val_accuracy, "loss": epoch.val_loss, "n": known}
    if not count:
        whole = Materials(given, lambda *progress: None, lambda space: None, whole=True)
        whole.prepare_trial(trial)
        head, _ = whole.kind(trial.stage).whole(trial, lambda epoch: None)
        tested = np.flatnonzero(images.splits == "test")
        said = softmax(head.logits(np.asarray(whole.features.plain(backbone)[tested])), axis=1)
        found["test"] = float((said.argmax(axis=1) == images.labels[tested]).mean())
    return found


class Rows:
    """What was measured, by what it is of: set, split, network, size, images of the sample."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.by_key = {tuple(row["key"]): row for row in map(json.loads, lines)}

    def keep(self, key: tuple[Any, ...], row: Row) -> None:
        """Add one, and write it."""
        self.by_key[key] = row
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **row}) + "\n")


def measure(asked: argparse.Namespace, rows: Rows) -> None:
    """Measure what is not there yet."""
    for name in asked.sets:
        pool = worth_sets.build(name, asked.out / "cache", asked.root)
        hashes = [content_hash(decode(path)) for path in pool.paths]
        for config in CONFIGS:
            if (name, *config) not in rows.by_key:
                rows.keep((name, *config), extracted(pool, hashes, config, asked.out))
        for split in range(5):
            images = images_of(pool, hashes, photographs.divided(pool, split))
            for config in CONFIGS:
                for count in (*asked.images, 0):
                    key = (name, split, *config, count)
                    if key not in rows.by_key:
                        rows.keep(key, measured(images, config, count, split, asked.out))


def chosen(rows: Rows, of: tuple[str, int], configs: Sequence[Config], count: int) -> Config:
    """Return the best of some configurations on a sample."""
    found = [rows.by_key[(*of, *one, count)] for one in configs]
    merits, losses = (np.array([[row[name] for row in found]]) for name in ("acc", "loss"))
    return configs[int(within_one_standard_error(found[0]["n"])(merits, losses)[0])]


def races(rows: Rows, of: tuple[str, int], count: int) -> Iterator[tuple[str, Config, set[Config]]]:
    """Give the name of each race, what it chooses, and what it extracts a sample of."""
    yield "at once", chosen(rows, of, CONFIGS, count), set(CONFIGS)
    first = [(name, "own") for name in NETWORKS]
    network, _ = chosen(rows, of, first, count)
    second = [(network, size) for size in SIZES]
    yield "in turn", chosen(rows, of, second, count), {*first, *second}


def table(rows: Rows, asked: argparse.Namespace) -> str:
    """Return for each race and sample how far its choice is behind, and its share of seconds."""
    lines = [
        "| race | images | behind in accuracy out of fold, median / mean | on test images "
        "| processor seconds |",
        "|---|---:|---:|---:|---:|",
    ]
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for count in asked.images:
        for name in asked.sets:
            cost = {one: _milliseconds(rows, name, one) for one in CONFIGS}
            for split in range(5):
                needed = [(name, split, *one, n) for one in CONFIGS for n in (count, 0)]
                if not all(key in rows.by_key for key in needed):
                    continue
                whole = {one: rows.by_key[(name, split, *one, 0)] for one in CONFIGS}
                best = chosen(rows, (name, split), CONFIGS, 0)
                for race, choice, passed in races(rows, (name, split), count):
                    n = rows.by_key[(name, split, *CONFIGS[0], count)]["n"]
                    share = n * sum(cost[one] for one in passed)
                    share /= whole[best]["n"] * sum(cost.values())
                    behind = [whole[best][key] - whole[choice][key] for key in ("acc", "test")]
                    found.setdefault((race, count), []).append((*behind, share))
    for (race, count), own in found.items():
        accuracy, test, share = (np.array(column) for column in zip(*own, strict=True))
        lines.append(
            f"| {race} | {count} | {100 * np.median(accuracy):.2f} / {100 * accuracy.mean():.2f} | "
            f"{100 * np.median(test):.2f} / {100 * test.mean():.2f} | {share.mean():.0%} |"
        )
    return "\n".join(lines)


def by_config(rows: Rows, asked: argparse.Namespace) -> str:
    """Return accuracy and processor milliseconds of each network and size."""
    heads = [f"{name}, out of fold / test" for name in asked.sets]
    lines = [f"| network | pixels | processor ms | {' | '.join(heads)} |", "|---" * 5 + "|"]
    for config in CONFIGS:
        cells = []
        for name in asked.sets:
            own = [rows.by_key.get((name, split, *config, 0)) for split in range(5)]
            known = [row for row in own if row is not None]
            means = [np.mean([row[key] for row in known]) for key in ("acc", "test")]
            cells.append(f"{means[0]:.3f} / {means[1]:.3f} ({len(known)} splits)")
        size = recipe(backbone_of(config)).image_size
        time_of = np.mean([_milliseconds(rows, name, config) for name in asked.sets])
        lines.append(f"| `{config[0]}` | {size} | {time_of:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _milliseconds(rows: Rows, name: str, config: Config) -> float:
    row = rows.by_key[(name, *config)]
    return float(1000 * row["cpu"] / row["images"])


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=["cut-outs", "surface-crops"])
    parser.add_argument("--images", nargs="*", type=int, default=[100, 150, 200, 300])
    parser.add_argument("--out", type=Path, default=Path("race"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    parser.add_argument("--read", action="store_true", help="only print what was measured")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(asked.out / "race.jsonl")
    if not asked.read:
        measure(asked, rows)
    print(table(rows, asked), by_config(rows, asked), sep="\n\n")


if __name__ == "__main__":
    main()
