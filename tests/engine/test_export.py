"""Exported graphs: what they give is what Keras gives, or they are not written."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.exports import EXPORTS
from automl_cv.data import file_kinds
from automl_cv.data.images import Window
from automl_cv.errors import AutomlError, UserError
from automl_cv.saved import folder
from automl_cv.saved.export import check_target
from automl_cv.solving.distance import fitted
from tests.later import later
from tests.saved.saved import MANIFEST

with later():
    import keras
    from keras import layers

    from automl_cv.engine import export, export_runtimes, saved_network

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ("cat", "dog", "mouse")
ORDER = ("probabilities", "distance")


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


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("files")
    for number in range(3):
        picture = Image.fromarray(draw.integers(0, 256, (9, 13, 3), np.uint8))
        picture.save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def shifted(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: [run(batch)[0] + 0.001]


def confused(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: [run(batch)[0][:, ::-1]]


def lost(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: [run(batch)[0] * np.nan]


def turned(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: run(batch)[::-1]


def near(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: [run(batch)[0], run(batch)[1] * 0.9]


def blind(path: Path) -> export_runtimes.Run:
    run = export_runtimes.savedmodel(path)
    return lambda batch: run(batch)[:1]


def places(out: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.rglob("*")}


def unreadable(path: Path) -> export_runtimes.Run:
    raise RuntimeError("unknown operation\nand a long story")


@pytest.mark.slow
def test_an_export_says_what_it_takes_and_what_was_compared(saved, files, tmp_path):
    out = tmp_path / "out"
    made = export.export(saved, EXPORTS["savedmodel"], files, out)
    names = ["export.json", "preprocess.py", "saved_model"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert json.loads((out / "export.json").read_text()) == made.model_dump(mode="json")
    assert made.classes == CLASSES
    assert made.input.shape == (None, None, None, 3)
    assert made.input.resize is None
    compared = made.compared
    assert compared.sizes == 3, "as they are, small, large"
    assert set(compared.kinds) == {"given", *file_kinds.KINDS} - {"float grey.tiff"}
    assert all(kind.same_class == kind.files > 0 for kind in compared.kinds.values())
    assert compared.kinds["given"].largest_difference <= compared.tolerance


@pytest.mark.slow
def test_a_graph_of_two_products_takes_files_of_every_kind(saved, files, tmp_path):
    """What LiteRT and OpenVINO are given, here in TensorFlow."""
    entry = dataclasses.replace(
        EXPORTS["savedmodel"], writer="automl_cv.engine.export_graphs:with_products"
    )
    made = export.export(saved, entry, files, tmp_path / "out")
    assert made.input.dtype == "uint8"
    run = export_runtimes.savedmodel(tmp_path / "out" / "saved_model")
    preprocess = runpy.run_path(str(tmp_path / "out" / "preprocess.py"))["preprocess"]
    expected = saved_network.load(saved)(np.asarray(Image.open(files[0]))[None]).numpy()
    np.testing.assert_allclose(run(preprocess(files[0]))[0], expected, atol=1e-5)


@pytest.fixture(scope="module")
def knowing(tmp_path_factory) -> folder.SavedClassifier:
    """Return a small classifier that knows foreign images."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 3), name="resized_pixels")
    features = layers.Flatten(name=saved_network.FEATURES)(layers.Rescaling(1 / 255)(pixels))
    network = keras.Model(pixels, layers.Dense(3)(features), name="network")
    known = np.random.default_rng(0).normal(0.5, 0.2, (300, 192)).astype(np.float32)
    out = tmp_path_factory.mktemp("knowing") / "model"
    with folder.replacing(out) as temporary:
        saved_network.save(network, temporary / folder.NETWORK, distance=(fitted(known), 2.0))
        folder.complete(temporary, MANIFEST, CLASSES, "")
    return folder.read(out)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_distance_is_exported_whichever_comes_first(knowing, files, tmp_path):
    expected = saved_network.load_whole(knowing)(np.asarray(Image.open(files[0]))[None])
    for target, outputs in (("savedmodel", ORDER), (f"{__name__}:turned", ORDER[::-1])):
        name = target if ":" in target else f"automl_cv.engine.export_runtimes:{target}"
        entry = dataclasses.replace(EXPORTS["savedmodel"], target=name)
        made = export.export(knowing, entry, files, tmp_path / "out")
        assert made.outputs == outputs
        assert made.compared.distance_difference <= 1e-5
    found = export_runtimes.savedmodel(tmp_path / "out" / "saved_model")(
        np.asarray(Image.open(files[0]))[None]
    )
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4)


@pytest.mark.slow
def test_a_graph_that_lost_its_distance_or_moved_it_is_not_written(knowing, files, tmp_path):
    for target, message in (("near", "other distances"), ("blind", "numbers of the shapes")):
        entry = dataclasses.replace(EXPORTS["savedmodel"], target=f"{__name__}:{target}")
        with pytest.raises(AutomlError, match=message):
            export.export(knowing, entry, files, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fixed_size_leaves_resizing_to_preprocess(saved, files, tmp_path):
    made = export.export(saved, EXPORTS["savedmodel"], files, tmp_path / "out", fixed_size=True)
    assert made.input.shape == (None, 8, 8, 3) and made.input.dtype == "float32"
    assert made.input.resize.height == 8
    assert made.compared.images == len(files) + 2 * (len(file_kinds.KINDS) - 1)


@pytest.mark.slow
def test_a_file_that_is_opened_as_another_picture_fails_the_export(
    saved, files, tmp_path, monkeypatch
):
    """Here export.json says another window than the classifier has."""
    wrong = export.taken(saved_network.load(saved), Window(0, 500), fixed_size=False)
    monkeypatch.setattr(export, "taken", lambda *_, **__: wrong)
    with pytest.raises(AutomlError, match=r"makes another image of a file \(16-bit grey\.png\)"):
        export.export(saved, EXPORTS["savedmodel"], files, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (shifted, "largest difference 0.001 of the files that were given"),
        pytest.param(confused, "another class on", marks=pytest.mark.exhaustive),
        pytest.param(lost, "largest difference inf ", marks=pytest.mark.exhaustive),
        (unreadable, "unknown operation; nothing"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_failed_comparison_leaves_the_older_export(target, message, saved, files, tmp_path):
    out = tmp_path / "out"
    export.export(saved, EXPORTS["savedmodel"], files, out)
    before = places(out)
    wrong = dataclasses.replace(
        EXPORTS["savedmodel"], name="wrong", target=f"{__name__}:{target.__name__}"
    )
    with pytest.raises(AutomlError, match=message) as raised:
        export.export(saved, wrong, files, out)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.exit_code == 1
    assert places(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_folders_of_others_are_not_replaced(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "preprocess.py").write_bytes(b"")
    (tmp_path / "__pycache__").mkdir()
    check_target(tmp_path, EXPORTS["onnx"])
    with pytest.raises(UserError, match=r"'model\.onnx', which is no file of a classifier"):
        check_target(tmp_path, EXPORTS["litert"])


def test_an_absent_package_is_told_with_what_to_install():
    entry = dataclasses.replace(EXPORTS["onnx"], needs=("json", "no_such_package"))
    with pytest.raises(UserError, match=r"needs the package no_such_package.*'\.\[export\]'"):
        entry.check_installed()
    entry = dataclasses.replace(entry, needs=("no_such_a", "no_such_b"))
    with pytest.raises(UserError, match="the packages no_such_a, no_such_b, which are not inst"):
        entry.check_installed()
