"""Tables of named things: the only list of optimizers, of backbones, of columns.

An entry names its target as "package.module:attribute"; the target is imported
when it is used, so that a table can be read without TensorFlow or Optuna.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from automl_cv.errors import UserError, suggest


def load(target: str) -> Any:
    """Import and return what "package.module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of a table.

    Args:
        name: how study files, reports and the command line spell it.
        about: one line for people.
        target: "package.module:attribute", imported by `load`.
    """

    name: str
    about: str
    target: str

    def load(self) -> Any:
        """Import and return the target."""
        return load(self.target)


E = TypeVar("E", bound=Entry)


class Table(Generic[E]):
    """Entries of one kind, in the order they were added.

    Args:
        kind: what an entry is, in the singular, for messages: "optimizer".
        entries: the rows.

    Raises:
        ValueError: two entries have the same name.
    """

    def __init__(self, kind: str, entries: list[E]) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: E) -> None:
        if entry.name in self._entries:
            raise ValueError(f"the {self.kind} {entry.name!r} is in its table twice")
        self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> E:
        """Return the entry called `name`; UserError with close matches if there is none."""
        try:
            return self._entries[name]
        except KeyError:
            raise UserError(
                f"unknown {self.kind} {name!r}: {suggest(name, self._entries)}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> list[str]:
        """Names of all entries, in order."""
        return list(self._entries)

    @contextmanager
    def temporary(self, entry: E) -> Iterator[E]:
        """Hold `entry` in the table for the length of a with block."""
        self._add(entry)
        try:
            yield entry
        finally:
            del self._entries[entry.name]
