"""Greys: the range of values that the deep images of a data set use, and what is made of it.

A file of 16 bits need not use them: scanners and cameras give 10, 12 or 14, and slices of a body
keep within a few hundred values. Scaled from all 65,536 they would come out black.
"""

from __future__ import annotations

import numpy as np

from automl_cv.data.decoding import WHOLE
from automl_cv.data.images import Window
from automl_cv.data.inspected import Inspections
from automl_cv.data.ledger import Greys

DARK = 16  # 12 bits in 16, of which Pillow keeps the upper 8 where there is colour


def own_window(deep: Inspections) -> Window | None:
    """Return the window that images use themselves.

    Whole numbers that span half of the 16 bits or more keep all of them, floats that span half
    of 0 to 1 keep that: such files use the range that they have.

    Args:
        deep: what inspection found of them, at least one.
    """
    low, high = float(deep.rows["low"].min()), float(deep.rows["high"].max())
    if (deep.rows["depth"] == b"float").all():
        if low >= 0 and high <= 1 and high - low >= 0.5:
            return Window(0, 1)
    elif low >= 0 and high <= WHOLE and high - low >= (WHOLE + 1) / 2:
        return None
    return Window(low, high if high > low else low + 1)


def of_images(found: Inspections) -> Greys | None:
    """Return what deep images of a data set hold; None where there are none."""
    places = found.deep
    if not places.size:
        return None
    deep = found.rows[places]
    return Greys(
        n_images=len(deep),
        depths=tuple(one.decode() for one in np.unique(deep["depth"]).tolist()),
        low=float(deep["low"].min()),
        high=float(deep["high"].max()),
        window=found[places[0]].window,
    )


def note_unused(found: Inspections) -> list[str]:
    """Note a range that most images, or all, leave unused.

    Args:
        found: what inspection found of the images of a data set.
    """
    greys = of_images(found)
    notes = []
    is_deep = found.rows["depth"] != b""
    if greys is not None:
        low, high = greys.window or (0, WHOLE)
        tops = np.sort(found.rows["high"][is_deep])
        usual = tops[len(tops) // 2]
        if usual - low < (high - low) / 8:
            notes.append(
                f"half of the images hold nothing above {usual:g} of {high:g}, the value of white, "
                f"and come out dark; data.window = [{low:g}, {usual:g}] in the study file would "
                "spread them"
            )
    brightest = found.rows["high"][~is_deep].max(initial=0)
    if 0 < brightest < DARK:
        notes.append(
            f"no image is brighter than {brightest:g} of 255: images of 16-bit colour that use "
            "the lower bits, or masks of labels, look so; save them with their range stretched"
        )
    return notes
