import pytest

from automl_cv.errors import UserError
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from automl_cv.words import printable
from tests.published import COARSE, FACTS, finish
from tests.report.conftest import Built


def shown(report, name):
    return list(report.board[name])


@pytest.mark.slow
def test_sort_and_top(built):
    by_loss = built.report(sort="val_loss", top=3)
    assert shown(by_loss, "val_loss") == [0.1983, 0.2028, 0.2042]
    assert shown(by_loss, "rank") == [1, 5, 3]
    assert by_loss.footnotes[0] == "3 of 12 trials shown"
    assert len(by_loss.table.rows) == 3
    assert shown(built.report(sort="accuracy", top=1), "accuracy") == [1.0]
    assert shown(built.report(sort="momentum"), "optimizer")[-1] == "Adadelta"
    assert [cells[0] for cells in by_loss.table.rows] == ["1", "5", "3"]


def test_sorting_keeps_cells_and_records_together(built):
    report = built.report(sort="seconds")
    (faint,) = report.table.faint
    assert report.board["state"][faint] == "pruned"


def test_an_unknown_column_has_near_matches(built):
    with pytest.raises(UserError, match="unknown column 'val_los': did you mean 'val_loss'"):
        built.report(sort="val_los")


def test_one_stage(built):
    report = built.report(stage="narrowed")
    assert report.title.startswith("slides, stage narrowed · data photos · 3 classes")
    assert set(shown(report, "stage")) == {"narrowed"}
    assert report.frames["unfinished"].empty
    assert all(not section.grid.rows for section in report.sections)


@pytest.mark.slow
def test_the_reference_is_set_apart_and_tied_or_not(built: Built):
    def foot(val_accuracy):
        built.trials.update_facts(reference={**FACTS.reference, "val_accuracy": val_accuracy})
        grid = built.report(stage="coarse").table
        return {c.name: cell for c, cell in zip(grid.columns, grid.foot, strict=True)}

    assert (foot(0.92)["stage"], foot(0.92)["val_accuracy"]) == ("reference", "0.9200")
    assert [foot(value)["tie"] for value in (0.92, 0.80, 0.97)] == ["≈", "", ""]


def test_without_facts_there_are_no_signs_and_no_reference(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    bare = type(FACTS)(study={})
    finish(StageTrials.create(storage, "run", "stage", bare), 0, COARSE[0])
    report = Built(f"sqlite:///{tmp_path}/a.db", None).report()
    assert report.table.foot is None
    assert report.title == "run"
    assert report.notes == report.warnings == ()
    names = {column.name for column in report.table.columns}
    assert not names & {"interval", "momentum"}


def test_without_results(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    StageTrials.create(storage, "run", "stage", FACTS)
    report = Built(f"sqlite:///{tmp_path}/a.db", None).report()
    assert report.footnotes == ("no trial has a result yet",)
    assert report.table.rows == ()
    assert all(not section.grid.rows for section in report.sections)


def test_printable():
    assert printable("one\n two\x1b[31m") == "one two\N{REPLACEMENT CHARACTER}[31m"
