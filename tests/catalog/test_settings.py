"""Settings: one declaration for the checks and the words of every table."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.study.parameters import REQUIRED_PARAMETERS

TABLES = [HEADS, LOSSES, OPTIMIZERS, PRUNERS, SAMPLERS, SCHEDULES]
NAN = float("nan")


@pytest.mark.parametrize(
    ("setting", "words", "taken", "refused"),
    [
        (Setting(1, lowest=1), "whole numbers from 1", [1, 10**9], [0, 1.0, True, "1", None]),
        (
            Setting(32, lowest=8, words=("own",)),
            "whole numbers from 8 or 'own'",
            [8, "own"],
            [7, "other", 8.0],
        ),
        (Setting(0.0), "numbers", [-1e9, 3], ["3", False, NAN, float("inf")]),
        (Setting(0.5, lowest=0, highest=1), "numbers from 0 to 1", [0, 1, 0.3], [-0.1, 1.1, NAN]),
        (Setting(0.5, lowest=0, open_ends=(True, False)), "numbers above 0", [1e-9], [0, 0.0]),
        (
            Setting(0.5, lowest=0, highest=1, open_ends=(False, True)),
            "numbers from 0, below 1",
            [0, 0.99],
            [1, 1.0],
        ),
        (
            Setting(0.5, lowest=0, highest=1, open_ends=(True, False)),
            "numbers above 0, up to 1",
            [1, 0.01],
            [0],
        ),
        (
            Setting(0.5, lowest=0, highest=1, open_ends=(True, True)),
            "numbers above 0, below 1",
            [0.5],
            [0, 1],
        ),
        (Setting(False), "true or false", [True, False], [0, 1, "true", 0.0]),
        (Setting("a", choices=("a", "b")), "one of 'a', 'b'", ["a", "b"], ["c", 1, True]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_values_and_words(setting, words, taken, refused):
    assert setting.expected == words
    for value in taken:
        kinds = (setting.kind, str) if setting.words else (setting.kind,)
        assert type(setting.checked("x", value)) in kinds
    for value in refused:
        with pytest.raises(ValueError, match=f"^x: expected {words}, got "):
            setting.checked("x", value)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_default_is_a_value(table):
    for entry in table:
        assert entry.completed({}) == {
            name: setting.default for name, setting in entry.parameters.items()
        }


def test_an_entry_completes_what_is_given():
    entry = SettableEntry(
        name="cut", about="", target="", parameters={"depth": Setting(2.0), "times": Setting(1)}
    )
    assert entry.completed({"depth": 5}) == {"depth": 5.0, "times": 1}
    with pytest.raises(ValueError, match="cut has no parameter 'dept': did you mean 'depth'"):
        entry.completed({"dept": 5})
    with pytest.raises(ValueError, match="cut.times: expected whole numbers, got 1.5"):
        entry.completed({"times": 1.5})


def test_no_name_of_a_space_means_two_things():
    """A space names parameters alone; what a stage sets beside it should not look the same."""
    names = {table.kind: {name for entry in table for name in entry.parameters} for table in TABLES}
    names["trial"] = set(REQUIRED_PARAMETERS)
    for one, other in combinations(names, 2):
        if {one, other} != {"pruner", "sampler"}:  # neither is part of a space
            assert not names[one] & names[other], f"{one} and {other}"


def test_optimizers_that_share_a_name_share_its_values():
    """One space may draw any of them; a stage has only one head and one schedule.

    What holds where the space says nothing is each one's own: Lion's beta_2 is 0.99, Adam's 0.999.
    """
    for one, other in combinations(OPTIMIZERS, 2):
        for name in set(one.parameters) & set(other.parameters):
            own, others = one.parameters[name], other.parameters[name]
            assert replace(own, default=others.default) == others
