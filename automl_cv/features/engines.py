"""Which engine runs the backbones of a study that leaves it to the machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from automl_cv.catalog.engines import ENGINES, FLOAT32, TENSORFLOW, EngineEntry
from automl_cv.errors import UserError, installing
from automl_cv.features.cache import FeatureCache
from automl_cv.features.recipes import recipe
from automl_cv.study.studyfile import Backbone
from automl_cv.words import listed

PIXELS = 224 * 224  # of an image that `EngineEntry.worthwhile` counts
CPUINFO = Path("/proc/cpuinfo")


def suited(
    backbones: Iterable[Backbone], content_hashes: Sequence[str], cache: FeatureCache
) -> str:
    """Return the engine that "auto" stands for.

    TensorFlow, where it has made most of the features already, where there is a GPU, on
    processors that nothing was measured on, and where the images are so few that converting a
    network would take longer than what it saves. Among others the processor's kind decides: a
    measurement would go by what else the machine does, and equal searches would have other numbers.

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
    size = max(one.image_size for one in recipes)
    worth = [one for one in able if _is_worth(one, len(content_hashes), size)]
    without = 0 if _has_avx512() else 1
    return max(worth, key=lambda one: one.speed[without]).name


def serves(name: str, images: int, image_size: int) -> bool:
    """Tell whether an engine that made a classifier's features should predict with it here too.

    Args:
        name: of its entry, which may be gone.
        images: at least so many are predicted.
        image_size: of the network, in pixels.
    """
    if name == TENSORFLOW or name not in ENGINES or _has_gpu():
        return False
    return _is_worth(ENGINES[name], images, image_size)


def _is_worth(entry: EngineEntry, images: int, image_size: int) -> bool:
    """Tell whether an engine is installed, and saves more than the time that converting takes."""
    return not entry.missing and images * image_size**2 / PIXELS >= entry.worthwhile


def _has_gpu() -> bool:
    """Tell whether TensorFlow may find a GPU, without TensorFlow."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def _has_avx512() -> bool:
    """Tell whether the processor computes 512 bits at once; taken for granted where none tells."""
    try:
        flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return True
    return "avx512f" in flags.split()
