from dataclasses import dataclass
from pathlib import Path

import pytest

from automl_cv.history import History
from automl_cv.report.document import Report
from automl_cv.report.leaderboard import compose
from automl_cv.results.leaderboard import read_run
from automl_cv.store.lease import Lease
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, build, distributions_of, fail, finish, history_of, parameters_of


@dataclass
class Built:
    url: str
    trials: StageTrials

    def report(self, **options) -> Report:
        return compose(read_run(self.url, stage=options.get("stage")), **options)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    """Both published stages, and a pruned, a failed and an interrupted trial."""
    url, storage = build(tmp_path)
    trials = StageTrials.open(storage, "slides", "coarse")
    pruned = (*COARSE[1][:6], 0.85, *COARSE[1][7:])
    finish(trials, 6, pruned, "pruned")
    fail(trials, 7, COARSE[2], "ResourceExhaustedError: out of memory [64,2048] <Op>\n|at step 3")
    parameters = parameters_of(COARSE[3])
    trials.begin(8, parameters, distributions_of(parameters), lease=Lease.of_this_process())
    trials.interrupt(8, History(history_of(COARSE[3]).epochs[:4]))
    return Built(url, trials)
