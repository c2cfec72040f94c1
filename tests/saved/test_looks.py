"""Looks at evaluated images: counted, kept, never lost."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from automl_cv.errors import UserError
from automl_cv.saved import folder, looks
from automl_cv.saved.looks import Look
from automl_cv.scoring import Measured
from tests.saved.saved import write_saved


def look(images: str = "a" * 32, accuracy: float = 0.5) -> Look:
    return Look(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        fingerprint=images,
        source="digits",
        part="all images",
        images=4,
        network="blake2b:0",
        metrics={"accuracy": Measured(accuracy, 0.25, 1.0), "auroc": None},
    )


def test_looks_at_the_same_images_are_counted(tmp_path):
    assert looks.read(tmp_path) == ()
    assert looks.append(tmp_path, look(accuracy=0.25)) == (look(accuracy=0.25),)
    assert looks.append(tmp_path, look("b" * 32)) == (look("b" * 32),)
    assert looks.append(tmp_path, look()) == (look(accuracy=0.25), look())
    assert looks.read(tmp_path) == (look(accuracy=0.25), look("b" * 32), look())


def test_a_classifier_with_looks_is_whole_and_the_next_one_inherits_them(tmp_path):
    model = write_saved(tmp_path / "model")
    looks.append(model, look())
    folder.read(model)
    folder.check_target(model)
    write_saved(model, classes=("cat", "dog", "owl"))
    assert folder.read(model).classes == ("cat", "dog", "owl")
    assert looks.read(model) == (look(),)


def test_a_damaged_record_is_one_line_and_stays(tmp_path):
    path = tmp_path / folder.EVALUATIONS
    for text in ("", '{"looks": [{}]}', '{"format": 9}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"evaluations\.json.*move it away") as raised:
            looks.append(tmp_path, look())
        assert "\n" not in str(raised.value)
        assert path.read_text() == text


@pytest.mark.slow
def test_looks_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.saved.test_looks import look, looks\n"
        "for _ in range(20): looks.append(Path(sys.argv[1]), look())"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=root) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(looks.read(tmp_path)) == 40
    assert [path.name for path in tmp_path.iterdir()] == [folder.EVALUATIONS]
