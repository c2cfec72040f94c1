"""Each entry of the table of origins names a module that has all the functions it promises."""

from __future__ import annotations

import inspect
import tomllib
from types import ModuleType

import pytest

from automl_cv.catalog.origins import ORIGINS
from automl_cv.drawing.origins import Origin, Wanted, origin_of
from automl_cv.store.facts import StageFacts
from automl_cv.study import studyfile

VERBS = [name for name in vars(Origin) if not name.startswith("_")]

STUDY = studyfile.parse(
    tomllib.loads("""
        name = "s"
        [[stage]]
        name = "coarse"
        trials = 4
        epochs = 2
        [stage.space]
        optimizer = "Adadelta"
        batch_size = [16, 32]
        learning_rate = 0.001
        [[stage]]
        name = "narrowed"
        narrow_from = "coarse"
        trials = 2
        epochs = 2
        [[stage]]
        name = "finalists"
        retrain = { stages = ["coarse", "narrowed"], top = 2, folds = 2 }
    """),
    "s.toml",
)
COARSE, NARROWED, FINALISTS = STUDY.stages


@pytest.mark.parametrize("entry", ORIGINS, ids=lambda entry: entry.name)
def test_every_module_has_the_promised_functions(entry):
    module = entry.load()
    assert isinstance(module, ModuleType)
    assert entry.about and "\n" not in entry.about
    assert VERBS == ["derived_space", "memory_of", "wanted", "is_current", "notes", "members"]
    for name in VERBS:
        promised = list(inspect.signature(getattr(Origin, name)).parameters)[1:]
        assert list(inspect.signature(getattr(module, name)).parameters) == promised
        assert f"`{name}({', '.join(promised)})`" in type(entry).__doc__


def test_a_stage_names_its_origin_and_what_it_rests_on():
    assert [stage.origin for stage in STUDY.stages] == ["searched", "narrowed", "retrained"]
    assert [stage.sources for stage in STUDY.stages] == [(), ("coarse",), ("coarse", "narrowed")]
    assert [len(stage.retrained_stages) for stage in STUDY.stages] == [0, 0, 2]
    assert [stage.folds for stage in STUDY.stages] == [None, None, 2]
    with pytest.raises(ValueError, match="stage 'coarse' has no retrain"):
        _ = COARSE.retraining
    with pytest.raises(ValueError, match="stage 'finalists' has no narrow_from"):
        _ = FINALISTS.narrowing


def test_what_a_stage_wants_goes_by_its_facts():
    assert origin_of(COARSE).wanted(COARSE, StageFacts()) == Wanted(range(2), n_sets=2)
    held = StageFacts(finalists=("coarse/0", "coarse/1", "narrowed/0"))
    assert origin_of(FINALISTS).wanted(FINALISTS, held).slots == [0, 1, 2, 3]
    told = StageFacts(finalists=held.finalists, contenders=("narrowed/0", "coarse/0"))
    assert origin_of(FINALISTS).wanted(FINALISTS, told) == Wanted([4, 5, 0, 1])


def test_notes_are_of_what_is_searched():
    (note,) = origin_of(COARSE).notes(COARSE)
    assert note.startswith("Adadelta: 0.001 is Keras's default")
    assert origin_of(FINALISTS).notes(FINALISTS) == ()
