"""How many images pass a GPU at once; what is measured runs on processors too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data.images import content_hash, decode
from automl_cv.features import FeatureCache, recipe
from automl_cv.study.studyfile import Backbone
from tests.later import later

with later():
    import tensorflow as tf

    from automl_cv.engine import batch_sizes
    from automl_cv.engine.extract import BATCH_SIZE, extract
    from tests.engine import tiny


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        ({16: 1.0, 32: 1.0, 64: 1.1, 128: 2.1}, 512, 64),
        ({16: 1.0, 32: 1.9}, 512, 16),
        ({16: 1.0, 32: 1.0, 64: None}, 512, 32),
        ({16: 1.0, 32: 1.0}, 63, 32),
        ({16: 1.0}, 4, 16),
    ],
    ids=["no faster", "at once", "no memory", "the most", "the least"],
)
def test_a_batch_is_doubled_as_long_as_it_gains(seconds, most, expected):
    def seconds_of(size: int) -> float:
        if seconds[size] is None:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return seconds[size]

    assert batch_sizes.doubled(seconds_of, 16, most) == expected


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_what_was_found_is_kept_and_gives_the_same_features(tmp_path, monkeypatch):
    draw, paths = np.random.default_rng(0), [tmp_path / f"{number:02d}.png" for number in range(21)]
    for path in paths:
        Image.fromarray(draw.integers(1, 256, (9, 9, 3), np.uint8)).save(path)
    hashes = [content_hash(decode(path)) for path in paths]
    tiny.write_weights(tmp_path / "tiny.weights.h5")

    def features(folder: Path) -> tuple[FeatureCache, np.ndarray]:
        cache = FeatureCache(folder)
        extract(backbone, paths, hashes, cache, recipe(backbone))
        return cache, np.array(cache.open(recipe(backbone), hashes, "all").array)

    with tiny.in_table(tmp_path / "tiny.weights.h5"):
        backbone = Backbone(name="tiny", features="all")
        cache, plain = features(tmp_path / "processor")
        assert cache.batch_size(recipe(backbone)) is None, "nothing is measured on a processor"
        monkeypatch.setattr(batch_sizes, "uses_gpu", lambda recipe: True)
        monkeypatch.setattr(batch_sizes, "WORTHWHILE", len(paths))
        monkeypatch.setattr(batch_sizes, "MOST_PIXELS", 2 * BATCH_SIZE * 12 * 12)
        monkeypatch.setattr(batch_sizes, "GAIN", 0.0)
        cache, found = features(tmp_path / "device")
        assert cache.batch_size(recipe(backbone)) == 2 * BATCH_SIZE
        np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)
        cache.note_batch_size(recipe(backbone), 4)
        assert cache.batch_size(recipe(backbone)) == 4
        cache.clear()
        assert cache.batch_size(recipe(backbone)) is None
