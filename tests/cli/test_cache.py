"""`automl-cv cache`: what it lists, and what it removes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.filesize import decimal
from typer.testing import CliRunner

from automl_cv.cli.app import build
from automl_cv.features import FeatureCache, Recipe
from automl_cv.features.pixels import PixelCache
from automl_cv.orders.images import FOLDER

RECIPE = Recipe(
    backbone="[red]tiny",
    network="tests:tiny()",
    block_outputs=".*",
    weights="blake2b:0123",
    preprocessing="none",
    image_size=8,
)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """Return a cache of features, pixels, a data set, an inspection, and a stranger's file."""
    folder = tmp_path / "cache"
    FeatureCache(folder).add(RECIPE, ["a", "b"], [np.zeros((2, 3), np.float32)])
    PixelCache(folder).write(["a", "b", "c"], 8, [np.zeros((3, 8, 8, 3), np.uint8)])
    for name, content in {
        "datasets/digits/0/00000.png": "123",
        "datasets/digits/1/00001.png": "1234",
        "inspections/0.json": "{}",
        f"{FOLDER}/0/index.json": "{}",
        "mine.txt": "not automl-cv's",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def invoke(cache_dir: Path, *arguments: str):
    return CliRunner().invoke(build(), ["cache", "--cache-dir", str(cache_dir), *arguments])


def test_the_table_explains_each_entry(cache_dir):
    shown = invoke(cache_dir)
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    key, date = RECIPE.key, r"\d{4}-\d\d-\d\d \d\d:\d\d"
    for pattern in (
        rf"features \[red\]tiny, 8 px, weights blake2b:0123 2 [\d.]+ (bytes|kB) {date} "
        rf"features/{key}",
        rf"pixels images decoded, at 8 px 3 [\d.]+ (bytes|kB) {date} pixels/\w+",
        rf"data set digits 2 7 bytes {date} datasets/digits",
        rf"inspections what `data` and `search` read 1 2 bytes {date} inspections",
    ):
        assert any(re.fullmatch(pattern, line) for line in lines), shown.stdout


def test_json_holds_the_whole_recipe(cache_dir):
    listed = json.loads(invoke(cache_dir, "--format", "json").stdout)
    assert listed["folder"] == str(cache_dir)
    features, _, digits, inspections, lists = listed["entries"]
    assert features["recipe"] == {
        "backbone": "[red]tiny",
        "network": "tests:tiny()",
        "block_outputs": ".*",
        "weights": "blake2b:0123",
        "preprocessing": "none",
        "image_size": 8,
        "pooling": "average",
        "view": None,
        "precision": "float32",
    }
    assert (digits["n_items"], digits["n_bytes"], digits["recipe"]) == (2, 7, None)
    assert inspections["folder"] == "inspections"
    assert lists["folder"] == FOLDER, "as those who write them call it"


def test_features_of_another_version_are_listed_too(cache_dir):
    (cache_dir / "features" / RECIPE.key / "recipe.json").write_text('{"unheard": "of"}')
    assert "of another version of automl-cv, or damaged" in invoke(cache_dir).stdout


def test_clear_removes_what_is_ours(cache_dir):
    files = [path for path in cache_dir.rglob("*") if path.is_file() and path.name != "mine.txt"]
    n_bytes = sum(path.stat().st_size for path in files)
    cleared = invoke(cache_dir, "--clear")
    assert cleared.exit_code == 0
    assert cleared.stderr == f"freed {decimal(n_bytes)} in {cache_dir}\n"
    assert cleared.stdout == ""
    assert [path.name for path in cache_dir.iterdir()] == ["mine.txt"]
    assert invoke(cache_dir).stderr == f"the cache {cache_dir} is empty\n"
    assert "freed 0 bytes" in invoke(cache_dir, "--clear").stderr


def test_no_cache_is_an_empty_cache(tmp_path):
    nowhere = tmp_path / "nowhere"
    assert invoke(nowhere).stderr == f"the cache {nowhere} is empty\n"
    assert json.loads(invoke(nowhere, "--format", "json").stdout)["entries"] == []
    assert not nowhere.exists(), "looking does not make it"


@pytest.mark.slow
def test_tensorflow_is_not_loaded(cache_dir):
    code = (
        "import sys\nfrom automl_cv.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'tensorflow', 'keras', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    arguments = ["cache", "--cache-dir", str(cache_dir)]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
