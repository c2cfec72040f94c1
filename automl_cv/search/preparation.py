"""The features that a stage's trials will learn from: made ready before a trial needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.features import recipe, weightfile
from automl_cv.orders.messages import Need, Prepared, PrepareFeatures
from automl_cv.search import events
from automl_cv.search.context import SearchContext
from automl_cv.search.engine_choice import tell_refusal
from automl_cv.store.facts import Extraction, joined_extractions
from automl_cv.store.trials import StageTrials
from automl_cv.study.parameters import BACKBONE_PARAMETERS, PIXEL_AUGMENTATIONS
from automl_cv.study.space import Value
from automl_cv.study.stage import ONLINE, Stage
from automl_cv.study.studyfile import Backbone, StudyFile, drawn_backbone
from automl_cv.study.trial import Inputs

Network = tuple[str, int | None]
"""A backbone's name and image size: all blocks come of one extraction."""


@dataclass
class StageFeatures:
    """What the trials of a stage learn from, each set of features made ready once.

    Where trials draw the backbone or its image size, a network's features are made when the first
    trial comes that drew it, so that what the networks before it are worth is known by then.

    Args:
        context: of the search.
        stage: the stage, with the space that is searched.
        trials: its part of the storage; what each network cost is stored there.
        later: orders that are left until a trial needs them, by network.
        is_race: whether trials draw several networks.
    """

    context: SearchContext
    stage: Stage
    trials: StageTrials
    later: dict[Network, list[PrepareFeatures]] = field(default_factory=dict)
    is_race: bool = False

    def wait_for(self, parameters: Mapping[str, Value]) -> bool:
        """Tell whether a trial that drew these has to wait until its features are made ready."""
        return _network(self._backbone(parameters)) in self.later

    def make_ready(self, parameters: Mapping[str, Value]) -> None:
        """Make ready what a trial that drew these learns from; while none trains.

        Raises:
            UserError: a backbone or its weights can't be had.
            AutomlError: extraction failed.
        """
        self.carry_out(self.later.pop(_network(self._backbone(parameters)), ()))

    def carry_out(self, orders: Iterable[Need]) -> None:
        """Have all workers hold what some orders are of, and store what networks cost."""
        cost: list[Extraction] = []
        for order in orders:
            made = self.context.crew.made(order)
            ready = made or self.context.crew.prepare(order, self.context.listen)
            if self.is_race and isinstance(order, PrepareFeatures) and _is_plain(order):
                now = ready if made is None else replace(made, extracted=0)
                cost.append(_extraction(order, now))
            if made is None:
                self._tell(order, ready)
        stored = self.trials.stage_facts.extractions
        joined = joined_extractions([*stored, *cost])
        if joined != stored:
            self.trials.update_facts(extractions=joined)

    def _tell(self, order: Need, ready: Prepared) -> None:
        listen, study = self.context.listen, self.context.run.study
        if isinstance(order, PrepareFeatures) and ready.extracted and _is_plain(order):
            tell_refusal(order.backbone, self.context.cache_dir)
        if isinstance(order, PrepareFeatures) and order.views == ONLINE:
            images = _n_training(study.folds_of(self.stage), self.context.sizes(self.stage))
            speed = ready.extracted / ready.seconds
            listen(events.BackboneEachEpoch(self.stage.name, images, speed))
        else:
            listen(
                events.FeaturesReady(ready.extracted, ready.dimension, ready.seconds, str(order))
            )

    def _backbone(self, parameters: Mapping[str, Value]) -> Backbone:
        return drawn_backbone(self.context.run.study.backbone, parameters)


def prepare_stage(
    context: SearchContext, stage: Stage, memory: StageMemory, trials: StageTrials
) -> StageFeatures:
    """Make ready what the trials of a stage may learn from, but for what waits for a trial.

    Where trials take long, nothing waits: extraction takes all workers, and they would stand
    idle until the last of them has ended.

    Args:
        context: of the search.
        stage: the stage, with the space that is searched.
        memory: of the stage; knows what its trials can draw.
        trials: its part of the storage.

    Raises:
        UserError: a backbone or its weights can't be had.
        AutomlError: extraction failed.
    """
    orders = context.crew.needs(tuple(possible_inputs(context.run.study, stage, memory)))
    features = [one for one in orders if isinstance(one, PrepareFeatures)]
    altered = [one for one in features if one.augmentation is not None and not one.n_blocks]
    if len(altered) > 1:
        images = sum(context.sizes(stage)[split] for split in altered[0].splits)
        context.listen(events.ViewsWanted(stage.name, len(altered), int(stage.views), images))
    networks = {_network(one.backbone) for one in features if _is_plain(one)}
    found = StageFeatures(context, stage, trials, is_race=len(networks) > 1)
    if found.is_race and not stage.training.is_long:
        for one in features:
            recipe(one.backbone)  # what can't be had is told now
            found.later.setdefault(_network(one.backbone), []).append(one)
        orders = tuple(one for one in orders if one not in features)
    found.carry_out(orders)
    return found


def _network(backbone: Backbone) -> Network:
    return backbone.name, backbone.image_size


def _is_plain(order: PrepareFeatures) -> bool:
    """Tell whether features of images as they are were ordered."""
    return order.augmentation is None and not order.n_blocks


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
