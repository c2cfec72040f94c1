"""Very many short texts in two arrays: paths, hashes, names of groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 4096  # texts of an array that are read together

# Names of files that are not UTF-8 come through as Python has them.
ENCODING, ERRORS = "utf-8", "surrogateescape"


class Texts(Sequence[str]):
    """Texts in their order, 8 bytes beside the characters of each; a tuple takes 57 and more.

    Args:
        characters: of all of them, one after the other, UTF-8: uint8.
        ends: where each ends, int64 (texts,).
    """

    def __init__(self, characters: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.characters = characters
        self.ends = ends

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """Return texts in this form, None as ""; as they are where they have it already."""
        if isinstance(texts, Texts):
            return texts
        characters, ends, given = bytearray(), [np.empty(0, np.int64)], iter(texts)
        while chunk := [text or "" for text in islice(given, AT_ONCE)]:
            joined = "".join(chunk)
            lengths = np.fromiter(
                map(len, chunk if joined.isascii() else map(_encoded, chunk)), np.int64, len(chunk)
            )
            ends.append(len(characters) + np.cumsum(lengths))
            characters += _encoded(joined)
        return cls(np.frombuffer(characters, np.uint8), np.concatenate(ends))

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """Return the texts of all parts, one part after the other."""
        starts = np.cumsum([0, *(part.characters.size for part in parts)])
        ends = [part.ends + start for part, start in zip(parts, starts[:-1], strict=True)]
        characters = [np.empty(0, np.uint8), *(part.characters for part in parts)]
        return cls(np.concatenate(characters), np.concatenate([np.empty(0, np.int64), *ends]))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int | np.integer[Any]) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | np.integer[Any] | slice) -> str | Texts:
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        row = range(len(self))[place]
        start = int(self.ends[row - 1]) if row else 0
        return self.characters[start : int(self.ends[row])].tobytes().decode(ENCODING, ERRORS)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.chunks())

    def chunks(self) -> Iterator[list[str]]:
        """Yield all texts, some at a time."""
        start = 0
        for first in range(0, len(self), AT_ONCE):
            ends = self.ends[first : first + AT_ONCE]
            joined = self.characters[start : ends[-1]].tobytes()
            places = pairwise([0, *(ends - start).tolist()])
            if joined.isascii():
                text = joined.decode(ENCODING)
                yield [text[begin:end] for begin, end in places]
            else:
                yield [joined[begin:end].decode(ENCODING, ERRORS) for begin, end in places]
            start = int(ends[-1])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            same = np.array_equal(self.ends, other.ends)
            return same and np.array_equal(self.characters, other.characters)
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts.of({[*self[:3]]}{', …' if len(self) > 3 else ''})"

    def take(self, rows: NDArray[np.integer[Any]]) -> Texts:
        """Return the texts of some rows, from 0, in this order."""
        begins = np.where(rows > 0, self.ends[rows - 1], 0)
        lengths = self.ends[rows] - begins
        ends = np.cumsum(lengths)
        characters = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
        for first in range(0, len(rows), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            own, targets = lengths[some], ends[some] - lengths[some]
            target = np.arange(targets[0], ends[some][-1])
            characters[target] = self.characters[target + np.repeat(begins[some] - targets, own)]
        return Texts(characters, ends)

    def fixed(self) -> NDArray[np.bytes_]:
        """Return them as an array that NumPy compares and sorts, all as long as the longest."""
        lengths = np.diff(self.ends, prepend=0)
        width = max(int(lengths.max(initial=1)), 1)
        if len(self) and (lengths == width).all():
            return self.characters.view(f"S{width}")
        found = np.empty(len(self), f"S{width}")
        for number, chunk in enumerate(self.chunks()):
            found[number * AT_ONCE :][: len(chunk)] = [*map(_encoded, chunk)]
        return found


def _encoded(text: str) -> bytes:
    return text.encode(ENCODING, ERRORS)
