"""Collecting tests loads nothing that takes seconds."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.test_architecture import imported, modules

TESTS = Path(__file__).parent

PROGRAMS = {
    # Imported by tests within `later()`, or run as programs.
    *("engine/tiny.py", "engine/small_network.py", "engine/keras_schedules.py"),
    "end_to_end/trained_again.py",
    "nearest_mean.py",
}

PACKAGES = {"tensorflow", "keras", "sklearn", "scipy"}


def imported_when_loaded(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the full names that a module imports when it loads, outside of `later()`."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.With) and ast.unparse(node.items[0]) == "later()":
            continue
        elif not isinstance(node, ast.FunctionDef):
            yield from imported_when_loaded(getattr(node, "body", []))


@functools.cache
def slow_modules() -> frozenset[str]:
    """Return what loads in seconds, TensorFlow most of all: packages and modules by full name."""
    programs = {f"tests.{path.removesuffix('.py').replace('/', '.')}" for path in PROGRAMS}
    slow, found = set(), {*PACKAGES, "automl_cv.engine", "automl_cv.AutoClassifier", *programs}
    while found - slow:
        slow |= found
        found = {
            name
            for name, tree in modules().items()
            if any(within(target, slow) for target in imported(tree, top_level=True))
        }
    return frozenset(slow)


def within(target: str, names: Collection[str]) -> bool:
    return any(f"{target}.".startswith(f"{name}.") for name in names)


def slow_imports(source: str) -> list[str]:
    found = imported_when_loaded(ast.parse(source).body)
    return [name for name in found if within(name, slow_modules())]


@pytest.mark.slow
def test_no_test_module_loads_what_is_slow_when_it_is_collected():
    paths = {path.relative_to(TESTS).as_posix(): path for path in TESTS.rglob("*.py")}
    own = {name for name in paths if not name.startswith("benchmarks/")} - PROGRAMS
    found = {name: slow_imports(paths[name].read_text(encoding="utf-8")) for name in own}
    assert {name: slow for name, slow in found.items() if slow} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import keras",
        "from tensorflow import data",
        "from sklearn import metrics",
        "from automl_cv import AutoClassifier",
        "from automl_cv.engine import runtime",
        "from automl_cv.worker.networks import anything",
        "from tests.engine import tiny",
        "class Held:\n    import keras",
    ],
)
def test_an_import_would_be_found(source):
    assert slow_imports(source)
    inside = "\n".join(f"    {line}" for line in source.splitlines())
    assert not slow_imports(f"with later():\n{inside}")
    assert not slow_imports(f"def test():\n{inside}")
