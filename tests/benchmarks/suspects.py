"""How many labels that were changed on purpose `data --suspects` finds, beside cleanlab.

    apt-get download tuxpaint-stamps-default ufoai-textures dataset-fashion-mnist
    for package in *.deb; do dpkg -x $package debian; done
    pip install cleanlab
    OMP_NUM_THREADS=1 python tests/benchmarks/suspects.py --root debian --out suspects

Digits and clothes (the 10,000 test images of Fashion-MNIST) on `compact`, the two sets of
photographs of `worth_sets.py` on EfficientNet-Lite0, features of all blocks. Of each set 3 and 5 %
of the labels are changed: at random to any other class, or each to the class that its own is most
often taken for (by the same heads on the true labels). Images stand in train and validation alone.

AUROC: of the doubt, an image with a changed label against one without. Precision: share of changed
labels among the most doubted, as many as were changed. Both are of the same images for cleanlab,
which ranks by its label quality scores, "self_confidence" and "normalized_margin", of what
scikit-learn's logistic regression on standardised features says in 5-fold cross-validation, as
its guides have it; the better of the two counts. Without cleanlab its columns are missing.

"seconds" are of processor time, features in memory: ours of heads and ranking together. The last
lines are of the threshold from which a label is proposed, without and with changed ones.
Each measurement is a line of OUT/rows.jsonl, and what is there is not measured again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import worth_sets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from automl_cv import diagnosis
from automl_cv.data import dataset
from automl_cv.data.dataset import Dataset
from automl_cv.results import suspects
from automl_cv.results.doubts import doubts
from automl_cv.solving.out_of_fold import out_of_fold
from automl_cv.study.studyfile import Backbone, Split

SMALL = Backbone(name="compact", features="all")
LARGE = Backbone(name="EfficientNetLite0", features="all")
SETS = {"digits": SMALL, "clothes": SMALL, "cut-outs": LARGE, "surfaces": LARGE}
UNSEEN = {"letters": SMALL, "small-cut-outs": LARGE}
KINDS = ("random", "neighbour")
SHARES = (0.03, 0.05)
HAS_CLEANLAB = importlib.util.find_spec("cleanlab") is not None
METHODS = ("self_confidence", "normalized_margin")  # of cleanlab
THRESHOLDS = (0.5, 0.8, 0.9, 0.95)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; none if there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def images_of(name: str, folder: Path, root: Path) -> Dataset:
    """Return a set as a data set without test images."""
    if name == "clothes":
        worth_sets.build(name, folder / "cache", root)  # tells where the IDX files lie
        source = "fashion-mnist-test"
    elif name == "digits":
        source = name
    else:
        pool = worth_sets.build(name, folder / "cache", root)
        source = str(folder / f"{name}.csv")
        pd.DataFrame({"path": pool.paths, "label": pool.labels}).to_csv(source, index=False)
    split = Split(train=0.75, validation=0.25, test=0)
    return dataset.load(source, split=split, seed=0, cache_dir=folder / "cache")


def neighbours_of(images: Dataset, features: np.ndarray) -> np.ndarray:
    """Return for each class the one that its images are most often taken for."""
    labels, classes = suspects.class_numbers(images), len(images.classes)
    logits = out_of_fold(features, labels, classes, suspects.fold_numbers(images))
    taken = np.zeros((classes, classes))
    np.add.at(taken, (labels, logits.argmax(axis=1)), 1)
    means = np.array([logits[labels == number].mean(axis=0) for number in range(classes)])
    np.fill_diagonal(taken, -1)
    # Of classes that are taken for equally often, the one that looks likelier.
    return np.argmax(taken + 0.5 * (np.argsort(np.argsort(means)) / classes), axis=1)


def changed(
    labels: np.ndarray, classes: int, *, share: float, neighbours: np.ndarray | None, seed: int
) -> np.ndarray:
    """Return labels of which a share was changed, at random or to neighbours."""
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(labels), round(share * len(labels)), replace=False)
    found = labels.copy()
    if neighbours is None:
        found[rows] = (labels[rows] + generator.integers(1, classes, len(rows))) % classes
    else:
        found[rows] = neighbours[labels[rows]]
    return found


def figures(doubt: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return AUROC of a doubt, and precision at the number of wrong labels."""
    first = np.argsort(-doubt, kind="stable")[: wrong.sum()]
    return {"auroc": float(roc_auc_score(wrong, doubt)), "precision": float(wrong[first].mean())}


def measure(images: Dataset, features: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    """Return what is found of labels that differ from the true ones."""
    true = images.images["label"].to_numpy()
    names = np.asarray(images.classes)
    table = images.images.assign(label=names[given])
    # As they would be read, true labels unknown.
    order = np.lexsort((table["content_hash"], table["label"]))
    own = replace(images, images=table.iloc[order].reset_index(drop=True))
    held, wrong = np.asarray(features)[order], names[given[order]] != true[order]
    labels = suspects.class_numbers(own)
    started = time.process_time(), time.perf_counter()
    logits = out_of_fold(held, labels, len(names), suspects.fold_numbers(own))
    found = suspects.find(own, logits, np.arange(len(labels)), by="", features=held)
    seconds = time.process_time() - started[0], time.perf_counter() - started[1]
    doubt, _ = doubts(logits, labels)
    row: dict[str, Any] = {**figures(doubt, wrong), "seconds": seconds[0], "wall": seconds[1]}
    row["proposed"] = {}
    for threshold in THRESHOLDS:
        proposed = [one for one in found.found if one.doubt >= threshold]
        right = sum(one.likely == true[order][one.row] for one in proposed)
        row["proposed"][threshold] = [len(proposed), int(right), int(wrong.sum())]
    return row


def measure_cleanlab(features: np.ndarray, given: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """Return what cleanlab finds of the same labels."""
    from cleanlab.rank import get_label_quality_scores

    started = time.process_time()
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = cross_val_predict(head, features, given, cv=5, method="predict_proba")
    scores = {
        method: figures(-get_label_quality_scores(given, said, method=method), wrong)
        for method in METHODS
    }
    return {**scores, "seconds": time.process_time() - started}


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table, means over seeds."""
    lines = [
        "| | images | changed | AUROC | precision | cleanlab AUROC | precision | s | cleanlab s |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for key in dict.fromkeys((row["set"], row["kind"], row["share"]) for row in rows):
        own = [row for row in rows if (row["set"], row["kind"], row["share"]) == key]
        compared = [row["cleanlab"] for row in own if row["cleanlab"] is not None]
        cells = [f"{np.mean([row[name] for row in own]):.3f}" for name in ("auroc", "precision")]
        if compared:
            means = [
                max(np.mean([one[method][name] for one in compared]) for method in METHODS)
                for name in ("auroc", "precision")
            ]
            cells += [f"{mean:.3f}" for mean in means]
        else:
            cells += ["missing", "missing"]
        cells.append(f"{np.mean([row['seconds'] for row in own]):.1f}")
        cells.append(f"{np.mean([one['seconds'] for one in compared]):.1f}" if compared else "–")
        name, kind, share = key
        first = f"| {name} | {own[0]['images']:,} | {share:.0%}, {kind} |"
        lines.append(f"{first} {' | '.join(cells)} |")
    return "\n".join(lines)


def thresholds(rows: list[dict[str, Any]]) -> str:
    """Return what is proposed from each threshold on, means over all measurements."""
    lines = [
        "| doubt from | changed labels put right | of what is proposed | proposed, none changed |",
        "|---:|---:|---:|---:|",
    ]
    for threshold in map(str, THRESHOLDS):
        own = [row["proposed"][threshold] for row in rows if row["share"]]
        right = np.mean([put_right / wrong for _, put_right, wrong in own])
        among = np.mean([put_right / max(count, 1) for count, put_right, _ in own])
        clean = [row["proposed"][threshold][0] / row["images"] for row in rows if not row["share"]]
        lines.append(f"| {threshold} | {right:.2f} | {among:.2f} | {np.mean(clean):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=[*SETS, *UNSEEN])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("suspects"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    rows_file = asked.out / "rows.jsonl"
    names = ("set", "kind", "share", "seed")
    known = {tuple(row[name] for name in names) for row in read(rows_file)}
    cases = [("none", 0.0, 0)]
    cases += [(k, share, seed) for k in KINDS for share in SHARES for seed in range(asked.seeds)]
    for name in asked.sets:
        todo = [case for case in cases if (name, *case) not in known]
        if not todo:
            continue
        images = images_of(name, asked.out, asked.root)
        backbone = {**SETS, **UNSEEN}[name]
        features = diagnosis.features_of(
            images, backbone, cache_dir=asked.out / "cache", listen=lambda *told: None
        )
        labels, near = suspects.class_numbers(images), neighbours_of(images, features)
        for kind, share, seed in todo:
            to = near if kind == "neighbour" else None
            given = changed(labels, len(images.classes), share=share, neighbours=to, seed=seed)
            if share:
                row = measure(images, features, given)
                compared = (
                    measure_cleanlab(np.asarray(features), given, given != labels)
                    if HAS_CLEANLAB
                    else None
                )
            else:
                row, compared = measure_none(images, features), None
            case = dict(zip(names, (name, kind, share, seed), strict=True))
            row = {**case, "images": len(labels), **row, "cleanlab": compared}
            with rows_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr)
    rows = [row for row in read(rows_file) if row["set"] in asked.sets]
    print(table_of([row for row in rows if row["share"]]), thresholds(rows), sep="\n\n")
    if not HAS_CLEANLAB:
        print("\ncleanlab is missing: pip install cleanlab")


def measure_none(images: Dataset, features: np.ndarray) -> dict[str, Any]:
    """Return how many labels of a set as it is would be proposed anew."""
    labels = suspects.class_numbers(images)
    logits = out_of_fold(features, labels, len(images.classes), suspects.fold_numbers(images))
    found = suspects.find(images, logits, np.arange(len(labels)), by="")
    counts = {one: sum(each.doubt >= one for each in found.found) for one in THRESHOLDS}
    return {"proposed": {one: [count, 0, 0] for one, count in counts.items()}}


if __name__ == "__main__":
    main()
