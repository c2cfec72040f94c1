"""Imports that take seconds, made when the first test begins that needs them.

TensorFlow loads in three seconds, which `pytest tests/store` and a look at the list of tests do
not have to wait for:

    with later():
        from automl_cv.engine.training import HeadTrainer

Within the block nothing is imported. Names stand for what they will be until `import_all` puts
the real things in their places, before the first test that needs one (`conftest.py`); so they
can be used within tests and fixtures, and not where a module is collected.
`test_collecting.py` holds test modules to it.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

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


def needs_imports(module: ModuleType) -> bool:
    """Return whether a test module, or a function that it has from another one, waits for any."""
    held = list(vars(module).values())
    scopes = (getattr(value, "__globals__", {}) for value in held)
    return any(isinstance(value, Later) for value in held) or any(
        isinstance(value, Later) for scope in scopes for value in list(scope.values())
    )


def import_all() -> None:
    """Import what all test modules wait for, and put it in its places."""
    global postponing
    postponing = False
    import_module("automl_cv.engine")  # first: it sets up how TensorFlow and Keras load
    for module in [held for name, held in sys.modules.items() if name.startswith("tests.")]:
        for name, value in list(vars(module).items()):
            if isinstance(value, Later):
                setattr(module, name, value.found())
