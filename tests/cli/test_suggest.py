"""`automl-cv suggest`, from a folder to a manifest that a search reads."""

from __future__ import annotations

import csv

import pytest
from PIL import Image

from automl_cv.data.dataset import load_undivided
from tests.later import later

with later():
    from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of 80 digits in which nothing says which; their names lead to the labels."""
    folder = tmp_path_factory.mktemp("suggest") / "photos"
    folder.mkdir()
    found = load_digits()
    labels = {}
    for number in range(80):
        name = f"{number:03d}.png"
        Image.fromarray((found.images[number] * 15).astype("uint8")).save(folder / name)
        labels[name] = str(found.target[number])
    return folder, labels


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def filled(path, labels):
    """Fill in a manifest as a user would."""
    rows = rows_of(path)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows({**row, "label": labels[row["path"].split("/")[-1]]} for row in rows)
    return rows


@pytest.mark.slow
def test_a_manifest_grows_until_a_search_reads_it(photos, call, tmp_path):
    folder, labels = photos
    told = call("suggest", folder, "--n", 20, "--out", "one.csv").stderr
    assert "pool: 80 images" in told
    assert "labelled: none; features: compact" in told
    first = filled(tmp_path / "one.csv", labels)
    assert len(first) == 20
    assert {row["label"] for row in first} == {""}
    assert all(row["why"].startswith("typical of ") for row in first)

    told = call("suggest", folder, "--n", 10, "--labelled", "one.csv", "--out", "two.csv").stderr
    assert "labelled: 20 images of" in told
    second = filled(tmp_path / "two.csv", labels)
    assert len(second) == 30
    assert all(row["label"] == "" and row["why"].startswith("uncertain: ") for row in second[:10])
    assert {row["path"] for row in second[10:]} == {row["path"] for row in first}
    assert not {row["path"] for row in second[:10]} & {row["path"] for row in first}

    lines = call("suggest", folder, "-n", 3, "--labelled", "two.csv").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["file", "1", "2", "3"]
    assert all("uncertain: " in line for line in lines[1:])

    read = load_undivided(str(tmp_path / "two.csv"), cache_dir=tmp_path / "cache").images
    assert dict(zip(read["path"].str[-7:], read["label"], strict=True)) == {
        row["path"][-7:]: labels[row["path"][-7:]] for row in second
    }


def test_what_would_lose_labels_is_refused(photos, call, tmp_path):
    folder, _ = photos
    (tmp_path / "mine.csv").write_text("path,label\n")
    refused = call("suggest", folder, "--out", "mine.csv", check=False)
    assert refused.returncode == 2
    assert "may hold labels of yours" in refused.stderr
    assert (tmp_path / "mine.csv").read_text() == "path,label\n"


def test_a_picture_under_two_labels_is_refused(photos, call, tmp_path):
    folder, _ = photos
    (tmp_path / "a.csv").write_text(f"path,label\n{folder}/000.png,0\n{folder}/001.png,1\n")
    (tmp_path / "b.csv").write_text(f"path,label\n{folder}/000.png,7\n")
    refused = call("suggest", folder, "--labelled", "a.csv", "--labelled", "b.csv", check=False)
    assert refused.returncode == 2
    assert "has the label '7'" in refused.stderr
