"""Views in training: cached and online ones are the same, and mixing is what Keras would get."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.augmentations import Augmentation, augmentation
from automl_cv.data.images import content_hash, decode
from automl_cv.features import FeatureCache, recipe, view_name, view_names
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import TrainingTask
from tests.engine.test_training import blobs, figures, go_on, keras, task
from tests.later import later

with later():
    from automl_cv.engine import mixing
    from automl_cv.engine.extract import extract, load
    from automl_cv.engine.head import linear
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.engine.views import CachedViews, OnlineViews, Shown, epoch_views, measured
    from automl_cv.trained import TrainingData
    from automl_cv.training.epochs import epoch_order
    from automl_cv.training.head_input import describe
    from tests.engine import tiny
# Keras saves weights by `np.array(variable)`, whose `__array__` NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY = Backbone(image_size=12, features="all").model_copy(update={"name": "tiny"})
MOVING = augmentation({"zoom": 0.3, "width_shift": 0.2, "brightness": 0.3})
MIXUP = augmentation({"mixup": 0.8})
N_IMAGES = 41
EPOCHS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Hold images, and the entry "tiny" in the table of backbones."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(N_IMAGES):
        pixels = generator.integers(0, 256, (14, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    tiny.write_weights(folder / "tiny.weights.h5")
    with tiny.in_table(folder / "tiny.weights.h5"):
        yield folder


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Extracted images; all but the last eleven train."""

    paths: list[Path]
    hashes: list[str]
    cache: FeatureCache
    data: TrainingData

    def cached(self, altering: Augmentation, seed: int, views: int) -> np.ndarray:
        """Return cached views of the training images, float32 (images, views, features)."""
        wanted, hashes = recipe(TINY, altering, seed), self.hashes[:30]
        extract(TINY, self.paths[:30], hashes, self.cache, wanted, views=views)
        found = self.cache.open(wanted, view_names(hashes, views), "all").array
        return np.array(found).reshape(30, views, -1)

    def online(self, altering: Augmentation, backbone: Backbone = TINY) -> OnlineViews:
        network = load(backbone, recipe(backbone))
        labels = self.data.train_labels
        return OnlineViews(
            backbone, network, altering, self.paths[:30], self.hashes[:30], labels=labels, classes=3
        )


@pytest.fixture
def pictures(folder: Path, tmp_path: Path) -> Pictures:
    paths = sorted(folder.glob("*.png"))
    hashes = [content_hash(decode(path)) for path in paths]
    cache = FeatureCache(tmp_path)
    extract(TINY, paths, hashes, cache, recipe(TINY))
    features = cache.open(recipe(TINY), hashes, "all").array
    labels = (np.arange(N_IMAGES) % 3).astype(np.int32)
    train, validation = np.arange(30), np.arange(30, N_IMAGES)
    data = TrainingData(
        features, train, labels[train], validation, labels[validation], 3, hashes[:30]
    )
    return Pictures(paths, hashes, cache, data)


@dataclasses.dataclass(frozen=True)
class ByNumber:
    """Shows the cached view of the epoch's number, as online training makes it."""

    views: np.ndarray
    mixes: bool = False

    def show(self, order: np.ndarray, seed: int, epoch: int) -> Shown:
        return Shown(self.views[:, epoch], order)


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [Augmentation(), MIXUP], ids=str)
def test_online_training_equals_training_on_the_cached_views(pictures, mixing):
    """To the bit, with the same seed; view 1 is shown in epoch 1, and so on."""
    todo = task(epochs=EPOCHS, seed=5, mixing=mixing)
    cached = pictures.cached(MOVING, seed=5, views=EPOCHS + 1)
    online = HeadTrainer(pictures.data).train(todo, go_on, pictures.online(MOVING))
    by_number = HeadTrainer(pictures.data).train(todo, go_on, ByNumber(cached))
    assert figures(online) == figures(by_number)
    for left, right in zip(online.weights, by_number.weights, strict=True):
        np.testing.assert_array_equal(left, right)
    other = HeadTrainer(pictures.data).train(
        dataclasses.replace(todo, seed=6), go_on, ByNumber(cached)
    )
    assert figures(other) != figures(online)


@pytest.mark.slow
def test_an_online_epoch_passes_each_image_once_and_holds_features_alone(pictures):
    views = pictures.online(MOVING)
    before = tiny.n_passed
    shown = views.show(epoch_order(30, 1, 1), seed=1, epoch=1)
    assert tiny.n_passed - before == 30
    assert shown.features.shape == (30, 10)
    assert shown.labels is None
    last = pictures.online(MOVING, TINY.model_copy(update={"features": "last"}))
    few = last.show(epoch_order(30, 1, 1), seed=1, epoch=1)
    np.testing.assert_array_equal(few.features, shown.features[:, 4:])


@pytest.mark.slow
def test_cutmix_gives_shares_of_classes_to_the_loss(pictures):
    views = pictures.online(augmentation({"cutmix": 1.0}))
    assert views.mixes
    shown = views.show(np.arange(30), seed=2, epoch=1)
    np.testing.assert_allclose(shown.labels.sum(axis=1), 1, rtol=1e-6)
    assert 0.1 < (shown.labels.max(axis=1) < 1).mean()
    todo = task(epochs=1, batch_size=30, seed=2, learning_rate=1e-9)
    (epoch,) = HeadTrainer(pictures.data).train(todo, go_on, views).history.epochs
    order = epoch_order(30, 2, 1)
    again = views.show(order, seed=2, epoch=1)
    keras.utils.set_random_seed(2)
    model = linear(describe(pictures.data.features, pictures.data.train, 3), normalization=True)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    expected = float(loss(again.labels, model(again.features)))
    assert epoch.loss == pytest.approx(expected, rel=1e-5)


def test_cached_views_show_one_view_of_each_image_of_a_fold():
    features = np.arange(10 * 4, dtype=np.float32)[:, None]  # 10 images, 4 views each
    images = np.array([1, 2, 5, 9])
    views = CachedViews(features, images, views=4)
    order = np.array([2, 0, 3, 1])
    seen = set()
    for epoch in range(1, 40):
        shown = views.show(order, seed=0, epoch=epoch)
        assert (shown.rows // 4 == images[order]).all()
        chosen = epoch_views(4, 4, 0, epoch)
        np.testing.assert_array_equal(shown.rows % 4, chosen[order])
        seen.update(shown.rows.tolist())
    assert len(seen) == 16


def named(data: TrainingData) -> TrainingData:
    hashes = [f"image{row}" for row in range(len(data.train))]
    return dataclasses.replace(data, content_hashes=hashes)


def keras_run(data: TrainingData, todo: TrainingTask, smoothing: float) -> tuple[list, list]:
    """Train on mixed batches with Keras's own train_on_batch; return weights and accuracies."""
    keras.utils.set_random_seed(todo.seed)
    model = linear(describe(data.features, data.train, data.classes), normalization=True)
    optimizer = keras.optimizers.SGD(todo.learning_rate, **todo.optimizer_parameters)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizer, loss, jit_compile=False)
    accuracy, losses = keras.metrics.CategoricalAccuracy(), []
    one_hot = np.eye(data.classes, dtype=np.float32)
    for number in range(1, todo.epochs + 1):
        accuracy.reset_state()
        order = epoch_order(len(data.train), todo.seed, number)
        names = [view_name(data.content_hashes[row], number) for row in order]
        shares = mixing.draw_shares(todo.seed, names, alpha=0.8)
        total = 0.0
        for start in range(0, len(order), todo.batch_size):
            chosen = slice(start, start + todo.batch_size)
            rows, kept = order[chosen], shares[chosen]
            x = mixing.mixed(data.features[data.train[rows]], kept)
            y = mixing.mixed(one_hot[data.train_labels[rows]], kept)
            accuracy.update_state(y, model(x))
            total += len(rows) * float(model.train_on_batch(x, y))
        losses.append((total / len(order), float(accuracy.result())))
    return [np.asarray(weight) for weight in model.trainable_variables], losses


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixup_trains_as_keras_does_on_mixed_batches(smoothing):
    data = named(blobs())
    parameters = {"normalization": True, "label_smoothing": smoothing}
    todo = task(mixing=MIXUP, head_parameters=parameters)
    trainer = HeadTrainer(data)
    trainer.train(dataclasses.replace(todo, seed=99, batch_size=7), go_on)
    result = trainer.train(todo, go_on)
    expected, curve = keras_run(data, todo, smoothing)
    (loop,) = trainer._loops.values()
    assert loop.run.experimental_get_tracing_count() == 1
    for ours, theirs in zip(loop._model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-4, atol=1e-5)
    for epoch, (loss, accuracy) in zip(result.history.epochs, curve, strict=True):
        assert epoch.loss == pytest.approx(loss, rel=1e-4)
        assert epoch.accuracy == pytest.approx(accuracy)


@pytest.mark.slow
def test_a_trial_without_mixing_keeps_its_loop_and_its_figures():
    data = named(blobs())
    plain = HeadTrainer(data).train(task(), go_on)
    trainer = HeadTrainer(data)
    mixed = trainer.train(task(mixing=MIXUP), go_on)
    assert figures(trainer.train(task(), go_on)) == figures(plain)
    assert figures(mixed) != figures(plain)
    assert len(trainer._loops) == 2
    assert figures(trainer.train(task(mixing=MIXUP), go_on)) == figures(mixed)


@pytest.mark.slow
def test_a_backbones_speed_is_measured(pictures):
    network = load(TINY, recipe(TINY))
    for count, timed in ((N_IMAGES, N_IMAGES - 16), (3, 3)):
        images, seconds = measured(TINY, network, pictures.paths[:count], pictures.hashes[:count])
        assert images == timed
        assert seconds > 0
