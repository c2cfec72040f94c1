"""The features that a stage's trials will learn from: ordered before its first trial."""

from __future__ import annotations

import numpy as np

from automl_cv.data.dataset import Dataset
from automl_cv.parameters import BACKBONE_PARAMETERS
from automl_cv.search.memory import StageMemory
from automl_cv.search.messages import Images, PrepareFeatures, PreparePixels
from automl_cv.stage import Stage
from automl_cv.studyfile import StudyFile, drawn_backbone


def needed_features(
    study: StudyFile, stage: Stage, memory: StageMemory
) -> list[PrepareFeatures | PreparePixels]:
    """Return every set of features, or the pixels, that a trial of a stage may learn from.

    Args:
        study: holds the stage.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.
    """
    if stage.network is not None:
        return [PreparePixels()]
    orders: list[PrepareFeatures | PreparePixels] = []
    for drawn in memory.combinations(BACKBONE_PARAMETERS):
        backbone = drawn_backbone(study.backbone, drawn)
        orders.append(PrepareFeatures(backbone))
        heads = [memory.head_stage(trial) for trial in memory.slots]
        for trained in (stage, *(one for one in heads if one is not None)):
            if trained.alteration:
                orders.append(PrepareFeatures(backbone, trained.alteration, trained.views))
        if stage.fine_tune is not None:
            blocks = stage.fine_tune.blocks
            orders.append(PrepareFeatures(backbone, n_blocks=blocks))
            if stage.alteration:
                orders.append(
                    PrepareFeatures(backbone, stage.alteration, stage.views, n_blocks=blocks)
                )
    return orders


def images_of(images: Dataset) -> Images:
    """Return what a worker needs to know of the images."""
    table = images.images
    return Images(
        paths=tuple(table["path"]),
        content_hashes=tuple(table["content_hash"]),
        labels=np.searchsorted(np.asarray(images.classes), table["label"]).astype(np.int32),
        splits=table["split"].to_numpy(dtype=str),
        groups=tuple(table["group"].astype(object).where(table["group"].notna(), None)),
        classes=images.classes,
    )
