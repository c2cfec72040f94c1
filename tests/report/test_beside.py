from dataclasses import replace

import pytest

from automl_cv.cli.commands.report import _comparison, _leaderboard
from automl_cv.errors import UserError
from automl_cv.report.beside import compose_beside
from automl_cv.report.page.render import as_page
from automl_cv.report.page.sections import contents
from tests.results.searched import searched


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    sides = []
    for name, share in (("one", 0.9), ("other", 0.7)):
        folder = tmp_path_factory.mktemp(name)
        report = _leaderboard(searched(folder, (share,) * 12), None, None, None, None)
        run = replace(report.read.run, name=name)
        sides.append(replace(report, run=name, read=replace(report.read, run=run)))
    return compose_beside(*sides)


@pytest.mark.slow
def test_both_winners_and_their_distance_stand_first(composed):
    first, second, difference = composed.verdict
    assert first.startswith("one: winner: ") and second.startswith("other: winner: ")
    assert difference.startswith("first of one against first of other: accuracy +0.")
    assert difference.endswith(": better")
    assert [column.heading for column in composed.table.columns] == ["", "one", "other"]
    assert [len(section.grid.rows) for section in composed.sections] == [10, 10]
    assert set(composed.frames["trials"]["run"]) == {"one", "other"}


@pytest.mark.slow
def test_the_page_draws_both_over_each_other(composed):
    found = {section.name: content for section, content in contents(composed)}
    assert list(found) == ["board", "sides"]
    assert [plot.name for plot in found["sides"].plots] == ["sides-trials", "sides-seconds"]
    assert "one: the best accuracy is " in found["sides"].plots[0].told
    assert [len(part.grid.rows) for part in found["sides"].grids] == [12, 12]
    page = as_page(composed)
    assert '<h2 id="board-heading">Beside one another</h2>' in page


def test_a_run_is_not_laid_beside_itself(tmp_path):
    storage = searched(tmp_path, (0.8,) * 12)
    with pytest.raises(UserError, match="is one run; name another beside it"):
        _comparison(storage, None, None, "made-up@1")
