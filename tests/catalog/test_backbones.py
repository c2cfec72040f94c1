"""The table of backbones, as far as it can be read without TensorFlow."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.weights import keras_models_folder

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


@pytest.mark.parametrize("entry", BACKBONES, ids=lambda entry: entry.name)
def test_weights_are_embedded_or_come_from_elsewhere_with_a_hash(entry):
    weights = entry.weights
    assert weights.about and weights.licence
    if weights.embedded:
        assert not weights.digest
        assert weights.path.is_file(), "embedded weights come with the package"
    elif weights.package:
        assert weights.algorithm == "sha256" and not weights.url
        assert weights.path.parts[-3] == weights.package
        extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
        for extra in (weights.extra, "test"):
            assert any(one.startswith(f"{weights.distribution}==") for one in extras[extra])
    else:
        assert weights.algorithm in ("md5", "sha256")
        assert weights.url.endswith(weights.file_name)
        assert weights.path.parent == keras_models_folder()


def test_keras_home_moves_the_downloads(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert keras_models_folder() == tmp_path / "models"
    assert BACKBONES["ResNet50"].weights.path.parent == tmp_path / "models"
    monkeypatch.delenv("KERAS_HOME")
    assert keras_models_folder() == Path.home() / ".keras" / "models"
