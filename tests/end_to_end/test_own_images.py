"""A stranger's folder, with what strangers' folders have in them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from automl_cv.classifier import Classifier
from automl_cv.data.images import Window, decode
from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.runs import find_run
from tests.in_process import run_here
from tests.stored import copied

STUDY = """
extends = "optimizers"
name = "mine"
[data]
source = "photos"
[[stage]]
name = "coarse"
trials = 3
epochs = 5
"""


SCANS = """
extends = "mine.toml"
name = "scans"
[data]
source = "scans"
[[stage]]
name = "coarse"
trials = 1
epochs = 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Write 3 classes with ready train/ and val/ folders, and things that go wrong.

    Returns:
        The folder of `photos/` and of the study, which stays as it is.
    """
    made = tmp_path_factory.mktemp("own")
    generator = np.random.default_rng(0)
    colours = {"cat": (200, 80, 60), "dog [big]": (60, 90, 210), "owl": (70, 180, 70)}
    for split, count in (("train", 12), ("val", 6)):
        for label, colour in colours.items():
            folder = made / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.array(colour) + generator.normal(0, 45, (30, 40, 3))
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(folder / f"{number}.png")
    root = made / "photos"
    first = (root / "train" / "cat" / "0.png").read_bytes()
    (root / "val" / "cat" / "copy.png").write_bytes(first)
    (root / "train" / "owl" / "cut.png").write_bytes(first[:200])
    (root / "train" / "owl" / "notes.txt").write_text("two owls were asleep")
    (root / "train" / ".DS_Store").write_bytes(b"litter")
    (made / "mine.toml").write_text(STUDY)
    return made


@pytest.fixture(scope="module")
def searched(made, cache_dir) -> CompletedProcess[str]:
    """Search the photos once; return what the search wrote."""
    return run_here(made, cache_dir, "search", "./mine.toml", "--stage", "coarse")


@pytest.fixture
def photos(made, tmp_path) -> Path:
    """Return copies of the photos, beside the study."""
    shutil.copy(made / "mine.toml", tmp_path)
    return Path(shutil.copytree(made / "photos", tmp_path / "photos"))


@pytest.mark.slow
def test_from_folder_to_report(searched, made, call):
    warning = "1 validation image of 19 is identical to one in train"
    assert warning in searched.stderr
    near = "1 validation image of 19 is nearly identical to one in train"
    assert near not in searched.stderr and searched.stdout.count(near) == 1
    shown = call("report", folder=made).stdout
    lines = shown.splitlines()
    assert warning in lines[0]
    assert "skipped 2 files: truncated after 200 bytes (1), not an image (1)" in shown
    stored = json.loads(call("report", "--format", "json", folder=made).stdout)
    assert stored["facts"]["class_names"] == ["cat", "dog [big]", "owl"]
    assert stored["facts"]["split_sizes"] == {"train": 36, "validation": 19, "test": 0}
    assert [found["path"] for found in stored["facts"]["ledger"]["skipped"]] == [
        "train/owl/cut.png",
        "train/owl/notes.txt",
    ]
    assert stored["trials"][0]["val_accuracy"] >= 0.8, "colours tell these classes apart"


@pytest.mark.slow
def test_what_is_refused_before_anything_is_extracted(photos, call, tmp_path):
    done = call("search", "./mine.toml", "--strict", check=False)
    assert done.returncode == 2
    assert "train/owl/cut.png (truncated after 200 bytes)" in done.stderr

    for label in ("dog [big]", "owl"):
        shutil.rmtree(photos / "val" / label)
    (tmp_path / "mine.toml").write_text(f'metric = "auroc"\n{STUDY}')
    done = call("search", "./mine.toml", check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: metric: 'auroc' can't be measured: photos has no validation images of "
        "'dog [big]', 'owl'; add some, or choose another metric or another split\n"
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_run_is_its_study_and_images_wherever_they_lie(
    photos, searched, made, run, call, tmp_path
):
    search = ("search", "./mine.toml", "--stage", "coarse", "--trials", "1")
    moved = tmp_path / "moved"
    copied(made / "automl-cv.db", tmp_path)
    shutil.copytree(photos, moved)
    again = call(*search, "--data", f"{moved}/")
    assert "more: automl-cv report mine\n" in again.stderr
    stored = json.loads(call("report", "--format", "json").stdout)
    assert (stored["facts"]["data_source"], len(stored["trials"])) == (f"{moved}/", 3)

    storage = open_storage(f"sqlite:///{tmp_path}/automl-cv.db", create=False)
    taken = claim(storage, "mine", "coarse", find_run(storage).facts[0])
    assert taken is not None
    for source in ("moved", "photos"):  # the second is known to be the same when it is read
        waits = run(*search, "--data", source, check=False)
        assert waits.returncode == 1
        assert f"mine is being searched by process {os.getpid()} on " in waits.stderr
        assert "features" not in waits.stderr
    taken.release()

    lost = moved / "train" / "cat" / "1.png"
    lost.rename(tmp_path / "aside.png")
    refused = call(*search, "--data", "moved", check=False)
    assert refused.returncode == 2
    assert "the images are not those" in refused.stderr
    assert "55 images then, 54 now" in refused.stderr

    (photos / "train" / "cat" / "2.png").unlink()
    other = run(*search)
    assert "other images than mine@1: begins mine@2\n" in other.stderr
    assert "more: automl-cv report mine@2\n" in other.stderr
    (tmp_path / "aside.png").rename(lost)
    first = call(*search, "--data", "moved")
    assert "more: automl-cv report mine@1\n" in first.stderr
    assert "mine@2" not in first.stdout


@pytest.mark.exhaustive
@pytest.mark.slow
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


def deep(path, low, high, reach=200):
    """Write an image of 16 bits that uses 1000 to 1000 + `reach`, but for noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(crc32(f"{path.parent.name}/{path.name}".encode()))
    values = np.full((16, 16), 1000) + reach * draw.uniform(low, high, (16, 16))
    values[0, :2] = 1000, 1000 + reach
    Image.fromarray(values.round().astype(np.uint16)).save(path)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_deep_greys_keep_their_range_from_search_to_prediction(call, tmp_path):
    for number in range(10):
        deep(tmp_path / "there" / "scans" / "dark" / f"{number}.png", 0, 0.5)
        deep(tmp_path / "there" / "scans" / "light" / f"{number}.png", 0.5, 1)
    (tmp_path / "there" / "mine.toml").write_text(STUDY)
    (tmp_path / "there" / "scans.toml").write_text(SCANS)
    storage = ("--storage", f"sqlite:///{tmp_path}/scans.db")
    call(
        "search",
        "./scans.toml",
        "--stage",
        "coarse",
        "--quiet",
        *storage,
        folder=tmp_path / "there",
    )
    report = json.loads(call("report", "scans", "--format", "json", *storage).stdout)
    assert report["facts"]["ledger"]["greys"]["window"] == [1000, 1200]
    # From another folder: the relative path of the study file leads back to where it was.
    call("fit", "scans", "--out", "model", "--quiet", *storage)
    assert Classifier.load(tmp_path / "model").manifest.data.window == (1000, 1200)
    assert "held-out test split" in call("evaluate", "model").stdout
    deep(tmp_path / "new.png", 0.5, 1, reach=300)  # brighter than any before
    classifier = Classifier.load(tmp_path / "model")
    seen = classifier.predict_proba([decode(tmp_path / "new.png", Window(1000, 1200))])
    for given in (tmp_path / "new.png", Image.open(tmp_path / "new.png")):
        np.testing.assert_array_equal(classifier.predict_proba(given), seen)
