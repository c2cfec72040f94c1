"""A stranger's folder, with what strangers' folders have in them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.store.database import open_storage
from automl_cv.store.runs import claim, find_run, release

STUDY = """
extends = "quickstart"
name = "mine"
[data]
source = "photos"
[[stage]]
name = "coarse"
trials = 3
epochs = 5
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write 3 classes with ready train/ and val/ folders, and things that go wrong."""
    generator = np.random.default_rng(0)
    colours = {"cat": (200, 80, 60), "dog [big]": (60, 90, 210), "owl": (70, 180, 70)}
    for split, count in (("train", 12), ("val", 6)):
        for label, colour in colours.items():
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.array(colour) + generator.normal(0, 45, (30, 40, 3))
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(folder / f"{number}.png")
    root = tmp_path / "photos"
    first = (root / "train" / "cat" / "0.png").read_bytes()
    (root / "val" / "cat" / "copy.png").write_bytes(first)
    (root / "train" / "owl" / "cut.png").write_bytes(first[:200])
    (root / "train" / "owl" / "notes.txt").write_text("two owls were asleep")
    (root / "train" / ".DS_Store").write_bytes(b"litter")
    (tmp_path / "mine.toml").write_text(STUDY)
    return root


def test_from_folder_to_report(photos, run):
    done = run("search", "./mine.toml", "--stage", "coarse")
    warning = "1 validation image of 19 is identical to one in train"
    assert warning in done.stderr
    near = "1 validation image of 19 is nearly identical to one in train"
    assert near not in done.stderr and done.stdout.count(near) == 1
    shown = run("report").stdout
    lines = shown.splitlines()
    assert warning in lines[0]
    assert "skipped 2 files: truncated after 200 bytes (1), not an image (1)" in shown
    stored = json.loads(run("report", "--format", "json").stdout)
    assert stored["facts"]["class_names"] == ["cat", "dog [big]", "owl"]
    assert stored["facts"]["split_sizes"] == {"train": 36, "validation": 19, "test": 0}
    assert [found["path"] for found in stored["facts"]["ledger"]["skipped"]] == [
        "train/owl/cut.png",
        "train/owl/notes.txt",
    ]
    assert stored["trials"][0]["val_accuracy"] >= 0.8, "colours tell these classes apart"


def test_what_is_refused_before_anything_is_extracted(photos, run, tmp_path):
    done = run("search", "./mine.toml", "--strict", check=False)
    assert done.returncode == 2
    assert "train/owl/cut.png (truncated after 200 bytes)" in done.stderr

    for label in ("dog [big]", "owl"):
        shutil.rmtree(photos / "val" / label)
    (tmp_path / "mine.toml").write_text(f'metric = "auroc"\n{STUDY}')
    done = run("search", "./mine.toml", check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: metric: 'auroc' can't be measured: photos has no validation images of "
        "'dog [big]', 'owl'; add some, or choose another metric or another split\n"
    )


def test_a_run_is_its_study_and_images_wherever_they_lie(photos, run, tmp_path):
    search = ("search", "./mine.toml", "--stage", "coarse", "--trials", "1")
    moved = tmp_path / "moved"
    run(*search)
    shutil.copytree(photos, moved)
    again = run(*search, "--data", f"{moved}/")
    assert "more: automl-cv report mine\n" in again.stderr
    stored = json.loads(run("report", "--format", "json").stdout)
    assert (stored["facts"]["data_source"], len(stored["trials"])) == (f"{moved}/", 1)

    storage = open_storage(f"sqlite:///{tmp_path}/automl-cv.db", create=False)
    assert claim(storage, "mine", "coarse", find_run(storage).facts[0])
    for source in ("moved", "photos"):  # the second is known to be the same when it is read
        waits = run(*search, "--data", source, check=False)
        assert waits.returncode == 1
        assert f"mine is being searched by process {os.getpid()} on " in waits.stderr
        assert "features" not in waits.stderr
    release(storage, "mine")

    lost = moved / "train" / "cat" / "1.png"
    lost.rename(tmp_path / "aside.png")
    refused = run(*search, "--data", "moved", check=False)
    assert refused.returncode == 2
    assert "the images are not those" in refused.stderr
    assert "55 images then, 54 now" in refused.stderr

    (photos / "train" / "cat" / "2.png").unlink()
    other = run(*search)
    assert "other images than mine@1: begins mine@2\n" in other.stderr
    assert "more: automl-cv report mine@2\n" in other.stderr
    (tmp_path / "aside.png").rename(lost)
    first = run(*search, "--data", "moved")
    assert "more: automl-cv report mine@1\n" in first.stderr
    assert "mine@2" not in first.stdout


def test_missing_imagenet_weights_are_one_line_that_helps(photos, run, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    # A closed port of this machine stands for a network without a way out.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    done = run("search", "slides", "--data", "photos", check=False)
    assert done.returncode == 2
    error = done.stderr.strip().splitlines()[-1]
    for part in (
        "ImageNet weights of ResNet50",
        "resnet50_weights",
        "into",
        "with backbone.weights",
    ):
        assert part in error
