import csv
import io

import numpy as np
import pytest

from automl_cv.report import evaluation
from automl_cv.saved.evaluation import ALL, Evaluation


def evaluated(n_classes):
    """Return an evaluation of two images whose classes come nearer and nearer."""
    shares = np.arange(1, n_classes + 1, dtype=np.float32)
    return Evaluation(
        model="model",
        source="photos",
        part=ALL,
        fingerprint="",
        classes=tuple(f"c{number}" for number in range(n_classes)),
        paths=("a.png", "b.png"),
        names=("a.png", "b.png"),
        labels=np.array([n_classes - 1, 0]),
        probabilities=np.stack([shares, shares]) / shares.sum(),
        skipped=(),
        warnings=(),
        notes=(),
        scores=None,
        looks=(),
        recorded=True,
    )


def read(n_classes):
    return list(csv.DictReader(io.StringIO(evaluation.predictions_csv(evaluated(n_classes)))))


def test_few_classes_have_a_column_each():
    first, second = read(100)
    assert len(first) == 3 + 100
    assert (first["class"], second["class"], second["predicted"]) == ("c99", "c0", "c99")


def test_of_many_classes_the_most_probable_are_kept_and_the_true_one():
    first, second = read(1000)
    assert len(first) == 4 + 2 * evaluation.TOP
    assert [second[f"class {place}"] for place in (1, 2, 10)] == ["c999", "c998", "c990"]
    assert float(second["probability 1"]) == pytest.approx(1000 / 500500)
    assert float(second["probability of class"]) == pytest.approx(1 / 500500)
