"""Whatever hits a search, the same command given again ends with the same board, to the bit."""

from __future__ import annotations

import pytest

from tests.depth import each_time
from tests.search.simulated import searched

FOUND = [13, 24, 30, 43]
"""Seeds that once ended with another board, or in an error; each stays.

13, 43: a worker died in a trial whose epochs had been written, and they were written twice.
What is written twice does no harm by now; `tests/store/test_trials.py` holds to what is left of it.
30: workers died in finalists, and the stage below went by those that were left.
24: likewise; and a search that slept met what the one that took it over had stored, and said "a
bug of automl-cv" in place of who has the run.
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list:
    return searched(tmp_path_factory.mktemp("undisturbed"), None)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", each_time(*FOUND, of=[*FOUND, *range(100, 108)]))
def test_the_board_is_that_of_an_undisturbed_search(seed, undisturbed, tmp_path):
    board, happened = searched(tmp_path, seed)
    assert board == undisturbed, happened
    assert any(happened), "something happened"


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("first", range(200, 260, 10))
def test_nor_does_any_of_many(first, undisturbed, tmp_path):
    for seed in range(first, first + 10):
        (tmp_path / str(seed)).mkdir()
        board, happened = searched(tmp_path / str(seed), seed)
        assert board == undisturbed, (seed, happened)
