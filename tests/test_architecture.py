"""The rooms of the house: who may import whom, and what a command may load."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import automl_cv

PACKAGE = Path(automl_cv.__file__).parent

# A room imports those that stand above it in this list, none below.
ROOMS = [
    "errors",
    "words",
    "places",
    "processors",
    "loading",
    "registry",
    "history",
    "catalog",
    "measures",
    "scoring",
    "trained",
    "solving",
    "study",
    "data",
    "features",
    "training",
    "store",
    "results",
    "saved",
    "pictures",
    "report",
    "orders",
    "engine",
    "worker",
    "drawing",
    "search",
    "listeners",
    "fit",
    "labelling",
    "diagnosis",
    "screen",
    "classifier",
    "evaluation",
    "estimator",
    "searching",
    "cli",
]

# The two processes of a search meet in `orders` alone.
NEVER = {
    "search": {"engine", "worker"},
    "drawing": {"engine", "worker"},
    "listeners": {"engine", "worker"},
    "fit": {"engine", "worker", "search", "listeners"},
    "labelling": {"engine", "worker"},
    "diagnosis": {"engine", "worker", "drawing", "fit"},
    "worker": {"store", "results", "drawing"},
}

# Packages that load slowly, and the rooms that may import them when they themselves load.
HEAVY = {
    "tensorflow": {"engine"},
    "keras": {"engine"},
    "optuna": {"store", "results", "drawing", "search"},
    "pandas": {"data", "results", "report"},
    "sklearn": {"data", "estimator"},
    "typer": {"cli"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "rich": {"cli", "report", "screen"},
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the package, by its full name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST, *, top_level: bool = False) -> set[str]:
    """Return the full names a module imports; with `top_level`, only when it loads."""
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_module_stands_in_a_room():
    rooms = {room_of(name) for name in modules()} - {"__init__"}
    assert rooms == set(ROOMS)


def test_a_room_imports_those_above_it():
    wrong = []
    for name, tree in modules().items():
        room = room_of(name)
        if room == "__init__":
            continue
        own = {target for target in imported(tree) if target.startswith("automl_cv.")}
        targets = {room_of(target) for target in own} - {"__version__"}
        below = targets - set(ROOMS[: ROOMS.index(room) + 1])
        wrong += [f"{name} reaches down to {target}" for target in sorted(below)]
        forbidden = targets & NEVER.get(room, set())
        wrong += [f"{name} imports {target}" for target in sorted(forbidden)]
    assert wrong == []


def test_heavy_packages_load_in_their_rooms_only():
    wrong = []
    for name, tree in modules().items():
        for target in sorted(imported(tree, top_level=True)):
            package = target.split(".")[0]
            if room_of(name) not in HEAVY.get(package, {room_of(name)}):
                wrong.append(f"{name} imports {package} when it loads")
    assert wrong == []


def test_tensorflow_is_imported_in_the_engine_alone():
    assert importers(lambda room: room != "engine", {"tensorflow", "keras"}) == []


def test_the_engine_knows_no_search_and_no_screen():
    packages = {"optuna", "typer", "rich", "pandas"}
    assert importers(lambda room: room == "engine", packages) == []


def importers(asked: Callable[[str], bool], packages: set[str]) -> list[str]:
    """Return who imports one of the packages anywhere, among modules of rooms asked for."""
    return [
        f"{name} imports {target}"
        for name, tree in modules().items()
        if asked(room_of(name))
        for target in sorted(imported(tree))
        if target.split(".")[0] in packages
    ]


def loaded_by(*command_lines: Sequence[str], folder: Path) -> list[tuple[int, set[str]]]:
    """Run command lines one after the other in a fresh process.

    Returns:
        For each its exit code, and the modules that are loaded by then.
    """
    code = (
        "import json, sys\n"
        "from automl_cv.cli.app import main\n"
        "told = []\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv[1:], code = words, 0\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        code = end.code or 0\n"
        "    told.append([code, sorted({name.split('.')[0] for name in sys.modules})])\n"
        "print('\\n' + json.dumps(told))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(command_lines)],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return [(code, set(loaded)) for code, loaded in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.slow
def test_help_loads_nothing_heavy(tmp_path):
    commands = sorted(path.stem for path in (PACKAGE / "cli" / "commands").glob("[a-z]*.py"))
    lines = [["--help"], *([command, "--help"] for command in commands)]
    heavy = {"tensorflow", "keras", "optuna", "pandas", "sklearn", "numpy"}
    for words, (exit_code, loaded) in zip(lines, loaded_by(*lines, folder=tmp_path), strict=True):
        assert exit_code == 0, words
        assert not loaded & heavy, words


@pytest.mark.slow
def test_studies_loads_neither_tensorflow_nor_optuna(tmp_path):
    for exit_code, loaded in loaded_by(
        ["studies"], ["studies", "show", "quickstart"], folder=tmp_path
    ):
        assert exit_code == 0
        assert not loaded & {"tensorflow", "keras", "optuna", "pandas"}


@pytest.mark.slow
def test_report_loads_no_tensorflow(tmp_path):
    [(exit_code, loaded)] = loaded_by(["report"], folder=tmp_path)
    assert exit_code == 2, "there is no database here"
    assert "optuna" in loaded
    assert not loaded & {"tensorflow", "keras"}


def test_the_package_itself_loads_nothing_heavy():
    code = (
        "import automl_cv, sys; print([m for m in ('optuna','pandas','keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_stay_readable():
    """Past 400 lines a module wants splitting."""
    long = {
        path.name: lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


# A function that TensorFlow traces: its arguments are the graph's, in their order.
TRACED = {("automl_cv.engine.loop", "_run")}


def test_past_five_arguments_they_are_named():
    """Commands are called by Typer, which names all."""
    found = {
        (name, node.name): len(given)
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not name.startswith("automl_cv.cli.commands.")
        if len(given := positional(node)) > 5
    }
    assert found.keys() == TRACED


def positional(function: ast.FunctionDef) -> list[str]:
    given = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    return [name for name in given if name not in ("self", "cls")]


def test_kinds_and_origins_are_asked_in_one_room():
    """Which keys a stage has is the study's to know; whoever else wants to, calls a verb."""
    keys = {"network", "fine_tune", "retrain", "narrow_from"}
    asking = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert | ast.comprehension)
        for test in (node.ifs if isinstance(node, ast.comprehension) else [node.test])
        for one in ast.walk(test)
        if isinstance(one, ast.Attribute) and one.attr in keys
    }
    assert {room_of(name) for name in asking} <= {"study"}, asking
