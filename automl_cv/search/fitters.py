"""What a worker process does to fit the winner: features, heads, and the network as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from automl_cv.engine import bundle, runtime
from automl_cv.engine.extract import Progress, extract, load
from automl_cv.engine.fitting import fit_head, probabilities
from automl_cv.engine.prediction import Predictor
from automl_cv.engine.training import TrainingData
from automl_cv.engine.views import CachedViews, OnlineViews, Views
from automl_cv.errors import AutomlError
from automl_cv.features import FeatureCache, recipe, view_names
from automl_cv.history import Epoch
from automl_cv.search import messages
from automl_cv.search.objective import task_of

# Images that the written network is tried on, and by how much a probability may differ from
# the head's on cached features: batches of other sizes round differently.
TRIED_IMAGES = 16
TOLERANCE = 1e-4


def fit_network(
    order: messages.Fit, report: Progress, on_epoch: Callable[[Epoch], None]
) -> messages.Fitted:
    """Train the heads, write the network, and try what was written.

    Args:
        order: what to do.
        report: is told how far an extraction is.
        on_epoch: is told each epoch of each training.

    Raises:
        AutomlError: training diverged, or the written network gives other probabilities.
    """
    images = order.images
    cache = FeatureCache(order.cache_dir)
    plain = recipe(order.backbone)
    paths = [Path(path) for path in images.paths]
    extract(order.backbone, paths, images.content_hashes, cache, plain, report)
    features = cache.open(plain, images.content_hashes, order.backbone.features).array
    rows = np.flatnonzero(np.isin(images.splits, ("train", "validation")))
    hashes = [images.content_hashes[row] for row in rows]
    data = TrainingData(
        features=features,
        train=rows,
        train_labels=images.labels[rows],
        validation=rows,
        validation_labels=images.labels[rows],
        classes=len(images.classes),
        content_hashes=hashes,
    )
    views = _views(order, cache, data, [paths[row] for row in rows], report)
    fitted = [
        fit_head(data, task_of(order.stage, order.parameters, seed), order.replay, views, on_epoch)
        for seed in order.seeds
    ]
    heads = [one.head for one in fitted]
    network = bundle.on_backbone(order.backbone, plain.image_size, heads)
    bundle.save(network, order.path)
    tried = rows[:: max(1, len(rows) // TRIED_IMAGES)][:TRIED_IMAGES]
    expected = probabilities(heads, np.asarray(features[tried]))
    difference = _difference(order.path, [paths[row] for row in tried], expected)
    return messages.Fitted(
        histories=tuple(one.history for one in fitted),
        image_size=plain.image_size,
        weights=network.count_params(),
        difference=difference,
        versions=runtime.versions(),
    )


def _views(
    order: messages.Fit,
    cache: FeatureCache,
    data: TrainingData,
    paths: list[Path],
    report: Progress,
) -> Views | None:
    """Return the altered views that the winner is trained on."""
    wanted = messages.views_order(order.stage, order.backbone, order.parameters)
    if wanted is None:
        return None
    hashes = data.content_hashes
    if wanted.views == "online":
        return OnlineViews(
            order.backbone,
            load(order.backbone, recipe(order.backbone)),
            order.stage.augmentation_of(order.parameters),
            paths,
            hashes,
            data.train_labels,
            data.classes,
        )
    altered = recipe(order.backbone, wanted.augmentation, order.seed)
    extract(order.backbone, paths, hashes, cache, altered, report, wanted.views)
    names = view_names(hashes, wanted.views)
    features = cache.open(altered, names, order.backbone.features).array
    return CachedViews(features, np.arange(len(hashes)), wanted.views)


def _difference(path: Path, files: list[Path], expected: np.ndarray) -> float:
    predictor = Predictor(bundle.load_network(path))
    found = np.concatenate([one.probabilities for one in predictor.predict(files)])
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise AutomlError(
            f"the written network gives probabilities that differ by {difference:.2g} from those "
            f"of the trained head (at most {TOLERANCE:g} is rounding); nothing was replaced. "
            "Please report this"
        )
    return difference
