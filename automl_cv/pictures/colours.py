"""Numbers as colours, with the scale that says which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Every 32nd colour of matplotlib's "viridis" and "inferno" (CC0): as light as the value is high,
# also in grey and to colour-blind eyes.
VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
INFERNO = ("000004", "210c4a", "57106e", "8a226a", "bc3754", "e45a31", "f98e09", "f9cb35", "fcffa4")
# ColorBrewer's "RdBu" turned round (Apache-2.0): blue below 0, white at 0, red above.
BLUE_WHITE_RED = ("2166ac", "67a9cf", "d1e5f0", "f7f7f7", "fddbc7", "ef8a62", "b2182b")


@dataclass(frozen=True)
class Scale:
    """Which colour a number has.

    Args:
        low: the number of the first colour; lower ones have it too.
        high: that of the last colour, likewise.
        colours: hexadecimal, at equal distances from low to high; between them, mixed.
        cut: whether there are numbers beyond the ends.
    """

    low: float
    high: float
    colours: tuple[str, ...]
    cut: bool = False

    def paint(self, values: NDArray[np.floating]) -> Pixels:
        """Return the colours of numbers.

        Args:
            values: any shape.

        Returns:
            uint8, shape (*values.shape, 3).
        """
        width = self.high - self.low
        # Where all is one number, it is the lowest.
        place = np.clip((values - self.low) / width, 0, 1) if width > 0 else np.zeros_like(values)
        table = np.array([list(bytes.fromhex(colour)) for colour in self.colours], float)
        knots = np.linspace(0, 1, len(table))
        mixed = [np.interp(place, knots, table[:, channel]) for channel in range(3)]
        return np.stack(mixed, axis=-1).round().astype(np.uint8)


def scale_of(values: NDArray[np.floating], share: float = 0.998) -> Scale:
    """Return one scale for all maps of a layer: from 0 up, or as far below 0 as above.

    Args:
        values: of all maps that are shown.
        share: of the values' magnitudes that lie within the scale: a few high ones would
            make all else dark.
    """
    magnitudes = np.abs(values)
    end = float(np.quantile(magnitudes, share)) or float(magnitudes.max())
    cut = bool(magnitudes.max() > end)
    if values.min() < 0:
        return Scale(-end, end, BLUE_WHITE_RED, cut)
    return Scale(0.0, end, VIRIDIS, cut)
