"""Imports that take seconds, made when the first test begins that needs them.

TensorFlow loads in three seconds, scikit-learn and SciPy's statistics in one, which
`pytest tests/store` and a look at the list of tests do not have to wait for:

    with later():
        from automl_cv.engine.training import HeadTrainer

Within the block nothing is imported. Names stand for what they will be until `import_for` puts
the real things in their places, before the first test that needs one (`conftest.py`); so they
can be used within tests and fixtures, and not where a module is collected.
`test_collecting.py` holds test modules to it.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

import pytest

postponing = False
"""Whether tests are being collected; a program that imports a test module gets real imports."""


class Later:
    """What stands for a module, or for a name in it, until it is imported."""

    def __init__(self, *path: str) -> None:
        self.__path = path

    def __getattr__(self, name: str) -> Later:
        if name.startswith("__"):  # pytest looks through all that a test module holds
            raise AttributeError(name)
        return Later(*self.__path, name)

    @property
    def needs_engine(self) -> bool:
        return self.__path[0].split(".")[0] not in ("scipy", "sklearn")

    def __call__(self, *given: object, **named: object) -> None:
        raise AssertionError(f"{'.'.join(self.__path)} is imported when tests begin, not before")

    def found(self) -> object:
        """Import it."""
        module, *names = self.__path
        value: object = import_module(module)
        for name in names:
            module = f"{module}.{name}"
            value = getattr(value, name) if hasattr(value, name) else import_module(module)
        return value


@contextmanager
def later() -> Iterator[None]:
    """Postpone the imports of a block: `import package`, `from module import name`."""
    if not postponing:
        yield
        return
    real = builtins.__import__
    builtins.__import__ = lambda name, *scope_and_names: Later(name)
    try:
        yield
    finally:
        builtins.__import__ = real


def load_tensorflow(tests: Sequence[pytest.Item]) -> None:
    """Load the engine before all tests, if any of them waits for what may use it.

    So TensorFlow has in this process what it has in workers and commands, oneDNN on AMD
    processors among that, whichever test comes first: tests compare numbers of both.
    """
    modules = {test.module for test in tests if isinstance(test, pytest.Function)}
    waiting = (value for module in modules for value in vars(module).values())
    if any(isinstance(value, Later) and value.needs_engine for value in waiting):
        import_module("automl_cv.engine")


_complete: set[str] = set()


def import_for(test: pytest.Item) -> None:
    """Import what a test's module waits for, and the test modules that it takes names from."""
    waiting = [getattr(test, "module", None)]
    while waiting:
        module = waiting.pop()
        if module is None or module.__name__ in _complete:
            continue
        _complete.add(module.__name__)
        for name, value in list(vars(module).items()):
            if isinstance(value, Later):
                setattr(module, name, value.found())
            elif str(getattr(value, "__module__", "")).startswith("tests."):
                waiting.append(sys.modules.get(value.__module__))
