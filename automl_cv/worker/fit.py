"""What a worker process does to fit the winner: it trains, and writes the network as a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from automl_cv.catalog.engines import AUTO, TENSORFLOW
from automl_cv.engine import runtime, saved_network
from automl_cv.engine.calibration import calibrate
from automl_cv.engine.prediction import Predictor
from automl_cv.engine.refitting import probabilities
from automl_cv.errors import AutomlError, naming
from automl_cv.history import Epoch, StopReason
from automl_cv.measures import LEAST_PROBABILITY
from automl_cv.orders import messages
from automl_cv.orders.messages import OnProgress
from automl_cv.saved.facts import Foreign
from automl_cv.solving.distance import Distance, Threshold, fitted, threshold
from automl_cv.study.trial import Trial
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import BOTH, Materials

# Images that the written network is tried on, and by how much a probability may differ from
# what was trained: batches of other sizes round differently.
TRIED_IMAGES = 16
TOLERANCE = 1e-4
# The same where another engine than the saved network's made the features.
OTHER_ENGINE_TOLERANCE = 1e-3

# Images that a model was trained on, on which it must be as good as the search promised for
# others; and by how much less may be chance, or what regularisation costs there.
JUDGED_IMAGES = 2000
SLACK = 0.03
# Seeds that are averaged where one training went wrong.
STEADYING_SEEDS = 5


def fit(
    order: messages.Fit, report: OnProgress, on_epoch: Callable[[Epoch], None]
) -> messages.Fitted:
    """Train, write the network, and try what was written.

    With `order.calibrate` the same is trained twice. On the training images alone first: its
    logits of the validation images give the temperature of what is trained on both.

    Args:
        order: what to do.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.

    Raises:
        AutomlError: training diverged or ended far below what was promised, or the written
            network gives other probabilities.
    """
    images = order.given.images
    rows = _some(np.flatnonzero(np.isin(images.splits, BOTH)), JUDGED_IMAGES)
    calibration, temperature = None, 1.0
    if order.calibrate:
        labels, logits = _unknown(order, report, on_epoch)
        calibration = calibrate(labels, logits)
        temperature = calibration.temperature
    sound = _sound(order, rows, report, on_epoch)
    network = sound.made.assemble()
    known = _known(order, sound, report)
    measured = None if known is None else (known[0], known[1].distance)
    with naming(order.path.parent):
        saved_network.save(network, order.path, temperature, measured)
    tried = _some(np.arange(len(rows)), TRIED_IMAGES)
    files = [Path(images.paths[row]) for row in rows[tried]]
    said = probabilities([one[tried] for one in sound.made.logits], temperature)
    return messages.Fitted(
        histories=sound.made.histories,
        image_size=int(network.input_shape[1]),
        weights=network.count_params(),
        difference=_difference(order, files, said),
        versions=runtime.versions(),
        calibration=calibration,
        accuracy=sound.accuracy,
        seeds=tuple(trial.task.seed for trial in sound.trials),
        note=sound.note,
        foreign=None if known is None else Foreign(share=known[1].share, images=known[1].images),
    )


def _known(
    order: messages.Fit, sound: Sound, report: OnProgress
) -> tuple[Distance, Threshold] | None:
    """Return how far images are from those trained on, and from where on they are foreign.

    Where the winner trained the backbone too, or has none, nothing: its features of its own
    images lie closer together than those of new ones, and no image is left to tell how much.
    """
    if not sound.made.heads:
        return None
    trial, images = sound.trials[0], order.given.images
    materials = Materials(order.given, report, lambda space: None, whole=True)
    materials.prepare(messages.PrepareFeatures(trial.backbone))
    rows = np.flatnonzero(np.isin(images.splits, BOTH))
    features = np.asarray(materials.features.plain(trial.backbone)[rows])
    units = [images.group(row) or images.content_hashes[row] for row in rows]
    found = threshold(features, units, seed=order.given.seed)
    return None if found is None else (fitted(features), found)


def _some(rows: np.ndarray, count: int) -> np.ndarray:
    """Return so many of the rows, evenly apart; all where there are fewer."""
    return rows[:: max(1, len(rows) // count)][:count]


@dataclass(frozen=True)
class Sound:
    """What was trained, as good on its own images as the search promised for others.

    Args:
        made: see `Made`.
        trials: the trainings that it is of.
        accuracy: on images that it was trained on.
        note: why it was trained otherwise than the search said; None where it was not.
    """

    made: Made
    trials: tuple[Trial, ...]
    accuracy: float
    note: str | None = None


def _sound(
    order: messages.Fit, rows: np.ndarray, report: OnProgress, on_epoch: Callable[[Epoch], None]
) -> Sound:
    """Train the winner; where that went wrong, train it again, steadier.

    The search's number of epochs was the best of one training on fewer images. A high rate that
    does not fall may be in mid-swing there on others: a model was written that classified 77 % of
    its own images right where 95 % were promised. Several seeds and a rate that falls to 0 by the
    last epoch mend that.

    Args:
        order: what to do.
        rows: images that it is trained on, which it is judged by.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.

    Raises:
        AutomlError: training diverged, or the model is far worse than promised both times.
    """
    labels, least = order.given.images.labels[rows], order.promised - SLACK
    made = _made(order, rows, report, on_epoch, whole=True)
    first = _accuracy(made, labels)
    if first >= least:
        return Sound(made, order.trials, first)
    found = (
        f"trained as in the search it classified {first:.4f} of its own images right, where the "
        f"search promised {order.promised:.4f} of others"
    )
    if order.trials[0].stage.training.in_steps:
        trials = _steadier(order)
        made = _made(replace(order, trials=trials), rows, report, on_epoch, whole=True)
        again = _accuracy(made, labels)
        note = f"{found}; so it was trained with a rate that falls to 0, over {len(trials)} seeds"
        if again >= least:
            return Sound(made, trials, again, note)
        found = f"{note}, and then {again:.4f}"
    raise AutomlError(
        f"{found}; nothing was written. Fit another trial with --trial, see `automl-cv report`"
    )


def _steadier(order: messages.Fit) -> tuple[Trial, ...]:
    """Return the trainings with a rate that falls to 0 by their last epoch, over several seeds.

    Trainings that take long keep their number.
    """
    first = order.trials[0]
    task = replace(first.task, epochs=len(order.replay), schedule="cosine", schedule_parameters={})
    steadier = replace(first, task=task)
    seeds = [trial.task.seed for trial in order.trials]
    if not first.stage.training.is_long:
        draw = np.random.default_rng(first.task.seed)
        seeds += map(int, draw.integers(0, 2**31, STEADYING_SEEDS))
        seeds = seeds[: max(STEADYING_SEEDS, len(order.trials))]
    return tuple(steadier.of_seed(seed) for seed in seeds)


def _accuracy(made: Made, labels: np.ndarray) -> float:
    """Return the share of images that mean logits classify right."""
    return float((np.mean(made.logits, axis=0).argmax(axis=1) == labels).mean())


def _unknown(
    order: messages.Fit, report: OnProgress, on_epoch: Callable[[Epoch], None]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return labels and logits of images that what gives the logits was not trained on.

    Of a study over folds all images, by the search's own trainings, done again.
    """
    images, trial = order.given.images, order.trials[0]
    if not trial.is_out_of_fold:
        validation = np.flatnonzero(images.splits == "validation")
        made = _made(order, validation, report, on_epoch, whole=False)
        return images.labels[validation], list(made.logits)
    materials = Materials(order.given, report, lambda space: None)
    materials.prepare_trial(trial)

    def stop_at_best(epoch: Epoch) -> StopReason | None:
        on_epoch(epoch)
        return "plateau" if epoch.epoch == len(order.replay) else None

    said = materials.kind(trial.stage).train(trial, stop_at_best, None).probabilities
    if said is None:
        raise AutomlError(f"the winner, of stage {trial.stage.name!r}, diverged on the folds")
    rows = np.flatnonzero(np.isin(images.splits, BOTH))
    return images.labels[rows], [np.log(np.maximum(said, LEAST_PROBABILITY))]


def _made(
    order: messages.Fit,
    rows: np.ndarray,
    report: OnProgress,
    on_epoch: Callable[[Epoch], None],
    *,
    whole: bool,
) -> Made:
    """Train the winner with each of its seeds.

    Args:
        order: what to do.
        rows: which images' logits are wanted.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.
        whole: on train and validation images together, or, as the search did, apart.
    """
    materials = Materials(order.given, report, lambda space: None, whole=whole)
    trial = order.trials[0]
    materials.prepare_trial(trial)
    return materials.kind(trial.stage).fit(order, rows, on_epoch)


def _difference(order: messages.Fit, files: list[Path], expected: np.ndarray) -> float:
    network = saved_network.load_network(order.path)
    predictor = Predictor(network, window=order.given.images.window)
    found = np.concatenate([one.probabilities for one in predictor.predict(files)])
    difference = float(np.abs(found - expected).max())
    is_other = order.trials[0].backbone.engine not in (AUTO, TENSORFLOW)
    tolerance = OTHER_ENGINE_TOLERANCE if is_other else TOLERANCE
    if not difference <= tolerance:
        raise AutomlError(
            f"the written network gives probabilities that differ by {difference:.2g} from those "
            f"of what was trained (at most {tolerance:g} is rounding); nothing was replaced. "
            "Please report this"
        )
    return difference
