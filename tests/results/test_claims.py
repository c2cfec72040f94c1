"""Verdicts on claims, of the published stages as `tests.results.retrained` stores them."""

from dataclasses import replace

import pytest

from automl_cv.results.claims import claims_frame, declared, judged
from automl_cv.results.leaderboard import read_run
from automl_cv.study import library
from tests.results.retrained import retrained

TEXT = {"text": "so it is"}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return read_run(retrained(tmp_path_factory.mktemp("claims")))


def judge(read, **claim):
    study = {**read.facts.study, "claim": [{**TEXT, **claim}]}
    (found,) = judged(replace(read, facts=replace(read.facts, study=study)))
    return found


def test_a_verdict_is_of_the_whole_interval(read):
    # augmented lies 0.0197 above finalists, paired over three seeds: 0.0185 + 0.002 and so on.
    pair = {"stage": "augmented", "against": "finalists"}
    better = judge(read, **pair, more_than=0.0)
    assert better.verdict == "confirmed"
    assert better.value == pytest.approx((0.0205 + 0.0205 + 0.021) / 3)
    assert 0 < better.low < better.value < better.high
    assert judge(read, **pair, less_than=0.0).verdict == "refuted"
    assert judge(read, **pair, less_than=better.high + 1e-9).verdict == "confirmed"
    assert judge(read, **pair, less_than=better.value).verdict == "not settled"
    turned = judge(read, stage="finalists", against="augmented", less_than=0.0)
    assert turned.verdict == "confirmed"
    assert (turned.low, turned.high) == pytest.approx((-better.high, -better.low))
    assert turned.figures.startswith("finalists 0.9333, augmented 0.9540: \N{MINUS SIGN}0.0207")


def test_searched_stages_that_were_trained_again_are_judged_by_that(read):
    found = judge(read, stage="narrowed", against="coarse", more_than=0.0)
    assert found.figures.endswith("3 seeds") and found.verdict == "not settled"


def test_trials_trained_once_are_judged_over_images(read):
    found = judge(read, stage="coarse", where={"optimizer": "SGD"}, against="coarse", more_than=0.0)
    assert found.figures.startswith("coarse/5 (SGD) 0.9342, coarse/1 (RMSprop) 0.9219: +0.0123")
    assert found.figures.endswith(" over images")
    assert found.low < 0 < found.high and found.verdict == "not settled"
    nothing = judge(
        read, stage="coarse", where={"optimizer": "Lion"}, against="coarse", more_than=0.0
    )
    assert nothing.figures == "no trial of coarse drew Lion"


def test_a_figure_alone_has_its_interval_over_images(read):
    assert judge(read, stage="coarse", less_than=0.2).verdict == "refuted"
    found = judge(read, stage="coarse", more_than=0.9)
    assert found.verdict == "confirmed" and "coarse 0.9342 (" in found.figures


def test_what_is_not_there_settles_nothing(read):
    missing = judge(read, stage="scratch", less_than=0.2)
    assert (missing.verdict, missing.figures) == ("not settled", "no result yet of scratch")
    assert judge(read, study="heads").figures == "no stage of this study asks for it; " + (
        "study heads asks more"
    )
    few = judge(read, stage="coarse", matter=["optimizer"])
    assert few.verdict == "not settled"


def test_a_run_of_before_claims_is_asked_those_of_the_file_that_ships(read):
    assert declared(read) == ((), ()), "another search of that name"
    shipped = library.load("slides")
    stored = shipped.as_toml_data()
    for key in ("claim", "table"):
        stored.pop(key)
    old = replace(
        read, facts=replace(read.facts, study=stored), run=replace(read.run, name="slides")
    )
    assert declared(old) == (shipped.claims, shipped.tables)
    frame = claims_frame(judged(old))
    assert list(frame["claim"]) == [one.text for one in shipped.claims]
    assert set(frame["verdict"]) <= {"confirmed", "refuted", "not settled"}
