"""What a worker process does to fit the winner: it trains, and writes the network as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from automl_cv.data.images import decode
from automl_cv.engine import images, runtime, saved_network
from automl_cv.engine.backbone_parts import cut
from automl_cv.engine.calibration import calibrate
from automl_cv.engine.extract import Progress
from automl_cv.engine.prediction import Predictor
from automl_cv.engine.refitting import by_batches, finished, fit_head, logits_of, probabilities
from automl_cv.engine.runtime import keras
from automl_cv.engine.training import TrainingResult
from automl_cv.errors import AutomlError
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.orders import messages
from automl_cv.worker.features import Trainers
from automl_cv.worker.fine_tuning import plateau, tuning_task
from automl_cv.worker.folds import division
from automl_cv.worker.networks import Networks
from automl_cv.worker.task import task_of

# Images that the written network is tried on, and by how much a probability may differ from
# what was trained: batches of other sizes round differently.
TRIED_IMAGES = 16
TOLERANCE = 1e-4

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class _Made:
    """The winner, trained again with each of the seeds.

    Args:
        histories: of each training.
        logits: of each training, of the rows that were asked for, by what was trained.
        assemble: returns one network of all, as `saved_network.save` takes it.
    """

    histories: tuple[History, ...]
    logits: Sequence[np.ndarray]
    assemble: Callable[[], keras.Model]


_Make = Callable[[messages.Fit, np.ndarray, bool, Progress, OnEpoch], _Made]
"""Is given what to train, the rows of images whose logits are wanted, and whether to train on train
and validation images together or, as the search did, on the training images alone."""


def fit_network(order: messages.Fit, report: Progress, on_epoch: OnEpoch) -> messages.Fitted:
    """Train, write the network, and try what was written.

    With `order.calibrate` the same is trained twice. On the training images alone first: its
    logits of the validation images give the temperature of what is trained on both.

    Args:
        order: what to do.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.

    Raises:
        AutomlError: training diverged, or the written network gives other probabilities.
    """
    rows = _both(order)
    tried = rows[:: max(1, len(rows) // TRIED_IMAGES)][:TRIED_IMAGES]
    make: _Make = _heads
    if order.stage.network is not None:
        make = _from_scratch
    elif order.stage.fine_tune is not None:
        make = _fine_tuned
    calibration, temperature = None, 1.0
    if order.calibrate:
        validation = np.flatnonzero(order.images.splits == "validation")
        logits = make(order, validation, False, report, on_epoch).logits
        calibration = calibrate(order.images.labels[validation], logits)
        temperature = calibration.temperature
    made = make(order, tried, True, report, on_epoch)
    network = made.assemble()
    saved_network.save(network, order.path, temperature)
    files = [Path(order.images.paths[row]) for row in tried]
    return messages.Fitted(
        histories=made.histories,
        image_size=int(network.input_shape[1]),
        weights=network.count_params(),
        difference=_difference(order.path, files, probabilities(made.logits, temperature)),
        versions=runtime.versions(),
        calibration=calibration,
    )


def _heads(
    order: messages.Fit, rows: np.ndarray, whole: bool, report: Progress, on_epoch: OnEpoch
) -> _Made:
    """Train heads on cached features."""
    trainers = _trainers(order, report, whole=whole)
    trainers.prepare_trial([order.stage], order.parameters)
    trainer = trainers.trainer(order.stage, order.parameters, None)
    views = trainers.views(order.stage, order.parameters)
    fitted = [
        fit_head(
            trainer, task_of(order.stage, order.parameters, seed), order.replay, views, on_epoch
        )
        for seed in order.seeds
    ]
    heads = [one.model for one in fitted]
    features = np.asarray(trainers.pooled(order.parameters)[rows])
    return _Made(
        tuple(one.history for one in fitted),
        [logits_of(head, features) for head in heads],
        lambda: saved_network.on_backbone(order.backbone, recipe(order.backbone).image_size, heads),
    )


def _from_scratch(
    order: messages.Fit, rows: np.ndarray, whole: bool, report: Progress, on_epoch: OnEpoch
) -> _Made:
    """Train networks on cached pixels.

    These are rounded. What is to be written is tried on such that are not, as it gets them from
    files; logits beside those of the search are of the cached ones.
    """
    networks = Networks(_prepare(order), report)
    networks.prepare()
    trained = (_both(order),) * 2 if whole else division(order.images, order.seed, None, None)
    trainer = networks.trainer(order.stage.augmentation_of(order.parameters), *trained)
    models, histories = [], []
    for seed in order.seeds:
        task = task_of(order.stage, order.parameters, seed)
        checkpoint = _checkpoint(order, seed, whole)
        result = finished(trainer.train(task, on_epoch, checkpoint, order.replay))
        model = networks.build(task)
        model.set_weights(list(result.weights))
        models.append(model)
        histories.append(result.history)
    size = models[0].input_shape[1]

    def pixels(some: np.ndarray) -> np.ndarray:
        if whole:
            return images.resize_all([decode(Path(order.images.paths[row])) for row in some], size)
        return np.asarray(networks.pixels[some], np.float32)

    def logits(model: keras.Model) -> np.ndarray:
        return by_batches(lambda some: logits_of(model, pixels(some)), rows)

    return _Made(
        tuple(histories), list(map(logits, models)), lambda: saved_network.averaged(models)
    )


def _fine_tuned(
    order: messages.Fit, rows: np.ndarray, whole: bool, report: Progress, on_epoch: OnEpoch
) -> _Made:
    """Train heads on cached features, then the last blocks with them on cached maps."""
    assert order.stage.fine_tune is not None and order.head_stage is not None
    stages = [order.stage, order.head_stage]
    searched = _trainers(order, report, whole=False)
    searched.prepare_trial([order.head_stage] if whole else stages, order.parameters)
    trainers = searched
    if whole:
        trainers = _trainers(order, report, whole=True)
        trainers.prepare_trial(stages, order.parameters)
    tuner = trainers.tuner(order.stage, order.parameters, None)
    tuned_weights, heads, histories, logits = [], [], [], []
    for seed in order.seeds:
        head = _head(order, seed, searched, trainers)
        task = tuning_task(order.stage, order.parameters, seed, order.metric)
        trainer, checkpoint = tuner.trainer(head.weights), _checkpoint(order, seed, whole)
        result = finished(trainer.train(task, on_epoch, checkpoint, order.replay))
        tuned = tuner.network(task, head.weights)
        tuned.set_weights(list(result.weights))
        histories.append(result.history)
        logits.append(by_batches(partial(tuner.logits, tuned), rows))
        # The tuner sets its own copy back for the next training.
        tuned_weights.append(tuned.trained.get_weights())
        heads.append(tuned.head)
    blocks = order.stage.fine_tune.blocks

    def assemble() -> keras.Model:
        networks = []
        for weights, own_head in zip(tuned_weights, heads, strict=True):
            parts = cut(order.backbone, recipe(order.backbone).image_size, blocks)
            parts.trained.set_weights(weights)
            parts.whole.trainable = False
            networks.append(saved_network.behind(parts.whole, order.backbone.features, [own_head]))
        return saved_network.averaged(networks)

    return _Made(tuple(histories), logits, assemble)


def _head(order: messages.Fit, seed: int, searched: Trainers, trainers: Trainers) -> TrainingResult:
    """Train the head that fine-tuning begins with.

    Its best number of epochs is found as in the search, where it comes out the same.

    Args:
        order: what is fitted.
        seed: of this training.
        searched: of the training images alone.
        trainers: of the images that are trained on: the same, or train and validation images.
    """
    stage = order.head_stage
    assert stage is not None
    task = task_of(stage, order.parameters, seed, order.metric)
    found = searched.trainer(stage, order.parameters, None).train(
        task, plateau(stage), searched.views(stage, order.parameters)
    )
    best = found.history.best
    if best is None:
        raise AutomlError(f"the head that fine-tuning begins with: {found.history.error}")
    if trainers is searched:
        return found
    trainer = trainers.trainer(stage, order.parameters, None)
    replay = found.history.epochs[: best.epoch]
    views = trainers.views(stage, order.parameters)
    return finished(trainer.train(task, lambda epoch: None, views, replay))


def _checkpoint(order: messages.Fit, seed: int, whole: bool) -> Path | None:
    """Return the folder of one training's checkpoint; it stays until all of the fit is done."""
    name = f"{seed}-{'both' if whole else 'train'}"
    return None if order.checkpoints is None else order.checkpoints / name


def _both(order: messages.Fit) -> np.ndarray:
    """Return the rows of train and validation images."""
    return np.flatnonzero(np.isin(order.images.splits, ("train", "validation")))


def _trainers(order: messages.Fit, report: Progress, *, whole: bool) -> Trainers:
    return Trainers(_prepare(order), report, lambda space: None, whole=whole)


def _prepare(order: messages.Fit) -> messages.Prepare:
    return messages.Prepare(order.images, order.backbone, order.cache_dir, order.seed, order.metric)


def _difference(path: Path, files: list[Path], expected: np.ndarray) -> float:
    predictor = Predictor(saved_network.load_network(path))
    found = np.concatenate([one.probabilities for one in predictor.predict(files)])
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise AutomlError(
            f"the written network gives probabilities that differ by {difference:.2g} from those "
            f"of what was trained (at most {TOLERANCE:g} is rounding); nothing was replaced. "
            "Please report this"
        )
    return difference
