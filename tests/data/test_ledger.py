import json

from automl_cv.data.ledger import Finding, Greys, Ledger, Sizes, Skipped
from automl_cv.words import counted, listed


def test_a_ledger_survives_json():
    ledger = Ledger(
        n_read=3,
        skipped=(Skipped("a/b.png", "empty file"),),
        findings=(Finding("labels", "stop", "bad", ("a", "b")), Finding("data", "note", "a note")),
        greys=Greys(3, ("float",), -1.5, 2.5, (-1.5, 2.5)),
        passed_over=2,
        sizes=Sizes((1, 2), (3, 4), (5, 6), 3),
    )
    assert Ledger.from_json(json.loads(json.dumps(ledger.to_json()))) == ledger
    assert Ledger.from_json(ledger.to_json()) == ledger
    assert (ledger.warnings, ledger.notes) == (("bad",), ("a note",))
    assert Ledger.from_json(json.loads(json.dumps(Ledger(0).to_json()))) == Ledger(0)


def test_a_ledger_of_before_findings_opens():
    stored = Ledger(1).to_json() | {"notes": ["old"]}
    del stored["findings"], stored["greys"]
    assert Ledger.from_json(stored).notes == ("old",)
    assert Ledger.from_json(stored).greys is None


def test_summary_names_only_what_there_is():
    assert Ledger(1).summary() == "1 image read"
    ledger = Ledger(1797, (Skipped("a", "b"), Skipped("c", "d")), passed_over=1)
    assert ledger.summary() == "1,797 images read, 2 files skipped, 1 hidden entry passed over"


def test_words():
    assert counted(2, "entry", "entries") == "2 entries"
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcde")) == "a, b, c and 2 more"
