"""The decoder that exports take along gives what `images.decode` gives, and needs nothing of us."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import decoding, file_kinds
from automl_cv.data.images import Window, decode
from tests.conftest import checked

WINDOWS = [None, Window(1000, 1200), Window(0, 1), Window(-1000, 3000)]

# What a program does that has the exported folder alone; whatever else it imports is an error.
PROGRAM = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"automl_cv", "tensorflow", "keras", "scipy", "pandas"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, "exported")
import numpy as np
from preprocess import exported, preprocess

assert exported()["classes"] == ["cat", "dog"]
np.savez("found.npz", **{path: preprocess(path) for path in sys.argv[1:]})
"""


def facts(window, **resized):
    greys = [0, 65535] if window is None else list(window)
    beyond = "refused" if window is None else "cut"
    known = {"background": [255, 255, 255], "greys": greys, "beyond": beyond}
    return {"input": {"dtype": "uint8", "resize": None, "decoding": known, **resized}}


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)


def test_a_program_with_pillow_and_numpy_alone_opens_files_as_the_classifier_does(
    picture, tmp_path
):
    exported = tmp_path / "exported"
    exported.mkdir()
    shutil.copyfile(decoding.__file__, exported / "preprocess.py")
    window = Window(1000, 1200)
    (exported / "export.json").write_text(
        json.dumps({"classes": ["cat", "dog"], **facts(window)}), encoding="utf-8"
    )
    names = list(file_kinds.write(picture, tmp_path, window))
    command = [sys.executable, "-P", "-W", "error", "-c", PROGRAM, *names]
    checked(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60))
    found = np.load(tmp_path / "found.npz")
    assert set(names) == set(file_kinds.KINDS) == set(found)
    for name in names:
        np.testing.assert_array_equal(found[name], decode(tmp_path / name, window)[None], name)


@pytest.mark.parametrize("window", WINDOWS)
def test_every_kind_of_file_is_opened_as_the_classifier_does(window, picture, tmp_path):
    names = list(file_kinds.write(picture, tmp_path, window))
    assert len(names) >= 14
    for name in names:
        found = decoding.preprocess(tmp_path / name, facts(window))
        np.testing.assert_array_equal(found, decode(tmp_path / name, window)[None], name)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")
def test_the_kinds_tell_a_program_that_opens_files_by_itself(picture, tmp_path):
    """Else a comparison on them would say nothing."""
    names = list(file_kinds.write(picture, tmp_path, None))
    other = set()
    for name in names:
        with Image.open(tmp_path / name) as image:
            naive = np.asarray(image.convert("RGB"))
        if not np.array_equal(naive, decode(tmp_path / name)):
            other.add(name.rpartition(".")[0])
    turned = {f"turned {number} by EXIF" for number in (3, 6, 7)}
    clear = {"grey with alpha", "transparent", "transparent palette"}
    assert other == {*turned, *clear, "16-bit grey"}


def test_values_without_a_range_are_refused_where_the_classifier_refuses_them(tmp_path):
    path = tmp_path / "floats.tiff"
    Image.fromarray(np.array([[0.2, 0.8]], np.float32)).save(path)
    with pytest.raises(decoding.UndefinedRange, match="without a defined range"):
        decoding.preprocess(path, facts(None))
    cut = decoding.preprocess(path, facts(Window(0, 65535)))
    np.testing.assert_array_equal(cut, decode(path, Window(0, 65535))[None])


def test_a_graph_of_a_fixed_size_is_given_floats(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "1.png")
    fixed = facts(None, dtype="float32", resize={"height": 20, "width": 31})
    found = decoding.preprocess(tmp_path / "1.png", fixed)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], picture)
    # To one pixel is a mean that bilinear weights take: of 20 and 31, by hand.
    fixed["input"]["resize"] = {"height": 1, "width": 1}
    rows, columns = (1 - abs(np.arange(n) + 0.5 - n / 2) / n for n in (20, 31))
    mean = np.einsum("h,w,hwc->c", rows / rows.sum(), columns / columns.sum(), picture)
    found = decoding.preprocess(tmp_path / "1.png", fixed)
    np.testing.assert_allclose(found[0, 0, 0], mean, atol=1e-3)


@pytest.mark.parametrize(
    "decoded",
    [None, {"background": [255, 255, 255], "greys": [1000, 1200]}],
    ids=["said nothing", "said no more"],
)
def test_older_exports_are_read(decoded, tmp_path):
    Image.fromarray(np.array([[900, 1100, 1300]], np.uint16)).save(tmp_path / "1.png")
    given = {"dtype": "uint8", "resize": None, "decoding": decoded}
    found = decoding.preprocess(tmp_path / "1.png", {"input": given})
    window = None if decoded is None else Window(1000, 1200)
    np.testing.assert_array_equal(found, decode(tmp_path / "1.png", window)[None])


def test_it_imports_pillow_and_numpy_alone():
    imported = set()
    for node in ast.walk(ast.parse(Path(decoding.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy", "PIL"}
