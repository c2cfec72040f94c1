"""A picture that is seen in parts is resized to the very numbers of one that is not."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import images, large
from tests.later import later

with later():
    from automl_cv.engine.images import resize_all

WIDE, HIGH = (
    np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for shape in ((61, 47, 3), (33, 130, 3))
)


@pytest.mark.parametrize("size", [8, 32, 61, 100])
def test_resized_in_parts_to_the_same_numbers(tmp_path, monkeypatch, size):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(WIDE).save(tmp_path / "wide.png", exif=exif)
    Image.fromarray(HIGH[..., 0].astype(np.uint16) * 99).save(tmp_path / "high.png")
    names = ("wide.png", "high.png", "wide.png")

    def resized():
        with ExitStack() as stack:
            held = [
                stack.enter_context(images.held(tmp_path / name, images.Window(9, 20000)))
                for name in names
            ]
            return resize_all([HIGH, *held, WIDE], size)

    whole = resized()
    monkeypatch.setattr(images, "LEAST", 1)
    monkeypatch.setattr(large, "PART", 300)
    assert resized().tobytes() == whole.tobytes()
