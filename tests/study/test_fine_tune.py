"""The key `fine_tune`: what a study file may say, told before anything heavy loads."""

from __future__ import annotations

from typing import Any

import pytest

from automl_cv.errors import UserError
from automl_cv.study import studyfile

SPACE = {"optimizer": "SGD", "batch_size": 8, "learning_rate": 0.1}


def study(coarse: dict[str, Any] | None = None, **tuned: Any) -> dict[str, Any]:
    stages = [
        {"name": "coarse", "trials": 2, "epochs": 9, "space": SPACE, **(coarse or {})},
        {"name": "tuned", "retrain": {"stages": "coarse"}, "fine_tune": {}, **tuned},
    ]
    return {"name": "mine", "stage": stages}


def test_defaults_are_the_last_block_at_a_tenth_of_the_rate():
    stage = studyfile.parse(study(), "mine.toml").stage("tuned")
    assert (stage.fine_tune.blocks, stage.fine_tune.rate_factor) == (1, 0.1)
    assert stage.epochs == 9, "as long as the head, unless it says otherwise"
    assert str(stage.fine_tune) == "last block of the backbone trained too, at 0.1 of the rate"
    own = studyfile.parse(study(fine_tune={"blocks": 2}, epochs=3), "mine.toml").stage("tuned")
    assert (own.epochs, str(own.fine_tune)) == (
        3,
        "last 2 blocks of the backbone trained too, at 0.1 of the rate",
    )
    lower = {"blocks": 2, "block_rate_factor": 0.5}
    stage = studyfile.parse(study(fine_tune=lower), "mine.toml").stage("tuned")
    assert str(stage.fine_tune).endswith("at 0.1 of the rate, each block at 0.5 of the next one's")


def test_what_it_says_changes_results():
    before, after = (
        studyfile.parse(study(fine_tune={"blocks": blocks}), "mine.toml") for blocks in (1, 2)
    )
    assert studyfile.difference(before, after) == ["stage.tuned.fine_tune.blocks: 1 -> 2"]
    assert before.digest() != after.digest()


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            study(fine_tune={"block": 1}),
            "stage.tuned.fine_tune.block: unknown key; did you mean 'blocks'? known: "
            "blocks, rate_factor, block_rate_factor",
        ),
        (study(fine_tune={"blocks": 0}), "stage.tuned.fine_tune.blocks: got 0; "),
        (study(fine_tune={"rate_factor": 0}), "stage.tuned.fine_tune.rate_factor: got 0; "),
        (study({"fine_tune": {}}), "stage.coarse.fine_tune: only a stage that retrains"),
        (study(views="online"), "stage.tuned.fine_tune: trains on cached views; set views"),
        (study(augmentation={"mixup": 0.2}), "stage.tuned.fine_tune: mixup mixes images"),
        (
            study({"network": "ResNet18"}),
            "stage.tuned.fine_tune: 'coarse' trains a network from scratch",
        ),
        (study(network="ResNet18"), "stage.tuned.fine_tune: 'tuned' trains a network"),
    ],
)
def test_mistakes_are_told_in_a_line(raw, line):
    with pytest.raises(UserError) as caught:
        studyfile.parse(raw, "mine.toml")
    (found,) = str(caught.value).splitlines()
    assert found.startswith(f"mine.toml: {line}"), found
