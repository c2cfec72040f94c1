"""From a search to predictions on files, in subprocesses; kills and mistakes on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_cv.data.images import content_hash, decode
from automl_cv.features import FeatureCache, recipe
from automl_cv.saved import folder
from automl_cv.study.studyfile import Backbone
from tests.conftest import begun, run_script
from tests.later import later

with later():
    from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow


@pytest.fixture
def run(searched, cache_dir):
    """Return a function that runs the installed command beside the shared database."""
    return partial(run_script, searched, cache_dir)


@pytest.fixture
def digits(tmp_path) -> list[Path]:
    """Write some of scikit-learn's digits as files, named by their class."""
    data = load_digits()
    paths = []
    for number in range(0, 1797, 30):
        path = tmp_path / "digits" / f"{number:04d}-{data.target[number]}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.rint(data.images[number] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


def test_predictions_on_files_are_those_of_the_head_on_cached_features(
    run, fitted, tmp_path, digits, cache_dir
):
    out = fitted.folder
    assert "as stage augmented trained it again" in fitted.said
    assert sorted(path.name for path in out.iterdir()) == sorted(folder.OWN)

    rows = run("predict", out, digits[0].parent, "--top", "3", "--format", "csv").stdout
    (tmp_path / "rows.csv").write_text(rows)
    table = pd.read_csv(tmp_path / "rows.csv", dtype={"label": str})
    assert list(table["path"]) == list(map(str, digits)), "in order"
    named = [path.stem[-1] for path in digits]
    assert (table["label"] == named).mean() > 0.9

    saved = folder.read(out)
    from automl_cv.engine import saved_network  # TensorFlow: after the subprocesses

    network = saved_network.load(saved).get_layer("network")
    backbone = Backbone.model_validate(saved.manifest.backbone)
    hashes = [content_hash(decode(path)) for path in digits]
    features = FeatureCache(cache_dir).open(recipe(backbone), hashes, backbone.features).array
    logits = network.get_layer("head1")(np.array(features)).numpy()
    assert [saved.classes[number] for number in logits.argmax(axis=1)] == list(table["label"])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.max(axis=1), table["probability"], atol=1e-5)


def weights_of(out: Path) -> list[np.ndarray]:
    from automl_cv.engine import saved_network  # TensorFlow: not before it is needed

    return saved_network.load(folder.read(out)).get_weights()


@pytest.mark.exhaustive
def test_what_the_folder_says_of_itself_and_its_command_repeats_it(run, call, searched, tmp_path):
    out = tmp_path / "model"
    words = ["fit", "small", "--trial", "coarse/1", "--repeats", "2", "--calibrate", "--out", out]
    said = run(*words).stderr
    manifest = folder.read(out).manifest
    calibration = manifest.calibration
    assert calibration.after.log_loss < calibration.before.log_loss
    assert f"temperature {calibration.temperature:.4f}; on 360 validation images" in said
    assert f"training: {manifest.fitting.epochs * 2 * 2:,}" in said, "the bar counts all four"
    assert manifest.winner.trial == "coarse/1"
    assert manifest.fitting.images == 1438
    assert manifest.data.split_sizes == {"train": 1078, "validation": 360, "test": 359}
    assert len(set(manifest.fitting.seeds)) == 2
    assert manifest.versions["keras"]
    card = (out / "card.md").read_text()
    for wanted in (
        manifest.data.fingerprint,
        "coarse/1 of run small: chosen by hand",
        "1,797 images read",
        "BSD-3-Clause",
        "| epoch | search: loss |",
        "2 times with other seeds",
        f"divided by a temperature of {calibration.temperature:.4f}",
        f"| log loss | {calibration.before.log_loss:.4f} | {calibration.after.log_loss:.4f} |",
        "--calibrate",
        manifest.fitting.command,
    ):
        assert wanted in card

    before, weights = json.loads((out / "bundle.json").read_text()), weights_of(out)
    call(*manifest.fitting.command.split()[1:], folder=searched)
    after = json.loads((out / "bundle.json").read_text())
    for left, right in zip(weights_of(out), weights, strict=True):
        np.testing.assert_array_equal(left, right)
    for changing in ("created", "files", "checksum"):  # a .keras file holds its date
        del before[changing], after[changing]
    for one in (before, after):
        del one["fitting"]["seconds"]
    assert after == before


class TestPredict:
    def test_damaged_files_are_rows_and_the_rest_goes_on(self, call, fitted, digits, tmp_path):
        (tmp_path / "bad.png").write_bytes(digits[0].read_bytes()[:40])
        names = "\n".join(map(str, [digits[0], tmp_path / "bad.png", tmp_path / "no", digits[1]]))
        done = call("predict", fitted.folder, "-", "--format", "jsonl", given=names)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert ["predictions" in row for row in rows] == [True, False, False, True]
        assert rows[1]["error"].startswith(("truncated", "damaged"))
        assert "can't be read" in rows[2]["error"]
        assert done.stderr.strip() == "2 of 4 files could not be read"

    def test_only_failures_are_a_failure(self, call, fitted, tmp_path):
        (tmp_path / "bad.png").write_bytes(b"")
        done = call("predict", fitted.folder, tmp_path / "bad.png", check=False)
        assert done.returncode == 1
        assert "empty file" in done.stdout

    def test_a_file_takes_its_form_from_its_name(self, call, fitted, digits, tmp_path):
        call("predict", fitted.folder, digits[0].parent / "*.png", "--out", tmp_path / "x.parquet")
        table = pd.read_parquet(tmp_path / "x.parquet")
        assert len(table) == len(digits)
        assert table["probability"].between(0.1, 1).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["absent", "x.png"], "not found; expected a folder"),
            (["MODEL", "*.gif"], "matches no file"),
            (["MODEL", "x.png", "--format", "cvs"], "did you mean 'csv'"),
            (["MODEL", "x.png", "--format", "parquet"], "--out FILE"),
            (["MODEL", "x.png", "--out", "absent/x.csv"], "does not exist"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else None,
    )
    def test_wrong_use_is_one_line(self, arguments, message, call, fitted):
        given = [fitted.folder if word == "MODEL" else word for word in arguments]
        done = call("predict", *given, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smal"], "did you mean 'small'"),
        (["small", "--trial", "coarse/9"], "none of that number"),
        (["small", "--data", "DATA"], "the images are not those that small was searched on"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_fitted_is_one_line_and_leaves_nothing(
    arguments, message, call, searched, tmp_path, digits
):
    for path in digits:
        target = tmp_path / "data" / path.stem[-1] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    given = [tmp_path / "data" if word == "DATA" else word for word in arguments]
    out = tmp_path / "model"
    done = call("fit", *given, "--out", out, "--quiet", check=False, folder=searched)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*model*"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_an_ended_fit_leaves_the_older_model_whole(how, fitted, searched, cache_dir, tmp_path):
    out = Path(shutil.copytree(fitted.folder, tmp_path / "model"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    mark = f"test-{time.monotonic_ns()}"
    fit = ("fit", "small", "--out", out, "--repeats", "500")
    process = begun(searched, cache_dir, *fit, AUTOML_CV_TEST_MARK=mark)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".model.fit-*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert errors.strip().splitlines()[-1] == "interrupted; nothing was replaced"
        assert [path.name for path in tmp_path.glob(".model*")] == []
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    while left := living(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    folder.read(out)


def living(mark: str) -> list[str]:
    """Return the processes that carry a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (place / "environ").read_bytes():
                found.append(os.fsdecode((place / "cmdline").read_bytes()))
        except OSError:
            continue
    return found
