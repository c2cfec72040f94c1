"""How modules are loaded in a process of ours: without what is needless, and without collections.

Keras imports `NEEDLESS` as it loads, wherever they are installed: for its galleries of images, for
tables given to `fit`, for its wrappers of scikit-learn's kind. Nothing here asks Keras for these.
Without them `import keras` takes two thirds of the processor time (medians of three on a busy
machine: 7.0 s, and 10.1 with them) and 150 MB less. A process that is somebody else's, a
notebook's, keeps a whole Keras.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

NEEDLESS = ("matplotlib", "pandas", "sklearn")

CONTAINERS = 50_000
"""Made between two collections while modules load; Python's own number is 700."""

_is_ours = False


def process_is_ours() -> None:
    """Say that this process is a worker or a command: nobody else uses its Keras."""
    global _is_ours
    _is_ours = True


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have Python look for garbage seldom while a block loads modules, which are none.

    In a process of ours what was loaded is never looked through again, nor as the process ends:
    whatever has to be closed by then closes by itself (`store.database` does).
    """
    before, known = gc.get_threshold(), len(sys.modules)
    gc.set_threshold(CONTAINERS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if _is_ours and len(sys.modules) > known:
            gc.freeze()


@contextmanager
def without_needless() -> Iterator[None]:
    """Have an import of Keras in the block find what is needless absent, in a process of ours.

    What was loaded before is found; what is loaded later, by whoever needs it, too.
    """
    absent = [name for name in NEEDLESS if _is_ours and name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent, cast(ModuleType, None)))  # `import` refuses a None
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
