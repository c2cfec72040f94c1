"""The features that a stage's trials will learn from: made ready before its first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.features import recipe, weightfile
from automl_cv.orders.messages import Prepared, PrepareFeatures
from automl_cv.search import events
from automl_cv.search.context import SearchContext
from automl_cv.search.engine_choice import tell_refusal
from automl_cv.store.facts import Extraction, joined_extractions
from automl_cv.study.parameters import BACKBONE_PARAMETERS, PIXEL_AUGMENTATIONS
from automl_cv.study.space import Value
from automl_cv.study.stage import ONLINE, Stage
from automl_cv.study.studyfile import StudyFile, drawn_backbone
from automl_cv.study.trial import Inputs


def prepare_stage(
    context: SearchContext, stage: Stage, memory: StageMemory
) -> tuple[Extraction, ...]:
    """Have every set of features made ready that a trial of a stage may learn from.

    Args:
        context: of the search.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.

    Returns:
        What each backbone and image size cost, where trials may draw several.

    Raises:
        UserError: a backbone or its weights can't be had.
        AutomlError: extraction failed.
    """
    crew, listen, split_sizes = context.crew, context.listen, context.sizes(stage)
    orders = crew.needs(tuple(possible_inputs(context.run.study, stage, memory)))
    features = [one for one in orders if isinstance(one, PrepareFeatures)]
    plain = [one for one in features if one.augmentation is None and not one.n_blocks]
    altered = [one for one in features if one.augmentation is not None and not one.n_blocks]
    if len(altered) > 1:
        images = sum(split_sizes[split] for split in altered[0].splits)
        listen(events.ViewsWanted(stage.name, len(altered), int(stage.views), images))
    is_race = len({(one.backbone.name, one.backbone.image_size) for one in plain}) > 1
    cost: list[Extraction] = []
    for order in orders:
        made = crew.made(order)
        ready = made or crew.prepare(order, listen)
        if is_race and isinstance(order, PrepareFeatures) and order in plain:
            cost.append(_extraction(order, ready if made is None else replace(made, extracted=0)))
        if made is not None:
            continue
        if isinstance(order, PrepareFeatures) and ready.extracted and order in plain:
            tell_refusal(order.backbone, context.cache_dir)
        if isinstance(order, PrepareFeatures) and order.views == ONLINE:
            speed = ready.extracted / ready.seconds
            listen(
                events.BackboneEachEpoch(
                    stage.name, _n_training(context.run.study.folds_of(stage), split_sizes), speed
                )
            )
        else:
            listen(
                events.FeaturesReady(ready.extracted, ready.dimension, ready.seconds, str(order))
            )
    return joined_extractions(cost)


def _extraction(order: PrepareFeatures, ready: Prepared) -> Extraction:
    """Return what the features of an order cost."""
    backbone = order.backbone
    path = weightfile.path_of(backbone)
    return Extraction(
        backbone=backbone.name,
        image_size=backbone.image_size,
        pixels=recipe(backbone).image_size,
        images=ready.extracted,
        seconds=ready.seconds if ready.extracted else 0.0,
        milliseconds=ready.milliseconds,
        megabytes=path.stat().st_size / 1e6 if path.is_file() else None,
        licence=weightfile.licence_of(backbone),
    )


def possible_inputs(study: StudyFile, stage: Stage, memory: StageMemory) -> list[Inputs]:
    """Return what the trials of a stage may learn from: each combination that they can draw.

    Args:
        study: holds the stage.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.
    """
    names, drawn_anyway = {*BACKBONE_PARAMETERS, *PIXEL_AUGMENTATIONS}, {}
    if not stage.caches_views:
        # Which values is for each epoch to know; that some will be drawn is enough here.
        drawn_anyway = {
            name: True for name in PIXEL_AUGMENTATIONS if name in stage.space.parameters
        }
        names -= drawn_anyway.keys()
    heads = {head.name: head for head in map(memory.head_stage, memory.slots) if head is not None}

    def inputs(of: Stage, drawn: Mapping[str, Value], *own: Inputs) -> Inputs:
        backbone = drawn_backbone(study.backbone, drawn)
        return Inputs(
            of, backbone, of.augmentation_of({**drawn, **drawn_anyway}), study.folds_of(stage), own
        )

    return [
        inputs(stage, drawn, *(inputs(head, drawn) for head in heads.values()))
        for drawn in memory.combinations(names)
    ]


def _n_training(folds: int | None, split_sizes: Mapping[str, int]) -> int:
    """Return how many images train in a stage; with folds, all but one of them."""
    if folds is None:
        return split_sizes["train"]
    both = split_sizes["train"] + split_sizes["validation"]
    return both * (folds - 1) // folds
