"""What a worker process does to fit the winner: it trains, and writes the network as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.data.images import decode
from automl_cv.engine import bundle, images, runtime
from automl_cv.engine.cutting import cut
from automl_cv.engine.extract import Progress
from automl_cv.engine.fitting import finished, fit_head, logits_of, probabilities
from automl_cv.engine.prediction import Predictor
from automl_cv.engine.runtime import keras
from automl_cv.engine.training import TrainingResult
from automl_cv.errors import AutomlError
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.search import messages
from automl_cv.search.fine_tuning import plateau, tuning_task
from automl_cv.search.from_scratch import Networks
from automl_cv.search.objective import task_of
from automl_cv.search.trainers import Trainers

# Images that the written network is tried on, and by how much a probability may differ from
# what was trained: batches of other sizes round differently.
TRIED_IMAGES = 16
TOLERANCE = 1e-4

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class _Made:
    """A network, not yet written.

    Args:
        network: what `bundle.save` takes.
        histories: of each training.
        logits: of each training, of the images that are tried, by what was trained.
    """

    network: keras.Model
    histories: tuple[History, ...]
    logits: Sequence[np.ndarray]


def fit_network(order: messages.Fit, report: Progress, on_epoch: OnEpoch) -> messages.Fitted:
    """Train, write the network, and try what was written.

    Args:
        order: what to do.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.

    Raises:
        AutomlError: training diverged, or the written network gives other probabilities.
    """
    rows = np.flatnonzero(np.isin(order.images.splits, ("train", "validation")))
    tried = rows[:: max(1, len(rows) // TRIED_IMAGES)][:TRIED_IMAGES]
    make = _heads
    if order.stage.network is not None:
        make = _from_scratch
    elif order.stage.fine_tune is not None:
        make = _fine_tuned
    made = make(order, tried, report, on_epoch)
    bundle.save(made.network, order.path)
    files = [Path(order.images.paths[row]) for row in tried]
    return messages.Fitted(
        histories=made.histories,
        image_size=int(made.network.input_shape[1]),
        weights=made.network.count_params(),
        difference=_difference(order.path, files, probabilities(made.logits)),
        versions=runtime.versions(),
    )


def _heads(order: messages.Fit, tried: np.ndarray, report: Progress, on_epoch: OnEpoch) -> _Made:
    """Train heads on cached features."""
    trainers = _trainers(order, report, whole=True)
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
    features = np.asarray(trainers.pooled(order.parameters)[tried])
    return _Made(
        bundle.on_backbone(order.backbone, recipe(order.backbone).image_size, heads),
        tuple(one.history for one in fitted),
        [logits_of(head, features) for head in heads],
    )


def _from_scratch(
    order: messages.Fit, tried: np.ndarray, report: Progress, on_epoch: OnEpoch
) -> _Made:
    """Train networks on cached pixels.

    These are rounded; the network is tried on such that are not, as it gets them from files.
    """
    networks = Networks(_prepare(order), report)
    networks.prepare()
    rows = np.flatnonzero(np.isin(order.images.splits, ("train", "validation")))
    trainer = networks.trainer(order.stage.augmentation_of(order.parameters), rows, rows)
    models, histories = [], []
    for seed in order.seeds:
        task = task_of(order.stage, order.parameters, seed)
        result = finished(trainer.train(task, on_epoch, replay=order.replay))
        model = networks.build(task)
        model.set_weights(list(result.weights))
        models.append(model)
        histories.append(result.history)
    size = models[0].input_shape[1]
    pixels = images.resize_all([decode(Path(order.images.paths[row])) for row in tried], size)
    logits = [logits_of(model, pixels) for model in models]
    return _Made(bundle.averaged(models), tuple(histories), logits)


def _fine_tuned(
    order: messages.Fit, tried: np.ndarray, report: Progress, on_epoch: OnEpoch
) -> _Made:
    """Train heads on cached features, then the last blocks with them on cached maps."""
    assert order.stage.fine_tune is not None and order.head_stage is not None
    stages = [order.stage, order.head_stage]
    searched = _trainers(order, report, whole=False)
    searched.prepare_trial([order.head_stage], order.parameters)
    whole = _trainers(order, report, whole=True)
    whole.prepare_trial(stages, order.parameters)
    tuner = whole.tuner(order.stage, order.parameters, None)
    size = recipe(order.backbone).image_size
    networks, histories, logits = [], [], []
    for seed in order.seeds:
        head = _head(order, seed, searched, whole)
        task = tuning_task(order.stage, order.parameters, seed, order.metric)
        trained = tuner.trainer(head.weights).train(task, on_epoch, replay=order.replay)
        result = finished(trained)
        tuned = tuner.network(task, head.weights)
        tuned.set_weights(list(result.weights))
        histories.append(result.history)
        logits.append(tuner.logits(tuned, tried))
        # The tuner sets its own copy back for the next training.
        parts = cut(order.backbone, size, order.stage.fine_tune.blocks)
        parts.trained.set_weights(tuned.trained.get_weights())
        parts.whole.trainable = False
        networks.append(bundle.behind(parts.whole, order.backbone.features, [tuned.head]))
    return _Made(bundle.averaged(networks), tuple(histories), logits)


def _head(order: messages.Fit, seed: int, searched: Trainers, whole: Trainers) -> TrainingResult:
    """Train the head that fine-tuning begins with, on train and validation images.

    Its best number of epochs is found as in the search, where it comes out the same.
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
    trainer = whole.trainer(stage, order.parameters, None)
    replay = found.history.epochs[: best.epoch]
    views = whole.views(stage, order.parameters)
    return finished(trainer.train(task, lambda epoch: None, views, replay))


def _trainers(order: messages.Fit, report: Progress, *, whole: bool) -> Trainers:
    return Trainers(_prepare(order), report, lambda space: None, whole=whole)


def _prepare(order: messages.Fit) -> messages.Prepare:
    return messages.Prepare(order.images, order.backbone, order.cache_dir, order.seed, order.metric)


def _difference(path: Path, files: list[Path], expected: np.ndarray) -> float:
    predictor = Predictor(bundle.load_network(path))
    found = np.concatenate([one.probabilities for one in predictor.predict(files)])
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise AutomlError(
            f"the written network gives probabilities that differ by {difference:.2g} from those "
            f"of what was trained (at most {TOLERANCE:g} is rounding); nothing was replaced. "
            "Please report this"
        )
    return difference
