"""Tables refuse what would be ambiguous, and every entry's target can be had."""

from __future__ import annotations

import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.datasets import DATASETS
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.errors import UserError, suggest
from automl_cv.registry import Entry, Table
from automl_cv.report.page.sections import PAGE_SECTIONS

TABLES = [
    *(BACKBONES, DATASETS, HEADS, LOSSES, OPTIMIZERS, PRUNERS, SAMPLERS, SCHEDULES),
    PAGE_SECTIONS,
]


def entry(name: str) -> Entry:
    return Entry(name=name, about="", target="math:sqrt")


def test_a_name_stands_once():
    with pytest.raises(ValueError, match="'a' is in its table twice"):
        Table("thing", [entry("a"), entry("a")])


def test_an_unknown_name_gets_close_matches_and_all_names():
    table = Table("fruit", [entry("apple"), entry("pear")])
    with pytest.raises(UserError) as raised:
        table["aple"]
    assert str(raised.value) == "unknown fruit 'aple': did you mean 'apple'? known: apple, pear"


def test_a_temporary_entry_leaves_no_trace():
    table = Table("fruit", [entry("apple")])
    with table.temporary(entry("fig")):
        assert "fig" in table
        assert table.names == ["apple", "fig"]
    assert table.names == ["apple"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_target_of_every_table_exists(table):
    assert len(table) > 0
    for one in table:
        assert callable(one.load()), one.name
        assert one.about and "\n" not in one.about


def test_suggest_matches_other_cases():
    assert suggest("resnet50", ["ResNet50", "compact"]).startswith("did you mean 'ResNet50'?")
    assert suggest("zzz", []) == "known: none"
