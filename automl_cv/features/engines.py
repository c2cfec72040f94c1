"""Which engine runs the backbones of a study that leaves it to the machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from automl_cv.catalog.engines import ENGINES, FLOAT32, TENSORFLOW
from automl_cv.errors import UserError, installing
from automl_cv.features.cache import FeatureCache
from automl_cv.features.recipes import recipe
from automl_cv.study.studyfile import Backbone
from automl_cv.words import listed

PIXELS = 224 * 224  # of an image that `EngineEntry.worthwhile` counts


def suited(
    backbones: Iterable[Backbone], content_hashes: Sequence[str], cache: FeatureCache
) -> str:
    """Return the engine that "auto" stands for.

    TensorFlow, where it has made most of the features already, where there is a GPU, on
    processors that nothing was measured on, and where the images are so few that converting a
    network would take longer than what it saves.

    Args:
        backbones: those that the study may run, at least one, of one precision.
        content_hashes: of the images.
        cache: of features.

    Raises:
        UserError: no engine that is installed computes in the precision; or see `recipe`.
    """
    backbones = [one for one in backbones if one.ids is None]
    precision = next((one.precision for one in backbones), FLOAT32)
    able = [one for one in ENGINES if precision in one.precisions]
    if precision != FLOAT32:
        there = next((one.name for one in able if not one.missing), None)
        if there is None:
            raise UserError(
                f"backbone.precision: {precision!r} needs the engine "
                f"{listed([one.name for one in able])}, not installed; {installing(able[0].extra)}"
            )
        return there
    recipes = [recipe(one) for one in backbones]
    if not recipes or _has_gpu() or platform.machine() not in ("x86_64", "AMD64"):
        return TENSORFLOW
    if any(cache.knows_most(one, content_hashes) for one in recipes):
        return TENSORFLOW
    much = len(content_hashes) * max(one.image_size for one in recipes) ** 2 / PIXELS
    return next(one.name for one in able if not one.missing and much >= one.worthwhile)


def _has_gpu() -> bool:
    """Tell whether TensorFlow may find a GPU, without TensorFlow."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()
