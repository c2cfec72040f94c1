"""What "auto" stands for, where no run has decided it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.engines import ENGINES, EngineEntry
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, engines, recipe
from automl_cv.features.engines import suited
from automl_cv.study.studyfile import Backbone

LITE = Backbone(name="ResNet50")
MANY = [str(number) for number in range(ENGINES["openvino"].worthwhile)]


def processor(flags: str, folder: Path, monkeypatch) -> None:
    """Have Linux tell what the processor can."""
    (folder / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\n")
    monkeypatch.setattr(engines, "CPUINFO", folder / "cpuinfo")


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch) -> None:
    """All engines are installed, on a machine of the usual kind."""
    processor("avx2 avx512f", tmp_path, monkeypatch)
    monkeypatch.setattr(EngineEntry, "missing", ())
    monkeypatch.setattr(engines, "_has_gpu", lambda: False)
    monkeypatch.setattr(engines.platform, "machine", lambda: "x86_64")


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path)


def test_another_engine_is_taken_where_there_is_much_to_do(cache, monkeypatch):
    assert suited([LITE], MANY, cache) == "openvino"
    assert suited([LITE], MANY[1:], cache) == "tensorflow"
    assert suited([Backbone(), LITE], MANY, cache) == "openvino"
    assert suited([Backbone()], MANY, cache) == "tensorflow", "pixels count, not images"
    monkeypatch.setattr(engines, "_has_gpu", lambda: True)
    assert suited([LITE], MANY, cache) == "tensorflow"


def test_the_processor_decides_among_engines_that_are_worth_it(cache, tmp_path, monkeypatch):
    many = MANY * 10
    assert suited([LITE], many, cache) == "openvino"
    processor("avx2", tmp_path, monkeypatch)
    assert suited([LITE], many, cache) == "onnxruntime"
    monkeypatch.setattr(engines, "CPUINFO", tmp_path / "absent")
    assert suited([LITE], many, cache) == "openvino"


def test_what_tensorflow_has_made_is_taken(cache):
    half = MANY[::2]
    features = [np.zeros((len(half), 3), np.float32)]
    cache.add(recipe(LITE), half[1:], [features[0][1:]])
    assert suited([LITE], MANY, cache) == "openvino"
    cache.add(recipe(LITE), half, features)
    assert suited([Backbone(), LITE], MANY, cache) == "tensorflow"


def test_only_what_is_installed_and_can(cache, monkeypatch):
    coarse = LITE.model_copy(update={"precision": "bfloat16"})
    assert suited([coarse], MANY[:1], cache) == "openvino"
    monkeypatch.setattr(EngineEntry, "missing", property(lambda entry: entry.needs))
    assert suited([LITE], MANY * 10, cache) == "tensorflow"
    assert suited([LITE.model_copy(update={"precision": "float16"})], MANY, cache) == "tensorflow"
    with pytest.raises(UserError, match="'bfloat16' needs the engine openvino, not installed"):
        suited([coarse], MANY, cache)
