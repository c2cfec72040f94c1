import json
import os
import pty
import subprocess
import sys

import pytest

from automl_cv.cli.app import main
from tests.published import build
from tests.results.drawn import drawn
from tests.results.retrained import retrained


@pytest.fixture
def run(capsys, monkeypatch):
    """Run `automl-cv report` as `main` does; return what it wrote to stdout and stderr."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments, folder, expect=0):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["automl-cv", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert (ended.value.code or 0) == expect, written.err
        return written

    return run


@pytest.fixture
def folder(tmp_path):
    build(tmp_path, "automl-cv.db")
    return tmp_path


@pytest.mark.slow
def test_a_table_goes_to_stdout_alone(run, folder, monkeypatch):
    fitting = run("slides", folder=folder).out.splitlines()
    assert max(map(len, fitting[fitting.index("") :])) <= 100
    monkeypatch.setenv("COLUMNS", "200")
    done = run("slides", "--stage", "coarse", folder=folder)
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0].startswith("warning: 2 images stand in train and in validation: mug [blue]")
    assert lines[1].startswith("slides, stage coarse · data photos · 3 classes · 1,881 training")
    assert [line.split(":")[0] for line in lines[2:5]] == [
        "first",
        "stage coarse 0.9342; against the reference +0.0098 ≈ (≈ may be chance)",
        "next",
    ]
    assert [line.split()[3:6] for line in lines[8:9]] == [["4", "resnet50", "29"]]


def test_every_option_together(run, folder):
    done = run("--sort", "val_loss", "--top", "2", "--format", "json", folder=folder)
    losses = [trial["val_loss"] for trial in json.loads(done.out)["trials"]]
    assert losses == [0.1983, 0.2028]


@pytest.mark.slow
def test_out_writes_a_file_in_the_form_of_its_name(run, folder):
    done = run("--out", "report.html", folder=folder)
    assert (done.out, done.err) == ("", "wrote report.html\n")
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    run("--out", "report.html", "--format", "csv", folder=folder)
    assert (folder / "report.html").read_text().startswith("rank,stage,trial,")
    run("--out", "board.parquet", folder=folder)
    assert (folder / "board.parquet").read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slide"], "did you mean 'slides'"),
        (["slides@2"], "holds no study 'slides@2'"),
        (["--stage", "corse"], "did you mean 'coarse'"),
        (["--sort", "val_los"], "did you mean 'val_loss'"),
        (["--format", "tabel"], "did you mean 'table'"),
        (["--format", "parquet"], "name a file with --out FILE"),
        (["--out", "r.xlsx"], "known: .txt, .csv, .json, .md, .parquet, .html; or name one with"),
        (["--storage", "sqlite:///absent.db"], "absent.db: no such database of trials"),
        (["--storage", "automl-cv.db"], "no address of a database"),
        (["--out", "absent/report.csv"], "can't be written"),
        (["--compare", "--importance"], "--compare and --importance are two views"),
        (["--compare", "--top", "3"], "--top is of the leaderboard, not of --compare"),
        (["--importance", "--sort", "rank"], "--sort is of the leaderboard, not of --importance"),
        (["--compare", "--stage", "corse"], "did you mean 'coarse'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run, folder, arguments, message):
    done = run(*arguments, folder=folder, expect=2)
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (folder / "absent.db").exists()


@pytest.mark.slow
def test_retrained_trials_are_compared_instead_of_ranked(run, tmp_path, monkeypatch):
    retrained(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    shown = run("slides", "--compare", folder=tmp_path)
    assert "augmented against finalists" in shown.out
    assert shown.err == ""
    done = run("--compare", "--stage", "wide", "--format", "csv", folder=tmp_path)
    assert [line.split(",")[0] for line in done.out.splitlines()] == ["kind", "winners"]
    run("--compare", "--out", "pairs.parquet", folder=tmp_path)
    assert (tmp_path / "pairs.parquet").read_bytes().startswith(b"PAR1")


@pytest.mark.slow
def test_plots_are_written_beside_the_report(run, folder):
    done = run("--svg", "plots", "--stage", "narrowed", folder=folder)
    assert done.out.startswith("warning: 2 images")
    names = {path.name for path in (folder / "plots").iterdir()}
    assert {"best-so-far-trials.svg", "curves-merit.svg", "slice-batch-size.svg"} <= names
    assert done.err == f"wrote {len(names)} plots to plots\n"
    (folder / "file").touch()
    assert "--png file: can't be made" in run("--png", "file", folder=folder, expect=2).err


def test_nothing_to_compare_is_one_line_and_no_failure(run, folder):
    assert "nothing to compare: it takes a stage that" in run("--compare", folder=folder).out
    as_data = run("--compare", "--format", "csv", folder=folder)
    assert as_data.out.count("\n") == 1
    assert as_data.err.startswith("nothing to compare")


@pytest.mark.slow
def test_importance_of_too_few_trials_is_a_line(run, tmp_path):
    drawn(tmp_path, 9)
    shown = run("--importance", folder=tmp_path)
    assert "stage coarse: no figures: 9 trials with a result" in shown.out
    table = run("--importance", "--stage", "coarse", "--format", "csv", folder=tmp_path).out
    assert table.splitlines()[1].startswith("coarse,optimizer,,9,,,,,,,")


def test_top_must_be_positive(run, folder):
    assert "--top" in run("--top", "0", folder=folder, expect=2).err


def test_the_storage_may_come_from_the_environment(run, tmp_path, monkeypatch):
    url, _ = build(tmp_path)
    monkeypatch.setenv("AUTOML_CV_STORAGE", url)
    done = run("--format", "csv", folder="/")
    assert done.out.count("\n") == 12


@pytest.mark.slow
def test_a_terminal_gets_a_table_of_its_width(folder):
    code = "import sys; from automl_cv.cli.app import main; sys.argv[0] = 'automl-cv'; main()"
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "report"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"},
        stdout=child,
    )
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:  # Linux's way to say that the other end has closed
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert process.wait() == 0
    assert b"not shown at this width" in shown


@pytest.mark.slow
def test_neither_tensorflow_nor_keras_is_imported(folder):
    code = (
        "import sys; from automl_cv.cli.app import build\n"
        "build()(['report', '--format', 'csv'], standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
