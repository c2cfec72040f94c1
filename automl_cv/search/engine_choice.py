"""Which engine runs the backbones of a run: that of its beginning, whatever is installed by now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from optuna.storages import RDBStorage

from automl_cv.catalog.engines import AUTO
from automl_cv.data.dataset import Dataset
from automl_cv.errors import warn
from automl_cv.features import FeatureCache, recipe
from automl_cv.features.engines import suited
from automl_cv.search.run_choice import chosen_run, engine_of
from automl_cv.search.study_data import study_facts
from automl_cv.store.runs import runs
from automl_cv.study import studyfile
from automl_cv.study.parameters import BACKBONE_PARAMETERS
from automl_cv.study.studyfile import Backbone, StudyFile, drawn_backbone


def on_engine(
    study: StudyFile, images: Dataset, storage: RDBStorage, cache_dir: Path, *, new: bool
) -> StudyFile:
    """Return a study with its engine decided, where it is "auto".

    Args:
        study: with all else decided.
        images: all of them.
        storage: the database; a run in it that goes on keeps its engine.
        cache_dir: folder of features.
        new: a new run begins in any case.

    Raises:
        UserError: no engine suits, or see `run_choice.chosen_run`.
        AutomlError: what is stored of the study's latest run is damaged.
    """
    if study.backbone.engine != AUTO or study.backbone.ids is not None:
        return study
    held = [] if new else runs(storage, with_planned=True)
    earlier = chosen_run(held, study, study_facts(study, images))
    if earlier is not None:
        stored = studyfile.parse(earlier.facts[-1].study, f"the stored study {earlier.name}")
        return study.on_engine(engine_of(stored))
    hashes = images.images["content_hash"].tolist()
    return study.on_engine(suited(_possible(study), hashes, FeatureCache(cache_dir)))


def tell_refusal(backbone: Backbone, cache_dir: Path) -> None:
    """Warn where TensorFlow has made a backbone's features in place of the study's engine."""
    reason = FeatureCache(cache_dir).refusal(recipe(backbone))
    if reason is not None:
        warn(f"the features of {backbone.name} are made by TensorFlow, in float32: {reason}")


def _possible(study: StudyFile) -> Iterator[Backbone]:
    """Yield the study's own backbone, and those that its trials may draw."""
    yield study.backbone
    for stage in study.stages:
        for drawn in stage.space.combinations(BACKBONE_PARAMETERS):
            if drawn:
                yield drawn_backbone(study.backbone, drawn)
