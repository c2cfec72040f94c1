"""The floor under every leaderboard: logistic regression on the same features and images."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.data import overlap
from automl_cv.measures import cross_entropies
from automl_cv.orders.messages import Surveyed
from automl_cv.study.reference import STAGE
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import Inputs, Trial, task_of
from automl_cv.worker.folds import division
from automl_cv.worker.materials import Materials

LABEL = "logistic regression on the same features"
MAX_ITERATIONS = 1000


def survey(materials: Materials, backbone: Backbone | None = None) -> Surveyed:
    """Train the reference on a backbone's features, and compare the splits on it.

    Args:
        materials: features of the images.
        backbone: the backbone, whose features are ready; None for the study's own.
    """
    given, images = materials.given, materials.images
    backbone = backbone or given.backbone
    if given.folds is None:
        train, validation = division(images, None, None)
        features = materials.features.plain(backbone)
        reference = logistic_reference(
            features[train], images.labels[train], features[validation], images.labels[validation]
        )
    else:
        reference = tuned_reference(materials, backbone)
    last = materials.features.of_last_block(backbone)
    near = overlap.near_duplicates(last, images.splits)
    return Surveyed(reference, tuple(near.warnings(images.paths)))


def tuned_reference(materials: Materials, backbone: Backbone) -> dict[str, Any]:
    """Solve logistic regression over the folds, with the penalty of lowest log loss there.

    Args:
        materials: features of the images.
        backbone: what makes them.

    Returns:
        As `logistic_reference`, of images that no fold's training had a part in; and penalty.
    """
    folds = materials.given.folds
    inputs = Inputs(STAGE, backbone, Augmentation(), folds)
    trial = Trial(0, {}, inputs, task_of(STAGE, {}, seed=0), {}, folds=folds)
    found = materials.kind(STAGE).train(trial, lambda epoch: None, None)
    (epoch,) = found.history.epochs
    penalty = found.optimizer_config["penalty"]
    return {
        "label": f"{LABEL}, penalty {penalty:g} by {folds} folds",
        "accuracy": epoch.accuracy,
        "val_accuracy": epoch.val_accuracy,
        "loss": epoch.loss,
        "val_loss": epoch.val_loss,
        "penalty": penalty,
        "seconds": found.history.seconds,
        "converged": True,
    }


def logistic_reference(
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
) -> dict[str, Any]:
    """Fit scikit-learn's L-BFGS logistic regression on standardised features.

    Args:
        train: features, shape (n, features).
        train_labels: class indices, shape (n,).
        validation: features, shape (m, features).
        validation_labels: class indices, shape (m,).

    Returns:
        label, accuracy, val_accuracy, loss, val_loss (mean cross-entropy), seconds, and
        converged: whether L-BFGS ended within 1,000 iterations.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    started = time.perf_counter()
    # C = 1.0 and 100 iterations are scikit-learn's defaults; the larger limit lets
    # wide features converge.
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(train, train_labels)
    figures: dict[str, Any] = {"label": LABEL}
    splits = (("", train, train_labels), ("val_", validation, validation_labels))
    for prefix, features, labels in splits:
        logits = model.decision_function(features)
        if logits.ndim == 1:  # of two classes, the second's above the first's
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        right = model.classes_[logits.argmax(axis=1)] == labels
        figures[f"{prefix}accuracy"] = float(right.mean())
        losses = cross_entropies(np.searchsorted(model.classes_, labels), logits)
        figures[f"{prefix}loss"] = float(losses.mean())
    figures["seconds"] = time.perf_counter() - started
    figures["converged"] = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return figures
