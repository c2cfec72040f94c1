"""Runs images through a backbone: once each for the cache, or in each epoch as altered then."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.engines import ENGINES
from automl_cv.data.images import Window
from automl_cv.engine import augment, batch_sizes, images, mixing
from automl_cv.engine import backbone as backbones
from automl_cv.engine.backbone_parts import cut
from automl_cv.engine.compared import Unsuited, compile_compared
from automl_cv.features import FeatureCache, Recipe, view_name, view_names
from automl_cv.features.cache import Matrix
from automl_cv.orders.messages import OnProgress
from automl_cv.processors import cores
from automl_cv.study.studyfile import Backbone

# ResNet50 at 224 px on two cores: a process of 1.6 to 2.0 GB; of 2.5 to 2.8 with batches of 32,
# which were no faster. On a GPU it is the least, see `batch_sizes`.
BATCH_SIZE = 16
# A shard is written whenever one of these is reached: what a kill can cost, and the
# most that is held in memory (4,096 images of ResNet152's 50 blocks are 0.8 GB; a feature
# map of ResNet50 alone is 0.4 MB).
SHARD_IMAGES = 4096
SHARD_BYTES = 2**30
SHARD_SECONDS = 30.0

# Batches that pass before the speed of a network is measured: it is traced and warms up with them.
WARM_UP = 2

Network = backbones.Calls
"""A compiled backbone: from pixels to the vectors of each block."""


class Loaded(NamedTuple):
    """A compiled backbone, and how many images it takes at once."""

    network: Network
    batch_size: int


def load(
    backbone: Backbone,
    recipe: Recipe,
    pixels: images.Batch | None = None,
    batch_size: int = BATCH_SIZE,
) -> Network:
    """Build a study's backbone, or its part before the last blocks, and compile it.

    Args:
        backbone: the study's `[backbone]`.
        recipe: says which part, and the engine.
        pixels: a batch that an engine is compared with TensorFlow on; None where it was before.
        batch_size: images of a full batch.

    Raises:
        UserError: the backbone can't be built or cut (see `backbone.build`, `backbone_parts.cut`),
            or its engine is not installed.
        Unsuited: see `compared.compile_compared`.
    """
    if recipe.n_blocks_after:
        network = cut(backbone, recipe.image_size, recipe.n_blocks_after).frozen
    else:
        network = backbones.build(backbone, recipe.image_size)
    if recipe.is_reference or pixels is None:
        compiled: Network = ENGINES[recipe.engine].compile(network, batch_size, recipe.precision)
        return compiled
    return compile_compared(network, batch_size, recipe.engine, recipe.precision, pixels)


def _batch_size(backbone: Backbone, recipe: Recipe, cache: FeatureCache, n_missing: int) -> int:
    """Return how many images pass at once; what a GPU was found to want once is kept."""
    if not batch_sizes.uses_gpu(recipe) or recipe.n_blocks_after:
        return BATCH_SIZE
    known = cache.batch_size(recipe)
    if known is None and n_missing >= batch_sizes.WORTHWHILE:
        network = backbones.build(backbone, recipe.image_size)
        known = batch_sizes.found(network, BATCH_SIZE, recipe.precision)
        cache.note_batch_size(recipe, known)
    return known or BATCH_SIZE


def extract(
    backbone: Backbone,
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    cache: FeatureCache,
    recipe: Recipe,
    *,
    on_progress: OnProgress | None = None,
    views: int = 1,
    window: Window | None = None,
    missing: Sequence[str] | None = None,
    loaded: MutableMapping[Recipe, Loaded] | None = None,
) -> int:
    """Fill the cache with the features of those images, or views of them, that it lacks.

    Stopped at any moment it has lost the features since the last shard at most, and
    goes on from there when called again.

    Args:
        backbone: the study's `[backbone]`.
        paths: files of images; repeats allowed.
        content_hashes: of their pixels, one for each path (see `images.content_hash`).
        cache: where the features go.
        recipe: `features.recipe(backbone)`, or with an augmentation and a seed, which makes
            views of the images; those are found as `features.view_names(content_hashes, views)`.
            Where it is `before_blocks` it makes feature maps.
        on_progress: see `OnProgress`.
        views: how many views of each image, where the recipe makes views; more can be added
            later.
        window: which values of deep greys become black and white, see `data.images.decode`.
        missing: names that the cache lacks, of the images or views that are meant; None for all
            that it lacks.
        loaded: networks of earlier calls, by recipe; this one's is added.

    Returns:
        How many images passed the backbone, each image, or each view of it, counted once.

    An engine that can't run the network, or gives something else on the first images, is refused
    (see `FeatureCache.refuse`), and TensorFlow takes its place.

    Raises:
        UserError: the backbone can't be built (see `load`).
        AutomlError: a file can't be read any more, or holds another image by now.
        ValueError: the recipe mixes images, so that a view is not one image's alone.
    """
    if recipe.view is not None and recipe.view.augmentation.of_level("batch"):
        raise ValueError(f"views that mix images can't be cached: {recipe.view}")
    files = dict(zip(reversed(content_hashes), reversed(paths), strict=True))
    # Views of an image stand side by side, so that it is decoded once for most of them.
    wanted = content_hashes if recipe.view is None else view_names(content_hashes, views)
    recipe = cache.kept(recipe)
    loaded = {} if loaded is None else loaded
    share = missing
    missing = cache.missing(recipe, wanted, backbone.features) if share is None else share
    if not missing:
        return 0
    missing_paths = [files[_content_hash(name)] for name in missing]
    first = None
    if not recipe.is_reference and recipe not in loaded:
        few = slice(BATCH_SIZE)
        hashes = [_content_hash(name) for name in missing[few]]
        batch = images.batches(
            missing_paths[few], hashes, recipe.image_size, BATCH_SIZE, 1, window=window
        )
        first = next(batch)
    try:
        if recipe not in loaded:
            size = _batch_size(backbone, recipe, cache, len(missing))
            loaded[recipe] = Loaded(load(backbone, recipe, first, size), size)
    except Unsuited as reason:
        cache.refuse(recipe, str(reason))
        if share is not None:
            lacked = {*cache.missing(cache.kept(recipe), wanted, backbone.features)}
            share = [name for name in share if name in lacked]
        return extract(
            backbone,
            paths,
            content_hashes,
            cache,
            recipe,
            on_progress=on_progress,
            views=views,
            window=window,
            missing=share,
            loaded=loaded,
        )
    network, batch_size = loaded[recipe]
    shard = _Shard(cache, recipe)
    started, done = time.monotonic(), 0
    steady, before = started, 0
    try:
        batches = _run(
            network, recipe, missing_paths, missing, window=window, batch_size=batch_size
        )
        for blocks in batches:
            n_images = len(blocks[0])
            shard.append(missing[done : done + n_images], blocks)
            done += n_images
            if done <= WARM_UP * batch_size:
                steady, before = time.monotonic(), done
            if on_progress is not None:
                on_progress(done, len(missing), done / (time.monotonic() - started))
    finally:
        shard.write()
    if done > before:
        seconds = time.monotonic() - steady
        cache.note_speed(recipe, 1000 * seconds / (done - before), done - before)
    return done


def online_features(
    network: Network,
    recipe: Recipe,
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    labels: NDArray[np.float32],
    *,
    view: int,
    window: Window | None = None,
) -> Iterator[tuple[list[Matrix], NDArray[np.float32]]]:
    """Run one view of each image through the backbone now, batch by batch.

    Of views that `extract` caches these are the same features, on a processor to the bit.

    Args:
        network: `load(backbone, recipe)`.
        recipe: `features.recipe(backbone, augmentation, seed)`.
        paths: files of images, in the order in which an epoch visits them.
        content_hashes: of their pixels, one for each path.
        labels: float32 (images, classes), rows of sum 1.
        view: number of the view, the epoch's for instance.
        window: as in `extract`.

    Yields:
        For each batch its features, float32 (images, width) for each block, and its labels,
        mixed where images were mixed.

    Raises:
        AutomlError: a file can't be read any more, or holds another image by now.
    """
    names = [view_name(known, view) for known in content_hashes]
    cuts = _draw_cuts(recipe, names)
    batches = _run(network, recipe, paths, names, cuts, window=window)
    for start, blocks in zip(range(0, len(paths), BATCH_SIZE), batches, strict=True):
        chosen = slice(start, start + BATCH_SIZE)
        targets = labels[chosen]
        for boxes in cuts:
            shares = mixing.kept_shares(boxes[chosen], recipe.image_size)
            targets = mixing.mixed(targets, shares).numpy()
        yield blocks, targets


def _run(
    network: Network,
    recipe: Recipe,
    paths: Sequence[Path],
    names: Sequence[str],
    cuts: Sequence[NDArray[np.int32]] = (),
    *,
    window: Window | None = None,
    batch_size: int = BATCH_SIZE,
) -> Iterator[list[Matrix]]:
    """Yield each batch's outputs, in order.

    TensorFlow has one thread for each operation in our processes (see `runtime`), so
    extraction takes the machine's cores by calling the network from as many threads. A GPU
    is one device: a second caller would only double its memory.
    """
    threads = cores()
    callers = 1 if batch_sizes.uses_gpu(recipe) else threads
    hashes = [_content_hash(name) for name in names]
    alter = _alteration(recipe, names, cuts)
    pixels = images.batches(
        paths, hashes, recipe.image_size, batch_size, threads, alter=alter, window=window
    )
    with ThreadPoolExecutor(callers, "backbone") as pool:
        yield from images.in_order(pool, network, pixels, ahead=callers)


def _alteration(
    recipe: Recipe, names: Sequence[str], cuts: Sequence[NDArray[np.int32]]
) -> images.Alter:
    """Return what alters a batch, all of it drawn beforehand, which is faster than in between."""
    if recipe.view is None:
        return lambda pixels, chosen: pixels
    transforms = colours = None
    if single := recipe.view.augmentation.of_level("image"):
        change = augment.draw(single, recipe.view.seed, names)
        transforms, colours = change.transforms(recipe.image_size), change.colours()

    def alter(pixels: images.Batch, chosen: slice) -> images.Batch:
        if transforms is not None:
            own = None if colours is None else colours[chosen]
            pixels = augment.alter(pixels, transforms[chosen], own).numpy()
        for boxes in cuts:
            pixels = mixing.cutmix(pixels, boxes[chosen]).numpy()
        return pixels

    return alter


def _draw_cuts(recipe: Recipe, names: Sequence[str]) -> list[NDArray[np.int32]]:
    """Draw the boxes of each operation that mixes images."""
    if recipe.view is None:
        return []
    seed, size = recipe.view.seed, recipe.image_size
    return [
        operation.entry.load()(seed, names, size, **dict(operation.parameters))
        for operation in recipe.view.augmentation.of_level("batch").operations
    ]


def _content_hash(name: str) -> str:
    """Return the hash of the image that a row of the cache is of."""
    return name.partition("/")[0]


class _Shard:
    """Features on their way to the cache, written when there are enough of them."""

    def __init__(self, cache: FeatureCache, recipe: Recipe) -> None:
        self._cache, self._recipe = cache, recipe
        self._restart()

    def _restart(self) -> None:
        self._hashes: list[str] = []
        self._batches: list[list[Matrix]] = []
        self._bytes = 0
        self._since = time.monotonic()

    def append(self, content_hashes: Sequence[str], blocks: list[Matrix]) -> None:
        self._hashes += content_hashes
        self._batches.append(blocks)
        self._bytes += sum(block.nbytes for block in blocks)
        waited = time.monotonic() - self._since
        is_large = len(self._hashes) >= SHARD_IMAGES or self._bytes >= SHARD_BYTES
        if is_large or waited >= SHARD_SECONDS:
            self.write()

    def write(self) -> None:
        if self._hashes:
            blocks = [np.concatenate(parts) for parts in zip(*self._batches, strict=True)]
            self._cache.add(self._recipe, self._hashes, blocks)
        self._restart()
