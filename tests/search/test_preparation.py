"""Which features a stage asks for, and what it refuses to run the backbone for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.augmentations import augmentation
from automl_cv.drawing.retraining import RetrainMemory, Source
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.errors import UserError
from automl_cv.orders.images import Images
from automl_cv.orders.messages import Prepare, PrepareFeatures
from automl_cv.search.preparation import possible_inputs
from automl_cv.study import studyfile
from automl_cv.study.studyfile import Backbone, StudyFile
from automl_cv.study.trial import Inputs

TOML = """
name = "s"
[[stage]]
name = "aug"
trials = 4
epochs = 3
views = 3
augmentation = { rotation = 10 }
[stage.space]
optimizer = "SGD"
batch_size = 16
learning_rate = 0.1
zoom = [0.0, 0.1]
mixup = { low = 0.0, high = 1.0 }
[[stage]]
name = "again"
retrain = { stages = "aug", top = 2, repeats = 2 }
"""
OWN = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}
SOURCES = [
    Source("aug", 1, {**OWN, "zoom": 0.1, "mixup": 0.2}),
    Source("aug", 3, {**OWN, "zoom": 0.0, "mixup": 0.7}),
]


def study(*changes: tuple[str, str]) -> StudyFile:
    text = TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return studyfile.parse(tomllib.loads(text), "s.toml")


def needs(inputs: list[Inputs]) -> list[PrepareFeatures]:
    """Return what a worker answers; the kind itself says it, and TensorFlow loads with it."""
    from automl_cv.worker.materials import Materials

    images = Images((), (), np.empty(0), np.empty(0), (), ())
    given = Prepare(images, Backbone(), Path("unused"), seed=0, metric="accuracy")
    return Materials(given, lambda *done: None, lambda space: None).needs(inputs)


def wanted(read: StudyFile, name: str) -> list[PrepareFeatures]:
    stage = read.stage(name)
    memory = (
        StageMemory("s/aug", stage, read.seed)
        if stage.retrain is None
        else RetrainMemory("s/again", stage, read.seed, SOURCES)
    )
    plain, *altered = needs(possible_inputs(read, stage, memory))
    assert plain == PrepareFeatures(read.backbone)
    return altered


def views(read: StudyFile, *tables: dict, count: int = 3) -> list[PrepareFeatures]:
    return [PrepareFeatures(read.backbone, augmentation(table), count) for table in tables]


def test_each_combination_is_asked_for_once_and_mixup_needs_none():
    read = study()
    both = views(read, {"rotation": 10}, {"rotation": 10, "zoom": 0.1})
    assert wanted(read, "aug") == both
    plain = study(("augmentation = { rotation = 10 }", ""))
    assert wanted(plain, "aug") == views(plain, {"zoom": 0.1}), "zoom = 0 alters nothing"


def test_finalists_are_altered_as_they_were():
    read = study()
    assert read.stage("again").augmentation == read.stage("aug").augmentation
    assert wanted(read, "again") == views(read, {"rotation": 10, "zoom": 0.1}, {"rotation": 10})
    assert read.stage("again").augmentation_of(SOURCES[1].parameters) == augmentation(
        {"rotation": 10, "mixup": 0.7}
    )


def test_an_augmentation_of_its_own_takes_the_place_of_what_was_drawn():
    read = study(("repeats = 2 }", "repeats = 2 }\naugmentation = { contrast = 0.2 }"))
    assert wanted(read, "again") == views(read, {"contrast": 0.2})
    memory = RetrainMemory("s/again", read.stage("again"), 0, SOURCES)
    drawn = memory.draw(0)
    assert drawn.parameters == {"source": "aug/1", "repeat": 0, **OWN}
    assert studyfile.parse(read.as_toml_data(), "again") == read
    none = study(("repeats = 2 }", "repeats = 2 }\naugmentation = {}"))
    assert wanted(none, "again") == []
    assert not none.stage("again").retrain.drawn_augmentation
    both = study(
        (
            "repeats = 2 }",
            "repeats = 2, drawn_augmentation = true }\naugmentation = { contrast = 0.2 }",
        )
    )
    assert wanted(both, "again") == views(both, {"contrast": 0.2, "zoom": 0.1}, {"contrast": 0.2})


def test_folds_have_views_of_all_images_that_train_in_some_fold():
    read = study(("repeats = 2 }", "folds = 2 }\nviews = 5"))
    assert {(order.splits, order.views) for order in wanted(read, "again")} == {
        (("train", "validation"), 5)
    }


def test_an_online_stage_caches_nothing_and_asks_for_its_backbone_once():
    read = study(
        ("views = 3", 'views = "online"'),
        ("augmentation = { rotation = 10 }", ""),
        ("zoom = [0.0, 0.1]", "zoom = { low = 0.0, high = 0.3 }\ncutmix = [0.5, 1]"),
    )
    online = [PrepareFeatures(read.backbone, views="online")]
    assert wanted(read, "aug") == online
    assert wanted(read, "again") == online


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            [("zoom = [0.0, 0.1]", "zoom = { low = 0.0, high = 0.3 }")],
            "stage.aug.space: zoom: a range would run the backbone for each trial; list the "
            'values, each combination of which is cached, or set views = "online"',
        ),
        (
            [("{ rotation = 10 }", "{ cutmix = 1.0 }")],
            "stage.aug.augmentation: cutmix mixes images, so that its views can't be cached; set "
            'views = "online"',
        ),
        (
            [("zoom = [0.0, 0.1]", "cutmix = 1.0")],
            "stage.aug.space: cutmix mixes images, so that its views can't be cached; set "
            'views = "online"',
        ),
        (
            [("views = 3", 'views = "onlin"')],
            "stage.aug.views: expected a whole number from 1 to 1000 or 'online', got 'onlin'",
        ),
        (
            [("views = 3", "views = 0")],
            "stage.aug.views: expected a whole number from 1 to 1000 or 'online', got 0",
        ),
        (
            [
                ("views = 3", 'views = "online"'),
                ("zoom = [0.0, 0.1]", "cutmix = 1.0"),
                ("repeats = 2 }", "repeats = 2 }\nviews = 4"),
            ],
            "stage.again: cutmix mixes images, so that its views can't be cached; set "
            'views = "online"',
        ),
        (
            [
                ("views = 3", 'views = "online"'),
                ("zoom = [0.0, 0.1]", "zoom = { low = 0.0, high = 0.3 }"),
                (
                    'retrain = { stages = "aug", top = 2, repeats = 2 }',
                    'narrow_from = "aug"\ntrials = 3\nepochs = 2',
                ),
            ],
            "stage.again: zoom: a range would run the backbone for each trial; list the values, "
            'each combination of which is cached, or set views = "online"',
        ),
    ],
)
def test_what_the_backbone_does_not_run_for(changes, line):
    with pytest.raises(UserError) as raised:
        study(*changes)
    # A stage that takes over what is wrong has the same mistake.
    assert str(raised.value).splitlines()[0] == f"s.toml: {line}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "mixup mixes images, which fine-tuning can't; leave it out"),
        ([("mixup =", "contrast =")], None),
        ([("mixup =", "contrast ="), ("views = 3", 'views = "online"')], "trains on cached views"),
        (
            [("mixup =", "contrast ="), ("repeats = 2", "folds = 2")],
            "augmentation goes with repeats, not with folds",
        ),
    ],
)
def test_fine_tuning_trains_on_cached_views_of_single_images(changes, message):
    tuned = ('name = "again"', 'name = "again"\nfine_tune = { blocks = 1 }')
    lists = ("{ low = 0.0, high = 1.0 }", "[0.0, 0.3]")
    if message is None:
        assert study(*changes, tuned, lists).stage("again").fine_tune is not None
        return
    with pytest.raises(UserError, match=f"stage.again.fine_tune: {message}"):
        study(*changes, tuned, lists)


def test_stages_of_other_augmentations_are_not_retrained_together():
    second = TOML[TOML.index("[[stage]]") : TOML.rindex("[[stage]]")]
    second = second.replace('"aug"', '"other"').replace("rotation = 10", "rotation = 20")
    text = TOML.replace('[[stage]]\nname = "again"', second + '[[stage]]\nname = "again"')
    text = text.replace('stages = "aug"', 'stages = ["aug", "other"]')
    with pytest.raises(UserError, match="'other' has another augmentation than 'again'; set one"):
        studyfile.parse(tomllib.loads(text), "s.toml")
    studyfile.parse(tomllib.loads(text + "augmentation = {}\n"), "s.toml")
