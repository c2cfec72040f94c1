"""The features that a stage's trials will learn from: ordered before its first trial."""

from __future__ import annotations

from automl_cv.parameters import BACKBONE_PARAMETERS
from automl_cv.search.memory import StageMemory
from automl_cv.search.messages import PrepareFeatures
from automl_cv.stage import Stage
from automl_cv.studyfile import StudyFile, drawn_backbone


def needed_features(study: StudyFile, stage: Stage, memory: StageMemory) -> list[PrepareFeatures]:
    """Return every set of features that a trial of a stage may learn from.

    Args:
        study: holds the stage.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.
    """
    orders = []
    for drawn in memory.combinations(BACKBONE_PARAMETERS):
        backbone = drawn_backbone(study.backbone, drawn)
        orders.append(PrepareFeatures(backbone))
        if stage.alteration:
            orders.append(PrepareFeatures(backbone, stage.alteration, stage.views))
    return orders
