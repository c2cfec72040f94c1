import numpy as np
import pandas as pd

from automl_cv.data import findings
from automl_cv.data.ledger import Finding
from automl_cv.data.near_copies import NearCopies, none


def table(*rows):
    """Return images of (content, label, split)."""
    frame = pd.DataFrame(rows, columns=["content_hash", "label", "split"])
    names = [f"{number}.png" for number in range(len(rows))]
    return frame.assign(name=names, path=[f"/at/{name}" for name in names])


def test_the_worst_come_first_and_equal_ones_as_they_came():
    several = [Finding("a", harm, "") for harm in ("note", "warning", "stop")]
    again = [*several, Finding("b", "warning", "")]
    assert [(one.harm, one.about) for one in findings.in_order(again)] == [
        ("stop", "a"),
        ("warning", "a"),
        ("warning", "b"),
        ("note", "a"),
    ]
    assert findings.worst(several) == several[2]
    assert findings.worst(several[:2]) is None


def test_every_picture_under_two_labels_is_the_worst_there_is():
    (found,) = findings.of_labels(
        table(("x", "a", "train"), ("x", "b", "train"), ("y", "a", "test"), ("y", "b", "test"))
    )
    assert found.harm == "stop"
    assert found.files == ("0.png", "1.png", "2.png", "3.png")
    assert found.line.startswith("2 images under more than one label, in 4 files (100.0%")


def test_a_few_contradictions_are_a_warning():
    others = [(f"other {number}", "a", "train") for number in range(30)]
    (found,) = findings.of_labels(table(("x", "a", "train"), ("x", "b", "train"), *others))
    assert found.harm == "warning"
    assert findings.of_labels(table(*others)) == []


def test_a_split_that_half_stands_in_train_is_named_whole():
    rows = [("x", "a", "train"), ("z", "a", "train"), ("x", "a", "test"), ("y", "a", "test")]
    (found,) = findings.of_overlap(table(*rows))
    assert (found.harm, found.files) == ("stop", ("2.png",))
    (found,) = findings.of_overlap(table(*rows, ("v", "a", "test")))
    assert found.harm == "warning"


def test_classes_of_very_different_sizes():
    rows = [(f"{label}{number}", label, "train") for label in "ab" for number in range(10)]
    assert findings.of_sizes(table(*rows)) == []
    (found,) = findings.of_sizes(table(*rows, ("c", "c", "train")))
    assert found.line.startswith("classes have 1 to 10 images; ten times fewer than the largest")
    assert "'c'" in found.line


def test_near_copies_are_told_by_what_they_do():
    rows = [("u", "a", "train"), ("v", "b", "train"), ("w", "a", "test"), ("x", "a", "validation")]
    pairs = np.array([(0, 1), (0, 2), (2, 3)])
    near = NearCopies(pairs, np.array([0.03, 0.02, 0.01], np.float32))
    labels, test, validation, within = findings.of_near_copies(table(*rows), near, "photos")
    assert (labels.harm, labels.files) == ("warning", ("0.png", "1.png"))
    assert labels.line.startswith("1 pair of images under two labels nearly identical")
    assert (test.about, test.harm, test.files) == ("overlap", "warning", ("0.png", "2.png"))
    assert test.line == (
        "1 test image of 1 is nearly identical in looks to one in train, so scores on test come "
        "out too high; first 2.png and 0.png; automl-cv data photos --out FILE.csv writes a table "
        "that keeps them together"
    )
    assert validation.files == ("2.png", "3.png")
    assert (within.about, within.harm, within.files) == ("copies", "note", ("0.png", "1.png"))
    assert findings.of_near_copies(table(*rows), none(), "photos") == []
