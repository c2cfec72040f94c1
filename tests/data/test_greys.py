from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import dataset, images, inspection
from automl_cv.data.greys import own_window
from automl_cv.data.images import DamagedImage, Window
from automl_cv.data.inspected import Inspected, Inspections
from automl_cv.data.ledger import Ledger, stored_window
from automl_cv.errors import UserError
from automl_cv.study.sections import Reading
from automl_cv.study.studyfile import Split


def save(path, values, dtype=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([values], dtype)).save(path)
    return path


def deep(low, high, depth="16-bit"):
    return Inspected("", "", 1, 1, "PNG", low, high, depth)


@pytest.mark.parametrize(
    ("found", "window"),
    [
        ([deep(1000, 1150), deep(1020, 1200)], Window(1000, 1200)),
        ([deep(0, 510)], Window(0, 510)),
        ([deep(0, 65535)], None),
        ([deep(5, 40000), deep(9, 100)], None),
        ([deep(33000, 33200)], Window(33000, 33200)),
        ([deep(-1000, 3000, "signed 16-bit")], Window(-1000, 3000)),
        ([deep(0.1, 0.9, "float")], Window(0, 1)),
        ([deep(0.4, 0.6, "float")], Window(0.4, 0.6)),
        ([deep(-2.5, 7.5, "float")], Window(-2.5, 7.5)),
        ([deep(7, 7)], Window(7, 8)),
    ],
)
def test_the_window_is_the_range_that_is_used(found, window):
    assert own_window(Inspections.of(found)) == window


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_window_spreads_its_values_and_cuts_the_others(tmp_path, dtype):
    path = save(tmp_path / "a.tif", [900, 1000, 1100, 1200, 1300], dtype)
    found = images.decode(path, Window(1000, 1200))
    assert found[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert found.shape == (1, 5, 3)
    assert not found.flags.writeable


def test_the_whole_range_as_a_window_is_what_no_window_is(tmp_path):
    values = np.arange(0, 65536, 7)
    path = save(tmp_path / "a.png", values)
    assert (images.decode(path, Window(0, 65535)) == images.decode(path)).all()


def test_what_is_no_number_is_black_and_no_picture_where_nothing_is_one(tmp_path):
    path = save(tmp_path / "a.tif", [np.nan, -np.inf, 1, 3, np.inf], np.float32)
    assert images.decode(path, Window(1, 3))[0, :, 0].tolist() == [0, 0, 0, 255, 255]
    found = inspection.inspect([str(path)], memory=tmp_path / "m", window_of=own_window)
    assert (found[0].low, found[0].high, found[0].depth) == (1, 3, "float")
    empty = save(tmp_path / "b.tif", [np.nan], np.float32)
    found = inspection.inspect([str(empty)], memory=tmp_path / "m", window_of=own_window)
    assert found[0].reason == "holds no finite value"


def test_pictures_of_8_bits_take_no_window(tmp_path):
    path = save(tmp_path / "a.png", [3, 200], np.uint8)
    assert (images.decode(path, Window(1000, 1200)) == images.decode(path)).all()


def test_a_remembered_hash_is_that_of_its_window(tmp_path):
    path, memory = str(save(tmp_path / "a.png", [1000, 1100, 1200])), tmp_path / "m"
    first, second, again = (
        inspection.inspect([path], memory=memory, window_of=lambda deep, window=window: window)[0]
        for window in (Window(1000, 1200), Window(0, 4095), Window(1000, 1200))
    )
    assert first == again != second
    assert first.content_hash == images.content_hash(images.decode(Path(path), Window(1000, 1200)))


SPLIT = Split(train=0.6, validation=0.2, test=0.2)


def load(source, cache, **options):
    return dataset.load(str(source), split=SPLIT, seed=0, cache_dir=cache, **options)


@pytest.fixture
def slices(tmp_path):
    """Write images of 16 bits that all come out alike unless their range is seen."""
    for place, label in enumerate("ab"):
        for number in range(5):
            values = [1000, 1001 + 10 * number + place, 1200]
            save(tmp_path / "slices" / label / f"{number}.png", values)
    return tmp_path / "slices"


def test_a_data_set_is_scaled_by_its_own_range_and_says_so(slices, tmp_path):
    found = load(slices, tmp_path)
    assert found.images["content_hash"].nunique() == 10
    assert found.window == Window(1000, 1200)
    assert found.ledger.greys.summary() == (
        "10 images of 16-bit greys, 1000 to 1200 (8 bits used); 1000 becomes black, 1200 white"
    )
    kept = found.ledger.to_json()
    assert Ledger.from_json(kept) == found.ledger
    # With more images the range would be another; a stored one stays.
    save(slices / "a" / "more.png", [0, 2000])
    assert load(slices, tmp_path).window == Window(0, 2000)
    stored = load(slices, tmp_path, ledger=kept)
    assert stored.window == Window(1000, 1200)
    assert set(found.images["content_hash"]) < set(stored.images["content_hash"])


def test_a_run_of_before_keeps_the_whole_range(slices, tmp_path):
    ledger = load(slices, tmp_path).ledger.to_json()
    del ledger["greys"]
    assert stored_window(ledger) is None
    undivided = dataset.load_undivided(str(slices), cache_dir=tmp_path, ledger=ledger)
    assert undivided.window is None
    assert undivided.images["content_hash"].nunique() == 1  # all black


def test_a_study_file_may_set_the_window(slices, tmp_path):
    found = load(slices, tmp_path, reading=Reading(window=(1000, 1100)))
    assert found.window == Window(1000, 1100)


def test_most_images_below_a_few_bright_ones_are_noted(slices, tmp_path):
    save(slices / "a" / "metal.png", [1000, 30000])
    with pytest.raises(UserError) as caught:
        load(slices, tmp_path)
    assert str(caught.value).endswith(
        "add images or leave the class out; half of the images hold nothing above 1200 of 30000, "
        "the value of white, and come out dark; data.window = [1000, 1200] in the study file would "
        "spread them"
    )


def test_floats_without_a_window_are_refused_as_before(tmp_path):
    with pytest.raises(DamagedImage, match="32-bit pixel values without a defined range"):
        images.decode(save(tmp_path / "a.tif", [0.5], np.float32))
