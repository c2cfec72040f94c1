"""Tells listeners what happens without waiting for them, and goes on without one that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from queue import SimpleQueue
from typing import Any

from automl_cv.catalog.listeners import LISTENERS
from automl_cv.errors import UserError, installing, warn
from automl_cv.registry import load
from automl_cv.search.events import Event, Listener
from automl_cv.words import printable

Opener = Callable[[str | None], AbstractContextManager[Listener]]


@contextmanager
def listening(asked: Sequence[str]) -> Iterator[Listener]:
    """Give a function that hands every event on to all listeners asked for.

    At the end it waits until each has been told all.

    Args:
        asked: "NAME" or "NAME=WHERE"; a name is an entry of the table of listeners, or a function
            of one's own, as "module:function".

    Raises:
        UserError: there is no such listener, its package is missing, or one is asked for twice.
    """
    names = [one.partition("=")[0] for one in asked]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--listener {twice}: is asked for twice; leave one out")
    wheres = [one.partition("=")[2] for one in asked]
    openers = list(zip(names, map(_opener, names), wheres, strict=True))
    with ExitStack() as stack:
        relays = [
            stack.enter_context(_Relay(name, opener, where or None))
            for name, opener, where in openers
        ]

        def tell(event: Event) -> None:
            for relay in relays:
                relay.tell(event)

        yield tell


def _opener(name: str) -> Opener:
    """Return what opens a listener, given its name."""
    if ":" in name:
        return _own(name)
    entry = LISTENERS[name]
    if not entry.is_installed:
        raise UserError(
            f"--listener {name}: needs the package {entry.module}, which is not installed; "
            f"{installing(entry.extra)}"
        )
    opener: Opener = entry.load()
    return opener


def _own(name: str) -> Opener:
    try:
        opener = load(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"--listener {name}: can't be imported ({error}); expected module:function, of a "
            "module that Python finds: put its folder into PYTHONPATH"
        ) from None
    if not callable(opener):
        raise UserError(f"--listener {name}: is no function; see docs/listeners.md")
    made: Opener = opener
    return made


class _Relay:
    """A listener in a thread of its own.

    Args:
        name: of it, for messages; what stands after it may hold a password.
        opener: makes it.
        where: what stands after its name.
    """

    def __init__(self, name: str, opener: Opener, where: str | None) -> None:
        self._name = name
        self._opener = opener
        self._where = where
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._failure: Exception | None = None
        self._is_told = False
        # No daemon: what it writes last is written.
        self._thread = threading.Thread(target=self._work, name=f"listener {name}")

    def __enter__(self) -> _Relay:
        self._thread.start()
        return self

    def __exit__(self, *unused: Any) -> None:
        self._events.put(None)
        self._thread.join()
        self._tell_failure()

    def tell(self, event: Event) -> None:
        """Hand an event on; one that has failed takes no more."""
        self._events.put(event)
        self._tell_failure()

    def _tell_failure(self) -> None:
        if self._failure is not None and not self._is_told:
            self._is_told = True
            said = printable(f"{type(self._failure).__name__}: {self._failure}")
            warn(f"--listener {self._name}: failed, and the search goes on without it: {said}")

    def _work(self) -> None:
        try:
            with self._opener(self._where) as listen:
                while (event := self._events.get()) is not None:
                    listen(event)
        except Exception as error:  # whatever the other program raises
            self._failure = error
