"""What a classifier says of one file. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of a file, or why there are none.

    Args:
        path: the file, as it was named.
        labels: names of the classes, the most probable first; none where there is an error.
        probabilities: of these classes.
        error: why the file could not be read; None where it could.
        distance: from what the classifier was trained on, above 1 for a foreign image; None where
            it can't tell.
    """

    path: str
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None
    distance: float | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the file is unlike all that the classifier was trained on, as far as it knows."""
        return self.distance is not None and self.distance > 1
