"""Names that are no orders: to a terminal, to Markdown and HTML, to a spreadsheet program."""

from __future__ import annotations

import math

import pytest

from automl_cv.words import harmless, in_markdown, in_spreadsheet, printable, sparkline


def test_a_terminal_gets_nothing_to_obey():
    assert harmless("a\x1b[31m\nb\x9b") == "a\ufffd[31m\nb\ufffd"
    assert printable("a\nb\r\x07") == "a b \ufffd"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<script>", r"\<script\>"),
        ("learning_rate", "learning_rate"),
        ("_x_ *y*", r"\_x\_ \*y\*"),
        ("a|b", r"a\|b"),
    ],
)
def test_markdown_reads_names_as_they_are(name, shown):
    assert in_markdown(name) == shown


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+2", "'=1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd|'/c calc'!A0", "'-cmd|'/c calc'!A0"),
        ("-1", "-1"),
        ("+4.5", "+4.5"),
        ("cat=dog", "cat=dog"),
        (-1.5, -1.5),
        (None, None),
        ("a\x1b[2J", "a\ufffd[2J"),
    ],
)
def test_a_spreadsheet_gets_no_formula(cell, written):
    assert in_spreadsheet(cell) == written


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((), ""),
        ((0.5,), ""),
        ((0.1, 0.2, 0.15), "▁█▄"),
        ((0.5, 0.5), "▁▁"),
        ((0.1, math.nan, 0.2), "▁█"),
        (tuple(range(100)), "▁▂▂▃▄▄▅▅▆▇▇█"),
    ],
)
def test_a_curve_is_a_few_signs_and_ends_with_its_last_value(values, shown):
    assert sparkline(values) == shown
