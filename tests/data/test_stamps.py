import os
import time

import pytest

from automl_cv.data import stamps

OLD = 10**9


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """Have a made-up table of mounts."""
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(stamps, "MOUNTS", table)

    def write(*lines):
        table.write_text("".join(f"36 35 8:1 / {line}\n" for line in lines))

    return write


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "RECENT", 0)
    folder = tmp_path / "a disk"
    folder.mkdir()
    (folder / "a.bmp").write_text("x")
    return str(folder / "a.bmp")


def test_a_settled_file_of_a_file_system_that_tells_has_a_stamp(path, mounts, tmp_path):
    mounts("/ rw - vfat /dev/a rw", f"{str(tmp_path)} rw shared:1 - ext4 /dev/b rw")
    status = os.stat(path)
    assert stamps.take([path]).tolist() == [
        [1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino],
    ]


def test_a_time_before_1970_is_one_like_others(path, mounts):
    mounts("/ rw - ext4 /dev/a rw")
    os.utime(path, ns=(-5, -5))
    assert stamps.take([path])[0, 1] == 2**64 - 5


@pytest.mark.parametrize("kind", ["vfat", "exfat", "fuse.sshfs", "cifs", "nfs4", "9p"])
def test_other_file_systems_are_not_trusted(path, mounts, kind):
    disk = os.path.dirname(path).replace(" ", "\\040")
    mounts("/ rw - ext4 /dev/a rw", f"{disk} rw - {kind} x rw")
    assert not stamps.take([path]).any()


def test_a_link_is_judged_by_where_it_leads(path, mounts, tmp_path):
    disk = os.path.dirname(path).replace(" ", "\\040")
    mounts("/ rw - ext4 /dev/a rw", f"{disk} rw - nfs x rw")
    (tmp_path / "link.bmp").symlink_to(path)
    assert not stamps.take([str(tmp_path / "link.bmp")]).any()


def test_a_change_within_two_seconds_is_not_trusted(path, mounts, monkeypatch):
    mounts("/ rw - ext4 /dev/a rw")
    monkeypatch.setattr(stamps, "RECENT", 2 * 10**9)
    os.utime(path, ns=(OLD, OLD))  # an old time of writing says nothing
    assert not stamps.take([path]).any()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3 * 10**9)
    assert stamps.take([path]).any()


def test_a_clock_of_whole_seconds_is_not_trusted(path, mounts, monkeypatch):
    mounts("/ rw - ext4 /dev/a rw")
    monkeypatch.setattr(stamps, "GRAIN", 1)  # any time is then a multiple
    assert not stamps.take([path]).any()


def test_what_is_no_file_has_no_stamp(path, mounts, tmp_path):
    mounts("/ rw - ext4 /dev/a rw")
    assert not stamps.take([str(tmp_path), str(tmp_path / "gone")]).any()
