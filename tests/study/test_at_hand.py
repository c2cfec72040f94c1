"""What "auto" comes to: the backbones on this machine, a race of them, and what rests on it."""

from __future__ import annotations

import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.study.at_hand import at_hand, resolved
from tests.study.test_validation import EXACT, HEADS, line, study

AUTO = {"name": "auto"}


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    """Let Keras's folder hold one file, and no package be installed."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    BACKBONES["MobileNetV3Small"].weights.path.touch()
    monkeypatch.setattr("automl_cv.catalog.weights._package_folder", lambda name: tmp_path / name)


def test_downloads_are_named_with_their_size_and_packages_with_their_extra():
    found = at_hand()
    assert found.names == ("compact", "MobileNetV3Small")
    assert found.downloads["ResNet50"] == 94.4
    assert found.downloads.keys().isdisjoint(found.names)
    assert str(found).startswith(
        "backbones at hand race: compact, MobileNetV3Small; EfficientNetLite0, EfficientNetLite1, "
        "EfficientNetLite2 would too after pip install '.[photos]' in automl-cv's folder; not "
        "downloaded, name one as the backbone and it will be: MobileNetV3Large (12 MB), "
    )
    assert all(entry.weights.megabytes > 1 for entry in BACKBONES if entry.weights.url)


def test_stages_that_search_take_the_backbone_from_a_race():
    again = {"name": "again", "retrain": {"stages": ["heads"]}}
    found, _ = resolved(study(HEADS, again, EXACT, backbone=AUTO))
    race, heads, retrained, exact = found.stages
    assert (race.images, race.trials, race.origin) == (200, 4, "searched")
    assert race.space.parameters["backbone"].choices == ("compact", "MobileNetV3Small")
    assert [one.narrowed_stages for one in (heads, exact)] == [("race",)] * 2
    assert retrained.narrowed_stages == ()
    assert found.backbone.name == "MobileNetV3Small"


def test_a_space_may_say_it_and_the_stage_tries_all():
    drawing = {**EXACT, "space": {"backbone": "auto", "image_size": ["own", 96]}}
    found, _ = resolved(study(drawing, backbone=AUTO))
    (stage,) = found.stages
    assert stage.space.parameters["backbone"].choices == ("compact", "MobileNetV3Small")
    assert stage.trials == 4


def test_what_names_its_backbone_is_left_alone():
    plain = study(HEADS, EXACT)
    assert resolved(plain) == (plain, None)


def test_mistakes():
    with pytest.raises(UserError, match="puts a stage 'race' before all others"):
        resolved(study({**EXACT, "name": "race"}, backbone=AUTO))
    assert "weights: belong to one backbone" in line(EXACT, backbone={**AUTO, "weights": "w.h5"})
    space = {"backbone": ["auto", "compact"]}
    assert "'auto' is all that are at hand; write it alone" in line({**EXACT, "space": space})
