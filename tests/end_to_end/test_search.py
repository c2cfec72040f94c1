"""The installed command on real images: search, kill, resume, report."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.search.stage_run import LOSSES_OF_A_TRIAL
from tests.conftest import begun
from tests.in_process import run_here
from tests.stored import copied

STUDY = """
extends = "optimizers"
name = "small"
[[stage]]
name = "coarse"
trials = 10
epochs = 8
[[stage]]
name = "narrowed"
trials = 2
epochs = 4
"""

# Long trials, for kills in the middle of one: an epoch takes 40 ms. Two are enough, and go on for
# as long as a kill may take; a worker that is stopped lets a report take its time.
LONG_STUDY = """
extends = "optimizers"
name = "long"
[[stage]]
name = "coarse"
trials = 2
epochs = 120
pruner = "none"
head = { name = "mlp", normalization = true }
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
"""

# What must be equal, to the bit, between an undisturbed search and a resumed one.
EXACT = [
    "stage", "trial", "optimizer", "batch_size", "learning_rate", "momentum", "epochs",
    "best_epoch", "accuracy", "val_accuracy", "loss", "val_loss", "stop_reason",
]  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> str:
    (tmp_path / "small.toml").write_text(STUDY)
    return "./small.toml"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache_dir) -> Path:
    """Search the small study once, in one go; return its database, which stays as it is."""
    made = tmp_path_factory.mktemp("undisturbed")
    (made / "small.toml").write_text(STUDY)
    run_here(made, cache_dir, "search", "./small.toml", "--quiet")
    return made / "automl-cv.db"


def leaderboard(call, *arguments: str) -> pd.DataFrame:
    table = pd.read_csv(io.StringIO(call("report", "--format", "csv", *arguments).stdout))
    return table.sort_values(["stage", "trial"]).reset_index(drop=True)


def at(database: Path) -> tuple[str, str]:
    """Return the option that names a database."""
    return "--storage", f"sqlite:///{database}"


class Search:
    """A search that runs beside the test, watched through its JSON lines."""

    def __init__(self, folder: Path, cache_dir: Path, *arguments: str) -> None:
        self._mark = f"test-{time.monotonic_ns()}"
        search = ("search", *arguments, "--json-lines")
        self.process = begun(folder, cache_dir, *search, AUTOML_CV_TEST_MARK=self._mark)

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for(self, event: str, count: int = 1) -> dict:
        """Read events until the `count`-th of this name, and return it."""
        for line in self.process.stdout:
            found = json.loads(line)
            count -= found["event"] == event
            if count == 0:
                return found
        raise AssertionError(f"ended without {event}: {self.process.stderr.read()}")

    def workers(self) -> list[int]:
        """Return the process numbers of living workers."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = self._mark.encode() in (folder / "environ").read_bytes()
                is_worker = b"automl_cv.worker.process" in (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if is_ours and is_worker:
                found.append(int(folder.name))
        return found

    def end(self) -> int:
        """Read what is left, wait for the end, and return the exit code."""
        self.output, self.errors = self.process.communicate(timeout=120)
        return self.process.returncode

    def leaves_no_process(self) -> bool:
        deadline = time.monotonic() + 60
        while self.workers() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.workers()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_as_an_undisturbed_one(
    study, run, call, tmp_path, cache_dir, undisturbed
):
    search = Search(tmp_path, cache_dir, study)
    search.wait_for("trial_ended", 5)
    search.process.send_signal(signal.SIGKILL)
    assert search.end() == -signal.SIGKILL
    assert search.leaves_no_process()
    after_kill = leaderboard(call)
    assert 5 <= len(after_kill) < 10

    resumed = run("search", study)
    assert "of them finished already" in resumed.stderr
    left, right = leaderboard(call), leaderboard(call, *at(undisturbed))
    assert len(left) == 12
    pd.testing.assert_frame_equal(left[EXACT], right[EXACT], check_exact=True)

    again = call("search", study)
    assert "stage coarse: all 10 trials are finished already" in again.stderr
    pd.testing.assert_frame_equal(leaderboard(call), left)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_workers_find_what_one_finds(study, call, undisturbed):
    call("search", study, "--workers", "2")
    two, one = leaderboard(call), leaderboard(call, *at(undisturbed))
    pd.testing.assert_frame_equal(two[EXACT], one[EXACT], check_exact=True)


@pytest.mark.slow
def test_trials_can_be_added_later(study, call, tmp_path, undisturbed):
    copied(undisturbed, tmp_path)
    call("search", study, "--trials", "11", "--stage", "coarse")
    table = leaderboard(call)
    assert (table["stage"] == "coarse").sum() == 11
    assert (table["stage"] == "narrowed").sum() == 2
    call("search", study, "--trials", "3", *at(tmp_path / "few.db"))
    few = leaderboard(call, *at(tmp_path / "few.db"))
    assert list(few["stage"]) == ["coarse"] * 3 + ["narrowed"] * 3


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_signal_keeps_everything_and_says_how_to_go_on(study, call, tmp_path, cache_dir, number):
    search = Search(tmp_path, cache_dir, study)
    search.wait_for("trial_ended", 2)
    search.process.send_signal(number)
    assert search.end() == 128 + number
    assert search.leaves_no_process()
    lines = search.errors.strip().splitlines()
    kept = len(leaderboard(call))
    assert kept >= 2
    assert lines == [
        f"interrupted; everything finished is kept ({kept} trials of this command). "
        "The same command again goes on from there."
    ]


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=30)
class TestLongTrials:
    @pytest.fixture
    def study(self, tmp_path: Path) -> str:
        (tmp_path / "long.toml").write_text(LONG_STUDY)
        return "./long.toml"

    def test_a_trial_killed_half_way_is_settled_and_runs_again(
        self, study, call, tmp_path, cache_dir
    ):

        search = Search(tmp_path, cache_dir, study, "--stage", "coarse")
        stored = []
        while not stored:  # a trial is, once it has run for a second
            search.wait_for("epoch_ended", 10)
            (worker,) = search.workers()
            os.kill(worker, signal.SIGSTOP)
            stored = json.loads(call("report", "--format", "json").stdout)["unfinished"]
            if not stored:
                os.kill(worker, signal.SIGCONT)
        assert [trial["state"] for trial in stored] == ["running"]
        search.process.send_signal(signal.SIGKILL)
        os.kill(worker, signal.SIGCONT)
        search.end()

        call("search", study, "--stage", "coarse")
        whole = at(tmp_path / "undisturbed.db")
        call("search", study, "--stage", "coarse", *whole)
        left, right = leaderboard(call), leaderboard(call, *whole)
        assert len(left) == 2
        pd.testing.assert_frame_equal(left[EXACT], right[EXACT], check_exact=True)
        after = json.loads(call("report", "--format", "json").stdout)
        assert after["unfinished"] == []

    def test_a_trial_whose_worker_dies_runs_again_at_once(self, study, call, tmp_path, cache_dir):
        search = Search(tmp_path, cache_dir, study, "--stage", "coarse")
        search.wait_for("epoch_ended", 5)
        (worker,) = search.workers()
        os.kill(worker, signal.SIGKILL)
        broke = search.wait_for("trial_broke")
        assert broke["trial"] == 0
        assert "was killed, most likely for want of memory" in broke["reason"]
        assert search.end() == 0
        assert list(leaderboard(call)["trial"]) == [0, 1]

    def test_three_broken_trials_in_a_row_stop_the_search(self, study, tmp_path, cache_dir):
        search = Search(tmp_path, cache_dir, study, "--stage", "coarse", "--trials", "3")
        for _ in range(3):
            for end in (*["trial_broke"] * (LOSSES_OF_A_TRIAL + 1), "trial_ended"):
                search.wait_for("epoch_ended")
                for worker in search.workers():
                    os.kill(worker, signal.SIGKILL)
                search.wait_for(end)
        assert search.end() == 1
        (line,) = search.errors.strip().splitlines()
        assert line.startswith("error: stage 'coarse': 3 trials in a row failed, the last with:")

    def test_the_timeout_ends_a_trial_in_its_middle(self, study, call, tmp_path):
        longer = LONG_STUDY.replace("epochs = 120", "epochs = 500")
        (tmp_path / "long.toml").write_text(longer)
        done = call("search", study, "--stage", "coarse", "--trials", "40", "--timeout", "6s")
        found = json.loads(call("report", "--format", "json").stdout)
        # On a slow machine the time has ended when the first trial begins; it has an epoch still.
        assert [trial["state"] for trial in found["unfinished"]] == ["interrupted"]
        short = f"stage coarse: {len(found['trials'])} of 40 trials (the time ended)"
        assert short in done.stderr
        assert "The same command again goes on from here." in done.stderr
        assert short in call("report").stdout


@pytest.mark.slow
def test_a_changed_study_is_refused_with_its_difference(study, call, tmp_path, undisturbed):
    copied(undisturbed, tmp_path)
    (tmp_path / "small.toml").write_text(STUDY.replace("epochs = 8", "epochs = 9"))
    refused = call("search", study, check=False)
    assert refused.returncode == 2
    assert "stage.coarse.epochs: 8 -> 9" in refused.stderr
    assert "--new" in refused.stderr
    call("search", study, "--trials", "1", "--new")
    assert len(leaderboard(call, "small@1")) == 12
    assert len(leaderboard(call, "small@2")) == 2


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_second_search_passes_no_image_through_the_backbone(
    study, tmp_path, cache_dir, undisturbed
):
    search = Search(tmp_path, cache_dir, study, "--trials", "1", "--stage", "coarse")
    assert search.wait_for("features_ready")["extracted"] == 0
    assert search.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "quikstart"], "did you mean 'quickstart'?"),
        (["search", "quickstart", "--stage", "corse"], "did you mean 'coarse'?"),
        (["search", "quickstart", "--data", "digit"], "did you mean 'digits'?"),
        (["search", "quickstart", "--timeout", "soon"], "is no time"),
        (["search", "quickstart", "--preset", "thorogh"], "did you mean 'thorough'?"),
        (["search", "quickstart", "--preset", "quick", "--trials", "3"], "exclude each other"),
        (["search", "quickstart", "--trials", "0"], "Invalid value for '--trials'"),
        (["search", "slides"], "--data PATH"),
        (["report"], "no such database"),
        (["serch"], "search"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_exits_with_2_and_one_readable_line(arguments, message, call):
    done = call(*arguments, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_traceback_comes_with_debug_only(run):
    assert "Traceback" in run("search", "quikstart", "--debug", check=False).stderr


@pytest.mark.slow
def test_a_space_that_ends_ends_the_search(call, tmp_path):
    (tmp_path / "grid.toml").write_text("""
        extends = "optimizers"
        name = "grid"
        [[stage]]
        name = "coarse"
        trials = 9
        epochs = 2
        [stage.space]
        optimizer = ["SGD", "Adam"]
        batch_size = 64
        learning_rate = 0.01
        momentum = { choices = [0.0, 0.5], when = { optimizer = ["SGD"] } }
    """)
    holds = "stage coarse: the space holds 3 parameter sets, fewer than the trials asked for"
    done = call("search", "./grid.toml", "--stage", "coarse", "--workers", "2")
    assert f"warning: {holds}" in done.stderr
    assert "drawn anew" not in done.stderr, "all are tried, whichever comes first"
    assert "trials left" not in done.stderr
    assert len(leaderboard(call)) == 3
    shown = call("report").stdout
    assert holds in shown

    again = call("search", "./grid.toml", "--stage", "coarse")
    assert "stage coarse: all 3 trials are finished already" in again.stderr
    assert holds in call("report").stdout


ALL_STAGES = """
extends = "optimizers"
name = "stages"
[[stage]]
name = "coarse"
trials = 5
epochs = 6
[[stage]]
name = "narrowed"
trials = 3
epochs = 6
narrow_from = { stage = "coarse", top = 2 }
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 2, repeats = 3 }
[[stage]]
name = "folds"
retrain = { stages = ["coarse", "narrowed"], top = 2, folds = 3 }
[[stage]]
name = "augmented"
retrain = { stages = "finalists", top = 1, repeats = 3 }
augmentation = { width_shift = 0.05, zoom = 0.1 }
views = 2
schedule = "cosine"
"""


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=30)
def test_all_stages_from_coarse_to_the_comparison(call, tmp_path, cache_dir):
    (tmp_path / "stages.toml").write_text(ALL_STAGES)
    search = Search(tmp_path, cache_dir, "./stages.toml")
    while search.wait_for("trial_ended")["stage"] != "finalists":
        pass
    search.process.send_signal(signal.SIGKILL)
    search.end()
    call("search", "./stages.toml", "--workers", "2")
    shown = call("report").stdout
    assert "narrowed from" in shown
    assert shown.count("stage finalists: ") == 2
    assert "winner: " in shown
    assert "augmented against finalists, " in shown
    assert "over 3 common seeds" in shown
    board = leaderboard(call)
    again = board[board["source"].notna()]
    assert set(again["stage"]) == {"finalists", "folds", "augmented"}
    assert not again.duplicated(["stage", "source"]).any(), "a row for all repeats of a trial"
    assert again.index[0] == 0, "the first is what fit takes"
    board = board[board["source"].isna()]
    assert set(board["stage"]) == {"coarse", "narrowed"}

    call("search", "./stages.toml", "--storage", "sqlite:///undisturbed.db")
    for stage, count in (("finalists", 6), ("folds", 6), ("augmented", 3)):
        left = leaderboard(call, "--stage", stage)
        right = leaderboard(call, "--stage", stage, "--storage", "sqlite:///undisturbed.db")
        assert len(left) == count
        columns = [*(name for name in EXACT if name in left), "source", "repeat"]
        pd.testing.assert_frame_equal(left[columns], right[columns], check_exact=True)
    plain = leaderboard(call, "--stage", "finalists")
    own = plain[plain["repeat"] == 0].merge(board, how="cross", suffixes=("", "_searched"))
    own = own[own["source"] == own["stage_searched"] + "/" + own["trial_searched"].astype(str)]
    assert len(own) == 2
    assert (own["val_accuracy"] == own["val_accuracy_searched"]).all(), "the first seed is its own"
