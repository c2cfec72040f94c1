import json
import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from automl_cv.cli.app import build
from automl_cv.errors import UserError

TABLE = """\
PHOTOS
class      train  validation  test  all
───────────────────────────────────────
[red]cats      2           1     1    4
dogs           2           2     2    6
───────────────────────────────────────
all            4           3     3   10
10 images read, 1 file skipped, 1 hidden entry passed over
sizes: 8x6 to 9x6, median 8x6, 2 different
fingerprint: FINGERPRINT
warning: 1 test image of 3 is identical to one in train, so scores on test come out too high; \
first PHOTOS/test/dogs/copy.png and PHOTOS/train/dogs/0.png
note: 1 image in PNG format under .jpg, read all the same; first val/dogs/odd.jpg
note: 1 image is a copy of another
skipped: test/dogs/empty.png: empty file
"""


def paint(path, number, width=8, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, 6), (number, 0, 0)).save(path, **options)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    number = 0
    for label in ("[red]cats", "dogs"):
        for split, count in (("train", 2), ("val", 1), ("test", 1)):
            for place in range(count):
                number += 10
                paint(root / split / label / f"{place}.png", number, 9 if number == 10 else 8)
    return root


@pytest.fixture
def invoke(tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(
            build(), ["data", *map(str, arguments), "--cache-dir", str(tmp_path / "cache")]
        )

    return invoke


def make_odd(photos):
    """Add a copy across splits, an image under a wrong ending, an empty file and litter."""
    source = photos / "train" / "dogs" / "0.png"
    (photos / "test/dogs/copy.png").write_bytes(source.read_bytes())
    paint(photos / "val/dogs/odd.jpg", 200, format="PNG")
    (photos / "test/dogs/empty.png").touch()
    (photos / "test/dogs/.DS_Store").touch()


def test_findings_as_a_table(photos, invoke):
    make_odd(photos)
    result = invoke(photos)
    assert result.exit_code == 0
    assert result.stderr == "inspecting images: 11\n"
    fingerprint = json.loads(invoke(photos, "--format", "json").stdout)["fingerprint"]
    shown = "\n".join(line.rstrip() for line in result.stdout.splitlines())
    shown = shown.replace(str(photos), "PHOTOS").replace(fingerprint, "FINGERPRINT")
    assert shown.splitlines() == TABLE.splitlines()


def test_findings_as_json(photos, invoke):
    make_odd(photos)
    result = invoke(photos, "--format", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["classes"] == {
        "[red]cats": {"train": 2, "validation": 1, "test": 1},
        "dogs": {"train": 2, "validation": 2, "test": 2},
    }
    assert found["source"] == str(photos)
    assert found["ledger"]["skipped"] == [{"path": "test/dogs/empty.png", "reason": "empty file"}]
    assert len(found["overlap"]) == 1


def test_strict_refuses_what_it_would_list(photos, invoke):
    assert invoke(photos, "--strict").exit_code == 0
    make_odd(photos)
    error = invoke(photos, "--strict").exception
    assert isinstance(error, UserError)
    assert "1 file can't be used as images: test/dogs/empty.png (empty file)" in str(error)


def test_long_lists_are_cut_in_the_table_only(photos, invoke):
    for number in range(25):
        (photos / f"train/dogs/empty {number:02d}.png").touch()
    lines = invoke(photos).stdout.splitlines()
    assert sum(line.startswith("skipped: train/dogs/empty") for line in lines) == 20
    assert lines[-1] == "skipped: 5 more; --format json lists all"
    found = json.loads(invoke(photos, "--format", "json").stdout)
    assert len(found["ledger"]["skipped"]) == 25


def test_a_thousand_classes_are_summed_up_in_the_table_only(tmp_path, invoke):
    for number in range(45):
        for copy in range(2 if number else 3):
            paint(tmp_path / "many" / "train" / f"c{number:02d}" / f"{copy}.png", number, 8 + copy)
            paint(tmp_path / "many" / "val" / f"c{number:02d}" / f"{copy}.png", number, 18 + copy)
    lines = [line.rstrip() for line in invoke(tmp_path / "many").stdout.splitlines()]
    assert "25 larger ones     51          51  102" in lines
    assert any("45 classes of 4 to 6 images, the smallest" in line for line in lines)
    assert not any("c00" in line for line in lines)
    found = json.loads(invoke(tmp_path / "many", "--format", "json").stdout)
    assert len(found["classes"]) == 45


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["digit"], 2, "error: digit: not found, neither a folder, a manifest nor built-in data; "),
        ([""], 2, "error: the source of images is empty; "),
        (["PHOTOS", "--strict"], 2, "error: PHOTOS: 1 file can't be used as images: "),
        (["PHOTOS"], 0, "inspecting images: 11"),
    ],
)
def test_exit_codes_and_streams_of_the_real_command(photos, tmp_path, arguments, code, line):
    make_odd(photos)
    given = [argument.replace("PHOTOS", str(photos)) for argument in arguments]
    command = [sys.executable, "-c", "from automl_cv.cli.app import main; main()", "data", *given]
    result = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache")], capture_output=True, text=True
    )
    assert result.returncode == code
    assert line in result.stderr.replace(str(photos), "PHOTOS")
    assert "Traceback" not in result.stderr
    assert bool(result.stdout) == (code == 0)
