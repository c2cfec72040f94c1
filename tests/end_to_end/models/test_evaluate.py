"""`automl-cv evaluate` on a classifier that was searched and fitted, in subprocesses."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import dataset
from automl_cv.saved import folder, looks
from automl_cv.study import studyfile
from tests.later import later

with later():
    from sklearn import metrics

pytestmark = pytest.mark.slow


FILES = {
    *("confusion.csv", "confusion.png", "metrics.json", "predictions.csv"),
    *("reliability.png", "wrong.png"),
}


@pytest.fixture
def model(calibrated, tmp_path) -> Path:
    """Return a copy of the classifier at which nobody has looked."""
    return Path(shutil.copytree(calibrated, tmp_path / "model"))


@pytest.fixture
def digits(cache_dir, tmp_path, calibrated) -> Path:
    """Return altered digits, so that none is one of the study's, of two classes."""
    for label in ("3", "5"):
        (tmp_path / "new" / label).mkdir(parents=True)
        source = cache_dir / "datasets" / "digits" / label
        for path in sorted(source.glob("*.png"))[:12]:
            pixels = np.asarray(Image.open(path).convert("RGB")) // 2 * 2 + 1
            Image.fromarray(pixels).save(tmp_path / "new" / label / path.name)
    return tmp_path / "new"


def shown(done) -> dict:
    return json.loads(done.stdout)


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=28)
def test_calibration_trained_the_search_s_own_trial_again(calibrated):
    manifest = folder.read(calibrated).manifest
    found, searched = manifest.calibration, manifest.winner.validation
    assert found.images == manifest.data.split_sizes["validation"]
    assert found.accuracy == pytest.approx(searched.accuracy, abs=1e-6)
    assert found.before.log_loss == pytest.approx(searched.loss, rel=1e-4)
    assert found.after.log_loss < found.before.log_loss


@pytest.mark.exhaustive
def test_two_looks_at_the_held_out_images(model, run, call):
    out = model.parent / "evaluation"
    first = run("evaluate", "model", "--out", "evaluation")
    assert first.stdout.startswith("model, digits: held-out test split, 359 images of 10 classes")
    assert "first look by this folder's models at this test split" in first.stdout
    assert {path.name for path in out.iterdir()} == FILES
    with (out / "predictions.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    assert len({row[0] for row in rows}) == 359 and Path(rows[0][0]).is_file()
    labels, predicted = [row[1] for row in rows], [row[2] for row in rows]
    shares = np.array([row[3:] for row in rows], float)
    shares /= shares.sum(axis=1, keepdims=True)
    facts = json.loads((out / "metrics.json").read_text())
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "auroc": metrics.roc_auc_score(labels, shares, multi_class="ovr"),
        "log_loss": metrics.log_loss(labels, shares),
    }
    for name, value in expected.items():
        assert facts["metrics"][name]["value"] == pytest.approx(value, abs=1e-5), name
    assert facts["metrics"]["accuracy"]["value"] > 0.8
    assert facts["bootstrap"]["resamples"] == 1000
    confusion = metrics.confusion_matrix(labels, predicted)
    assert facts["confusion"] == confusion.tolist()
    with (out / "confusion.csv").open() as file:
        assert [row[1:] for row in list(csv.reader(file))[1:]] == confusion.astype(str).tolist()
    worst = facts["wrong"][0]
    assert worst["class"] == Path(worst["path"]).parent.name != worst["predicted"]

    folder.read(model)  # the record breaks no hash
    second = call("evaluate", "model", "--data", "digits", "--format", "markdown")
    accuracy = facts["metrics"]["accuracy"]["value"]
    day = facts["look"]["first"]["time"][:10]
    wanted = f"look 2 by this folder's models at this test split; the first, on {day} "
    assert wanted in second.stdout, "found by its content, whatever it is called"
    assert f"UTC, gave {accuracy:.4f}" in second.stdout
    assert "| :--- | ---: | ---: |" in second.stdout
    taken = looks.read(model)
    assert [look.metrics for look in taken] == [taken[0].metrics] * 2
    assert {path.name for path in model.iterdir()} == {*folder.OWN, folder.EVALUATIONS}


def test_other_images_damaged_files_and_absent_classes(model, digits, call):
    (digits / "5" / "bad.png").write_bytes(b"no image")
    done = call("evaluate", "model", "--data", "new", "--format", "json", "--quiet")
    facts = shown(done)
    assert done.stderr == ""
    assert (facts["part"], facts["images"]) == ("all images", 24)
    assert facts["skipped"] == [{"path": "5/bad.png", "reason": "not an image"}]
    assert [one["class"] for one in facts["classes"] if one["images"]] == ["3", "5"]
    assert facts["metrics"]["auroc"]["value"] > 0.9
    absent, *_ = facts["notes"]
    assert absent.startswith("no image of 8 classes ('0', '1', '2' and 5 more)")
    assert facts["look"]["number"] == 1

    for path in (digits / "3").iterdir():
        (digits / "train" / "3").mkdir(parents=True, exist_ok=True)
        path.rename(digits / "train" / "3" / path.name)
    (digits / "3").rmdir()
    (digits / "train" / "5").mkdir()
    (digits / "test" / "3").mkdir(parents=True)
    for number, path in enumerate(sorted((digits / "train" / "3").iterdir())[:2]):
        path.rename(digits / "test" / "3" / f"{number}.png")
    (digits / "5").rename(digits / "test" / "5")
    image = next((digits / "test" / "5").glob("0*.png"))
    image.rename(digits / "train" / "5" / image.name)
    facts = shown(call("evaluate", "model", "--data", "new", "--format", "json"))
    assert (facts["part"], facts["images"]) == ("its own test split", 2 + 11)


def test_one_image_that_was_trained_on(model, cache_dir, call, tmp_path):
    study = studyfile.parse(folder.read(model).manifest.study, "the study")
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    (tmp_path / "one" / "0").mkdir(parents=True)
    shutil.copy(images.rows("train")["path"][0], tmp_path / "one" / "0" / "a.png")
    done = call("evaluate", "model", "--data", "one", "--quiet")
    assert done.stderr == ""
    warning, title, *_ = done.stdout.splitlines()
    assert warning.startswith("warning: 1 image of 1 is identical to one it was trained on")
    assert title == "model, one: all images, 1 image of 10 classes"
    for wanted in (
        "AUROC needs images of two classes",
        "one image of '0'",
        "no interval, as no resample varies the figure",
        "first look by this folder's models at these images",
    ):
        assert wanted in done.stdout, wanted
    wilson = r"(1\.0000 +0\.2065–1\.0000|0\.0000 +0\.0000–0\.7935)"
    assert re.search(rf"^accuracy +{wilson}$", done.stdout, re.MULTILINE)
    assert re.search(r"^log loss +\d\.\d{4} +–$", done.stdout, re.MULTILINE)


def test_what_cannot_be_evaluated_is_one_line_and_no_look(model, digits, call, tmp_path):
    (digits / "3").rename(digits / "cat")
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in (
        (["absent"], "not found; expected a folder"),
        (["model", "--data", "absent"], "neither a folder, a manifest nor built-in data"),
        (["model", "--data", "new"], "class 'cat' unknown to model"),
        (["model", "--format", "cvs"], "unknown format 'cvs'"),
        (["model", "--out", "absent/x"], "does not exist"),
        (["model", "--out", "model"], "the model's own folder"),
    ):
        done = call("evaluate", *arguments, "--quiet", check=False)
        assert done.returncode == 2, arguments
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_changed_images_of_the_study_are_refused(model, call):
    path = model / folder.MANIFEST
    facts = json.loads(path.read_text())
    facts["data"]["fingerprint"] = "0" * 32
    del facts["checksum"]
    path.write_text(json.dumps(facts))
    done = call("evaluate", "model", "--quiet", check=False)
    assert done.returncode == 2
    assert "the images are not those that model was fitted on" in done.stderr
    assert looks.read(model) == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to_is_evaluated_still(model, call):
    model.chmod(0o555)
    try:
        done = call("evaluate", "model", "--quiet")
    finally:
        model.chmod(0o755)
    assert "not recorded" in done.stderr
    assert "it could not be recorded in the folder" in done.stdout
