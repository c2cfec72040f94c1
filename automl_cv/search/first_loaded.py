"""What worker processes load at once, beside what the search itself does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, recipe
from automl_cv.orders import crew
from automl_cv.orders.crew import ENGINE, SOLVING
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile
from automl_cv.training import linear


def first_loaded(
    study: StudyFile, stages: Sequence[Stage], cache_dir: Path
) -> Callable[[int], list[str]]:
    """Return what workers load at once, while this process reads the images.

    Heads that are solved, and heads of one layer, need TensorFlow only to extract their features,
    which the first worker does for all. Should another need it after all, it is loaded then.

    Returns:
        Names of modules for the number of a worker.
    """
    kinds = dict.fromkeys(stage.training.target.partition(":")[0] for stage in stages)
    if not all(linear.takes_all(study, stage) for stage in stages):
        return lambda number: [ENGINE, *kinds]
    # Vectors of another tool are there already.
    there = study.backbone.ids is not None
    extracts = not there and not FeatureCache(cache_dir).has_some(recipe(study.backbone))
    return lambda number: [ENGINE, *kinds] if extracts and number == 0 else [*kinds]


def loading_early(
    study: StudyFile, stage: str | None, cache_dir: Path, cluster: str | None
) -> AbstractContextManager[None]:
    """Have the first worker load while a block imports what a search needs, and searches.

    Args:
        study: as it was read.
        stage: name of the only one that is searched; None for all.
        cache_dir: folder of features.
        cluster: where workers are, which start by themselves; None for this machine.
    """
    if cluster is not None:
        return nullcontext()
    return crew.one_in_reserve(known_early(study, stage, cache_dir))


def known_early(study: StudyFile, stage: str | None, cache_dir: Path) -> list[str]:
    """Return what the first worker loads, as far as a study tells before anything is opened.

    Args:
        study: as it was read.
        stage: name of the only one that is searched; None for all.
        cache_dir: folder of features.
    """
    try:
        stages = list(study.stages) if stage is None else [study.stage(stage)]
        return [SOLVING, *first_loaded(study, stages, cache_dir)(0)]
    except UserError:
        return [SOLVING]  # the search tells it, after what is wrong before that
