import pytest

import automl_cv
from automl_cv.errors import UserError
from tests.published import build
from tests.results.retrained import retrained


@pytest.fixture
def url(tmp_path):
    return retrained(tmp_path)


def test_every_pair_of_a_run_is_a_row(url):
    table = automl_cv.comparison(url, "slides")
    rows = table.to_dict("records")
    assert [(row["kind"], row["stage"], row["against_stage"]) for row in rows] == [
        ("stages", "augmented", "finalists"),
        ("winners", "folded", "wide"),
        ("sources", "finalists", "finalists"),
        ("places", "finalists", "finalists"),
    ]
    augmented, heads, narrowing, _ = rows
    assert augmented["source"] == augmented["against_source"] == "narrowed/3"
    assert augmented["difference"] == pytest.approx(0.0206667, abs=1e-6)
    assert augmented["difference_low"] < augmented["difference"] < augmented["difference_high"]
    assert (augmented["repeats"], augmented["over"]) == (3, "seeds")
    assert augmented["verdict"] == "better"
    assert augmented["val_accuracy"] == pytest.approx(0.9343 + 0.0196667, abs=1e-6)
    assert (heads["head"], heads["against_head"]) == ("linear", "mlp")
    assert heads["method"] == "paired t, Nadeau-Bengio"
    assert (narrowing["source"], narrowing["against_source"]) == ("narrowed/3", "coarse/5")
    assert narrowing["verdict"] == "can't be told apart"


def test_one_stage_keeps_the_pairs_it_is_part_of(url):
    assert list(automl_cv.comparison(url, stage="augmented")["kind"]) == ["stages"]
    assert set(automl_cv.comparison(url, stage="finalists")["kind"]) == {
        "stages",
        "sources",
        "places",
    }
    with pytest.raises(UserError, match="did you mean 'augmented'"):
        automl_cv.comparison(url, stage="augmentd")


def test_without_retrained_trials_there_is_no_row_and_every_column(tmp_path):
    url, _ = build(tmp_path)
    table = automl_cv.comparison(url)
    assert table.empty
    assert str(table["difference"].dtype) == "float64"
    assert str(table["repeats"].dtype) == "Int64"
