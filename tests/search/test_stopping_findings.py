import numpy as np
import pytest
from PIL import Image

from automl_cv.data import dataset
from automl_cv.errors import UserError
from automl_cv.search import study_data
from automl_cv.study import library
from automl_cv.study.studyfile import Split


def load(root, cache_dir):
    return dataset.load(str(root), split=Split(), seed=0, cache_dir=cache_dir)


def paint(root, label, numbers):
    (root / label).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        draw = np.random.default_rng(number)
        Image.fromarray(draw.integers(0, 256, (4, 4, 3), np.uint8)).save(
            root / label / f"{number}.png"
        )


def test_every_picture_under_two_labels_stops_a_search_and_is_told_by_it(tmp_path):
    for label in "ab":
        paint(tmp_path / "torn", label, range(5))
    images = load(tmp_path / "torn", tmp_path)
    with pytest.raises(UserError) as caught:
        study_data.check_findings(images)
    line = "5 images under more than one label, in 10 files (100.0% of the images), first "
    assert str(caught.value).startswith(f"{tmp_path}/torn: {line}")
    assert str(caught.value).endswith("or search all the same with --despite-findings")
    # Told otherwise, the search, its leaderboard and `report` say it first.
    (warning,) = study_data.data_read(images).warnings
    assert warning.startswith(line)
    facts = study_data.study_facts(library.load("quickstart"), images)
    assert facts.warnings == (warning,)
    assert facts.ledger["findings"][0]["about"] == "labels"
    assert len(facts.ledger["findings"][0]["files"]) == 10


def test_sound_images_stop_nothing(tmp_path):
    for place, label in enumerate("ab"):
        paint(tmp_path / "sound", label, range(5 * place, 5 * place + 5))
    images = load(tmp_path / "sound", tmp_path)
    study_data.check_findings(images)
    assert study_data.data_read(images).warnings == ()
