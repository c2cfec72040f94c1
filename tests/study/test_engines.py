"""`engine` and `precision` of a study's backbone."""

from __future__ import annotations

from typing import Any

import pytest

from automl_cv.errors import UserError
from automl_cv.study.studyfile import StudyFile, difference, parse

SPACE = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}
HEADS = {"name": "heads", "trials": 2, "epochs": 3, "space": SPACE}


def study(**backbone: Any) -> StudyFile:
    return parse({"name": "s", "stage": [HEADS], "backbone": backbone}, "s.toml")


def test_tensorflow_changes_no_digest():
    plain, decided = study(), study().on_engine("tensorflow")
    assert "engine" not in plain.as_toml_data()["backbone"]
    assert decided.as_toml_data()["backbone"]["engine"] == "tensorflow"
    assert parse(decided.as_toml_data(), "stored") == decided
    assert plain.digest() == decided.digest() == study(engine="tensorflow").digest()
    assert plain.on_engine("openvino").digest() == study(engine="openvino").digest()
    assert difference(plain, study(engine="openvino", precision="bfloat16")) == [
        "backbone.engine: (absent) -> openvino",
        "backbone.precision: (absent) -> bfloat16",
    ]


def test_what_a_study_says_is_not_decided_again():
    assert study(engine="onnxruntime").on_engine("openvino") == study(engine="onnxruntime")
    coarse = study(engine="openvino", precision="bfloat16")
    assert coarse.in_float32() == study(engine="openvino")


@pytest.mark.parametrize(
    ("backbone", "line"),
    [
        (
            {"engine": "openvin"},
            "s.toml: backbone.engine: unknown engine 'openvin': did you mean 'openvino'? known: "
            "openvino, onnxruntime, tensorflow",
        ),
        (
            {"engine": "tensorflow", "precision": "bfloat16"},
            "s.toml: backbone: precision: the engine 'tensorflow' computes in float32, float16; "
            "'bfloat16' is of openvino",
        ),
        (
            {"features": "f.npy", "ids": "i.csv", "engine": "openvino"},
            "s.toml: backbone: f.npy is vectors: leave engine out",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(backbone, line):
    with pytest.raises(UserError) as told:
        study(**backbone)
    assert str(told.value) == line
