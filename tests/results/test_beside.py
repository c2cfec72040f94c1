from dataclasses import replace

import numpy as np
import pytest

from automl_cv.results.beside import apart, data_lines, study_lines
from automl_cv.results.intervals import paired_images, signed_difference
from automl_cv.results.leaderboard import read_run
from tests.results.searched import searched


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """Two runs on the same images; every trial kept what it said of each."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    better = read_run(searched(folder / "a", (0.9,) * 6))
    worse = read_run(searched(folder / "b", (0.7,) * 6))
    named = replace(worse, run=replace(worse.run, name="other"))
    facts = [replace(one.facts, data_fingerprint="same") for one in (better, worse)]
    return replace(better, facts=facts[0]), replace(worse, facts=facts[1]), named


@pytest.mark.slow
def test_runs_on_the_same_images_are_compared_image_by_image(reads):
    better, worse, _ = reads
    found = apart(better, worse)
    figures = [read.rows[0].figures.merit for read in (better, worse)]
    assert found.value == pytest.approx(figures[0] - figures[1])
    assert (found.how, found.verdict) == ("paired over the same images", "better")
    unpaired = signed_difference(*figures, 200)
    assert (found.low, found.high) != unpaired
    assert found.low <= found.value <= found.high
    same = apart(better, better)
    assert (same.value, same.verdict) == (0, "can't be told apart")
    right = round(figures[0] * 200)
    assert (same.low, same.high) == pytest.approx(paired_images(right, 0, 0, 200 - right))


def test_other_images_are_told_and_compared_by_images_of_each(reads):
    better, worse, named = reads
    elsewhere = replace(
        named, facts=replace(named.facts, data_fingerprint="other", class_names=("a", "b", "c"))
    )
    found = apart(better, elsewhere)
    assert found.how == "over images of each"
    lines = data_lines(better, elsewhere)
    assert lines[0].startswith("other images or splits: ") and "may be theirs" in lines[0]
    assert lines[1].startswith("other classes: ")
    assert data_lines(better, worse) == []


def test_unlike_metrics_are_not_compared(reads):
    better, _, named = reads
    study = {**named.facts.study, "metric": "log_loss"}
    by_loss = replace(named, facts=replace(named.facts, study=study))
    assert apart(better, by_loss) is None
    assert "the two are not compared" in data_lines(better, by_loss)[-1]


def test_the_interval_of_unlike_numbers_is_newcombes():
    # Newcombe 1998, table II, method 10: 9/10 against 3/10, and 6/7 against 2/7.
    assert np.round(signed_difference(0.9, 0.3, 10), 4).tolist() == [0.1705, 0.8090]
    assert np.round(signed_difference(6 / 7, 2 / 7, 7), 4).tolist() == [0.0582, 0.8062]
    # The same table: 56/70 against 48/80.
    assert np.round(signed_difference(56 / 70, 48 / 80, 70, 80), 4).tolist() == [0.0524, 0.3339]
    low, high = signed_difference(48 / 80, 56 / 70, 80, 70)
    assert np.round((-high, -low), 4).tolist() == [0.0524, 0.3339]


def test_study_files_are_compared_by_what_changes_results(reads):
    better, _, named = reads
    stages = [{**stage, "epochs": 99} for stage in named.facts.study["stage"]]
    stages.append({"name": "narrowed"})
    split = {"train": 0.6, "validation": 0.2, "test": 0.2}
    study = {**named.facts.study, "data": {"split": split}, "stage": stages}
    left = {**better.facts.study, "data": {"split": split}}
    one, other = (
        replace(read, facts=replace(read.facts, study=own))
        for read, own in ((better, left), (named, study))
    )
    lines = study_lines(one, other)
    assert lines[0] == "stages of other alone: narrowed"
    assert lines[-1] == "stage.coarse.epochs: (absent) -> 99"
