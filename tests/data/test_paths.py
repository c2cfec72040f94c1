"""Files to predict: folders, patterns, lists, in their order."""

from __future__ import annotations

import itertools
import os

import pytest

from automl_cv.data.paths import expand
from automl_cv.errors import UserError


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "b/2.png",
        "b/1.png",
        "b/c/3.png",
        "a.jpg",
        "z.jpg",
        ".hidden/x.png",
        "b/.DS_Store",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_everything_comes_in_the_order_of_the_arguments():
    lines = iter(["one.png\n", "\n", "two words.png\r\n", "three.png"])
    found = list(expand(["z.jpg", "b", "-", "*.jpg", "absent.png"], lines))
    assert found == [
        *("z.jpg", "b/1.png", "b/2.png", "b/c/3.png"),
        *("one.png", "two words.png", "three.png"),
        *("a.jpg", "z.jpg", "absent.png"),
    ]  # fmt: skip


def test_two_stars_go_down(tree):
    assert list(expand(["**/*.png"], [])) == ["b/1.png", "b/2.png", "b/c/3.png"]


def test_a_name_with_brackets_is_a_name(tree):
    (tree / "x[1].png").write_bytes(b"")
    assert list(expand(["x[1].png"], [])) == ["x[1].png"]


def test_links_to_folders_make_no_circles(tree):
    os.symlink(tree / "b", tree / "b" / "again")
    assert list(expand(["b"], [])) == ["b/1.png", "b/2.png", "b/c/3.png"]


def test_a_list_is_read_as_it_is_asked_for():
    endless = (f"{number}.png\n" for number in itertools.count())
    assert next(expand(["-"], endless)) == "0.png"


@pytest.mark.parametrize("argument", ["*.gif", "empty"])
def test_what_names_nothing_is_said(argument, tree):
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match="matches no file|holds no files"):
        list(expand([argument], []))
