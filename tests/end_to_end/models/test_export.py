"""From a search to predictions on unseen images in each export's own runtime, in subprocesses."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_cv.catalog.exports import EXPORTS
from automl_cv.data import dataset, file_kinds
from automl_cv.data.images import decode
from automl_cv.saved import folder
from automl_cv.study import studyfile
from tests.conftest import checked, run_script
from tests.in_process import run_here
from tests.test_docs import ROOT, blocks

pytestmark = pytest.mark.slow


# A program that knows the export alone.
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from preprocess import exported, preprocess

RUNTIME
for path in sys.argv[2:]:
    found = dict(zip(exported()["outputs"], run(preprocess(path))))
    print(json.dumps([found[name][0].tolist() for name in ("probabilities", "distance")]))
assert "automl_cv" not in sys.modules
"""

RUNTIMES = {
    "savedmodel": """
import tensorflow as tf
out = sys.argv[1]
loaded = tf.saved_model.load(f"{out}/saved_model")
run = lambda batch: [output.numpy() for output in loaded.serve(batch)]
""",
    "onnx": """
import onnxruntime
out = sys.argv[1]
session = onnxruntime.InferenceSession(f"{out}/model.onnx", providers=["CPUExecutionProvider"])
run = lambda batch: session.run(None, {"pixels": batch})
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
out = sys.argv[1]
graph = Interpreter(model_path=f"{out}/model.tflite")
(given,), results = graph.get_input_details(), graph.get_output_details()


def run(batch):
    graph.resize_tensor_input(given["index"], batch.shape)
    graph.allocate_tensors()
    graph.set_tensor(given["index"], batch)
    graph.invoke()
    return [graph.get_tensor(result["index"]) for result in results]
""",
    "openvino": """
import openvino
out = sys.argv[1]
exact = {"INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(f"{out}/model.xml", "CPU", exact)
run = lambda batch: list(compiled({"pixels": batch}).values())
""",
}

SIZES = [(8, 8), (24, 17), (61, 90)]
WRITTEN = "written"  # a folder of one image as files of every kind


@pytest.fixture(scope="module")
def made(tmp_path_factory, calibrated, cache_dir) -> Path:
    """Return a folder with a classifier in `model/` and unseen images in `photos/`."""
    made = tmp_path_factory.mktemp("exports")
    shutil.copytree(calibrated, made / "model")
    manifest = folder.read(calibrated).manifest
    assert manifest.calibration.temperature != 1, "it is in the graph"
    study = studyfile.parse(manifest.study, "the manifest")
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    (made / "photos").mkdir()
    for number, path in enumerate(images.rows("test")["path"][::9], start=1):
        with Image.open(path) as image:
            scaled = image.convert("RGB").resize(SIZES[number % 3])
        scaled.save(made / "photos" / f"{number}.png")
    (made / WRITTEN).mkdir()
    picture = decode(made / "photos" / "1.png")
    assert len(list(file_kinds.write(picture, made / WRITTEN, None))) > 12
    return made


@pytest.fixture(scope="module")
def predicted(made, cache_dir) -> pd.DataFrame:
    """Return what `predict` says of the unseen images, in Keras."""
    run_here(made, cache_dir, "predict", "model", "photos", WRITTEN, "--out", "photos.csv")
    table = pd.read_csv(made / "photos.csv", dtype={"label": str})
    assert len(table) > 52 and table["label"].nunique() == 10
    return table


@pytest.fixture(scope="module")
def exported(made, cache_dir):
    """Return a function that exports the classifier once a form, and what the command said.

    In a process of its own: converters warn of what is old, and in tests a warning is an error.
    """
    return functools.cache(
        lambda form: run_script(made, cache_dir, "export", "model", "--format", form).stderr
    )


def programmed(program: str, made: Path, *words: str) -> str:
    """Run a program that must not find this package's sources; return what it printed."""
    command = [sys.executable, "-P", "-c", program, *words]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=300)
    return checked(done).stdout


def needs(form: str):
    """Return a form of export, skipped where its packages are absent."""
    missing = [name for name in EXPORTS[form].needs if importlib.util.find_spec(name) is None]
    reason = f"not installed: {', '.join(missing)}"
    return pytest.param(form, marks=pytest.mark.skipif(bool(missing), reason=reason))


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("form", [needs(name) for name in EXPORTS.names])
def test_the_same_images_give_the_same_classes_in_every_runtime(form, made, predicted, exported):
    out = f"model-{form}"
    said = exported(form)
    assert "largest difference" in said and "(tolerance 0.0001)" in said
    facts = json.loads((made / out / "export.json").read_text())
    assert facts["compared"]["sizes"] >= 3
    assert facts["input"]["resize"] is None and facts["input"]["dtype"] == "uint8"

    program = PROGRAM.replace("RUNTIME", RUNTIMES[form])
    lines = programmed(program, made, out, *predicted["path"]).splitlines()
    shares, distances = (np.array(one) for one in zip(*map(json.loads, lines), strict=True))
    assert [facts["classes"][place] for place in shares.argmax(axis=1)] == list(predicted["label"])
    # Where it is unsure, of small and clear images, rounding moves it.
    is_plain = predicted["path"].str.startswith("photos")
    differences = abs(shares.max(axis=1) - predicted["probability"])
    assert differences[is_plain].max() <= 1e-4 and differences.max() <= 0.01
    np.testing.assert_allclose(distances[:, 0], predicted["distance"], rtol=0.01)


@pytest.mark.exhaustive
@pytest.mark.parametrize("form", [needs("onnx")])
def test_the_program_in_the_documents_runs(form, made, predicted, exported):
    exported(form)
    (program,) = [
        text for text in blocks(ROOT / "docs" / "models.md", "python") if "onnxruntime" in text
    ]
    said = programmed(program, made).strip()
    first = predicted.set_index("path").loc["photos/1.png"]
    assert said == first["label"]


@pytest.mark.exhaustive
def test_given_images_are_compared_on_and_none_is_a_mistake(call, made, tmp_path):
    words = ["export", "model", "--format", "savedmodel", "--out", tmp_path / "out"]
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"no image")
    done = call(*words, "--images", tmp_path / "bad", check=False, folder=made)
    assert done.returncode == 2
    assert "none of 1 files is an image" in done.stderr
    assert not (tmp_path / "out").exists()
    done = call(*words, "--images", tmp_path / "bad", "--images", "photos", folder=made)
    assert "on 32 of yours" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model", "--format", "onx"], "did you mean 'onnx'"),
        (["absent", "--format", "savedmodel"], "expected a folder that `automl-cv fit` wrote"),
        (["model", "--format", "savedmodel", "--out", "photos"], "no file of a classifier"),
        (["model", "--format", "savedmodel", "--out", "absent/x"], "does not exist"),
        (["model", "--format", "savedmodel", "--images", "*.gif"], "matches no file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_line(words, message, call, made, predicted):
    done = call("export", *words, check=False, folder=made)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
