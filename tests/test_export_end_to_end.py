"""From a search to predictions on unseen images in each export's own runtime, in subprocesses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_cv.catalog.exports import EXPORTS
from automl_cv.data import dataset
from automl_cv.library import load
from automl_cv.models import folder as models
from tests.conftest import CONSOLE_SCRIPT, environment
from tests.test_docs import ROOT, blocks

STUDY = """
extends = "quickstart"
name = "small"
[[stage]]
name = "coarse"
trials = 3
epochs = 6
[[stage]]
name = "narrowed"
trials = 1
epochs = 4
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 2, repeats = 2 }
[[stage]]
name = "augmented"
retrain = { stages = "finalists", top = 1, repeats = 2 }
augmentation = { width_shift = 0.05, zoom = 0.1 }
views = 2
"""

# A program that knows the export alone.
PROGRAM = """
import json, sys
import numpy as np
from PIL import Image

RUNTIME
facts = json.load(open(f"{out}/export.json"))
resize = facts["input"]["resize"]
for path in sys.argv[2:]:
    image = Image.open(path).convert("RGB")
    if resize:
        size = (resize["width"], resize["height"])
        channels = [channel.convert("F").resize(size, Image.Resampling.BILINEAR)
                    for channel in image.split()]
        image = np.stack([np.asarray(channel) for channel in channels], axis=-1)
    batch = np.asarray(image, facts["input"]["dtype"])[None]
    print(json.dumps(np.asarray(run(batch)[0]).tolist()))
assert "automl_cv" not in sys.modules
"""

RUNTIMES = {
    "savedmodel": """
import tensorflow as tf
out = sys.argv[1]
loaded = tf.saved_model.load(f"{out}/saved_model")
run = loaded.serve
""",
    "onnx": """
import onnxruntime
out = sys.argv[1]
session = onnxruntime.InferenceSession(f"{out}/model.onnx", providers=["CPUExecutionProvider"])
run = lambda batch: session.run(None, {"pixels": batch})[0]
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
out = sys.argv[1]
signature = Interpreter(model_path=f"{out}/model.tflite").get_signature_runner()
run = lambda batch: next(iter(signature(pixels=batch).values()))
""",
    "openvino": """
import openvino
out = sys.argv[1]
exact = {"INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(f"{out}/model.xml", "CPU", exact)
run = lambda batch: compiled({"pixels": batch})[0]
""",
}

SIZES = [(8, 8), (24, 17), (61, 90)]


def run(folder: Path, cache_dir: Path, *words: object, check: bool = True):
    done = subprocess.run(
        [*map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(cache_dir),
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, cache_dir) -> Path:
    """Search and fit; return the folder with `model/` and unseen pictures in `photos/`."""
    made = tmp_path_factory.mktemp("fitted")
    (made / "small.toml").write_text(STUDY)
    run(made, cache_dir, CONSOLE_SCRIPT, "search", "./small.toml", "--quiet")
    run(made, cache_dir, CONSOLE_SCRIPT, "fit", "small", "--out", "model", "--calibrate", "--quiet")
    assert models.read(made / "model").manifest.calibration.temperature != 1, "it is in the graph"
    study = load(str(made / "small.toml"))
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    (made / "photos").mkdir()
    for number, path in enumerate(images.rows("test")["path"][::9], start=1):
        with Image.open(path) as image:
            scaled = image.convert("RGB").resize(SIZES[number % 3])
        scaled.save(made / "photos" / f"{number}.png")
    return made


@pytest.fixture(scope="module")
def predicted(fitted, cache_dir) -> pd.DataFrame:
    """Return what `predict` says of the unseen pictures, in Keras."""
    run(fitted, cache_dir, CONSOLE_SCRIPT, "predict", "model", "photos", "--out", "photos.csv")
    table = pd.read_csv(fitted / "photos.csv", dtype={"label": str})
    assert len(table) == 40 and table["label"].nunique() == 10
    return table


def needs(form: str):
    """Return a form of export, skipped where its packages are absent."""
    missing = [name for name in EXPORTS[form].needs if importlib.util.find_spec(name) is None]
    reason = f"not installed: {', '.join(missing)}"
    return pytest.param(form, marks=pytest.mark.skipif(bool(missing), reason=reason))


@pytest.mark.parametrize("form", [needs(name) for name in EXPORTS.names])
def test_the_same_images_give_the_same_classes_in_every_runtime(form, fitted, predicted, cache_dir):
    out = f"model-{form}"
    done = run(fitted, cache_dir, CONSOLE_SCRIPT, "export", "model", "--format", form)
    assert "largest difference" in done.stderr and "(tolerance 0.0001)" in done.stderr
    facts = json.loads((fitted / out / "export.json").read_text())
    assert facts["compared"]["sizes"] >= 3
    assert (facts["input"]["resize"] is None) == EXPORTS[form].takes_any_size

    program = PROGRAM.replace("RUNTIME", RUNTIMES[form])
    lines = run(fitted, cache_dir, sys.executable, "-P", "-c", program, out, *predicted["path"])
    shares = np.array([json.loads(line) for line in lines.stdout.splitlines()])
    assert [facts["classes"][place] for place in shares.argmax(axis=1)] == list(predicted["label"])
    np.testing.assert_allclose(shares.max(axis=1), predicted["probability"], atol=1e-4)


@pytest.mark.parametrize("form", [needs("onnx")])
def test_the_program_in_the_documents_runs(form, fitted, predicted, cache_dir):
    run(fitted, cache_dir, CONSOLE_SCRIPT, "export", "model", "--format", form)
    (program,) = [text for text in blocks(ROOT / "docs" / "models.md", "python") if "onnx" in text]
    said = run(fitted, cache_dir, sys.executable, "-P", "-c", program).stdout.strip()
    first = predicted.set_index("path").loc["photos/1.png"]
    assert said == first["label"]


def test_given_images_are_compared_on_and_none_is_a_mistake(fitted, predicted, cache_dir, tmp_path):
    words = [CONSOLE_SCRIPT, "export", "model", "--format", "savedmodel", "--out", tmp_path / "out"]
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"no picture")
    done = run(fitted, cache_dir, *words, "--images", tmp_path / "bad", check=False)
    assert done.returncode == 2
    assert "none of 1 files is an image" in done.stderr
    assert not (tmp_path / "out").exists()
    done = run(fitted, cache_dir, *words, "--images", tmp_path / "bad", "--images", "photos")
    assert "on 32 images of 3 sizes" in done.stderr


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
def test_wrong_use_is_one_line(words, message, fitted, predicted, cache_dir):
    done = run(fitted, cache_dir, CONSOLE_SCRIPT, "export", *words, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
