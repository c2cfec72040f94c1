"""The images of a search: read, looked at, and what is stored and told of them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from automl_cv import __version__
from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.engines import AUTO, ENGINES
from automl_cv.catalog.metrics import METRICS
from automl_cv.data import dataset, findings
from automl_cv.data.dataset import Dataset
from automl_cv.data.ledger import Finding, Sizes
from automl_cv.errors import UserError
from automl_cv.scoring import figure
from automl_cv.search import events
from automl_cv.store.facts import StudyFacts
from automl_cv.study.studyfile import Backbone, StudyFile
from automl_cv.words import listed

# Times as large as what a network sees, from which images are taken for photographs.
LARGER = 3


def check_source(study: StudyFile) -> str:
    """Return the source of a study's images; UserError where it names none."""
    if study.data.source is None:
        raise UserError(f"study {study.name!r} names no data; give a folder with --data PATH")
    return study.data.source


def read_images(
    study: StudyFile,
    *,
    cache_dir: Path,
    strict: bool,
    ledger: Mapping[str, Any] | None,
    listen: events.Listener,
) -> Dataset:
    """Read the images of a study, and refuse those that its metric can't be measured on.

    Args:
        study: what is searched.
        cache_dir: folder of built-in data.
        strict: refuse a source that holds damaged images.
        ledger: of the run that most likely goes on: its range of deep greys stays.
        listen: is told how many have been looked at.

    Raises:
        UserError: the study names no data, there are none, or not such as it needs.
    """
    images = dataset.load_for(
        study,
        check_source(study),
        cache_dir=cache_dir,
        ledger=ledger if study.data.window is None else None,
        strict=strict,
        on_progress=lambda what, done, total: listen(events.Inspecting(done, total, what)),
    )
    _check_metric(study.metric, images)
    found = of_backbone(study.backbone, images.ledger.sizes)
    ledger_of_all = replace(
        images.ledger, findings=findings.in_order([*images.ledger.findings, *found])
    )
    return replace(images, ledger=ledger_of_all)


def of_backbone(backbone: Backbone, sizes: Sizes | None) -> list[Finding]:
    """Find that images are larger than what an embedded network has learned to see.

    Args:
        backbone: the study's own.
        sizes: of the images; None where none was read.
    """
    entry = None if backbone.name not in BACKBONES.names else BACKBONES[backbone.name]
    if entry is None or sizes is None or not entry.weights.embedded:
        return []
    size = backbone.image_size or entry.image_size
    if min(sizes.median) < LARGER * size:
        return []
    width, height = sizes.median
    line = (
        f"most images are larger than {LARGER} × {size} pixels (half have {width} × {height} or "
        f"more), and backbone {backbone.name} sees {size} × {size} and has learned from "
        f"{entry.weights.about.partition(',')[0]} alone; for photographs run `automl-cv search "
        "photos`, whose networks have seen ImageNet"
    )
    return [Finding("backbone", "warning", line)]


def check_findings(images: Dataset) -> None:
    """Refuse images that nothing can be learned from, or nothing said of what was learned.

    Raises:
        UserError: there is a finding that makes results worthless.
    """
    found = findings.worst(images.ledger.findings)
    if found is not None:
        raise UserError(
            f"{images.source}: {found.line}; `automl-cv data --format json` names every file; put "
            "that right, or search all the same with --despite-findings"
        )


def decided(study: StudyFile, images: Dataset) -> StudyFile:
    """Return a study with what validates decided by its images.

    Args:
        study: as it is declared.
        images: all of them.
    """
    known = images.images[images.images["split"] != "test"]
    units = known["group"].fillna(known["content_hash"]).groupby(known["label"]).nunique()
    return study.decided(len(known), int(units.min()))


def _check_metric(name: str, images: Dataset) -> None:
    """Refuse a metric that the validation images are of too few classes for.

    Folds need no check: each holds images of every class.
    """
    metric, n_classes = METRICS[name], len(images.classes)
    present = np.unique(images.labels("validation"))
    # One image a class tells, whatever the probabilities.
    alike = np.full((len(present), n_classes), 1 / n_classes, np.float32)
    if metric.of_epoch is not None or figure(name, present.astype(np.intp), alike) is not None:
        return
    absent = [repr(label) for number, label in enumerate(images.classes) if number not in present]
    raise UserError(
        f"metric: {name!r} can't be measured: {images.source} has no validation images of "
        f"{listed(absent)}; add some, or choose another metric or another split"
    )


def study_facts(study: StudyFile, images: Dataset) -> StudyFacts:
    """Return what is known of a study and its images before anything is trained."""
    own = {"automl-cv": __version__, "python": platform.python_version()}
    packages = {name: version(name) for name in ("optuna", "scikit-learn", "pillow")}
    return StudyFacts(
        study=study.as_toml_data(),
        digest=study.digest(),
        seed=study.seed,
        versions={**own, **packages, **_of_engine(study.backbone)},
        data_source=images.source,
        data_fingerprint=images.fingerprint,
        class_names=images.classes,
        split_sizes=_split_sizes(images),
        ledger=images.ledger.to_json(),
        warnings=(*images.ledger.warnings, *_of_vectors(study.backbone)),
    )


def _of_engine(backbone: Backbone) -> dict[str, str]:
    """Return the versions of what makes features, where that is not TensorFlow."""
    return {} if backbone.engine == AUTO else ENGINES[backbone.engine].versions


def _of_vectors(backbone: Backbone | None) -> tuple[str, ...]:
    """Say early what can't be done with vectors of another tool."""
    if backbone is None or backbone.ids is None:
        return ()
    return (
        f"{backbone.name} holds vectors, and what made them is not here: heads can be searched and "
        "compared on them, and none can be fitted, exported, or predict from images",
    )


def data_read(images: Dataset, backbone: Backbone | None = None) -> events.DataRead:
    """Return the event that tells of the images, and of what a study can't do with them."""
    return events.DataRead(
        source=images.source,
        images=_split_sizes(images),
        classes=images.classes,
        skipped=len(images.ledger.skipped),
        warnings=(*images.ledger.warnings, *_of_vectors(backbone)),
    )


def _split_sizes(images: Dataset) -> dict[str, int]:
    counts = images.images["split"].value_counts()
    return {split: int(counts.get(split, 0)) for split in ("train", "validation", "test")}
