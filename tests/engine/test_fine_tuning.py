"""Fine-tuning goes on from the trained head, and changes only what it may."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
import pytest

from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import TrainingTask
from automl_cv.training.head_input import describe
from tests.depth import each_time
from tests.engine.test_network import Killed, killed_after
from tests.engine.test_training import go_on
from tests.later import later

with later():
    import keras
    from sklearn.datasets import load_digits

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine import saved_network
    from automl_cv.engine.backbone_parts import Cut, blocks_of_layers, cut
    from automl_cv.engine.fine_tuning import FineTuner, Maps
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.engine.views import epoch_views
    from automl_cv.trained import TrainingData, TrainingResult
    from tests.engine.small_network import figures

SIZE, TRAIN, VALIDATION, VIEWS = 32, 96, 48, 3
WIDTHS = (24, 48, 96, 192)

HEAD = {"width": 16, "dropout": 0.2, "normalization": True}
NO_DROPOUT = {**HEAD, "dropout": 0.0}


@functools.cache
def first_task() -> TrainingTask:
    return TrainingTask(
        optimizer="SGD",
        batch_size=32,
        learning_rate=0.05,
        epochs=3,
        seed=1,
        head="mlp",
        head_parameters=HEAD,
        optimizer_parameters={"momentum": 0.5},
    )


@dataclass
class Case:
    """A backbone cut in two, images as both parts see them, and a trained head."""

    parts: Cut
    maps: Maps
    data: TrainingData
    views: np.ndarray | None
    head: TrainingResult
    features: str

    @property
    def tuner(self) -> FineTuner:
        return FineTuner(
            self.parts,
            self.maps,
            self.data,
            self.views,
            describe(self.data.features, self.data.train, self.data.classes),
            only_last=self.features == "last",
            frozen_width=sum(WIDTHS[: self.parts.n_frozen]),
        )

    def train(self, on_epoch=go_on, checkpoint=None, **changes) -> TrainingResult:
        own = dataclasses.replace(first_task(), **{"learning_rate": 0.002, **changes})
        return self.tuner.trainer(self.head.weights).train(own, on_epoch, checkpoint)


def pixels() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    images = images[: TRAIN + VALIDATION].reshape(-1, 8, 8) * 15
    enlarged = np.kron(images, np.ones((1, SIZE // 8, SIZE // 8)))[..., None]
    return np.repeat(enlarged, 3, axis=-1).astype(np.float32), labels[: len(images)]


def pooled(network: keras.Model, images: np.ndarray, features: str) -> np.ndarray:
    blocks = [block.numpy() for block in keras.tree.flatten(network(images))]
    return blocks[-1] if features == "last" else np.concatenate(blocks, axis=1)


@functools.cache
def whole() -> keras.Model:
    return backbones.build(Backbone(), SIZE)


@functools.cache
def head_on(features: str) -> tuple[TrainingData, TrainingResult]:
    """Return what a head learns from, and the trained head."""
    images, labels = pixels()
    train, validation = np.arange(TRAIN), np.arange(TRAIN, TRAIN + VALIDATION)
    data = TrainingData(
        features=pooled(whole(), images, features),
        train=train,
        train_labels=labels[train].astype(np.int32),
        validation=validation,
        validation_labels=labels[validation].astype(np.int32),
        classes=10,
    )
    return data, HeadTrainer(data).train(dataclasses.replace(first_task(), epochs=20), go_on)


@functools.cache
def parts_of(n_blocks: int) -> Cut:
    """Cut the backbone once a place: a tuner sets the trained part back for each trial."""
    return cut(Backbone(), SIZE, n_blocks)


def make(features: str, n_blocks: int, *, views: bool = False) -> Case:
    images, _ = pixels()
    parts, (data, head) = parts_of(n_blocks), head_on(features)

    def mapped(of: np.ndarray) -> np.ndarray:
        return keras.tree.flatten(parts.frozen(of))[0].numpy()

    altered = alter(images[data.train]) if views else None
    return Case(
        parts=parts,
        maps=Maps(
            plain=mapped(images),
            rows=np.arange(len(images)),
            views=None if altered is None else mapped(altered),
            fingerprint=f"{features}, {n_blocks}, {views}",
        ),
        data=data,
        views=None if altered is None else pooled(whole(), altered, features),
        head=head,
        features=features,
    )


def alter(images: np.ndarray) -> np.ndarray:
    """Return views of each image: moved down by as many pixels as the view's number."""
    moved = [np.roll(images, view, axis=1) for view in range(VIEWS)]
    return np.stack(moved, axis=1).reshape(-1, *images.shape[1:])


@pytest.fixture(scope="module")
def case() -> Case:
    return make("all", 2)


@pytest.mark.slow
@pytest.mark.parametrize("features", ["last", "all"])
@pytest.mark.parametrize("n_blocks", each_time(1, of=[1, 3, 4]))
def test_before_its_first_step_the_network_is_backbone_and_head(features, n_blocks):
    case = make(features, n_blocks)
    epoch = case.train(learning_rate=1e-12, epochs=1).history.epochs[0]
    best = case.head.history.best
    assert epoch.val_loss == pytest.approx(best.val_loss, rel=1e-4)
    assert epoch.val_accuracy == best.val_accuracy


@pytest.mark.slow
def test_it_learns_more_and_changes_nothing_frozen(case):
    def values(weights, moving):
        return [one.numpy() for one in weights if ("moving" in one.name) == moving]

    trained = case.parts.trained.weights
    frozen = [weight.numpy() for weight in case.parts.frozen.weights]
    statistics, others = values(trained, True), values(trained, False)
    result = case.train()
    assert result.history.epochs[-1].loss < result.history.epochs[0].loss
    for before, now in zip(frozen, case.parts.frozen.weights, strict=True):
        np.testing.assert_array_equal(now.numpy(), before)
    for before, now in zip(statistics, values(trained, True), strict=True):
        np.testing.assert_array_equal(now, before)
    for before, now in zip(others, values(trained, False), strict=True):
        assert np.abs(now - before).max() > 0


@pytest.mark.exhaustive
@pytest.mark.slow
def test_blocks_nearer_to_the_image_learn_at_lower_rates():
    """A step of SGD is as long as its rate, so steps say what the rates were."""
    case = make("all", 3)
    blocks = blocks_of_layers(case.parts.trained)
    assert set(blocks.values()) == {0, 1, 2}
    one_step = {"epochs": 1, "batch_size": TRAIN, "optimizer_parameters": {"momentum": 0.0}}

    def moved(block_rate_factor: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        own = dataclasses.replace(first_task(), learning_rate=0.002, **one_step)
        network = case.tuner.network(own, case.head.weights)
        before = [weight.numpy() for weight in network.weights]
        found = case.tuner.trainer(case.head.weights, block_rate_factor).train(own, go_on)
        steps = [after - start for after, start in zip(found.weights, before, strict=True)]
        n_trained = len(network.trained.weights)
        return steps[:n_trained], steps[n_trained:]

    (same, head), (lower, own_head) = moved(1.0), moved(0.25)
    owners = [blocks[layer.name] for layer in case.parts.trained.layers for _ in layer.weights]
    for block, step, lowered in zip(owners, same, lower, strict=True):
        np.testing.assert_allclose(lowered, step * 0.25**block, rtol=2e-3, atol=2e-7)
        assert block == 0 or not step.any() or np.abs(lowered).max() < np.abs(step).max()
    for step, also in zip(head, own_head, strict=True):
        np.testing.assert_array_equal(also, step)


@pytest.mark.slow
def test_each_trial_begins_with_the_backbones_own_weights(case):
    first, second = case.train(), case.train()
    assert figures(second) == figures(first)
    assert figures(case.train(seed=2)) != figures(first)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_trial_goes_on_with_the_same_numbers(case, tmp_path):
    whole = case.train(optimizer="Adam", learning_rate=0.001, optimizer_parameters={})
    changes = {"optimizer": "Adam", "learning_rate": 0.001, "optimizer_parameters": {}}
    with pytest.raises(Killed):
        case.train(killed_after(2), tmp_path / "own", **changes)
    assert figures(case.train(go_on, tmp_path / "own", **changes)) == figures(whole)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("features", ["last", "all"])
def test_all_features_of_an_image_are_of_the_same_view(features):
    case = make(features, 2, views=True)
    epoch = case.train(
        learning_rate=1e-12, epochs=1, batch_size=TRAIN, head_parameters=NO_DROPOUT
    ).history.epochs[0]
    rows = np.arange(TRAIN) * VIEWS + epoch_views(TRAIN, VIEWS, first_task().seed, 1)
    assert len(set(rows % VIEWS)) == VIEWS
    shown = dataclasses.replace(
        case.data,
        features=np.concatenate([case.data.features, case.views[rows]]),
        validation=np.arange(TRAIN) + TRAIN + VALIDATION,
        validation_labels=case.data.train_labels,
    )
    # The head, trained as before, on those views in place of the validation images.
    expected = HeadTrainer(shown).train(
        dataclasses.replace(first_task(), epochs=case.head.history.best.epoch), go_on
    )
    assert epoch.loss == pytest.approx(expected.history.epochs[-1].val_loss, rel=1e-3)


# Keras saves TensorFlow's variables in a way that NumPy 2 no longer likes.
@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("features", "n_blocks"), [("all", 1), ("last", 2), ("all", 4)])
def test_one_graph_gives_what_was_fine_tuned(features, n_blocks, tmp_path):
    case = make(features, n_blocks)
    result, tuner = case.train(), case.tuner
    tuned = tuner.network(first_task(), case.head.weights)
    begun = tuner.logits(tuned, np.arange(TRAIN))
    tuned.set_weights(list(result.weights))
    logits = tuner.logits(tuned, np.arange(TRAIN))
    assert np.abs(logits - begun).max() > 0.1

    parts = cut(Backbone(), SIZE, n_blocks)
    parts.trained.set_weights(tuned.trained.get_weights())
    parts.whole.trainable = False
    saved_network.save(
        saved_network.behind(parts.whole, features, [tuned.head]), tmp_path / "model.keras"
    )
    graph = saved_network.from_resized(saved_network.load_network(tmp_path / "model.keras"))
    images, _ = pixels()
    np.testing.assert_allclose(graph(images[:TRAIN]), keras.ops.softmax(logits), atol=1e-4)
