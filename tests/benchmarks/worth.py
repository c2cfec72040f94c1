"""What a search is worth on test images, against logistic regression on the same features.

    apt-get download tuxpaint-stamps-default ufoai-textures dataset-fashion-mnist
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/worth.py --root debian --backbone lite0.keras --out worth

Six sets (`worth_sets.py`), six random stratified splits of each. A split is handed to the
product as a manifest, so that both sides see the same train, validation and test images:

- the product: `search` of a study, `fit`, and the probabilities of the saved classifier;
- with `--heads`, a study's exact and combined stages in this process (`worth_heads.py`), and the
  reference that the product has itself;
- the reference: logistic regression on standardised features, its penalty chosen among 22 by
  the log loss of 5-fold cross-validation, fitted on train and validation images.

Test images are looked at here alone. Each measurement is a line of OUT/rows.jsonl, and what is
there already is not measured again; `--studies today=quickstart` names what the lines of a study
are kept under, so that two versions of the code can be compared on the same splits. With
`--trained` the trial of least validation loss is fitted, whether the reference is better or not:
for comparing studies of heads in steps (`heads_in_steps/`). The tables go to standard output, as
Markdown.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import worth_heads
import worth_sets
import worth_tables
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from worth_sets import SETS, UNSEEN, Absent, ImageSet, Pool

from automl_cv import Classifier, leaderboard
from automl_cv.data.images import content_hash, decode
from automl_cv.engine.extract import extract
from automl_cv.features import FeatureCache, recipe
from automl_cv.scoring import wilson
from automl_cv.study import library
from automl_cv.study.studyfile import Backbone

REFERENCE = worth_tables.REFERENCE
COSTS = np.logspace(-5, 2, 22)  # scikit-learn's C, one over the penalty
FOLDS = 5
# A float32 softmax gives 0 to what is merely very improbable; one such image would be the mean.
LEAST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Setting:
    """One split of one set, as both sides get it.

    Args:
        name: the set's.
        number: the split's.
        pool: the images.
        parts: the part of each image of the pool, "" for those left out.
        backbone: what makes the features; None for what a study has itself.
        out: the benchmark's folder.
    """

    name: str
    number: int
    pool: Pool
    parts: np.ndarray
    backbone: Backbone | None
    out: Path

    def rows(self, *parts: str) -> np.ndarray:
        """Return the places in the pool of the images of parts."""
        return np.flatnonzero(np.isin(self.parts, parts))


def features(setting: Setting) -> np.ndarray:
    """Return the features of the whole pool, from the cache that the product will find."""
    assert setting.backbone is not None
    paths = list(setting.pool.paths)
    hashes = [content_hash(decode(path)) for path in paths]
    cache, made = FeatureCache(setting.out / "cache"), recipe(setting.backbone)
    extract(setting.backbone, paths, hashes, cache, made)
    return np.asarray(cache.open(made, hashes, setting.backbone.features).array, np.float64)


def figures(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, float]:
    """Return accuracy and log loss of probabilities, columns in the order of the classes."""
    clipped = np.clip(probabilities.astype(np.float64), LEAST, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    right = np.array(classes)[probabilities.argmax(axis=1)] == labels
    return {
        "accuracy": float(right.mean()),
        "log_loss": float(log_loss(labels, clipped, labels=classes)),
    }


def path_of_logits(
    train: np.ndarray, labels: np.ndarray, other: np.ndarray, costs: np.ndarray
) -> list[np.ndarray]:
    """Fit logistic regression for each C, from strong to weak penalty; ask it of other images.

    Where there are fewer images than features, both are turned into the coordinates of the
    images' span: the penalty is the same in any rotation.

    Returns:
        For each C the probabilities of the other images, shape (images, classes).
    """
    scaler = StandardScaler().fit(train)
    train, other = scaler.transform(train), scaler.transform(other)
    if len(train) < train.shape[1]:
        _, _, directions = np.linalg.svd(train, full_matrices=False)
        train, other = train @ directions.T, other @ directions.T
    model = LogisticRegression(max_iter=1000, warm_start=True)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for cost in costs:
            model.set_params(C=cost).fit(train, labels)
            found.append(model.predict_proba(other))
    return found


def measure_reference(setting: Setting) -> dict[str, Any]:
    """Return the reference's figures on the test images of a split."""
    known = features(setting)
    labels = setting.pool.labels
    fitted, tested = setting.rows("train", "validation"), setting.rows("test")
    classes = sorted(set(labels[fitted]))
    started = time.perf_counter()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=setting.number)
    losses = np.zeros(len(COSTS))
    for inner, outer in folds.split(fitted, labels[fitted]):
        inside, outside = fitted[inner], fitted[outer]
        found = path_of_logits(known[inside], labels[inside], known[outside], COSTS)
        for place, probabilities in enumerate(found):
            loss = figures(probabilities, labels[outside], classes)["log_loss"]
            losses[place] += loss * len(outside)
    best = int(losses.argmin())
    path = COSTS[: best + 1]
    probabilities = path_of_logits(known[fitted], labels[fitted], known[tested], path)[-1]
    seconds = time.perf_counter() - started
    return {
        **figures(probabilities, labels[tested], classes),
        "seconds": seconds,
        "chosen": f"C = {COSTS[best]:.3g}",
    }


def write_manifest(setting: Setting, path: Path) -> None:
    """Write the images of a split as the product takes them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split", *(["group"] if setting.pool.is_grouped else [])])
        for place in setting.rows("train", "validation", "test"):
            image = setting.pool.paths[place].absolute()
            row = [image, setting.pool.labels[place], setting.parts[place]]
            group = [setting.pool.groups[place]] if setting.pool.is_grouped else []
            table.writerow([*row, *group])


def write_study(setting: Setting, study: str, path: Path, seed: int | None) -> None:
    """Write a study that is another one, but for its backbone, and its seed where one is given."""
    extended = str(Path(study).absolute()) if study.endswith(".toml") else study
    lines = [f"extends = {json.dumps(extended)}", f"name = {json.dumps(path.stem)}"]
    if seed is not None:
        lines.append(f"seed = {seed}")
    if setting.backbone is not None:
        name, form = json.dumps(setting.backbone.name), json.dumps(setting.backbone.features)
        lines += ["[backbone]", f"name = {name}", f"features = {form}"]
    path.write_text("\n".join([*lines, ""]))


def command(folder: Path, *arguments: str) -> float:
    """Run the command line in a folder; return the seconds it took."""
    script = str(Path(sys.executable).parent / "automl-cv")
    started = time.perf_counter()
    done = subprocess.run([script, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"automl-cv {' '.join(arguments)}: {done.stderr.strip()}")
    return time.perf_counter() - started


def measure_product(setting: Setting, label: str, study: str, trained: bool) -> dict[str, Any]:
    """Search, fit and ask the saved classifier about the test images of a split.

    Features of a given backbone are in the cache before, so that seconds are those of searching
    and fitting.
    """
    if setting.backbone is not None:
        features(setting)
    name = f"{label}-{setting.name}-{setting.number}"
    folder = setting.out / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(setting, folder / "images.csv")
    # Samplers draw the same for the same seed: over splits, studies are compared on other draws.
    write_study(setting, study, folder / f"{label}.toml", setting.number if trained else None)
    shared = ["--cache-dir", str((setting.out / "cache").absolute()), "--quiet"]
    file = f"./{label}.toml"
    searching = command(folder, "search", file, "--data", "images.csv", "--new", *shared)
    if trained:
        board = leaderboard(f"sqlite:///{folder.absolute()}/automl-cv.db")
        first = board[board["stage"] != REFERENCE].nsmallest(1, "val_loss").iloc[0]
        shared += ["--trial", f"{first['stage']}/{first['trial']}"]
    fitting = command(folder, "fit", file, "--out", "model", *shared)
    classifier = Classifier.load(folder / "model")
    tested = setting.rows("test")
    probabilities = classifier.predict_proba([setting.pool.paths[place] for place in tested])
    winner = classifier.manifest.winner
    return {
        **figures(probabilities, setting.pool.labels[tested], list(classifier.classes)),
        "seconds": searching + fitting,
        "seconds_search": searching,
        "seconds_fit": fitting,
        "chosen": f"{winner.stage} {winner.trial} {json.dumps(winner.parameters, default=str)}",
        **promised(winner.validation),
    }


def measure_heads(setting: Setting, study: str) -> dict[str, dict[str, Any]]:
    """Return figures of a study's exact heads, and of the reference that it has itself.

    Args:
        setting: the split.
        study: see `worth_heads.measure`.
    """
    known, tested = setting.rows("train", "validation"), setting.rows("test")
    labels = setting.pool.labels
    classes = sorted(set(labels[known]))
    rows = np.concatenate([known, tested])
    numbers = np.searchsorted(classes, labels[rows])
    found = worth_heads.measure(features(setting)[rows], numbers, len(known), study)
    shared = {"seconds": found["seconds"], "chosen": found["chosen"]}
    low, high = wilson(found["raw"], len(known))
    own = {name: value for name, value in found.items() if name.startswith("promised")}
    own |= {"raw": found["raw"], "raw_low": low, "raw_high": high}
    return {
        "heads": {**figures(found["winner"], labels[tested], classes), **shared, **own},
        "own reference": {**figures(found["reference"], labels[tested], classes), **shared},
    }


def promised(validation: Any) -> dict[str, float | None]:
    """Return the accuracy that the card promises, and the ends of its interval over images.

    A figure corrected for having been chosen goes before the raw one, where there is one.
    """
    corrected = getattr(validation, "corrected", None)
    if corrected is not None:
        return {
            "promised": corrected.value,
            "promised_low": corrected.low,
            "promised_high": corrected.high,
        }
    low, high = validation.over_images or (validation.low, validation.high)
    return {"promised": validation.accuracy, "promised_low": low, "promised_high": high}


def backbone_of(image_set: ImageSet, study: str, given: Path | None) -> Backbone:
    """Return what makes the features of a set.

    Raises:
        Absent: photographs need a backbone that is not given.
    """
    if not image_set.needs_backbone:
        return library.load(study).backbone or Backbone(features="all")
    if given is None or not given.is_file():
        raise Absent("an ImageNet backbone is needed, a saved .keras model: --backbone FILE")
    return Backbone(name=str(given.absolute()))


def measure(asked: argparse.Namespace, studies: dict[str, str], rows_file: Path) -> None:
    """Measure what is asked for and not in the file yet; add it there, line by line."""
    known = {(row["set"], row["split"], row["method"]) for row in worth_tables.read(rows_file)}
    for name in asked.sets:
        image_set = {**SETS, **UNSEEN}[name]
        try:
            pool = worth_sets.build(image_set.pool, asked.out / "cache", asked.root)
            backbone = backbone_of(image_set, next(iter(studies.values())), asked.backbone)
        except Absent as absent:
            print(f"{name}: left out: {absent}", file=sys.stderr)
            continue
        for number in range(asked.first, asked.first + asked.splits):
            parts = worth_sets.split(pool, image_set.sizes, number)
            setting = Setting(name, number, pool, parts, backbone, asked.out)
            if asked.heads and (name, number, "heads") not in known:
                for method, found in measure_heads(setting, asked.heads).items():
                    keep(rows_file, setting, image_set, method, found)
            for method in () if asked.heads else (REFERENCE, *studies):
                if (name, number, method) in known:
                    continue
                if method == REFERENCE:
                    found = measure_reference(setting)
                else:
                    found = measure_product(setting, method, studies[method], asked.trained)
                keep(rows_file, setting, image_set, method, found)


def keep(
    rows_file: Path, setting: Setting, image_set: ImageSet, method: str, found: dict[str, Any]
) -> None:
    """Add a measurement to the file, and say what it is."""
    row = {"set": setting.name, "split": setting.number, "method": method, **found}
    row["sizes"] = list(image_set.sizes)
    with rows_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{setting.name} {setting.number} {method}: {found['accuracy']:.4f}", file=sys.stderr)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", nargs="*", default=["quickstart"], metavar="[LABEL=]STUDY")
    parser.add_argument("--heads", metavar="STUDY", help="its exact stages alone, in this process")
    parser.add_argument("--trained", action="store_true", help="fit no reference")
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=[*SETS, *UNSEEN])
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("worth"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    parser.add_argument("--backbone", type=Path, help=".keras model for photographs")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the tables of all that was ever measured into the file."""
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    rows_file = asked.out / "rows.jsonl"
    studies = {}
    for given in asked.studies:
        label, _, study = given.rpartition("=")
        studies[label or Path(study).stem] = study
    measure(asked, studies, rows_file)
    print(worth_tables.tables(worth_tables.read(rows_file)))


if __name__ == "__main__":
    main()
