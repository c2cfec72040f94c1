"""What the stages of a study say of each other, and of what the study validates by."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import suggest
from automl_cv.study.parameters import (
    AUGMENTATION_STRENGTHS,
    BACKBONE_PARAMETERS,
    MIXING_AUGMENTATIONS,
    PIXEL_AUGMENTATIONS,
    check_cached_views,
)
from automl_cv.study.sections import Named
from automl_cv.study.space import Constant, Parameter
from automl_cv.study.stage import ONLINE, Stage

if TYPE_CHECKING:
    from automl_cv.study.studyfile import StudyFile


def check(study: StudyFile) -> None:
    """Raise a ValueError where a stage names another that it can't rest on.

    Args:
        study: its stages, each checked by itself, have names of their own.
    """
    names = [stage.name for stage in study.stages]
    for index, stage in enumerate(study.stages):
        for source in stage.narrowed_stages:
            if source not in names[:index]:
                raise ValueError(
                    f"stage.{stage.name}.narrow_from.stage: no stage {source!r} stands "
                    f"above it: {suggest(source, names[:index])}"
                )
        _check_laid_over(study, stage)
        _check_retrain(study, stage, names[:index])
        _check_combine(study, stage, names[:index])
        _check_drawn_views(study, stage)
        _check_sizes(study, stage)
        if "backbone" in stage.space.parameters and study.backbone.weights is not None:
            raise ValueError(
                f"stage.{stage.name}.space.backbone: excludes backbone.weights, which belong "
                "to one backbone; leave one out"
            )
    if study.backbone.ids is not None:
        _check_vectors(study)
    without = [one for one in study.stages if not one.training.takes_folds]
    if study.validation == "folds" and without:
        raise ValueError(
            f"validation: 'folds' is for heads on features, and stage {without[0].name!r} "
            f'trains {without[0].training.about}; set "auto" or "split", or leave it out'
        )


def _check_sizes(study: StudyFile, stage: Stage) -> None:
    """Refuse image sizes of a space that a backbone can't take."""
    for drawn in stage.space.combinations(("backbone", "image_size")):
        name, size = (drawn.get(key) for key in ("backbone", "image_size"))
        name, size = name or study.backbone.name, size or study.backbone.image_size
        if isinstance(size, int) and name in BACKBONES:
            try:
                BACKBONES[str(name)].check_size(size)
            except ValueError as error:
                raise ValueError(f"stage.{stage.name}.space.{error}") from None


def _check_vectors(study: StudyFile) -> None:
    """Refuse what wants the network behind vectors of another tool."""
    for stage in study.stages:
        drawn = [name for name in BACKBONE_PARAMETERS if name in stage.space.parameters]
        alters = stage.alteration.of_level("image", "batch")
        wants = {
            f"space.{drawn[0] if drawn else ''}": bool(drawn),
            "augmentation": bool(alters)
            or any(name in PIXEL_AUGMENTATIONS for name in _drawn(study, stage)),
            "fine_tune": stage.fine_tune is not None,
            "network": stage.network is not None,
        }
        for key in (key for key, is_wanted in wants.items() if is_wanted):
            raise ValueError(
                f"stage.{stage.name}.{key}: {study.backbone.name} is vectors of images, and what "
                "made them is not here; leave it out, or name a backbone"
            )


def _check_laid_over(study: StudyFile, stage: Stage) -> None:
    """Refuse a condition of what the stage above, which has its own, searches too."""
    above = {name for one in stage.narrowed_stages for name in _drawn(study, study.stage(one))}
    for name, parameter in stage.space.parameters.items():
        if parameter.when and name in above:
            raise ValueError(
                f"stage.{stage.name}.space: {name}.when: a parameter set beside narrow_from keeps "
                "the condition it has in the stage above; leave `when` out"
            )


def _check_combine(study: StudyFile, stage: Stage, above: list[str]) -> None:
    key = f"stage.{stage.name}.combine.stages"
    for name in stage.combined_stages:
        if name not in above:
            raise ValueError(f"{key}: no stage {name!r} stands above it: {suggest(name, above)}")
        other = study.stage(name)
        if other.retrained_stages or other.combined_stages or not other.training.takes_folds:
            raise ValueError(f"{key}: {name!r} is no search of heads on features; name one that is")
        if other.images is not None:
            raise ValueError(
                f"{key}: trials of {name!r} saw {other.images} images; name stages that see all"
            )


def _check_retrain(study: StudyFile, stage: Stage, above: list[str]) -> None:
    retrained = stage.retrained_stages
    if not retrained:
        return
    key = f"stage.{stage.name}.retrain"
    if stage.narrowed_stages:
        raise ValueError(f"{key}: excludes narrow_from; leave one out")
    on_features = stage.training.learns_from == "features"
    if any(study.stage(name).combined_stages for name in retrained if name in above):
        raise ValueError(f"{key}.stages: what a stage combines can't be trained again")
    for name in retrained:
        if name not in above:
            raise ValueError(
                f"{key}.stages: no stage {name!r} stands above it: {suggest(name, above)}"
            )
        if on_features and _head_of(study.stage(name)) != _head_of(stage):
            raise ValueError(
                f"{key}.stages: {name!r} has another head than {stage.name!r}; a trial is "
                "trained again with its own"
            )
        first = study.stage(retrained[0]).augmentation
        is_taken_over = bool(stage.redrawn_stages) and stage.augmentation == first
        if is_taken_over and study.stage(name).augmentation != first:
            raise ValueError(
                f"{key}.stages: {name!r} has another augmentation than {stage.name!r}; set "
                "one for all, or name the stages in stages of their own"
            )
    _check_samples(study, stage)
    if len({bool(study.stage(name).retrained_stages) for name in retrained}) > 1:
        raise ValueError(
            f"{key}.stages: {' and '.join(retrained)} can't be ranked together: "
            "trials of some were trained once, of others again and count by their mean; "
            "name stages of one kind"
        )


def _check_samples(study: StudyFile, stage: Stage) -> None:
    """Refuse to rank trials together that saw other images, or to begin with a head of a sample."""
    key = f"stage.{stage.name}.retrain.stages"
    seen = {study.stage(name).images for name in stage.retrained_stages}
    if len(seen) > 1:
        raise ValueError(
            f"{key}: trials of {' and '.join(stage.retrained_stages)} saw other images and can't "
            "be ranked together; name stages of as many `images`"
        )
    if stage.training.begins_with_head and seen != {None}:
        raise ValueError(
            f"{key}: fine-tuning begins with the head of such a trial, which saw a sample of the "
            "images; name stages without `images`"
        )


def _check_drawn_views(study: StudyFile, stage: Stage) -> None:
    """Refuse what a stage would take over from those above, but can't cache."""
    drawn = _drawn(study, stage)
    if stage.training.begins_with_head:
        _check_fine_tuned(study, stage, drawn)
    if not stage.caches_views:
        return
    if stage.retrained_stages:  # its values are known: no ranges
        drawn = {name: Constant(value=True) for name in drawn}
    try:
        check_cached_views(drawn)
    except ValueError as error:
        raise ValueError(f"stage.{stage.name}: {error}") from None


def _check_fine_tuned(study: StudyFile, stage: Stage, drawn: Collection[str]) -> None:
    """Refuse views of which no feature maps can be cached, or none for each fold."""
    key = f"stage.{stage.name}.fine_tune"
    tables = [stage, *map(study.stage, stage.retrained_stages)]
    others = [one for one in tables if one.network or one.training.trained != "head"]
    if others:
        other = "a network from scratch" if others[0].network else "exact heads"
        raise ValueError(
            f"{key}: {others[0].name!r} trains {other}; only heads that are trained in steps "
            "can go on with its last blocks"
        )
    own = [one.name for one in stage.alteration.of_level("batch", "features").operations]
    mixing = [*own, *(name for name in drawn if name in MIXING_AUGMENTATIONS)]
    if mixing:
        raise ValueError(f"{key}: {mixing[0]} mixes images, which fine-tuning can't; leave it out")
    if stage.views == ONLINE:
        raise ValueError(f"{key}: trains on cached views; set views to a number")
    is_altered = any(one.augmentation for one in tables) or any(
        name in AUGMENTATION_STRENGTHS for name in drawn
    )
    if stage.folds is not None and is_altered:
        raise ValueError(f"{key}: augmentation goes with repeats, not with folds")


def _drawn(study: StudyFile, stage: Stage) -> dict[str, Parameter]:
    """Return the parameters of a stage, those of the stages that it rests on among them."""
    found: dict[str, Parameter] = {}
    for name in (*stage.narrowed_stages, *stage.redrawn_stages):
        found |= _drawn(study, study.stage(name))
    return {**found, **stage.space.parameters}


def _head_of(stage: Stage) -> Named:
    """Return what of a stage on features must be the same where its trials are trained again."""
    return stage.exact or stage.head
