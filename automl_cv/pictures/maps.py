"""What is drawn: the feature maps of a layer, and where in a picture a class is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureMaps:
    """What one layer gives for one picture.

    Args:
        layer: its name; of layers with the same name, as much of the path as tells them apart.
        values: float32, shape (height, width, channels).
    """

    layer: str
    values: Values

    def strongest(self, count: int) -> list[int]:
        """Return the channels of the highest mean absolute activation, the highest first.

        After a ReLU this is the mean activation. Of equal channels the earlier comes first.

        Args:
            count: how many channels, if there are so many.
        """
        means = np.abs(self.values).mean(axis=(0, 1))
        return [int(channel) for channel in np.argsort(-means, kind="stable")[:count]]


@dataclass(frozen=True)
class ClassMap:
    """Which places of a picture speak for a class.

    Args:
        method: "Grad-CAM" or "Score-CAM".
        layer: as in `FeatureMaps`.
        values: float32, not negative, shape (height, width) of the layer; all 0 where no place
            speaks for the class. The unit is the method's own.
        class_name: the class.
        probability: of the class, for the whole picture.
        predicted: the most probable class.
        note: what else a reader must know of how it was made; may be empty.
    """

    method: str
    layer: str
    values: Values
    class_name: str
    probability: float
    predicted: str
    note: str = ""
