"""What came of an evaluation. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.data.images import Window
from automl_cv.data.ledger import Skipped
from automl_cv.measures import Labels, Probabilities
from automl_cv.saved.looks import Look
from automl_cv.scoring import Scores, most_confidently_wrong
from automl_cv.words import counted

WRONG = 24  # most confidently wrong images that are named and shown
HELD_OUT, OWN_TEST, ALL = "held-out test split", "its own test split", "all images"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A classifier's answers for images whose classes are known, and what they are worth.

    Args:
        model: the classifier's folder, as the user named it.
        source: where the images are, as the user named it.
        part: which of them: HELD_OUT, OWN_TEST or ALL.
        fingerprint: of these images and their classes.
        classes: names of the classes, in the order of the probabilities.
        paths: of the images, absolute.
        names: the same, as short as tells them apart.
        labels: number of each image's class.
        probabilities: float32, shape (images, classes).
        skipped: files of the source that are no part of this.
        warnings: why the figures are not what they seem, one line each; shown above them.
        notes: what else a reader must know, one line each.
        scores: what was measured.
        looks: at these images, this one last.
        recorded: whether this look is in the folder.
        window: which values of deep greys become black and white, see `data.images.decode`.
    """

    model: str
    source: str
    part: str
    fingerprint: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    names: tuple[str, ...]
    labels: Labels
    probabilities: Probabilities
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    scores: Scores
    looks: tuple[Look, ...]
    recorded: bool
    window: Window | None = None

    @property
    def n_wrong(self) -> int:
        """How many images are classified wrong."""
        return int((self.probabilities.argmax(axis=1) != self.labels).sum())

    @property
    def worst(self) -> list[int]:
        """Rows of the WRONG most confidently wrong images, the most confident first."""
        return most_confidently_wrong(self.labels, self.probabilities, WRONG)

    @property
    def about(self) -> str:
        """Model, source and images in one line."""
        size = f"{counted(len(self.labels), 'image')} of {len(self.classes):,} classes"
        return f"{self.model}, {self.source}: {self.part}, {size}"

    def true(self, row: int) -> str:
        """Return the class of an image."""
        return self.classes[int(self.labels[row])]

    def predicted(self, row: int) -> str:
        """Return the most probable class of an image."""
        return self.classes[int(self.probabilities[row].argmax())]

    def confidence(self, row: int) -> float:
        """Return the probability of an image's most probable class."""
        return float(self.probabilities[row].max())
