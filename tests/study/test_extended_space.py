"""A file that lists fewer optimizers than the one it extends need say nothing else."""

from __future__ import annotations

import pytest

from automl_cv.errors import UserError
from automl_cv.study import library

MOMENTUM = 'momentum = { low = 0.0, high = 0.9, when = { optimizer = ["SGD"] } }'


@pytest.fixture
def space(tmp_path):
    def space(lines: str, stage: str = "coarse", base: str = "quickstart"):
        path = tmp_path / "mine.toml"
        head = f'extends = "{base}"\nname = "mine"\n[[stage]]\nname = "{stage}"\n[stage.space]\n'
        path.write_text(head + lines)
        return library.load(str(path)).stage(stage).space.parameters

    return space


def test_inherited_conditions_shrink_to_what_is_left(space):
    assert space('optimizer = ["Adam", "RMSprop"]')["momentum"].when == {"optimizer": ("RMSprop",)}
    assert space('optimizer = { choices = ["SGD"] }')["momentum"].when == {"optimizer": ("SGD",)}
    assert space("batch_size = 32")["momentum"].when == {"optimizer": ("SGD", "RMSprop")}


def test_what_can_never_be_drawn_is_left_out_with_what_rests_on_it(space, tmp_path):
    assert "momentum" not in space('optimizer = "Adam"')
    found = space('exact = ["kernel"]', "exact")
    assert "scaling" not in found and found["reach"].when == {"exact": ("kernel",)}
    (tmp_path / "base.toml").write_text(
        'extends = "quickstart"\nname = "base"\n[[stage]]\nname = "coarse"\n[stage.space]\n'
        "weight_decay = { low = 0.0, high = 0.1, when = { momentum = [0.5] } }\n"
        'momentum = { choices = [0.5, 0.9], when = { optimizer = ["SGD"] } }\n'
    )
    assert space('optimizer = "Adam"', base="base.toml").keys() == {
        *("optimizer", "batch_size", "learning_rate")
    }


@pytest.mark.parametrize("own", ["", MOMENTUM])
def test_a_misspelt_one_is_told_and_not_what_follows_from_it(space, own):
    line = r"stage\.coarse\.space: unknown optimizer 'SDG': did you mean 'SGD'\?"
    with pytest.raises(UserError, match=line) as caught:
        space(f'optimizer = ["SDG", "Adam"]\n{own}')
    assert str(caught.value).count("\n") == 0


def test_own_conditions_stay_as_they_are_written(space):
    with pytest.raises(UserError, match=r"momentum\.when\.optimizer asks for 'SGD'"):
        space(f'optimizer = "Adam"\n{MOMENTUM}')
