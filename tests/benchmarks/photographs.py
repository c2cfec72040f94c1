"""What `search photos` is worth on test photographs, beside logistic regression on each network.

    apt-get download tuxpaint-stamps-default ufoai-textures
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/photographs.py --root debian --out photographs

Sets of photographs of `worth_sets.py`, stratified splits with 20 % of each set for test, at random,
or in five parts where several images are of one photograph. The product: `search` of the study,
`fit`, and the probabilities of the saved classifier on the test images, which nothing else looks
at. Beside it for each network of the study's first stage and both its forms of features, logistic
regression on standardised features, its penalty chosen among 22 by 5-fold cross-validation, fitted
on the same images; the best of them on the test images is the best single network, chosen with
hindsight.

Each measurement is a line of OUT/rows.jsonl, and what is there is not measured again. Extraction
is in the seconds of the first search of a set alone, since the cache is shared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import worth
import worth_sets
import worth_tables
from worth import Setting

from automl_cv.study import library
from automl_cv.study.studyfile import Backbone, drawn_backbone

SETS = ["cut-outs", "surface-crops", "surfaces"]
TEST = 0.2  # of all images
VALIDATION = 0.2


def backbones(study: str) -> list[Backbone]:
    """Return what the first stage of a study has race."""
    loaded = library.load(study)
    drawn = loaded.stages[0].space.combinations(("backbone", "image_size", "features"))
    return [drawn_backbone(loaded.backbone, one) for one in drawn]


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--studies", nargs="*", default=["photos"], metavar="[LABEL=]STUDY")
    parser.add_argument("--splits", nargs="*", type=int, default=range(5), help="their numbers")
    parser.add_argument("--alone", action="store_true", help="no logistic regression beside it")
    parser.add_argument("--out", type=Path, default=Path("photographs"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    asked = parser.parse_args()
    studies = dict(one.split("=", 1) if "=" in one else (one, one) for one in asked.studies)
    rows_file = asked.out / "rows.jsonl"
    asked.out.mkdir(parents=True, exist_ok=True)
    known = {(row["set"], row["split"], row["method"]) for row in worth_tables.read(rows_file)}
    for name in asked.sets:
        pool = worth_sets.build(name, asked.out / "cache", asked.root)
        for number in asked.splits:
            parts = divided(pool, number)
            sizes = [int((parts == one).sum()) for one in ("train", "validation", "test")]
            methods: dict[str, str | Backbone] = dict(studies)
            for one in [] if asked.alone else backbones(next(iter(studies.values()))):
                methods[f"{one.name}, {one.features}"] = one
            for method, what in methods.items():
                if (name, number, method) in known:
                    continue
                given = None if isinstance(what, str) else what
                setting = Setting(name, number, pool, parts, given, asked.out)
                if isinstance(what, str):
                    found = worth.measure_product(setting, method, what, trained=False)
                else:
                    found = worth.measure_reference(setting)
                row = {"set": name, "split": number, "method": method, **found, "sizes": sizes}
                with rows_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{name} {number} {method}: {found['accuracy']:.4f}", file=sys.stderr)
    rows = worth_tables.read(rows_file)
    print(worth_tables.by_set(rows), worth_tables.promises(rows), sep="\n\n")
    for label in [] if asked.alone else studies:
        print(f"\n{label} less the best single network of each split, chosen with hindsight:")
        for name in asked.sets:
            print(f"{name}: {np.mean(behind(rows, name, label)):+.4f}")


def divided(pool: worth_sets.Pool, number: int) -> np.ndarray:
    """Return the part of each image of a pool in one of its splits."""
    if pool.is_grouped:
        return worth_sets.grouped_split(pool, number)
    n_test, n_validation = (round(share * len(pool.paths)) for share in (TEST, VALIDATION))
    sizes = (len(pool.paths) - n_test - n_validation, n_validation, n_test)
    return worth_sets.split(pool, sizes, number)


def behind(rows: list[worth_tables.Row], name: str, label: str) -> list[float]:
    """Return for each split by how much a study's accuracy is above the best single network's."""
    found = []
    for number in {row["split"] for row in rows if row["set"] == name}:
        own = [row for row in rows if (row["set"], row["split"]) == (name, number)]
        product = next(row["accuracy"] for row in own if row["method"] == label)
        found.append(product - max(row["accuracy"] for row in own if "," in row["method"]))
    return found


if __name__ == "__main__":
    main()
