"""What a worker process does to fit the winner: it trains, and writes the network as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from automl_cv.engine import runtime, saved_network
from automl_cv.engine.calibration import calibrate
from automl_cv.engine.extract import OnProgress
from automl_cv.engine.prediction import Predictor
from automl_cv.engine.refitting import probabilities
from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, StopReason
from automl_cv.orders import messages
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import BOTH, Materials
from automl_cv.worker.worth import TINY

# Images that the written network is tried on, and by how much a probability may differ from
# what was trained: batches of other sizes round differently.
TRIED_IMAGES = 16
TOLERANCE = 1e-4


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
        AutomlError: training diverged, or the written network gives other probabilities.
    """
    images = order.given.images
    rows = np.flatnonzero(np.isin(images.splits, BOTH))
    tried = rows[:: max(1, len(rows) // TRIED_IMAGES)][:TRIED_IMAGES]
    calibration, temperature = None, 1.0
    if order.calibrate:
        labels, logits = _unknown(order, report, on_epoch)
        calibration = calibrate(labels, logits)
        temperature = calibration.temperature
    made = _made(order, tried, report, on_epoch, whole=True)
    network = made.assemble()
    saved_network.save(network, order.path, temperature)
    files = [Path(images.paths[row]) for row in tried]
    return messages.Fitted(
        histories=made.histories,
        image_size=int(network.input_shape[1]),
        weights=network.count_params(),
        difference=_difference(order.path, files, probabilities(made.logits, temperature)),
        versions=runtime.versions(),
        calibration=calibration,
    )


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
    return images.labels[rows], [np.log(np.maximum(said, TINY))]


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
