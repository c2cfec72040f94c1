"""Candidates: files that a source offers as images, of which class and split. Plain data."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from automl_cv.data.ledger import Skipped

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

# What stands beside the name of a split: training_set, images_train, "test data", val2017.
_FILLERS = frozenset(
    {
        *("set", "sets", "data", "dataset", "split", "folder", "files"),
        *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos"),
    }
)
_GLUED = re.compile(
    rf"^({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})(?:set|data|images)$"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be an image.

    Args:
        path: absolute.
        name: relative to the source, with forward slashes; for messages and sorting.
        label: its class; None for a file that lies in no class folder.
        split: "train", "validation" or "test" where the source says so.
        group: images of one group must stay in one split; None for no group.
    """

    path: str
    name: str
    label: str | None
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """All files of a source.

    Args:
        candidates: files to be decoded.
        skipped: entries that can't be decoded whatever they hold.
        notes: what a user should know about the source, one line each.
        passed_over: hidden entries and litter; a folder of litter counts once.
    """

    candidates: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: int = 0


def as_label(text: str) -> str:
    """Return a class name in Unicode's composed form: macOS writes "é" as two characters."""
    return unicodedata.normalize("NFC", text)


def split_of(name: str) -> str | None:
    """Return the split that a folder or a table is usually named like this for, or None.

    Args:
        name: without an ending: "train", "training_set", "images-test", "val2017", "test1".
    """
    words = [
        word
        for word in re.split(r"[\W_]+|(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", name.lower())
        if word and not word.isdigit() and word not in _FILLERS
    ]
    if len(words) != 1:
        return None
    glued = _GLUED.match(words[0])
    return SPLIT_NAMES.get(glued[1] if glued else words[0])
