import numpy as np
import pytest
from PIL import Image

from automl_cv.data import pool
from automl_cv.errors import UserError


def save(path, value, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(value, value + 64, dtype=dtype).reshape(8, 8)).save(path)


def test_pictures_count_once_wherever_they_lie(tmp_path):
    save(tmp_path / "pool" / "a.png", 1)
    save(tmp_path / "pool" / "cats" / "deep" / "b.png", 2)
    save(tmp_path / "pool" / "dogs" / "copy.bmp", 1)
    save(tmp_path / "pool" / ".hidden" / "c.png", 3)
    (tmp_path / "pool" / "broken.jpg").write_bytes(b"none")
    (tmp_path / "pool" / "notes.txt").write_text("no image")
    found = pool.read(str(tmp_path / "pool"), cache_dir=tmp_path / "cache")
    assert found.paths == (
        str(tmp_path / "pool" / "a.png"),
        str(tmp_path / "pool" / "cats" / "deep" / "b.png"),
    )
    assert [one.path for one in found.skipped] == ["broken.jpg"]
    assert pool.summary(found) == "2 images, 1 copy and 1 file that is no image left out"


def test_deep_greys_have_the_range_that_they_use(tmp_path):
    save(tmp_path / "pool" / "a.png", 1000, np.uint16)
    save(tmp_path / "pool" / "b.png", 1100, np.uint16)
    found = pool.read(str(tmp_path / "pool"), cache_dir=tmp_path / "cache")
    assert found.window == (1000, 1163)
    assert len(set(found.content_hashes)) == 2


def test_what_is_no_folder_of_pictures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.csv").write_text("path,label\n")
    for source, said in (
        (tmp_path / "nowhere", "not found"),
        (tmp_path / "empty", "holds no files"),
        (tmp_path / "file.csv", "is a file"),
    ):
        with pytest.raises(UserError, match=said):
            pool.read(str(source), cache_dir=tmp_path / "cache")
