"""Numbers as colours."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.pictures.colours import BLUE_WHITE_RED, INFERNO, VIRIDIS, Scale, scale_of

LUMINANCE = [0.2126, 0.7152, 0.0722]


def test_ends_and_what_lies_beyond():
    scale = Scale(-1.0, 3.0, ("000000", "ff0080"))
    painted = scale.paint(np.array([[-9.0, -1.0], [1.0, 3.0]]))
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[0, 0, 0], [0, 0, 0]], [[128, 0, 64], [255, 0, 128]]]


@pytest.mark.parametrize("colours", [VIRIDIS, INFERNO])
def test_higher_is_lighter(colours):
    ramp = Scale(0.0, 1.0, colours).paint(np.linspace(0, 1, 64)) @ LUMINANCE
    assert (np.diff(ramp) > 0).all()


def test_maps_without_negative_numbers_begin_at_0():
    scale = scale_of(np.array([1.0, 2.0, 4.0]), share=1.0)
    assert (scale.low, scale.high, scale.colours, scale.cut) == (0.0, 4.0, VIRIDIS, False)


def test_signed_maps_are_white_at_0():
    scale = scale_of(np.array([-4.0, 0.0, 2.0]), share=1.0)
    assert (scale.low, scale.high, scale.colours) == (-4.0, 4.0, BLUE_WHITE_RED)
    assert scale.paint(np.zeros(1)).tolist() == [[247, 247, 247]]


def test_one_high_number_does_not_make_all_else_dark():
    values = np.concatenate([np.linspace(0, 1, 10_000), [1000.0]])
    scale = scale_of(values)
    assert scale.high < 1.01 and scale.cut
    assert scale_of(np.array([0.0] * 10_000 + [5.0])).high == 5.0, "unless all else is 0"


def test_maps_of_zeros():
    values = np.zeros((2, 2))
    scale = scale_of(values)
    assert scale.paint(values).tolist() == [[list(bytes.fromhex(VIRIDIS[0]))] * 2] * 2
