"""Texts in two arrays are what a list of them is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cv.data import texts as module
from automl_cv.data.texts import Texts

NAMES = ["/images/a.png", "", "/images/ä/雪.png", "/images/not UTF-8 \udcff.png", "a", "a"]
OWN = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 2)


def test_a_list_and_its_texts_are_equal():
    texts = Texts.of(NAMES)
    assert texts == NAMES and [*texts] == NAMES and len(texts) == len(NAMES)
    assert [texts[row] for row in range(-len(NAMES), 0)] == NAMES
    assert texts[np.int64(3)] == NAMES[3] and texts[1:4] == NAMES[1:4]
    assert texts != NAMES[1:] and Texts.of(texts) is texts
    with pytest.raises(IndexError):
        texts[len(NAMES)]


def test_none_is_as_good_as_nothing():
    assert Texts.of(["a", None]) == ["a", ""]


@given(st.lists(OWN), st.data())
def test_any_rows_are_taken(names, data):
    rows = data.draw(st.lists(st.integers(0, len(names) - 1))) if names else []
    taken = Texts.of(names).take(np.array(rows, np.int64))
    assert taken == [names[row] for row in rows]
    assert pickle.loads(pickle.dumps(taken)) == taken


@given(st.lists(OWN.filter(lambda text: not text.endswith("\0"))))
def test_numpy_sorts_them(names):
    found = Texts.of(names).fixed()
    assert [text.decode() for text in found] == names
    assert found.dtype.itemsize >= 1


def test_those_of_one_length_are_not_copied():
    texts = Texts.of(["ab", "cd"])
    assert np.shares_memory(texts.fixed(), texts.characters)


@given(st.lists(st.lists(OWN)))
def test_parts_are_joined(parts):
    joined = Texts.joined([Texts.of(part) for part in parts])
    assert joined == [name for part in parts for name in part]
