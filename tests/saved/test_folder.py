"""The folder of a saved classifier: whole or not at all, and refused where it was changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automl_cv.errors import UserError
from automl_cv.saved import folder
from automl_cv.saved.facts import checksum_of
from tests.saved.saved import MANIFEST, write_network, write_saved


def test_what_is_written_is_read(tmp_path):
    saved = folder.read(write_saved(tmp_path / "model"))
    assert saved.classes == ("cat", "dog")
    assert set(saved.manifest.files) == {"model.keras", "classes.json"}
    assert saved.manifest.model_copy(update={"files": {}, "checksum": None}) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_hashes_of_training_images_are_kept_and_checked(tmp_path):
    assert folder.read(write_saved(tmp_path / "model")).trained_on() is None
    one, other = "0f" * 16, "a1" * 16
    out = write_saved(tmp_path / "model", trained_on=(other, one, other))
    assert folder.read(out).trained_on() == {one, other}
    kept = out / folder.TRAINED_ON
    assert kept.read_bytes() == bytes.fromhex(one + other)
    kept.write_bytes(bytes.fromhex(one))
    with pytest.raises(UserError, match="trained_on.bin: changed or damaged"):
        folder.read(out)
    kept.unlink()
    with pytest.raises(UserError, match="trained_on.bin: missing"):
        folder.read(out)


def test_the_card_may_be_edited(tmp_path):
    out = write_saved(tmp_path / "model")
    (out / "card.md").write_text("mine")
    folder.read(out)


@pytest.mark.parametrize("name", ["model.keras", "classes.json"])
def test_a_changed_file_is_refused(name, tmp_path):
    out = write_saved(tmp_path / "model")
    with (out / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match=f"{name}: changed or damaged"):
        folder.read(out)


@pytest.mark.parametrize("name", ["model.keras", "classes.json", "bundle.json"])
def test_links_and_missing_files_are_refused(name, tmp_path):
    out = write_saved(tmp_path / "model")
    (out / name).rename(tmp_path / name)
    with pytest.raises(UserError, match="missing"):
        folder.read(out)
    (out / name).symlink_to(tmp_path / name)
    with pytest.raises(UserError, match="a link"):
        folder.read(out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "has format 3, this automl-cv reads 1 and 2"),
        (
            {"files": {"../model.keras": "blake2b:0", "classes.json": "blake2b:0"}},
            "files: expected",
        ),
        ({"files": {}}, "files: expected"),
        ({"image_size": "large"}, "image_size: "),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(change, message, tmp_path):
    out = write_saved(tmp_path / "model")
    raw = json.loads((out / "bundle.json").read_text())
    (out / "bundle.json").write_text(json.dumps({**raw, **change}))
    with pytest.raises(UserError, match=message) as refused:
        folder.read(out)
    assert len(str(refused.value).splitlines()) == 1


def test_keys_of_a_newer_automl_cv_are_left_out(tmp_path):
    out = write_saved(tmp_path / "model")
    raw = json.loads((out / "bundle.json").read_text())
    newer = {**raw, "new": 1}
    (out / "bundle.json").write_text(json.dumps({**newer, "checksum": checksum_of(newer)}))
    folder.read(out)


def test_a_manifest_that_was_changed_is_refused_and_an_older_one_has_no_checksum(tmp_path):
    out = write_saved(tmp_path / "model")
    raw = json.loads((out / "bundle.json").read_text())
    raw["winner"]["validation"]["accuracy"] = 0.98
    (out / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"bundle\.json: changed or damaged since it was written"):
        folder.read(out)
    del raw["checksum"]
    (out / "bundle.json").write_text(json.dumps(raw))
    assert folder.read(out).manifest.winner.validation.accuracy == 0.98


def test_a_model_of_before_there_was_calibration_is_read(tmp_path):
    out = write_saved(tmp_path / "model")
    raw = json.loads((out / "bundle.json").read_text())
    del raw["calibration"], raw["checksum"]
    (out / "bundle.json").write_text(json.dumps(raw))
    assert folder.read(out).manifest.calibration is None


def test_a_file_is_no_model(tmp_path):
    with pytest.raises(UserError, match="not found; expected a folder"):
        folder.read(tmp_path / "model")
    with pytest.raises(UserError, match="a file; expected a folder"):
        folder.read(write_network(tmp_path / "model.keras"))


def test_an_older_model_is_replaced_and_nothing_else(tmp_path):
    out = write_saved(tmp_path / "model")
    folder.check_target(out)
    write_saved(out, ("one", "two", "three"))
    assert folder.read(out).classes == ("one", "two", "three")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (out / "thesis.txt").write_text("five years of work")
    with pytest.raises(UserError, match=r"holds 'thesis\.txt'"):
        folder.check_target(out)
    with pytest.raises(UserError, match="does not exist"):
        folder.check_target(tmp_path / "absent" / "model")


def test_files_of_folders_within_reach_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        folder.os, "fsync", lambda file: synced.append(Path(os.readlink(f"/proc/self/fd/{file}")))
    )
    with folder.replacing(tmp_path / "model") as temporary:
        (temporary / "saved_model" / "variables").mkdir(parents=True)
        (temporary / "saved_model" / "variables" / "variables.index").write_bytes(b"")
        written = {temporary, *temporary.rglob("*")}
    assert set(synced) == written and len(written) == 4


def test_a_failure_keeps_the_older_model(tmp_path):
    out = write_saved(tmp_path / "model")
    with pytest.raises(ZeroDivisionError), folder.replacing(out) as temporary:
        (temporary / "model.keras").write_bytes(b"half")
        1 / 0  # noqa: B018
    assert folder.read(out).classes == ("cat", "dog")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_kill_keeps_the_older_model_and_the_leftover_goes_later(tmp_path):
    out = write_saved(tmp_path / "model")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from automl_cv.saved import folder\n"
        "with folder.replacing(Path(sys.argv[1])) as temporary:\n"
        "    (temporary / 'model.keras').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert folder.read(out).classes == ("cat", "dog")
    (leftover,) = tmp_path.glob(".model.fit-*")
    os.utime(leftover, (0, 0))
    write_saved(out)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folders_are_exchanged_where_the_system_can_do_it_in_one_step_only(tmp_path, monkeypatch):
    out = write_saved(tmp_path / "model")
    monkeypatch.setattr(folder.ctypes, "CDLL", lambda name: object())
    write_saved(out, ("a", "b"))
    assert folder.read(out).classes == ("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
