"""Whatever stands on the command line, a command ends with 0, 1 or 2, in lines.

None of these trains: sources are missing or hold too little, and models are none.
"""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from automl_cv.cli.app import build, main
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from tests.generated import TEXTS, at_most, check_lines, numbers
from tests.stored import put
from tests.study.test_anything import WHOLE

# `doctor` loads every library there is, and has no values to be given; `dashboard` serves until
# it is stopped.
LEFT_OUT = {"dashboard", "doctor"}
STUDIES = ("quickstart", "heads", "optimizers", "slides", "absent")
PLACES = ("empty", "one", "file.txt", "absent", "model", "out", ".", "one/cat/a.png", "db")
PLAIN = ("1", "0", "-3", "2.5", "10m", "1e9", "quick", "csv", "json", "table", "onnx", "accuracy")


def fill(storage: object) -> None:
    """Store a run that has begun and no trial."""
    facts = StudyFacts(WHOLE[0], seed=0, split_sizes={"train": 6})
    StageTrials.create(storage, "optimizers", "coarse", facts)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a little of everything that commands are given."""
    put(tmp_path / "automl-cv.db", fill)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "cat").mkdir(parents=True)
    (tmp_path / "one" / "cat" / "a.png").write_bytes(b"\x89PNG")  # a whole one would be learned
    (tmp_path / "model").mkdir()
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "db").write_bytes(b"SQLite format 3\x00" + b"x" * 200)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOML_CV_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def commands(group: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return all commands by their words."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, (*path, name))
        elif name not in LEFT_OUT:
            found[*path, name] = command
    return found


# Folders that hold who knows what; and `--debug` is there to show a traceback.
ELSEWHERE = {"/", "~", "..", "../.."}
NOT_GIVEN = {"--data", "--help", "--debug"}


def value(draw: random.Random) -> str:
    """Return what may be meant for an option, or may not."""
    texts = [text for text in TEXTS if text not in ELSEWHERE]
    return draw.choice(draw.choice((PLAIN, PLACES, STUDIES, texts)))


def words(draw: random.Random, known: dict[tuple[str, ...], Any]) -> list[str]:
    """Return the words of a command: arguments missing, too many or odd, options in any number."""
    path = draw.choice(list(known))
    given = list(path)
    # A run is searched where a source has images, and this has none.
    if path == ("search",):
        given += [draw.choice(STUDIES), "--data", draw.choice(("empty", "one", "absent"))]
    elif path == ("studies", "copy") or path == ("cache",):
        given += ["absent"] if path[0] == "studies" else ["--cache-dir", "absent"]
    for option in known[path].params:
        if option.param_type_name == "argument":
            if draw.random() < 0.9 and path != ("search",):
                given.append(value(draw))
        elif draw.random() < 0.15 and not NOT_GIVEN & set(option.opts):
            given.append(draw.choice(option.opts))
            if not getattr(option, "is_flag", False) and draw.random() < 0.95:
                given.append(value(draw))
    if draw.random() < 0.1:
        given.insert(draw.randint(0, len(given)), draw.choice((*TEXTS, "--oops", "-x")))
    return [word.replace("\x00", "") for word in given]


@pytest.mark.slow
@numbers(15, many=150)
def test_a_command_line_ends_in_lines(place, monkeypatch, capsys, cases):
    known = commands(typer.main.get_command(build()))
    assert len(known) > 10
    codes = {0: 0, 1: 0, 2: 0}
    for seed in range(cases):
        given = words(random.Random(seed), known)
        monkeypatch.setattr(sys, "argv", ["automl-cv", *given])
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        with at_most(), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        code = ended.value.code or 0
        assert code in codes, (seed, given)
        assert "Traceback" not in said and "a bug of automl-cv" not in said, (seed, given, said)
        if code:
            check_lines(said, seed)
        codes[int(code)] += 1
    assert codes[2] > cases / 2
