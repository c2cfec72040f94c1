"""What a report says of stages that narrow another one."""

from __future__ import annotations

import pytest

from automl_cv.drawing.narrowing import narrow
from automl_cv.report.markdown import as_markdown
from automl_cv.report.page.render import as_page
from automl_cv.report.terminal import as_text
from automl_cv.store.facts import Narrowed, StageFacts
from automl_cv.store.records import TrialRecord
from automl_cv.store.trials import StageTrials
from automl_cv.study import library
from automl_cv.study.space import Space
from tests.published import COARSE, history_of, parameters_of
from tests.report.conftest import Built


@pytest.fixture
def narrowed(built: Built) -> Narrowed:
    records = [
        TrialRecord("slides", "coarse", trial, "complete", parameters_of(row), history_of(row))
        for trial, row in enumerate(COARSE)
    ]
    space = library.load("slides").stage("coarse").space
    found = narrow(space, records, 3, Space.model_validate({"batch_size": 32}))
    found = found.model_copy(update={"best_now": (7, 5, 4)})
    own = StageFacts(narrowed=found)
    StageTrials.create(built.trials.storage, "slides", "fine", built.trials.facts, own)
    return found


def test_ranges_parents_and_reasons_stand_below_the_leaderboard(built, narrowed):
    lines = as_text(built.report()).splitlines()
    start = lines.index("narrowed stages")
    cells = [[part.strip() for part in line.split("  ") if part] for line in lines[start + 3 :]]
    assert cells[:4] == [
        ["fine", "optimizer", "SGD | RMSprop", narrowed.reasons["optimizer"]],
        ["fine", "batch size", "32", "set by the study file"],
        ["fine", "learning rate", "0.02 – 0.104", narrowed.reasons["learning_rate"]],
        [
            "fine",
            "momentum",
            "0.05 – 0.31 where optimizer is SGD or RMSprop",
            narrowed.reasons["momentum"],
        ],
    ]
    assert "stage fine: narrowed from trials 5, 4 and 1 of coarse" in lines
    assert any(line.startswith("stage fine: the best of coarse are now") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("form", [as_markdown, as_page])
def test_the_other_forms_show_them(built, narrowed, form):
    shown = form(built.report())
    assert "narrowed stages" in shown.lower()
    assert "0.05 – 0.31 where optimizer is SGD or RMSprop" in shown


def test_a_dropped_parameter_is_a_dash(built, narrowed):
    without = {k: v for k, v in narrowed.space.parameters.items() if k != "momentum"}
    found = narrowed.model_copy(update={"space": Space(parameters=without)})
    StageTrials.open(built.trials.storage, "slides", "fine").update_facts(narrowed=found)
    (grid,) = [one.grid for one in built.report().sections if one.heading == "narrowed stages"]
    assert [row[2] for row in grid.rows if row[1] == "momentum"] == ["–"]


def test_without_a_rule_there_is_no_such_table(built):
    assert "narrowed stages" not in as_text(built.report())
