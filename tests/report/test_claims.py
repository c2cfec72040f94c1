from dataclasses import replace

import pytest

from automl_cv.errors import UserError
from automl_cv.report.claims import compose_claims
from automl_cv.report.leaderboard import compose
from automl_cv.report.page.sections import contents
from automl_cv.results.leaderboard import read_run
from automl_cv.study import library
from tests.results.retrained import STUDY, retrained


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The published stages; the source's claims and tables of its stages."""
    found = read_run(retrained(tmp_path_factory.mktemp("claims")))
    told = library.load("slides").as_toml_data()
    study = {**STUDY, "claim": told["claim"], "table": told["table"]}
    return replace(found, facts=replace(found.facts, study=study))


def test_tables_of_the_source_stand_above_the_trials_of_their_stages(read):
    composed = compose_claims(read)
    assert [column.name for column in composed.table.columns] == ["claim", "verdict", "figures"]
    coarse, narrowed, augmented, scratch = (section.grid for section in composed.sections)
    assert [row[0] for row in coarse.rows[5:8]] == ["published 6", "coarse/0", "coarse/1"]
    assert coarse.faint == frozenset(range(6))
    assert "momentum" in [column.name for column in coarse.columns]
    # The finalists had two trials, the augmented stage one: the winner stands beside itself.
    assert [row[0] for row in augmented.rows[2:]] == [
        "finalists of narrowed/3",
        "augmented of narrowed/3",
    ]
    assert len(narrowed.rows) == 10 and len(scratch.rows) == 2
    assert "repeats" not in [column.name for column in scratch.columns], "no column of dashes"


@pytest.mark.slow
def test_the_board_says_that_there_are_claims_and_the_page_answers_them(read):
    report = compose(read)
    assert any("report slides --claims` shows which" in line for line in report.notes)
    content = {section.name: one for section, one in contents(report)}["claims"]
    assert content.grids[0].grid.rows == compose_claims(read).table.rows
    assert content.grids[4].heading == "2. ResNet34 from scratch"


def test_without_claims_nothing_is_said(read):
    plain = replace(read, facts=replace(read.facts, study=STUDY))
    assert not any("--claims" in line for line in compose(plain).notes)
    with pytest.raises(UserError, match=r"declares no \[\[claim\]\] and no \[\[table\]\]"):
        compose_claims(plain)
