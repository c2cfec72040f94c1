"""Winners that are more than a head on frozen features: fitted, written, and used."""

from __future__ import annotations

import csv
import io
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from automl_cv.data import dataset
from automl_cv.fit.winner import choose
from automl_cv.orders import messages
from automl_cv.orders.images import images_of
from automl_cv.saved import folder
from automl_cv.study.studyfile import Backbone, parse
from automl_cv.study.trial import plan
from tests.conftest import CONSOLE_SCRIPT, environment

pytestmark = pytest.mark.slow(seconds=120)


# Below 16 channels oneDNN of TensorFlow damages memory in `maps` (it does not with
# TF_ENABLE_ONEDNN_OPTS=0), so the network is not narrower than that.
STUDY = """
extends = "optimizers"
name = "kinds"
[data]
split = { train = 0.12, validation = 0.1, test = 0.78 }
[[stage]]
name = "coarse"
trials = 2
epochs = 3
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
[[stage]]
name = "tuned"
retrain = { stages = "coarse", top = 1, repeats = 1 }
fine_tune = { blocks = 1 }
augmentation = { zoom = 0.1 }
views = 2
epochs = 2
pruner = "none"
[[stage]]
name = "scratch"
trials = 1
epochs = 2
pruner = "none"
schedule = "cosine"
network = { name = "ResNet10", stem = "small", width = 0.25, stochastic_depth = 0.2 }
augmentation = { zoom = 0.1 }
[stage.space]
optimizer = "Adam"
batch_size = 8
learning_rate = 0.005
"""


@pytest.mark.exhaustive
def test_networks_from_scratch_and_fine_tuned_ones_are_fitted(call, tmp_path, cache_dir):
    (tmp_path / "kinds.toml").write_text(STUDY)
    call("search", "./kinds.toml", "--quiet")
    assert "in stage tuned" in call("fit", "kinds", "--calibrate", "--out", "tuned").stderr
    kill_while_training(tmp_path, cache_dir, "scratch/0")
    call("fit", "kinds", "--trial", "scratch/0", "--calibrate", "--out", "scratch")
    assert not list((cache_dir / "checkpoints").glob("fit-*"))
    for model in ("tuned", "scratch"):
        check_calibrated(tmp_path / model)
    study = parse(folder.read(tmp_path / "tuned").manifest.study, "the manifest")
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    given = images_of(images)
    tested = np.flatnonzero(given.splits == "test")[::21]  # they lie class by class
    files = [given.paths[row] for row in tested]
    named = [given.classes[given.labels[row]] for row in tested]

    labels = predicted(call, "tuned", files)
    assert np.mean(np.equal(labels, named)) > 0.8
    check_fine_tuned(tmp_path / "tuned")

    labels = predicted(call, "scratch", files)
    assert len(set(labels)) > 2
    order = messages.Prepare(given, study.backbone, cache_dir, study.seed, study.metric)
    check_from_scratch(tmp_path, study, order, tested, labels)
    call("maps", "scratch", files[0], "--out", "maps")
    assert list((tmp_path / "maps").rglob("*.png"))
    assert "accuracy" in call("evaluate", "scratch").stdout


def kill_while_training(tmp_path: Path, cache_dir: Path, trial: str) -> None:
    """Kill a fit after its first epoch; what it left is what the next one goes on from."""
    process = subprocess.Popen(
        [str(CONSOLE_SCRIPT), "fit", "kinds", "--trial", trial, "--out", "killed"],
        cwd=tmp_path,
        env=environment(cache_dir),
        stderr=subprocess.DEVNULL,
    )
    checkpoints = (cache_dir / "checkpoints").glob
    deadline = time.monotonic() + 200
    while not list(checkpoints("fit-*/*-both/checkpoint.npz")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(checkpoints("fit-*/*-both/checkpoint.npz"))


def predicted(call, model: str, files: list[str]) -> list[str]:
    rows = call("predict", model, *files, "--format", "csv").stdout
    return [row["label"] for row in csv.DictReader(io.StringIO(rows))]


def check_calibrated(out: Path) -> None:
    """Trained on the training images alone it is the trial of the search again."""
    manifest = folder.read(out).manifest
    found, searched = manifest.calibration, manifest.winner.validation
    assert found.accuracy == pytest.approx(searched.accuracy, abs=1e-6)
    assert found.before.log_loss == pytest.approx(searched.loss, rel=1e-4)
    assert found.after.log_loss < found.before.log_loss


def check_fine_tuned(out: Path) -> None:
    """The last block has other weights than the backbone's, all before it the same."""
    from automl_cv.engine import backbone, saved_network  # TensorFlow: after the subprocesses

    saved = folder.read(out)
    assert saved.manifest.kind == "fine_tuned"
    assert "whose last block was trained on with it" in (out / "card.md").read_text()
    network = saved_network.load(saved).get_layer("network").get_layer("compact")
    frozen, _ = backbone.load_blocks(Backbone(), saved.manifest.image_size)
    changed = {
        layer.name.split("_")[0]
        for layer, before in zip(network.layers, frozen.layers, strict=True)
        for now, then in zip(layer.get_weights(), before.get_weights(), strict=True)
        if not np.array_equal(now, then)
    }
    assert changed == {"stage4", "post"}


def check_from_scratch(tmp_path, study, order, tested, labels) -> None:
    """The written network is the one that training gives, and names the same classes."""
    from automl_cv.engine import saved_network

    saved = folder.read(tmp_path / "scratch")
    manifest = saved.manifest
    assert (manifest.kind, manifest.backbone, manifest.weights_licence) == ("network", None, None)
    card = (tmp_path / "scratch" / "card.md").read_text()
    assert "ResNet10, trained from its first weights on these images alone" in card
    assert "| weights | trained from scratch on these images" in card

    _, winner = choose(f"sqlite:///{tmp_path}/automl-cv.db", "kinds", "scratch/0")
    stage, parameters = study.stage("scratch"), winner.facts.parameters
    trial = plan(study, stage, 0, parameters, seed=manifest.fitting.seeds[0])
    task = (order, trial, winner.replay, tested)
    (tmp_path / "task.pickle").write_bytes(pickle.dumps(task))
    command = [sys.executable, "-m", "tests.end_to_end.trained_again", str(tmp_path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    trained = np.load(tmp_path / "trained.npz")
    for number, weights in enumerate(saved_network.load(saved).get_layer("network").get_weights()):
        np.testing.assert_array_equal(weights, trained[f"arr_{number}"])
    names = [saved.classes[number] for number in trained["logits"].argmax(axis=1)]
    assert np.mean(np.equal(names, labels)) > 0.95, "rounded pixels may tip one that is close"
