"""Features that several workers extract together, in shares, are those that one extracts alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.augmentations import augmentation
from automl_cv.data.images import content_hash, decode
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Extract, Prepare, PrepareFeatures
from automl_cv.study.studyfile import Backbone
from tests.later import later

with later():
    from automl_cv.worker.materials import Materials
    from tests.engine import tiny

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY = Backbone(features="all").model_copy(update={"name": "tiny"})
N_IMAGES, SHARES = 50, 5


@pytest.fixture
def images(tmp_path: Path) -> Images:
    draw = np.random.default_rng(0)
    paths = [tmp_path / f"{number:02d}.png" for number in range(N_IMAGES)]
    for path in paths:
        Image.fromarray(draw.integers(1, 256, (12, 12, 3), np.uint8)).save(path)
    return Images(
        paths=tuple(map(str, paths)),
        content_hashes=tuple(content_hash(decode(path)) for path in paths),
        labels=(np.arange(N_IMAGES) % 2).astype(np.int32),
        splits=np.array(["train", "validation"] * (N_IMAGES // 2)),
        groups=(None,) * N_IMAGES,
        classes=("a", "b"),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "count"),
    [
        (PrepareFeatures(TINY), N_IMAGES),
        pytest.param(
            PrepareFeatures(TINY, augmentation({"rotation": 20}), views=2),
            N_IMAGES,
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            PrepareFeatures(TINY, n_blocks=1, images=20), 20, marks=pytest.mark.exhaustive
        ),
    ],
)
def test_shares_of_two_workers_are_the_features_of_one(images, tmp_path, order, count):
    def worker(name: str) -> Materials:
        given = Prepare(images, TINY, tmp_path / name, seed=0, metric="accuracy")
        return Materials(given, lambda done, total, speed: None, lambda needed: None)

    tiny.write_weights(tmp_path / "tiny.weights.h5")
    with tiny.in_table(tmp_path / "tiny.weights.h5"):
        alone, first, second, third = map(worker, ("alone", "shared", "shared", "shared"))
        n_alone = alone.prepare(order).extracted
        assert n_alone == first.lacking(order) == pytest.approx(count, abs=2)
        before = tiny.n_passed
        shares = [Extract(order, share, SHARES) for share in range(SHARES)]
        done = [(first, second)[one.share % 2].extract(one) for one in shares]
        assert sum(done) == tiny.n_passed - before == n_alone
        assert min(done) > 0 or count < N_IMAGES
        assert second.extract(replace(shares[0], is_begun=True)) == 0, "the first wrote all of it"
        assert third.extract(shares[1]) == 0, "one that joins looks first"
        assert third.prepare(order).extracted == 0
        whole = [held.among(order.images).features for held in (alone, third)]
        ours, theirs = (one.of(replace(order, images=None)) for one in whole)
        np.testing.assert_array_equal(theirs, ours)
