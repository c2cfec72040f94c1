import io
import json
from dataclasses import replace

import pandas as pd
import pytest

from automl_cv.fit.winner import choose
from automl_cv.report.columns import Column
from automl_cv.report.comparison import PAIR_COLUMNS, compose_comparison
from automl_cv.report.data import as_csv, as_json, as_parquet
from automl_cv.report.finalists import finalist_lines
from automl_cv.report.formats import FORMATS
from automl_cv.report.leaderboard import compose
from automl_cv.report.markdown import as_markdown
from automl_cv.report.page.render import as_page
from automl_cv.report.terminal import as_text
from automl_cv.results.leaderboard import read_run
from tests.published import build
from tests.results.retrained import retrained
from tests.results.test_comparison import facts, record, repeated, retrains


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return retrained(tmp_path_factory.mktemp("retrained"))


@pytest.fixture(scope="module")
def read(url):
    return read_run(url)


@pytest.fixture(scope="module")
def report(read):
    return compose_comparison(read)


def test_the_table_asks_and_answers(report):
    by_name = {column.name: index for index, column in enumerate(report.table.columns)}
    rows = [
        [row[by_name[name]] for name in ("question", "trials", "difference", "repeated", "verdict")]
        for row in report.table.rows
    ]
    assert rows == [
        ["augmented against finalists", "narrowed/3", "+0.0207", "3 seeds, paired", "better"],
        [
            "folded against wide: head linear against mlp",
            "narrowed/3 against coarse/5",
            "+0.0401",
            "3 folds, paired",
            "can't be told apart",
        ],
        [
            "narrowed against coarse in finalists",
            "narrowed/3 against coarse/5",
            "−0.0002",
            "3 seeds, unpaired",
            "can't be told apart",
        ],
        [
            "first against second in finalists",
            "coarse/5 against narrowed/3",
            "+0.0002",
            "3 seeds, unpaired",
            "can't be told apart",
        ],
    ]
    assert report.table.rows[0][by_name["val_accuracy_of_both"]] == "0.9540 / 0.9333"
    assert report.table.rows[0][by_name["interval"]] == "+0.0194 to +0.0219"


def test_footnotes_name_each_method_that_was_used(report, read):
    told = "\n".join(report.footnotes)
    for words in ("Student's t", "Welch", "Nadeau and Bengio", "another split may decide"):
        assert words in told
    folds_alone = "\n".join(compose_comparison(read, stage="wide").footnotes)
    assert "Welch" not in folds_alone
    assert "another split" not in folds_alone


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_it_fits_its_width(report, width):
    assert max(map(len, as_text(report, width).splitlines())) <= width


def test_what_matters_stays_at_the_width_of_a_small_terminal(report):
    shown = as_text(report, 80)
    for words in ("0.9540 /", "+0.0207", "+0.0194 to", "better"):
        assert words in shown
    assert "not shown at this width: over, val loss" in " ".join(shown.split())


def test_data_forms_hold_the_pairs(report):
    content = json.loads(as_json(report))
    assert content["run"] == "slides"
    assert [pair["verdict"] for pair in content["comparisons"]].count("better") == 1
    assert "trials" not in content
    again = pd.read_csv(io.StringIO(as_csv(report)))
    pd.testing.assert_frame_equal(again, report.board, check_dtype=False)
    typed = pd.read_parquet(io.BytesIO(as_parquet(report)))
    pd.testing.assert_frame_equal(typed, report.board)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return compose_comparison(read_run(build(tmp_path_factory.mktemp("searched"))[0]))


@pytest.mark.parametrize("form", list(FORMATS), ids=lambda form: form.name)
def test_every_form_takes_it_whole_or_empty(report, empty, form):
    for one in (report, empty):
        content = form.load()(one)
        assert content
        if not form.is_data:
            assert ("nothing to compare: it takes a stage" in content) == (one is empty)


def test_numbers_are_not_wrapped_on_the_page(report):
    page = as_page(report)
    assert '<td class="right">+0.0194 to +0.0219</td>' in page
    assert '<td class="wrap">augmented against finalists</td>' in page


def test_the_lines_below_the_leaderboard_are_of_the_same_computation(read, report):
    notes = compose(read).notes
    (line,) = [line for line in notes if line.startswith("augmented against finalists")]
    assert line == (
        "augmented against finalists, narrowed/3: +0.0207 over 3 common seeds "
        "(95 %: +0.0194 to +0.0219): a difference"
    )
    shown = "coarse/5: val acc 0.9335 over 3 seeds, the same 807 validation images (95 %: "
    assert any(shown in line for line in notes)
    assert any(line.endswith(", the first") for line in notes)


@pytest.mark.slow
def test_one_line_names_the_winner_that_fit_takes(url, read):
    _, winner = choose(url, "slides")
    (line,) = [line for line in compose(read).notes if line.startswith("winner: ")]
    assert line == (
        f"winner: {winner.facts.trial} as stage {winner.facts.stage} trained it, "
        f"{winner.facts.why}; `automl-cv fit slides --out DIR` fits it"
    )
    for form in (as_markdown, as_page, as_text):
        assert "winner: narrowed/3 as stage folded" in " ".join(form(compose(read)).split())
    one_stage = compose(read_run(url, stage="finalists"), stage="finalists")
    assert not any("winner: " in line for line in one_stage.notes), "others are not looked at"


def test_what_one_seed_says_stands_in_one_line(read):
    records = [
        *repeated("finalists", "a/1", [0.9, 0.8]),
        *repeated("tuned", "a/1", [0.95]),
        *repeated("scratch", "a/1", [0.85]),
    ]
    declared = facts(*map(retrains, ("finalists", "tuned", "scratch")), images=35)
    made = replace(read, ranked=(), repeated=tuple(records), facts=declared)
    *_, single, winner = finalist_lines(made)
    assert single == (
        "over one seed, so chance can't be judged: tuned +0.0500 (over images −0.0910 to "
        "+0.1967), scratch −0.0500 (over images −0.2146 to +0.1143) against finalists; more "
        "repeats tell"
    )
    assert winner.startswith("winner: a/1 as stage tuned trained it")
    assert len(finalist_lines(made)) == 5, "and one for each finalist"


def test_one_seed_has_its_interval_over_images_and_no_verdict(read):
    records = (*repeated("finalists", "a/1", [0.9139]), *repeated("tuned", "a/1", [0.9944]))
    declared = facts(*map(retrains, ("finalists", "tuned")), images=360)
    report = compose_comparison(replace(read, ranked=(), repeated=records, facts=declared))
    by_name = {column.name: index for index, column in enumerate(report.table.columns)}
    (row,) = report.table.rows
    assert row[by_name["interval"]] == "+0.0518 to +0.1143 over images"
    assert row[by_name["verdict"]] == "not judged over seeds"
    shown = " ".join(as_text(report, 160).split())
    assert "one repeat is not judged: another may lie anywhere" in shown
    assert "told apart" not in shown
    assert "over seeds an interval speaks" not in shown, "there is none"
    (pair,) = json.loads(as_json(report))["comparisons"]
    assert (pair["difference_low"], round(pair["images_low"], 3)) == (None, 0.052)


def test_a_second_place_of_one_seed_is_not_judged(read):
    records = (*repeated("finalists", "a/1", [0.9]), *repeated("finalists", "a/2", [0.8]))
    declared = facts(retrains("finalists"), images=360)
    lines = finalist_lines(replace(read, ranked=(), repeated=records, facts=declared))
    assert lines[1].endswith("0.1000 behind the first: not judged over seeds")


@pytest.mark.parametrize(("loss", "is_told"), [(30.17, True), (1.5, True), (1.09, False)])
def test_a_first_that_is_worth_less_than_a_guess_is_told(read, loss, is_told):
    """A guess among three classes has a loss of ln 3 = 1.0986."""
    first = record("", 4, 0.85, loss, "coarse")
    lines = finalist_lines(replace(read, ranked=(first, *read.ranked), repeated=()))
    assert [line.partition(", where")[0] for line in lines] == is_told * [
        f"coarse/4: its probabilities are overconfident: validation loss {loss:.4f}"
    ]


def test_a_new_column_is_one_entry(read):
    entry = Column(
        name="loss_gain",
        about="of the validation losses",
        heading="loss gain",
        target="tests.report.test_comparison:loss_gain",
    )
    with PAIR_COLUMNS.temporary(entry):
        report = compose_comparison(read)
    assert "loss gain" in as_text(report)
    assert as_csv(report).splitlines()[0].endswith(",loss_gain")


def loss_gain(name, frame, pairs):
    return [pair.left.val_loss - pair.right.val_loss for pair in pairs]
