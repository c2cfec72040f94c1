"""Ledger: what was read of a source, what was skipped, and why. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from automl_cv.data.decoding import WHOLE
from automl_cv.data.images import Window
from automl_cv.words import counted


@dataclass(frozen=True)
class Skipped:
    """A file that is no part of the data set.

    Args:
        path: relative to the source.
        reason: a few words: "empty file".
    """

    path: str
    reason: str


Harm = Literal["stop", "warning", "note"]
"""What a finding does to results: makes them worthless, worth less than they seem, or nothing."""


@dataclass(frozen=True)
class Finding:
    """Something that a user should know of the images.

    Args:
        about: what it is of: "labels", "overlap", "groups", "copies", "classes", "range", "data".
        harm: see `Harm`.
        line: one line, with an example.
        files: every file that it is of, relative to the source where it lies below it.
    """

    about: str
    harm: Harm
    line: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """Sizes of the images read, in pixels, as (width, height), ordered by area.

    Args:
        smallest: the image of the smallest area.
        median: the middle one; of two middle ones the smaller.
        largest: the image of the largest area.
        n_different: how many pairs of width and height there are.
    """

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    n_different: int


@dataclass(frozen=True)
class Greys:
    """The deep images of a data set.

    Args:
        n_images: how many there are.
        depths: of their files: "16-bit", "signed 16-bit", "32-bit", "float".
        low: the smallest value in any.
        high: the largest.
        window: what becomes 0 and 255; None for the whole range of 16 bits, 0 and 65535.
    """

    n_images: int
    depths: tuple[str, ...]
    low: float
    high: float
    window: tuple[float, float] | None

    def summary(self) -> str:
        """Return one line: "60 images of 16-bit greys, 1000 to 1200 (8 bits used), …"."""
        used = ""
        if "float" not in self.depths:
            n_bits = max(1, int(self.high - self.low).bit_length())
            used = f" ({counted(n_bits, 'bit')} used)"
        low, high = self.window or (0, WHOLE)
        return (
            f"{counted(self.n_images, 'image')} of {' and '.join(self.depths)} greys, "
            f"{self.low:g} to {self.high:g}{used}; {low:g} becomes black, {high:g} white"
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Greys:
        """Return what a ledger holds of them, before or after a way through JSON."""
        window = stored["window"]
        return cls(
            n_images=stored["n_images"],
            depths=tuple(stored["depths"]),
            low=stored["low"],
            high=stored["high"],
            window=None if window is None else (window[0], window[1]),
        )


@dataclass(frozen=True)
class Ledger:
    """What became of every file of a source; stored with the study and shown by `report`.

    Args:
        n_read: images of the data set.
        skipped: files left out, by path.
        findings: what a user should know of the images, the most harmful first.
        passed_over: hidden entries and systems' litter (Thumbs.db); not worth a name.
        sizes: None where nothing was read.
        greys: of images of more than 8 bits; None where there are none.
        place: absolute path of the source, which may be named relative to where the command ran;
            empty for built-in data. A saved model's is relative to its folder, or empty, see
            `sources.place_beside`.
    """

    n_read: int
    skipped: tuple[Skipped, ...] = ()
    findings: tuple[Finding, ...] = ()
    passed_over: int = 0
    sizes: Sizes | None = None
    greys: Greys | None = None
    place: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the ledger as plain dicts and lists; `from_json` reads it back."""
        return {**asdict(self), "notes": list(self.notes)}  # notes for readers of before findings

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Ledger:
        """Return the ledger that `to_json` wrote, before or after a way through JSON."""
        sizes = stored["sizes"]
        if sizes is not None:
            pairs = {key: tuple(sizes[key]) for key in ("smallest", "median", "largest")}
            sizes = Sizes(**pairs, n_different=sizes["n_different"])
        return cls(
            n_read=stored["n_read"],
            skipped=tuple(Skipped(**finding) for finding in stored["skipped"]),
            findings=findings_of(stored),
            passed_over=stored["passed_over"],
            sizes=sizes,
            place=stored.get("place", ""),
            greys=None if stored.get("greys") is None else Greys.from_json(stored["greys"]),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines of findings that nothing warns of."""
        return tuple(one.line for one in self.findings if one.harm == "note")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The lines of findings that make figures worth less than they seem."""
        return tuple(one.line for one in self.findings if one.harm != "note")

    def summary(self) -> str:
        """Return one line: "1,797 images read, 2 files skipped, 1 hidden entry passed over"."""
        parts = [f"{counted(self.n_read, 'image')} read"]
        if self.skipped:
            parts.append(f"{counted(len(self.skipped), 'file')} skipped")
        if self.passed_over:
            entries = counted(self.passed_over, "hidden entry", "hidden entries")
            parts.append(f"{entries} passed over")
        return ", ".join(parts)


def findings_of(ledger: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the findings of a stored ledger; of one of before there were any, its notes.

    Args:
        ledger: `Ledger` as plain data.
    """
    if "findings" not in ledger:
        return tuple(Finding("data", "note", line) for line in ledger.get("notes", ()))
    return tuple(Finding(**{**one, "files": tuple(one["files"])}) for one in ledger["findings"])


def stored_window(ledger: Mapping[str, Any]) -> Window | None:
    """Return the window of a stored ledger; None for one of before there were windows.

    Args:
        ledger: `automl_cv.data.ledger.Ledger` as plain data.
    """
    greys = ledger.get("greys")
    window = None if greys is None else greys["window"]
    return None if window is None else Window(*window)
