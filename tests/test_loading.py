"""Keras leaves out what nobody here asks it for; a process that is somebody else's has all."""

from __future__ import annotations

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
