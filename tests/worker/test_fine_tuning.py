"""What a worker does for a trial that is fine-tuned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data.images import content_hash, decode
from automl_cv.errors import UserError
from automl_cv.history import Epoch
from automl_cv.orders import messages
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Prepare, PrepareFeatures
from automl_cv.study.sections import Retrain
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import Backbone, StudyFile
from automl_cv.study.trial import Trial, plan, task_of
from tests.engine.test_network import Killed, killed_after
from tests.engine.test_training import go_on
from tests.later import later

with later():
    import keras

    from automl_cv.engine.network import NetworkTrainer
    from automl_cv.worker import features
    from automl_cv.worker.fine_tuning import plateau
    from automl_cv.worker.materials import Materials
    from automl_cv.worker.process import _failure
    from tests.engine import small_network, tiny
    from tests.engine.small_network import figures

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY = Backbone(features="all").model_copy(update={"name": "tiny"})
N_IMAGES, TRAIN, VALIDATION = 30, 16, 8
MAPS = PrepareFeatures(TINY, n_blocks=1)

STUDY = StudyFile.model_construct(backbone=TINY, metric="accuracy")
SPACE = {"optimizer": "SGD", "batch_size": 8, "learning_rate": 0.1, "momentum": 0.5}
HEADS = Stage(name="coarse", trials=1, epochs=5, pruner="early_stopping", space=SPACE)
TUNED = Stage(
    name="tuned", trials=1, epochs=3, retrain={"stages": "coarse"}, fine_tune={"blocks": 1}
)
ALTERED = TUNED.model_copy(update={"augmentation": {"horizontal_flip": 0.5}, "views": 2})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    tiny.write_weights(folder / "tiny.weights.h5")
    paths = [folder / f"{number:02d}.png" for number in range(N_IMAGES)]
    for path in paths:
        Image.fromarray(draw.integers(1, 256, (12, 12, 3), np.uint8)).save(path)
    splits = np.array(["train"] * TRAIN + ["validation"] * VALIDATION + ["test"] * 6)
    return Images(
        paths=tuple(map(str, paths)),
        content_hashes=tuple(content_hash(decode(path)) for path in paths),
        labels=(np.arange(N_IMAGES) % 2).astype(np.int32),
        splits=splits,
        groups=(None,) * N_IMAGES,
        classes=("a", "b"),
    )


@pytest.fixture(autouse=True)
def entry(images):
    with tiny.in_table(Path(images.paths[0]).parent / "tiny.weights.h5") as added:
        yield added


def worker(images: Images, cache_dir: Path, tell=lambda needed: None) -> Materials:
    given = Prepare(images, TINY, cache_dir, seed=0, metric="accuracy")
    return Materials(given, lambda done, total, speed: None, tell)


def prepare(held: Materials, *orders: PrepareFeatures) -> int:
    """Prepare; return how many images passed the backbone, as it counted them."""
    before = tiny.n_passed
    for order in orders:
        held.prepare(order)
    return tiny.n_passed - before


def trial(stage: Stage, seed: int = 1, head: Stage = HEADS, **parameters: float) -> Trial:
    drawn = {**SPACE, **parameters}
    return plan(STUDY, stage, 0, drawn, seed=seed, head_stage=head)


def tune(held: Materials, one: Trial, on_epoch, checkpoint: Path | None = None):
    return held.kind(one.stage).train(one, on_epoch, checkpoint)


@pytest.mark.slow
def test_the_frozen_part_runs_once_for_each_image(images, tmp_path):
    held = worker(images, tmp_path)
    assert prepare(held, PrepareFeatures(TINY)) == N_IMAGES
    assert prepare(held, MAPS) == TRAIN + VALIDATION, "and never for a test image"
    before = tiny.n_passed
    results = [tune(held, trial(TUNED, seed), go_on) for seed in (1, 2, 1)]
    assert tiny.n_passed == before
    assert figures(results[2]) == figures(results[0]) != figures(results[1])
    assert len(results[0].history.epochs) == TUNED.epochs
    # Nor for the next worker.
    assert prepare(worker(images, tmp_path), PrepareFeatures(TINY), MAPS) == 0


@pytest.mark.slow
def test_altered_images_pass_it_once_for_each_view(images, tmp_path):
    held = worker(images, tmp_path)
    altered = PrepareFeatures(TINY, ALTERED.alteration, ALTERED.views)
    prepare(held, PrepareFeatures(TINY), MAPS, altered)
    assert prepare(held, dataclasses.replace(altered, n_blocks=1)) == TRAIN * ALTERED.views
    before = tiny.n_passed
    tune(held, trial(ALTERED), go_on)
    assert tiny.n_passed == before


@pytest.mark.slow
def test_the_rate_is_the_trials_times_the_factor_and_the_head_is_not_told(images, tmp_path):
    held = worker(images, tmp_path)
    prepare(held, PrepareFeatures(TINY), MAPS)
    told: list[Epoch] = []
    result = tune(held, trial(TUNED), told.append)
    assert [epoch.epoch for epoch in told] == [1, 2, 3]
    assert [epoch.learning_rate for epoch in told] == pytest.approx([0.01] * 3)
    assert result.optimizer_config["learning_rate"] == pytest.approx(0.01)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_trial_goes_on(images, tmp_path):
    held = worker(images, tmp_path)
    prepare(held, PrepareFeatures(TINY), MAPS)
    whole = tune(held, trial(TUNED), go_on)
    one, checkpoint = trial(TUNED), tmp_path / "own"
    with pytest.raises(Killed):
        tune(held, one, killed_after(2), checkpoint)
    # A head of another training is another beginning: the checkpoint does not count.
    other = Stage.model_validate({**HEADS.model_dump(), "schedule": "exponential"})
    changed = tune(held, trial(TUNED, head=other), go_on, checkpoint)
    assert figures(changed) != figures(whole)
    with pytest.raises(Killed):
        tune(held, one, killed_after(2), checkpoint)
    assert figures(tune(held, one, go_on, checkpoint)) == figures(whole)


@pytest.mark.slow
def test_folds_are_those_of_the_head(images, tmp_path):
    held = worker(images, tmp_path)
    prepare(held, PrepareFeatures(TINY), MAPS)
    folded = TUNED.model_copy(update={"retrain": Retrain(stages=("coarse",), folds=2)})
    results = [
        tune(held, plan(STUDY, folded, 0, SPACE, seed=1, fold=fold, head_stage=HEADS), go_on)
        for fold in (0, 1)
    ]
    assert figures(results[0]) != figures(results[1])
    # Twelve images validate.
    for result in results:
        accuracy = result.history.epochs[0].val_accuracy * (TRAIN + VALIDATION) / 2
        assert accuracy == pytest.approx(round(accuracy), abs=1e-5)


@pytest.mark.slow
def test_a_head_that_diverges_leaves_nothing_to_fine_tune(images, tmp_path):
    held = worker(images, tmp_path)
    prepare(held, PrepareFeatures(TINY), MAPS)
    history = tune(held, trial(TUNED, learning_rate=1e38), go_on).history
    assert (history.stop_reason, history.epochs) == ("diverged", ())
    assert str(history.error).startswith("the head that fine-tuning begins with: the loss is not")


def test_the_head_stops_where_it_stopped_in_the_search():
    accuracies = [0.5, 0.6, 0.6, 0.6, 0.7]
    stop = plateau(
        HEADS.model_copy(
            update={
                "pruner": Stage.model_validate(
                    {**HEADS.model_dump(), "pruner": {"name": "early_stopping", "patience": 2}}
                ).pruner
            }
        )
    )
    answers = [stop(Epoch(n, 0, accuracy, 0, 0, 0, 0)) for n, accuracy in enumerate(accuracies, 1)]
    assert answers[:4] == [None, None, None, "plateau"]
    dropping = Stage.model_validate({**HEADS.model_dump(), "pruner": "median"})
    assert plateau(dropping)(Epoch(1, 0, 0.1, 0, 0, 0, 0)) is None


@pytest.mark.slow
def test_a_large_need_of_space_is_told_and_what_has_no_room_is_refused(
    images, tmp_path, monkeypatch
):
    told: list[messages.SpaceNeeded] = []
    held = worker(images, tmp_path, told.append)
    size = 2 * (TRAIN + VALIDATION) * 4 * (6 * 6 * 4)  # in any order, then in the study's
    monkeypatch.setattr(features, "MUCH_SPACE", size + 1)
    held.prepare(MAPS)
    assert told == []
    monkeypatch.setattr(features, "MUCH_SPACE", size)
    other = worker(images, tmp_path / "other", told.append)
    other.prepare(MAPS)
    assert [(one.n_bytes, one.folder) for one in told] == [(size, tmp_path / "other")]
    other.prepare(MAPS)
    assert len(told) == 1, "all is there already"
    usage = type("Usage", (), {"free": size - 1})
    monkeypatch.setattr(features.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"fine_tune.blocks: feature maps of tiny, .* take 0.0 GB"):
        worker(images, tmp_path / "third").prepare(MAPS)


def test_tasks_of_both_parts_differ_in_rate_and_epochs_alone():
    tuned, head = task_of(TUNED, SPACE, 1), task_of(HEADS, SPACE, 1)
    assert dataclasses.replace(tuned, epochs=head.epochs) == head


@pytest.mark.exhaustive
@pytest.mark.slow
def test_memory_that_is_not_there_fails_the_trial_with_its_reason():
    class Hungry(keras.layers.Layer):
        def call(self, x):
            scale = keras.ops.shape(x)[0] * 2**20
            return x + keras.ops.sum(keras.ops.ones((scale, 2**20)))

    def build(own):
        pixels = keras.Input((small_network.SIZE, small_network.SIZE, 3))
        x = Hungry()(keras.layers.Flatten()(pixels))
        return keras.Model(pixels, keras.layers.Dense(small_network.CLASSES)(x))

    with pytest.raises(Exception) as caught:
        NetworkTrainer(small_network.data(), build).train(small_network.TASK, go_on)
    assert _failure(caught.value, ()).reason.startswith("out of memory (")


@pytest.mark.slow
def test_a_head_of_a_stage_over_folds_is_shown_the_images_that_train(images, tmp_path):
    """Its own stage had folds, the trial has none: the splits decide for both."""
    over_folds = Stage(
        name="folded",
        trials=2,
        epochs=2,
        retrain={"stages": "coarse", "folds": 2},
        augmentation={"horizontal_flip": 0.5},
        views=2,
    )
    held = worker(images, tmp_path)
    one = trial(TUNED, head=over_folds)
    held.prepare_trial(one)
    heads = held.kind(HEADS)
    train, _ = held.division(one)
    shown = heads.views(one.head).show(np.arange(TRAIN), 1, 1)
    assert list(shown.rows // 2) == list(np.searchsorted(np.arange(TRAIN + VALIDATION), train))
    np.testing.assert_array_equal(heads.prepare(one.head).data.train, train)
