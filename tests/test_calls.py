"""No unit of work has grown by a fifth since it was recorded: see benchmarks/calls.py."""

from __future__ import annotations

import pytest

from tests.benchmarks import calls

MORE = 1.2


@pytest.mark.slow
def test_no_unit_of_work_has_grown(tmp_path):
    versions, known = calls.recorded()
    if calls.versions() != versions:
        pytest.skip(f"recorded with {versions}, this is {calls.versions()}")
    found = calls.measured(tmp_path)
    grown = {
        name: (known[name], calls) for name, calls in found.items() if calls > MORE * known[name]
    }
    assert not grown, "mend it, or record anew: python tests/benchmarks/calls.py --record"
    assert found.keys() == known.keys()


def test_work_that_is_done_twice_shows():
    def work():
        return [divmod(number, 7) for number in range(100)]

    once = calls.counted(work)
    assert 100 <= once < 110
    assert calls.counted(lambda: (work(), work())) > MORE * once
