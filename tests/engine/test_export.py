"""Exported graphs: what they give is what Keras gives, or they are not written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.exports import EXPORTS
from automl_cv.errors import AutomlError, UserError
from automl_cv.saved import folder
from automl_cv.saved.export import check_target
from tests.later import later
from tests.saved.saved import MANIFEST

with later():
    import keras
    from keras import layers

    from automl_cv.engine import export, export_runtimes, saved_network

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ("cat", "dog", "mouse")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> folder.SavedClassifier:
    """Return a small classifier whose probabilities are far from each other."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 3), name="resized_pixels")
    hidden = layers.Normalization(mean=[120.0, 130, 110], variance=[900.0, 800, 700])(pixels)
    network = keras.Model(pixels, layers.Dense(3)(layers.Flatten()(hidden)), name="network")
    out = tmp_path_factory.mktemp("saved") / "model"
    with folder.replacing(out) as temporary:
        saved_network.save(network, temporary / folder.NETWORK)
        folder.complete(temporary, MANIFEST, CLASSES, "")
    return folder.read(out)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (9, 13, 3), np.uint8) for _ in range(4)]


def shifted(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: run(batch) + 0.001


def confused(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: run(batch)[:, ::-1]


def lost(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: run(batch) * np.nan


def places(out: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.rglob("*")}


def unreadable(path: Path) -> export_runtimes.Run:
    raise RuntimeError("unknown operation\nand a long story")


def test_an_export_says_what_it_takes_and_what_was_compared(saved, pictures, tmp_path):
    out = tmp_path / "out"
    made = export.export(saved, EXPORTS["savedmodel"], pictures, out)
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "saved_model"]
    assert json.loads((out / "export.json").read_text()) == made.model_dump(mode="json")
    assert made.classes == CLASSES
    assert made.input.shape == (None, None, None, 3)
    assert made.input.resize is None
    assert made.compared.sizes == 3, "scaled copies join pictures of one size"
    assert made.compared.largest_difference <= made.compared.tolerance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (shifted, "largest difference 0.001 "),
        (confused, "another class on"),
        (lost, "largest difference inf "),
        (unreadable, "unknown operation; nothing"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_failed_comparison_leaves_the_older_export(target, message, saved, pictures, tmp_path):
    out = tmp_path / "out"
    export.export(saved, EXPORTS["savedmodel"], pictures, out)
    before = places(out)
    wrong = dataclasses.replace(
        EXPORTS["savedmodel"], name="wrong", target=f"{__name__}:{target.__name__}"
    )
    with pytest.raises(AutomlError, match=message) as raised:
        export.export(saved, wrong, pictures, out)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.exit_code == 1
    assert places(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_folders_of_others_are_not_replaced(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    check_target(tmp_path, EXPORTS["onnx"])
    with pytest.raises(UserError, match=r"'model\.onnx', which is no file of a classifier"):
        check_target(tmp_path, EXPORTS["litert"])


def test_an_absent_package_is_told_with_what_to_install():
    entry = dataclasses.replace(EXPORTS["onnx"], needs=("json", "no_such_package"))
    with pytest.raises(UserError, match=r"needs the package no_such_package.*automl-cv\[export\]"):
        entry.check_installed()
    entry = dataclasses.replace(entry, needs=("no_such_a", "no_such_b"))
    with pytest.raises(UserError, match="the packages no_such_a, no_such_b, which are not inst"):
        entry.check_installed()
