"""From how many images on one split that validates is as good as folds.

    apt-get download dataset-fashion-mnist fonts-aenigma
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/folds_or_split.py --root debian --out worth

Of each pool, random images train and validate (a quarter of them is the split), 3,000 others
test. The exact and combined stages of `quickstart` are searched once with the split and once out
of five folds (`worth_heads.py`), and the winner of each is fitted on all that train and validate:
what differs is who was chosen, with which strength and weights. Also how far the promised
accuracy lies from the test figure, which is what a user is told. A line of OUT/folds.jsonl each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import worth_heads
import worth_sets
from worth import Setting, features, figures

from automl_cv.study import library

POOLS = {"all-clothes": ("clothes", "other-clothes"), "letters": ("letters",)}
KNOWN = [250, 500, 1000, 2000, 4000]
TEST = 3000


def pool_of(names: tuple[str, ...], out: Path, root: Path) -> worth_sets.Pool:
    """Return the images of pools together."""
    pools = [worth_sets.build(name, out / "cache", root) for name in names]
    paths = tuple(path for pool in pools for path in pool.paths)
    return worth_sets.Pool(paths, np.concatenate([pool.labels for pool in pools]))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--known", nargs="*", type=int, default=KNOWN)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    parser.add_argument("--out", type=Path, default=Path("worth"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    lines = asked.out / "folds.jsonl"
    rows = []
    if lines.is_file():
        rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    backbone = library.load("quickstart").backbone
    for name, pools in POOLS.items():
        pool = pool_of(pools, asked.out, asked.root)
        known_of = Setting(name, 0, pool, np.empty(0), backbone, asked.out)
        everything = features(known_of)
        classes = sorted(set(pool.labels))
        numbers = np.searchsorted(classes, pool.labels)
        for draw in range(asked.splits):
            order = np.random.default_rng(draw).permutation(len(numbers))
            for known in asked.known:
                if any(
                    (row["set"], row["draw"], row["known"]) == (name, draw, known) for row in rows
                ):
                    continue
                used = np.concatenate([order[:known], order[-TEST:]])
                row = {"set": name, "draw": draw, "known": known}
                for way, validation in (("split", known // 4), ("folds", 0)):
                    found = worth_heads.measure(
                        everything[used], numbers[used], known, "quickstart", validation=validation
                    )
                    judged = figures(found["winner"], pool.labels[order[-TEST:]], classes)
                    kept = ("promised", "promised_low", "promised_high", "chosen", "seconds")
                    row[way] = {**judged, **{key: found[key] for key in kept}}
                rows.append(row)
                with lines.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(rows))


def table(rows: list[dict]) -> str:
    """Return what folds gain on test images, by the number that train and validate."""
    lines = [
        "| set | images | accuracy: split, folds | log loss: split, folds | better / worse "
        "| promise off: split, folds | seconds: split, folds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, known in sorted({(row["set"], row["known"]) for row in rows}):
        own = [row for row in rows if (row["set"], row["known"]) == (name, known)]

        def mean(way: str, key: str, own: list[dict] = own) -> float:
            return float(np.mean([row[way][key] for row in own]))

        def off(way: str, own: list[dict] = own) -> float:
            gaps = [abs(row[way]["promised"] - row[way]["accuracy"]) for row in own]
            return 100 * float(np.mean(gaps))

        losses = [row["split"]["log_loss"] - row["folds"]["log_loss"] for row in own]
        better, worse = sum(one > 0 for one in losses), sum(one < 0 for one in losses)
        cells = [
            name,
            f"{known:,}",
            f"{mean('split', 'accuracy'):.4f}, {mean('folds', 'accuracy'):.4f}",
            f"{mean('split', 'log_loss'):.4f}, {mean('folds', 'log_loss'):.4f}",
            f"{better} / {worse}",
            f"{off('split'):.1f}, {off('folds'):.1f} points",
            f"{mean('split', 'seconds'):.0f}, {mean('folds', 'seconds'):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
