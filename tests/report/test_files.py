import os
import threading
from pathlib import Path

import pytest

from automl_cv.errors import UserError
from automl_cv.report.files import write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    mask = os.umask(0o022)
    try:
        write_whole(path, b"new")
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match=r"report\.html: can't be written: No space left"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match="can't be written: No such file"):
        write_whole(tmp_path / "absent" / "report.html", b"new")


def test_through_a_link_the_file_behind_it_is_written(tmp_path):
    (tmp_path / "kept").mkdir()
    file, link = tmp_path / "kept" / "own.csv", tmp_path / "report.csv"
    file.write_text("old")
    link.symlink_to(file)
    write_whole(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


def test_a_link_that_leads_nowhere_yet_is_kept(tmp_path):
    link = tmp_path / "report.csv"
    link.symlink_to("later.csv")
    write_whole(link, b"new")
    assert link.is_symlink() and (tmp_path / "later.csv").read_bytes() == b"new"


def test_a_pipe_is_written_into_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"new")
    reader.join(timeout=10)
    assert read == [b"new"] and pipe.is_fifo()


def test_a_device_is_written_to_and_stays():
    write_whole(Path("/dev/null"), b"new")
    assert Path("/dev/null").is_char_device()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match="is a folder; name a file"):
        write_whole(tmp_path, b"new")
