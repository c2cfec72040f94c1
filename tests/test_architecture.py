"""The rooms of the house: who may import whom, and what a command may load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import automl_cv

PACKAGE = Path(automl_cv.__file__).parent

# A room imports those that stand above it in this list, none below.
ROOMS = [
    "errors",
    "words",
    "registry",
    "history",
    "catalog",
    "measures",
    "scoring",
    "study",
    "data",
    "features",
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
    "fit",
    "screen",
    "classifier",
    "evaluation",
    "estimator",
    "cli",
]

# The two processes of a search meet in `orders` alone.
NEVER = {
    "search": {"engine", "worker"},
    "drawing": {"engine", "worker"},
    "fit": {"engine", "worker", "search"},
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
    "rich": {"cli", "report", "screen"},
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


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
    rooms = {room_of(name) for name in MODULES} - {"__init__"}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_room_imports_those_above_it(name):
    room = room_of(name)
    if room == "__init__":
        return
    own = {target for target in imported(MODULES[name]) if target.startswith("automl_cv.")}
    targets = {room_of(target) for target in own} - {"__version__"}
    above = set(ROOMS[: ROOMS.index(room) + 1])
    assert targets <= above, f"{name} reaches down to {sorted(targets - above)}"
    assert not targets & NEVER.get(room, set()), f"{name} imports {sorted(targets & NEVER[room])}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_packages_load_in_their_rooms_only(name):
    room = room_of(name)
    for target in imported(MODULES[name], top_level=True):
        package = target.split(".")[0]
        assert room in HEAVY.get(package, {room}), f"{name} imports {package} when it loads"


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if room_of(name) != "engine"])
def test_tensorflow_is_imported_in_the_engine_alone(name):
    packages = {target.split(".")[0] for target in imported(MODULES[name])}
    assert not packages & {"tensorflow", "keras"}


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if room_of(name) == "engine"])
def test_the_engine_knows_no_search_and_no_screen(name):
    packages = {target.split(".")[0] for target in imported(MODULES[name])}
    assert not packages & {"optuna", "typer", "rich", "pandas"}


def loaded_by(*arguments: str, folder: Path) -> tuple[int, set[str]]:
    """Run the command line in a fresh process; return its exit code and the modules it loaded."""
    code = (
        "import json, sys\n"
        "from automl_cv.cli.app import main\n"
        "code = 0\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    code = end.code or 0\n"
        "loaded = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print('\\n' + json.dumps([code, loaded]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    exit_code, loaded = json.loads(done.stdout.splitlines()[-1])
    return exit_code, set(loaded)


def command_lines() -> list[list[str]]:
    commands = sorted(path.stem for path in (PACKAGE / "cli" / "commands").glob("[a-z]*.py"))
    return [["--help"], *([command, "--help"] for command in commands)]


@pytest.mark.parametrize("arguments", command_lines(), ids=" ".join)
def test_help_loads_nothing_heavy(arguments, tmp_path):
    exit_code, loaded = loaded_by(*arguments, folder=tmp_path)
    assert exit_code == 0
    assert not loaded & {"tensorflow", "keras", "optuna", "pandas", "sklearn", "numpy"}


def test_studies_loads_neither_tensorflow_nor_optuna(tmp_path):
    for arguments in (["studies"], ["studies", "show", "quickstart"]):
        exit_code, loaded = loaded_by(*arguments, folder=tmp_path)
        assert exit_code == 0
        assert not loaded & {"tensorflow", "keras", "optuna", "pandas"}


def test_report_loads_no_tensorflow(tmp_path):
    exit_code, loaded = loaded_by("report", folder=tmp_path)
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
