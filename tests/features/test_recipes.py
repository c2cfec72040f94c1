"""What determines features, and which files a study's backbone needs."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import pytest

from automl_cv.catalog.augmentations import augmentation
from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.features import Recipe, ViewRecipe, recipe, view_names
from automl_cv.features.weightfile import hash_of
from automl_cv.study.studyfile import Backbone

RESNET = recipe(Backbone(name="ResNet50"))
ZOOM = augmentation({"zoom": 0.1})


def test_a_published_network_is_known_by_its_published_hash():
    assert RESNET.weights == "md5:4d473c1dd8becc155b73f8504c6f6626"
    assert (RESNET.image_size, RESNET.preprocessing, RESNET.view) == (224, "caffe", None)
    assert recipe(Backbone(name="ResNet50", weights="imagenet")) == RESNET


def test_the_key_stays_what_it_was():
    """Another key would leave every user's cached features unused: raise FORMAT on purpose."""
    assert RESNET.key == "2eac216604ca4aca"


def test_what_tensorflow_made_before_there_were_engines_is_found():
    for engine in ("auto", "tensorflow"):
        assert recipe(Backbone(name="ResNet50", engine=engine)) == RESNET
    assert "engine" not in RESNET.as_data()
    coarse = recipe(Backbone(name="ResNet50", engine="openvino", precision="bfloat16"))
    assert (coarse.engine, coarse.precision) == ("openvino", "bfloat16")
    assert Recipe.from_data(coarse.as_data()) == coarse
    assert coarse.by_tensorflow() == RESNET
    assert coarse.before_blocks(1) == RESNET.before_blocks(1), "blocks are trained in TensorFlow"


@pytest.mark.parametrize("name", [field.name for field in fields(RESNET)])
def test_every_part_changes_the_key(name):
    value = getattr(RESNET, name)
    if name == "view":
        other = ViewRecipe(ZOOM, seed=0)
    else:
        other = f"{value}x" if isinstance(value, str) else value + 1
    assert replace(RESNET, **{name: other}).key != RESNET.key


def test_views_have_a_key_for_each_augmentation_and_seed():
    backbone = Backbone(name="ResNet50")
    keys = {
        recipe(backbone, augmentation(raw), seed).key
        for raw in ({"zoom": 0.1}, {"zoom": 0.2}, {"zoom": 0.1, "rotation": 5}, {"cutmix": True})
        for seed in (0, 1)
    }
    assert len(keys | {RESNET.key}) == 9


def test_what_leaves_pixels_alone_needs_no_views():
    backbone = Backbone(name="ResNet50")
    for idle in (None, augmentation({}), augmentation({"zoom": 0, "mixup": True})):
        assert recipe(backbone, idle, seed=5) == RESNET
    assert recipe(backbone, augmentation({"zoom": 0.1, "mixup": True})).view == ViewRecipe(ZOOM, 0)


def test_a_recipe_is_read_back():
    for one in (RESNET, replace(RESNET, view=ViewRecipe(ZOOM, seed=3))):
        assert Recipe.from_data(json.loads(json.dumps(one.as_data()))) == one


def test_views_of_an_image_stand_side_by_side():
    assert view_names(["a", "b"], 2) == ["a/0", "a/1", "b/0", "b/1"]


def test_the_study_decides_size_and_not_blocks():
    assert recipe(Backbone(image_size=48)).image_size == 48
    assert recipe(Backbone(features="all")) == recipe(Backbone(features="last"))


def test_weights_of_ones_own_count_by_content(tmp_path):
    first, same, other = (tmp_path / name for name in ("a.h5", "b.h5", "c.h5"))
    for path, content in ((first, b"1"), (same, b"1"), (other, b"2")):
        path.write_bytes(content)
    keys = [
        recipe(Backbone(name="ResNet50", weights=str(path))).key for path in (first, same, other)
    ]
    assert keys[0] == keys[1] != keys[2]
    assert RESNET.key not in keys


def saved_model(path: Path, shape: list[int | None]) -> str:
    config = {"config": {"layers": [{"config": {"batch_shape": shape}}]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return str(path)


def test_a_saved_model_tells_its_own_image_size(tmp_path):
    path = saved_model(tmp_path / "mine.keras", [None, 64, 64, 3])
    found = recipe(Backbone(name=path))
    assert (found.backbone, found.image_size, found.preprocessing) == ("mine.keras", 64, "none")
    assert found.weights == hash_of(Path(path))


def test_features_of_a_model_within_a_model_have_another_key(tmp_path):
    """Its blocks were not found once; those that were of a model without one are still valid."""
    layers = [{"config": {"batch_shape": [None, 64, 64, 3]}}, {"config": {"layers": []}}]
    with zipfile.ZipFile(tmp_path / "mine.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    found = recipe(Backbone(name=str(tmp_path / "mine.keras")))
    assert found.block_outputs.endswith("and the output, also of models within")
    plain = recipe(Backbone(name=saved_model(tmp_path / "plain.keras", [None, 64, 64, 3])))
    assert plain.block_outputs == "the last map of each size, and the output"


def test_a_saved_model_for_any_size_needs_one(tmp_path):
    path = saved_model(tmp_path / "any.keras", [None, None, None, 3])
    assert recipe(Backbone(name=path, image_size=40)).image_size == 40
    with pytest.raises(UserError, match="any.keras does not say which size"):
        recipe(Backbone(name=path))


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            Backbone(name="ResNet50", weights="gone.h5"),
            "backbone.weights: no such file: gone.h5",
        ),
        (Backbone(name="gone.keras"), "backbone.name: no such file: gone.keras"),
        (
            Backbone(weights="imagenet"),
            "backbone.weights: there are no ImageNet weights of 'compact'; leave it out for "
            "its own, or choose another backbone",
        ),
        (
            Backbone(name="mine.keras", weights="w.h5"),
            "backbone.weights: mine.keras brings its own weights; leave it out",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(backbone, message):
    with pytest.raises(UserError) as caught:
        recipe(backbone)
    assert str(caught.value) == message


def test_a_package_that_is_not_installed_is_named_with_its_extra():
    own = BACKBONES["EfficientNetLite0"]
    absent = replace(own, name="absent", weights=replace(own.weights, package="not_a_package"))
    with BACKBONES.temporary(absent), pytest.raises(UserError) as caught:
        recipe(Backbone(name="absent"))
    assert str(caught.value) == (
        "the backbone 'absent' needs the package not-a-package, which is not installed; "
        "run in automl-cv's folder: pip install -c .ci/constraints.txt '.[photos]'"
    )
