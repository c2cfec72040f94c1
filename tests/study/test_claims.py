"""What a study file says of its source changes no search, and is checked with the rest."""

import pytest

from automl_cv.errors import UserError
from automl_cv.study import library, studyfile
from automl_cv.study.claims import claims_of, tables_of

STAGES = [
    {"name": "coarse", "trials": 2, "epochs": 3, "space": {"batch_size": 8, "learning_rate": 0.1}},
    {"name": "again", "retrain": {"stages": "coarse", "top": 1, "repeats": 2}},
]
STAGES[0]["space"]["optimizer"] = ["SGD", "Adam"]


def study(*claims: dict, **more: object) -> studyfile.StudyFile:
    raw = {"name": "told", "stage": STAGES, "claim": list(claims), **more}
    return studyfile.parse(raw, "told.toml")


def test_what_a_source_said_changes_no_search():
    told = study(
        {"text": "SGD is best", "stage": "coarse", "against": "coarse", "more_than": 0}
        | {"where": {"optimizer": "SGD"}},
        table=[{"heading": "1", "stages": "coarse", "published": [{"row": "a", "epochs": 3}]}],
    )
    plain = study()
    assert told.digest() == plain.digest()
    assert studyfile.difference(plain, told) == []
    assert "claim" not in plain.as_toml_data() and "table" not in plain.as_toml_data()
    stored = told.as_toml_data()
    assert studyfile.parse(stored, "again") == told
    assert claims_of(stored) == told.claims and tables_of(stored) == told.tables
    assert stored["table"][0]["published"] == [{"row": "a", "epochs": 3}]


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ({"stage": "coarse"}, "wants one of more_than, less_than and matter"),
        ({"less_than": 0.2}, "names no stage"),
        ({"stage": "coarce", "less_than": 0.2}, "no stage 'coarce': did you mean 'coarse'"),
        ({"stage": "again", "against": "coarse", "more_than": 0}, "name two of a kind"),
        (
            {"stage": "coarse", "les_than": 0.2},
            "claim.1.les_than: unknown key; did you mean 'less_than'",
        ),
        ({"stage": "coarse", "against": "coarse", "more_than": 0}, "is the same stage"),
    ],
)
def test_a_claim_that_nothing_could_decide_is_refused(claim, told):
    with pytest.raises(UserError) as error:
        study({"text": "so it is", **claim})
    assert told in str(error.value)


def test_the_published_experiment_is_asked_of_every_study_that_extends_it():
    published = library.load("slides")
    assert len(published.claims) == 9 and [len(one.published) for one in published.tables] == [
        6,
        5,
        2,
        2,
    ]
    for name in ("slides-digits", "slides-fashion", "few-digits", "few-fashion"):
        assert library.load(name).claims == published.claims
