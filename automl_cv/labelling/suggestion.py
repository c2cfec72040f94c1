"""What to label next: a pool is read, its features are made, images are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.catalog.metrics import ACCURACY
from automl_cv.data import dataset, pool, sources
from automl_cv.data.images import Window
from automl_cv.data.pool import Pool
from automl_cv.data.texts import Texts
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, recipe
from automl_cv.labelling.choice import Reason, choose
from automl_cv.orders.crew import ENGINE, Crew
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Extracting, Prepare, SpaceNeeded
from automl_cv.saved.folder import SavedClassifier
from automl_cv.study import studyfile
from automl_cv.study.sections import Reading
from automl_cv.study.studyfile import Backbone
from automl_cv.words import counted

Listener = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""


@dataclass(frozen=True)
class Source:
    """Images that have labels.

    Args:
        source: a folder, a manifest or a built-in name.
        reading: how it is read.
    """

    source: str
    reading: Reading


@dataclass(frozen=True)
class Labelled:
    """An image that has a label.

    Args:
        path: absolute.
        label: its class.
        split: "train", "validation" or "test" where its source says so.
        group: images of one group must stay in one split; None for no group.
        content_hash: of its pixels.
    """

    path: str
    label: str
    split: str | None
    group: str | None
    content_hash: str


@dataclass(frozen=True)
class Suggested:
    """An image of the pool that is worth a label.

    Args:
        path: absolute.
        reason: why it was chosen.
        stands_for: how many unlabelled images its cluster holds, itself included.
        likely: names of classes, the most likely first, two at most.
        probabilities: of these.
    """

    path: str
    reason: Reason
    stands_for: int
    likely: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Suggestions:
    """What to label next.

    Args:
        pool: what was chosen from.
        labelled: images that have labels, of the pool or of other places.
        chosen: the best first.
        unlabelled: how many images of the pool have no label.
        backbone: what made the features.
    """

    pool: Pool
    labelled: tuple[Labelled, ...]
    chosen: tuple[Suggested, ...]
    unlabelled: int
    backbone: Backbone


def suggest(
    source: str,
    count: int,
    *,
    labelled: Sequence[Source],
    backbone: Backbone,
    seed: int,
    cache_dir: Path,
    listen: Listener,
) -> Suggestions:
    """Choose images of a folder whose labels are worth most.

    Args:
        source: the pool, see `data.pool.read`.
        count: how many to choose; all that are left where there are fewer.
        labelled: images that have labels. What the pool holds of them is known by its pixels.
        backbone: what makes the features.
        seed: of the clusters' beginnings.
        cache_dir: folder of features and built-in data.
        listen: is told how far it is.

    Raises:
        UserError: there is no such folder, a source of labels can't be read, an image has two
            labels, or the backbone or its weights can't be had.
        AutomlError: extraction failed.
    """
    cache, made = FeatureCache(cache_dir), recipe(backbone)
    # It loads TensorFlow while this process reads the images.
    with Crew(1, loads=lambda number: () if cache.has_some(made) else (ENGINE,)) as crew:
        found = pool.read(
            source,
            cache_dir=cache_dir,
            on_progress=listen,
        )
        known = _labelled(labelled, found.window, cache_dir)
        paths = dict(zip(found.content_hashes, found.paths, strict=True))
        paths |= {one.content_hash: one.path for one in known if one.content_hash not in paths}
        hashes = tuple(paths)
        images = _images(paths, found.window).kept(cache_dir)
        _extract(crew, Prepare(images, backbone, cache_dir, seed=0, metric=ACCURACY), listen)
    features = cache.open(made, hashes, backbone.features).array
    rows = {content: row for row, content in enumerate(hashes)}
    classes = sorted({one.label for one in known})
    chosen = choose(
        features,
        np.array([rows[one.content_hash] for one in known], dtype=np.intp),
        [classes.index(one.label) for one in known],
        count,
        seed,
    )
    return Suggestions(
        pool=found,
        labelled=known,
        chosen=tuple(
            Suggested(
                path=paths[hashes[one.row]],
                reason=one.reason,
                stands_for=one.stands_for,
                likely=tuple(classes[number] for number in one.likely),
                probabilities=one.probabilities,
            )
            for one in chosen
        ),
        unlabelled=len(hashes) - len(known),
        backbone=backbone,
    )


def of_model(saved: SavedClassifier) -> tuple[Backbone, Source]:
    """Return what makes a saved classifier's features, and the images that it was fitted on.

    Raises:
        UserError: it has no backbone, whose features could be compared.
    """
    manifest = saved.manifest
    if manifest.backbone is None:
        raise UserError(
            f"{saved.folder}: is a network of its own, without a backbone; name a study that has "
            "one with --study, and the labelled images with --labelled"
        )
    study = studyfile.parse(manifest.study, f"{saved.folder}: the stored study")
    reading = Reading(**study.data.model_dump(include=set(Reading.model_fields)))
    source = sources.as_stored(manifest.data.source, manifest.data.ledger)
    return Backbone.model_validate(manifest.backbone), Source(source, reading)


def _labelled(
    given: Sequence[Source], window: Window | None, cache_dir: Path
) -> tuple[Labelled, ...]:
    """Return the images that have labels, each once.

    Raises:
        UserError: one can't be read, or has two labels.
    """
    found: dict[str, Labelled] = {}
    for one in given:
        scaled = one.reading
        if window is not None:
            scaled = Reading(**{**scaled.model_dump(), "window": (window.low, window.high)})
        images = dataset.load_undivided(one.source, cache_dir=cache_dir, reading=scaled).images
        for row in images.itertuples(index=False):
            image = Labelled(
                path=str(row.path),
                label=str(row.label),
                split=row.split if isinstance(row.split, str) else None,
                group=row.group if isinstance(row.group, str) else None,
                content_hash=str(row.content_hash),
            )
            other = found.setdefault(image.content_hash, image)
            if other.label != image.label:
                raise UserError(
                    f"{one.source}: {image.path} has the label {image.label!r}, and the same "
                    f"image {other.path} has {other.label!r}; put one of them right"
                )
    return tuple(found.values())


def _images(paths: Mapping[str, str], window: Window | None) -> Images:
    """Return what a worker needs to know of images, whose labels do not matter to it.

    Args:
        paths: by the hash of the image's pixels.
        window: of deep greys.
    """
    return Images(
        paths=Texts.of(paths.values()),
        content_hashes=Texts.of(paths),
        labels=np.zeros(len(paths), np.int32),
        splits=np.full(len(paths), "train"),
        groups=Texts.of([""] * len(paths)),
        classes=("",),
        window=window,
    )


def _extract(crew: Crew, order: Prepare, listen: Listener) -> None:
    """Have the features of all images cached."""

    def report(progress: Extracting | SpaceNeeded) -> None:
        if isinstance(progress, Extracting):
            listen("extracting features", progress.done, progress.total)

    crew.prepare(order, report)


def why(one: Suggested) -> str:
    """Return why an image was chosen: "typical of 143 images", "cat 0.48 or dog 0.45"."""
    if one.reason == "typical":
        return f"typical of {counted(one.stands_for, 'image')}"
    likely = " or ".join(
        f"{label} {share:.2f}" for label, share in zip(one.likely, one.probabilities, strict=True)
    )
    return f"uncertain: {likely}"
