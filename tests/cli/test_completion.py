"""What a shell offers after the Tab key, as it asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from automl_cv.study import library
from tests.published import build


@pytest.fixture
def offered(call, monkeypatch, tmp_path):
    """Return a function that gives what Bash would offer for the last of the words."""
    build(tmp_path, "automl-cv.db")

    def offered(line: str) -> list[str]:
        words = f"automl-cv {line}".split(" ")
        monkeypatch.setenv("_AUTOML_CV_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        done = call()
        monkeypatch.delenv("_AUTOML_CV_COMPLETE")
        return done.stdout.split()

    return offered


def test_studies_and_files_that_lie_here(offered, tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "quickstart"\nname = "mine"\n')
    assert offered("search ") == [*library.shipped(), "./mine.toml"]
    assert offered("search sl") == ["slides", "slides-digits", "slides-fashion"]
    assert offered("studies show opt") == ["optimizers"]


@pytest.mark.slow
def test_runs_of_the_database_and_their_stages(offered, tmp_path):
    assert offered("report ") == offered("fit sl") == ["slides"]
    assert offered("report slides --stage ") == ["coarse", "narrowed"]
    assert offered("report --stage n") == ["narrowed"]
    assert offered("report other --stage ") == []
    (tmp_path / "automl-cv.db").rename(tmp_path / "other.db")
    assert offered("report ") == []
    assert offered("report --storage sqlite:///other.db ") == ["slides"]


@pytest.mark.slow
def test_stages_of_a_study_columns_presets_and_listeners(offered):
    assert offered("search quickstart --stage ") == ["exact", "coarse", "narrowed", "combined"]
    assert offered("search no-such --stage ") == []
    assert offered("report --sort val_") == [
        *("val_accuracy", "val_accuracy_low", "val_accuracy_high", "val_loss")
    ]
    assert "momentum" in offered("report --sort ")
    assert offered("search quickstart --preset t") == ["thorough"]
    assert offered("search quickstart --listener w") == ["wandb"]


def test_a_damaged_database_offers_nothing(offered, tmp_path):
    (tmp_path / "automl-cv.db").write_bytes(b"no database")
    assert offered("report ") == []


@pytest.mark.slow
def test_it_loads_nothing_that_takes_a_second():
    code = (
        "import sys, automl_cv.cli.app as app; app.build();"
        "from automl_cv.cli import completion; completion.studies(''); completion.columns('');"
        "from automl_cv.store.names import stages_by_run; stages_by_run('sqlite:///no.db');"
        "print({'optuna', 'pandas', 'tensorflow', 'sklearn'} & sys.modules.keys() or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"
