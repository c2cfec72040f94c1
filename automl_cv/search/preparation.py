"""The features that a stage's trials will learn from: made ready before its first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.orders.messages import PrepareFeatures, PreparePixels, views_order
from automl_cv.search import events
from automl_cv.search.context import SearchContext
from automl_cv.study.parameters import BACKBONE_PARAMETERS, PIXEL_AUGMENTATIONS
from automl_cv.study.stage import ONLINE, Stage
from automl_cv.study.studyfile import StudyFile, drawn_backbone


def prepare_stage(context: SearchContext, stage: Stage, memory: StageMemory) -> None:
    """Have every set of features made ready that a trial of a stage may learn from.

    Args:
        context: of the search.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.

    Raises:
        UserError: a backbone or its weights can't be had.
        AutomlError: extraction failed.
    """
    crew, listen, split_sizes = context.crew, context.listen, context.facts.split_sizes
    orders = needed_features(context.run.study, stage, memory)
    features = [one for one in orders if isinstance(one, PrepareFeatures)]
    altered = [one for one in features if one.augmentation is not None and not one.n_blocks]
    if len(altered) > 1:
        images = sum(split_sizes[split] for split in altered[0].splits)
        listen(events.ViewsWanted(stage.name, len(altered), int(stage.views), images))
    for order in orders:
        if crew.has(order):
            continue
        ready = crew.prepare(order, listen)
        if isinstance(order, PrepareFeatures) and order.views == ONLINE:
            speed = ready.extracted / ready.seconds
            listen(events.BackboneEachEpoch(stage.name, _n_training(stage, split_sizes), speed))
        else:
            listen(
                events.FeaturesReady(ready.extracted, ready.dimension, ready.seconds, str(order))
            )


def needed_features(
    study: StudyFile, stage: Stage, memory: StageMemory
) -> list[PrepareFeatures | PreparePixels]:
    """Return each set of features, or the pixels, that a trial of a stage may learn from.

    Args:
        study: holds the stage.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.
    """
    if stage.network is not None:
        return [PreparePixels()]
    names, drawn_anyway = {*BACKBONE_PARAMETERS, *PIXEL_AUGMENTATIONS}, {}
    if stage.views == ONLINE and not stage.retrained_stages:
        # Which values is for each epoch to know; that some will be drawn is enough here.
        names = {*BACKBONE_PARAMETERS}
        drawn_anyway = {
            name: True for name in PIXEL_AUGMENTATIONS if name in stage.space.parameters
        }
    orders: dict[PrepareFeatures | PreparePixels, None] = {}
    for drawn in memory.combinations(names):
        backbone = drawn_backbone(study.backbone, drawn)
        orders[PrepareFeatures(backbone)] = None
        heads = [memory.head_stage(trial) for trial in memory.slots]
        for trained in (stage, *(one for one in heads if one is not None)):
            views = views_order(trained, backbone, {**drawn, **drawn_anyway})
            if views is not None:
                orders[views] = None
        if stage.fine_tune is not None:
            blocks = stage.fine_tune.blocks
            orders[PrepareFeatures(backbone, n_blocks=blocks)] = None
            views = views_order(stage, backbone, drawn)
            if views is not None:
                orders[replace(views, n_blocks=blocks)] = None
    return list(orders)


def _n_training(stage: Stage, split_sizes: Mapping[str, int]) -> int:
    """Return how many images train in a stage; with folds, all but one of them."""
    if stage.folds is None:
        return split_sizes["train"]
    return (split_sizes["train"] + split_sizes["validation"]) * (stage.folds - 1) // stage.folds
