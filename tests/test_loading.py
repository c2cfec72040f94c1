"""Keras leaves out what nobody here asks it for; a process that is somebody else's has all."""

from __future__ import annotations

import gc
import sys

import pytest

from automl_cv import loading

KERAS = """
try:
    import needless
except ImportError:
    needless = None
"""


@pytest.mark.parametrize("is_ours", [True, False])
def test_it_is_absent_in_a_process_of_ours_for_keras_alone(is_ours, tmp_path, monkeypatch):
    (tmp_path / "needless.py").touch()
    (tmp_path / "like_keras.py").write_text(KERAS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loading, "NEEDLESS", ("needless",))
    monkeypatch.setattr(loading, "_is_ours", False)
    if is_ours:
        loading.process_is_ours()
    try:
        with loading.without_needless():
            import like_keras
        assert (like_keras.needless is None) == is_ours
        import needless  # whoever needs it later has it

        del sys.modules["like_keras"]
        with loading.without_needless():
            import like_keras
        assert like_keras.needless is needless, "it is there already, and costs nothing"
    finally:
        for name in ("needless", "like_keras"):
            sys.modules.pop(name, None)


def test_collections_are_seldom_while_a_block_loads():
    before = gc.get_threshold()
    with pytest.raises(ImportError), loading.seldom_collected():
        assert gc.get_threshold()[0] == loading.CONTAINERS > before[0]
        raise ImportError
    assert gc.get_threshold() == before


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_was_loaded_is_left_out_of_collections_in_a_process_of_ours(is_ours, monkeypatch):
    frozen = []
    monkeypatch.setattr(loading, "_is_ours", is_ours)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    with loading.seldom_collected():
        pass
    assert not frozen, "nothing was loaded"
    with loading.seldom_collected():
        monkeypatch.setitem(sys.modules, "loaded_by_a_block", loading)
    assert frozen == [True] * is_ours
