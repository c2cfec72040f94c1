"""Standard output that is closed, full, or of few characters; in processes of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CONSOLE_SCRIPT, environment
from tests.depth import each_time
from tests.results.drawn import drawn

pytestmark = pytest.mark.slow


@pytest.fixture
def report(tmp_path: Path, cache_dir: Path) -> Callable[..., tuple[int, bytes]]:
    """Return a function that reports on 30 trials, and gives the exit code and stderr."""
    url = drawn(tmp_path, 30)

    def run(stdout: Any, **variables: str) -> tuple[int, bytes]:
        process = subprocess.run(
            [str(CONSOLE_SCRIPT), "report", "--storage", url],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**environment(cache_dir), **variables},
            preexec_fn=None if stdout is not None else lambda: os.close(1),
            check=False,
        )
        return process.returncode, process.stderr

    return run


@pytest.mark.parametrize("encoding", each_time("cp1252", of=["cp1252", "cp932"]))
def test_signs_that_it_does_not_know_are_written_plainly(report, tmp_path, encoding):
    out = tmp_path / "report.txt"
    with out.open("wb") as file:
        assert report(file, PYTHONIOENCODING=encoding) == (0, b"")
    text = out.read_bytes().decode(encoding)
    assert text.startswith("made-up")
    assert "\\u2500" not in text, "lines of tables are drawn with what there is"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(report):
    with open("/dev/full", "wb") as full:
        assert report(full) == (1, b"error: stdout: the disk is full; free some space\n")


def test_a_closed_one_is_one_line(report):
    said = b"error: stdout: it is closed; send it to a file or a terminal\n"
    assert report(None) == (1, said)
