"""`automl-cv maps`: what it writes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from automl_cv.cli.app import build
from tests.engine.test_maps import write_classifier
from tests.later import later

with later():
    import keras
    from keras import layers

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

COMPACT_LAYERS = [
    "01-stage2_block1_preact_relu.png",
    "02-stage3_block1_preact_relu.png",
    "03-stage4_block1_preact_relu.png",
]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def invoke(*arguments: str | Path):
    return CliRunner().invoke(build(), ["maps", *map(str, arguments)])


def refusal(*arguments: str | Path) -> str:
    """Return the error of a call that ends with exit code 2."""
    error = invoke(*arguments).exception
    assert getattr(error, "exit_code", None) == 2, repr(error)
    return str(error)


@pytest.mark.slow
def test_a_backbone(run, picture, tmp_path):
    done = run("maps", "compact", str(picture), "--out", "new/maps")
    written = ["overview.png", *COMPACT_LAYERS, "04-post_relu.png"]
    assert done.stdout.splitlines() == [f"new/maps/{name}" for name in written]
    assert done.stderr == (
        "no class maps: compact does not end in scores of classes: class maps need a trained "
        "model, which `automl-cv fit` makes\n"
    )
    assert sorted(path.name for path in (tmp_path / "new/maps").iterdir()) == sorted(written)
    for name in written:
        with Image.open(tmp_path / "new/maps" / name) as image:
            assert image.format == "PNG" and min(image.size) > 200


@pytest.mark.slow
def test_a_saved_classifier(picture, tmp_path):
    saved, out = tmp_path / "saved", tmp_path / "maps"
    write_classifier(saved)
    done = invoke(saved, picture, "--class", "dog", "--out", out)
    assert done.exception is None
    names = [
        *("overview.png", *COMPACT_LAYERS),
        "04-post_relu.png",
        "grad-cam.png",
        "score-cam.png",
    ]
    assert done.stdout.split() == [str(out / name) for name in names]
    assert done.stderr.startswith("class dog: probability 0.")
    message = refusal(saved, picture, "--class", "dgo", "--out", out)
    assert message.endswith("knows no class 'dgo': did you mean 'dog'? known: cat, dog, bird")
    assert refusal(saved, picture, "--image-size", "32", "--out", out) == (
        f"--image-size: {saved} takes 16 pixels; leave the option out"
    )


def test_named_layers_of_a_file(picture, tmp_path):
    path, out = tmp_path / "mine.keras", tmp_path / "maps"
    keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(2, 3, name="first"),
            layers.Conv2D(2, 3, name="second"),
        ]
    ).save(path)
    done = invoke(path, picture, "--layers", "second, first,second", "--out", out, "--quiet")
    assert [Path(line).name for line in done.stdout.split()] == [
        *("overview.png", "01-second.png", "02-first.png")
    ]
    assert done.stderr == ""
    assert "no layer 'third': 2 layers give" in refusal(
        path, picture, "--layers", "third", "--out", out
    )


@pytest.mark.slow
def test_what_is_refused(picture, tmp_path):
    out = tmp_path / "maps"
    words = tmp_path / "words.png"
    words.write_text("words")
    pickled = tmp_path / "pickled.keras"
    pickled.write_bytes(b"\x80\x04.")
    for arguments, message in {
        ("compact", words): f"{words}: not an image; expected an image, such as PNG or JPEG",
        ("compact", tmp_path / "none.png"): "can't be read: No such file or directory",
        ("compcat", picture): "no backbone: did you mean 'compact'? known: compact, ",
        (tmp_path / "none.keras", picture): f"{tmp_path / 'none.keras'}: no such file",
        (tmp_path, picture): "bundle.json: missing; expected a folder that `automl-cv fit` wrote",
        (pickled, picture): "no network that Keras saved",
        (pickled, picture, "--weights", "x"): "brings its own; leave the option out",
        ("ResNet50", picture, "--weights", "none.h5"): "--weights: no such file: none.h5",
        ("compact", picture, "--weights", "imagenet"): "--weights: there are no ImageNet weights",
        ("compact", picture, "--class", "cat"): "--class cat: compact does not end in scores",
    }.items():
        refused = refusal(*arguments, "--out", out)
        assert message in refused and "\n" not in refused
    assert not out.exists()
    assert "can't be written to: File exists" in refusal("compact", picture, "--out", words)


def test_weights_that_are_not_at_hand(picture, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # Nothing answers there, so that nothing is downloaded where there is a network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = refusal("ResNet50", picture, "--out", tmp_path / "maps")
    assert message.startswith("the ImageNet weights of ResNet50 are not at hand")
    assert f"into {tmp_path / 'models'}, or name a file with --weights; " in message


@pytest.mark.slow
def test_a_wrong_call_loads_no_tensorflow(picture, tmp_path):
    code = (
        "import sys\nfrom automl_cv.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code)\n"
        "print(sorted({'tensorflow', 'keras', 'optuna'} & set(sys.modules)))"
    )
    arguments = ["maps", "compcat", str(picture), "--out", str(tmp_path / "maps")]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-3:-1] == ["2", "[]"]
