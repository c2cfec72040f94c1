"""Study files: what is right reads, what is wrong is told in one line a mistake."""

from __future__ import annotations

import copy
import tomllib

import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.study import library, studyfile
from automl_cv.study.sections import Reading
from automl_cv.study.space import FloatRange

RAW = tomllib.loads(
    """
name = "mine"
[[stage]]
name = "coarse"
trials = 3
epochs = 5
pruner = { name = "early_stopping", patience = 2 }
[stage.space]
optimizer = ["SGD", "Adam"]
batch_size = { low = 10, high = 100 }
learning_rate = { low = 0.0001, high = 0.3 }
momentum = { low = 0.0, high = 0.9, when = { optimizer = ["SGD"] } }
"""
)


def changed(**changes: object) -> dict:
    """Return RAW with values set by key path: stage__0__epochs=1."""
    raw = copy.deepcopy(RAW)
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = raw
        for parent in parents:
            key = int(parent) if parent.isdigit() else parent
            if isinstance(at, dict):
                at = at.setdefault(key, {})
            else:
                at = at[key]
        at[last] = value
    return raw


def test_defaults_are_filled_in():
    study = studyfile.parse(RAW, "mine.toml")
    stage = study.stage("coarse")
    assert study.seed == 0
    assert study.backbone.name == "compact"
    assert stage.sampler.name == "random"
    assert stage.pruner.parameters == {"patience": 2, "min_delta": 0.0}
    assert stage.head.parameters == {
        "normalization": False, "label_smoothing": 0.0, "weight_decay": 0.0
    }  # fmt: skip
    assert (stage.schedule.name, stage.schedule.parameters) == ("constant", {})


def test_a_study_reads_back_from_its_plain_data():
    study = studyfile.parse(RAW, "mine.toml")
    assert studyfile.parse(study.as_toml_data(), "again") == study


def test_whole_numbers_become_floats_where_a_parameter_is_a_float():
    study = studyfile.parse(changed(stage__0__space__momentum={"low": 0, "high": 1}), "mine.toml")
    assert study.stage("coarse").space.parameters["momentum"] == FloatRange(low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sed": 1}, "sed: unknown key; did you mean 'seed'? known: name, about, seed, metric, "
                     "validation, folds, data, backbone, stage, claim, table, extends"),
        ({"seed": "x"}, "seed: got 'x'; expected a whole number"),
        ({"seed": -1}, "seed: got -1; expected at least 0"),
        ({"stage__0__epoch": 1}, "stage.coarse.epoch: unknown key; did you mean 'epochs'? known: "
                                 + ", ".join(studyfile.Stage.model_fields)),
        ({"stage__0__trials": 0}, "stage.coarse.trials: got 0; expected at least 1"),
        ({"stage__0__pruner": "early_stoping"}, "stage.coarse.pruner: unknown pruner "
            "'early_stoping': did you mean 'early_stopping'? known: none, early_stopping, median, "
            "percentile, hyperband, successive_halving"),
        ({"stage__0__pruner": {"name": "early_stopping", "patienc": 1}}, "stage.coarse.pruner: "
            "early_stopping has no parameter 'patienc': did you mean 'patience'? known: "
            "patience, min_delta"),
        ({"stage__0__pruner": {"name": "early_stopping", "patience": "1"}},
            "stage.coarse.pruner: early_stopping.patience: expected whole numbers from "
            "0, got '1'"),
        ({"stage__0__space__optimizer": ["SGD", "Adm"]}, "stage.coarse.space: unknown optimizer "
            "'Adm': did you mean 'Adam' or 'Adamax'? known: SGD, RMSprop, Adagrad, "
            "Adadelta, Adam, Adamax, Nadam, Lion, Adafactor, Lamb"),
        ({"stage__0__space__momentun": [0.1]}, "stage.coarse.space: unknown parameter "
            "'momentun': did you mean 'momentum'? known: optimizer, batch_size, learning_rate, "
            "momentum, normalization, label_smoothing, weight_decay, backbone, image_size, "
                "features, horizontal_flip, zoom, rotation, width_shift, height_shift, brightness, "
                "contrast, rand_augment, cutmix, mixup"),
        ({"stage__0__schedule": "cosin"}, "stage.coarse.schedule: unknown schedule 'cosin': did "
            "you mean 'cosine'? known: constant, exponential, step, cosine, one_cycle, "
            "reduce_on_plateau"),
        # A parameter of a head that can't be known is no mistake of the space.
        ({"stage__0__head": "mpl", "stage__0__space__width": 8}, "stage.coarse.head: unknown head "
            "'mpl': did you mean 'mlp'? known: linear, mlp"),
        ({"stage__0__space__batch_size": {"low": 10, "hihg": 100, "high": 100}},
            "stage.coarse.space.batch_size.hihg: unknown key; did you mean 'high'? known: low, "
            "high, step, log, when"),
        ({"stage__0__space__batch_size": {"low": 100, "high": 10}},
            "stage.coarse.space.batch_size: low (100) is above high (10)"),
        ({"stage__0__space__batch_size": {"low": 0, "high": 10}},
            "stage.coarse.space: batch_size: expected whole numbers from 1, got 0"),
        ({"stage__0__space__learning_rate": {"low": 0.0, "high": 1.0}},
            "stage.coarse.space: learning_rate: expected numbers above 0, got 0"),
        ({"stage__0__space__learning_rate": "fast"},
            "stage.coarse.space: learning_rate: expected numbers above 0, got 'fast'"),
        ({"stage__0__space__momentum": {"low": 0, "high": 2}},
            "stage.coarse.space: momentum: expected numbers from 0 to 1, got 2"),
        ({"stage__0__space__momentum": {"low": -1, "high": 1}},
            "stage.coarse.space: momentum: expected numbers from 0 to 1, got -1"),
        ({"data__split": {"train": 0.5}}, "data.split: train + validation + test must be 1, "
                                          "got 0.9"),
        ({"backbone__name": "resnet50"}, "backbone.name: unknown backbone 'resnet50': did you "
            "mean 'ResNet50' or 'ResNet50V2'? known: " + ", ".join(BACKBONES.names)),
        ({"stage__0__sampler": "bayes"}, "stage.coarse.sampler: unknown sampler 'bayes': known: "
            "random, qmc, tpe, gp, cmaes"),
        ({"stage__0__sampler": 3}, "stage.coarse.sampler: got 3; expected a name in quotes, or a "
            "table: { … }"),
        ({"name": "a b"}, "name: got 'a b'; expected letters, digits, '.', '_' and '-', a letter "
            "or digit first, 100 at most"),
        ({"backbone__features": "al"}, "backbone.features: got 'al'; expected 'last' or 'all'"),
        ({"backbone__image_size": 9000}, "backbone.image_size: got 9000; expected at most 4096"),
        ({"stage__0__fine_tune": {"rate_factor": 0}}, "stage.coarse.fine_tune.rate_factor: got 0; "
            "expected more than 0"),
        # One mistake is one line, though pydantic tells each key and each kind of value apart.
        ({"stage__0__space__batch_size": {"low": 10, "hihg": 100}},
            "stage.coarse.space.batch_size.hihg: unknown key; did you mean 'high'? known: low, "
            "high, step, log, when"),
        ({"stage__0__space__batch_size": {"min": 1, "max": 2}}, "stage.coarse.space.batch_size: "
            "got {'min': 1, 'max': 2}; expected a range: { low = …, high = … }"),
        ({"stage__0__space__optimizer": [["SGD"]]}, "stage.coarse.space.optimizer.choices.1: got "
            "['SGD']; expected text in quotes, a number, true or false"),
        ({"stage": {"name": "coarse"}}, "stage: stages are a list; write [[stage]], not [stage]"),
        ({"stage": []}, "stage: the list is empty; a study needs at least one [[stage]]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_mistake_is_told_with_file_key_and_cure(changes, line):
    with pytest.raises(UserError) as raised:
        studyfile.parse(changed(**changes), "mine.toml")
    assert str(raised.value) == f"mine.toml: {line}"


def test_every_mistake_gets_its_line():
    with pytest.raises(UserError) as raised:
        studyfile.parse(changed(sed=1, stage__0__epochs=0), "mine.toml")
    assert len(str(raised.value).splitlines()) == 2


def test_an_unknown_key_comes_before_the_key_that_is_missing_beside_it():
    raw = changed(stage__0__trails=4, stage__0__abuot="x")
    del raw["stage"][0]["trials"], raw["stage"][0]["epochs"]
    with pytest.raises(UserError) as raised:
        studyfile.parse(raw, "mine.toml")
    assert [line.partition(";")[0] for line in str(raised.value).splitlines()] == [
        "mine.toml: stage.coarse.trails: unknown key",
        "mine.toml: stage.coarse.abuot: unknown key",
        "mine.toml: stage.coarse.epochs: missing",
    ]


def test_every_complaint_of_pydantic_has_words_of_its_own():
    with pytest.raises(UserError) as raised:
        studyfile.parse(
            {
                "name": 3,
                "seed": 1.5,
                "data": {"source": [], "split": {"train": "x", "test": -1, "validation": 1}},
                "stage": [
                    {"name": "a", "trials": 1, "epochs": "x", "augmentation": 1, "space": {
                        "momentum": {"low": "0", "high": 1, "log": "no", "when": {"optimizer": 1}}
                    }},
                    "b",
                ],
            },
            "mine.toml",
        )  # fmt: skip
    lines = str(raised.value).splitlines()
    assert len(lines) == 12
    assert [line for line in lines if "nput should" in line] == []


def test_two_stages_of_one_name():
    raw = changed()
    raw["stage"] = raw["stage"] * 2
    with pytest.raises(UserError, match="two stages are called 'coarse'"):
        studyfile.parse(raw, "mine.toml")


def test_digest_changes_with_results_only():
    study = studyfile.parse(RAW, "a")
    same = studyfile.parse(
        changed(about="words", stage__0__trials=99, name="other", data__source="moved/"), "b"
    )
    other = studyfile.parse(changed(stage__0__epochs=6), "c")
    assert study.digest() == same.digest()
    assert study.digest() != other.digest()
    assert studyfile.difference(study, same) == []
    assert studyfile.difference(study, other) == ["stage.coarse.epochs: 5 -> 6"]


def test_difference_names_what_came_and_what_went():
    study = studyfile.parse(RAW, "a")
    other = studyfile.parse(changed(stage__0__space__learning_rate=0.1, seed=3), "b")
    assert studyfile.difference(study, other) == [
        "seed: 0 -> 3",
        "stage.coarse.space.learning_rate.low: 0.0001 -> (absent)",
        "stage.coarse.space.learning_rate.high: 0.3 -> (absent)",
        "stage.coarse.space.learning_rate.step: None -> (absent)",
        "stage.coarse.space.learning_rate.log: False -> (absent)",
        "stage.coarse.space.learning_rate.value: (absent) -> 0.1",
    ]


def test_overrides():
    study = studyfile.overridden(studyfile.parse(RAW, "a"), data="x/", seed=3, trials=9)
    assert (study.data.source, study.seed, study.stages[0].trials) == ("x/", 3, 9)
    with pytest.raises(UserError, match="command line: seed"):
        studyfile.overridden(study, seed=2**40)


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        "slides",
        "slides-digits",
        "slides-fashion",
        "few-digits",
        "few-fashion",
        "heads",
    ],
)
def test_shipped_studies_read(name):
    study = library.load(name)
    assert study.name == name
    assert study.about


def test_slides_hold_the_published_ranges_to_the_letter():
    study = library.load("slides")
    coarse = study.stage("coarse").space.parameters
    assert list(coarse["optimizer"].choices) == [
        *("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
    ]
    ranges = {name: (coarse[name].low, coarse[name].high, coarse[name].log)
              for name in ("batch_size", "learning_rate", "momentum")}  # fmt: skip
    assert ranges == {
        "batch_size": (10, 100, False),
        "learning_rate": (0.0001, 0.3, False),
        "momentum": (0.0, 0.9, False),
    }
    assert str(study.stage("narrowed").narrow_from) == "narrowed from the best 2 trials of coarse"
    baseline = study.stage("baseline").space.parameters
    assert [str(parameter) for parameter in baseline.values()] == ["Adadelta", "32", "0.001"]


class TestNarrowFrom:
    def raw(self, narrow_from: object, **space: object) -> dict:
        raw = changed()
        stage = {"name": "fine", "trials": 2, "epochs": 5, "narrow_from": narrow_from}
        raw["stage"].append({**stage, "space": space} if space else stage)
        return raw

    def test_a_name_or_a_table(self):
        study = studyfile.parse(self.raw("coarse"), "a")
        assert study == studyfile.parse(self.raw({"stage": "coarse", "top": 2}), "b")
        assert str(study.stage("fine").narrow_from) == "narrowed from the best 2 trials of coarse"
        assert studyfile.parse(study.as_toml_data(), "again") == study

    def test_single_parameters_are_set_beside_it(self):
        study = studyfile.parse(self.raw("coarse", momentum={"low": 0, "high": 1}), "a")
        parameters = study.stage("fine").space.parameters
        assert parameters == {"momentum": FloatRange(low=0.0, high=1.0)}
        assert study.digest() != studyfile.parse(self.raw("coarse"), "b").digest()

    def test_another_rule_is_a_difference(self):
        left = studyfile.parse(self.raw("coarse"), "a")
        right = studyfile.parse(self.raw({"stage": "coarse", "top": 3}), "b")
        assert studyfile.difference(left, right) == ["stage.fine.narrow_from.top: 2 -> 3"]

    @pytest.mark.parametrize(
        ("narrow_from", "space", "line"),
        [
            ("corse", {}, "stage.fine.narrow_from.stage: no stage 'corse' stands above it: did "
                          "you mean 'coarse'? known: coarse"),
            ("fine", {}, "stage.fine.narrow_from.stage: no stage 'fine' stands above it: known: "
                         "coarse"),
            ({"stage": "coarse", "tops": 1}, {}, "stage.fine.narrow_from.tops: unknown key; did "
                "you mean 'top'? known: stage, top"),
            ({"stage": "coarse", "top": 0}, {}, "stage.fine.narrow_from.top: got 0; expected at "
                "least 1"),
            ("coarse", {"momentun": 0.5}, "stage.fine.space: unknown parameter 'momentun': did "
                "you mean 'momentum'? known: optimizer, batch_size, learning_rate, momentum, "
                "beta_1, beta_2, clip_threshold, "
                "normalization, label_smoothing, weight_decay, backbone, image_size, features, "
                "horizontal_flip, zoom, rotation, width_shift, height_shift, brightness, "
                "contrast, rand_augment, cutmix, mixup"),
            ("coarse", {"optimizer": "SGD", "momentum": {"low": 0.1, "high": 0.2,
                "when": {"optimizer": ["SGD"]}}}, "stage.fine.space: momentum.when: a parameter "
                "set beside narrow_from keeps the condition it has in the stage above; leave "
                "`when` out"),
            (None, {}, "stage.fine.space: the space lacks optimizer, batch_size, learning_rate"),
        ],
    )  # fmt: skip
    def test_mistakes(self, narrow_from, space, line):
        with pytest.raises(UserError) as raised:
            studyfile.parse(self.raw(narrow_from, **space), "mine.toml")
        assert str(raised.value) == f"mine.toml: {line}"


class TestLibrary:
    def test_a_rule_that_narrows_takes_the_place_of_the_space_below_it(self, tmp_path):
        base = tmp_path / "base.toml"
        base.write_text(
            'extends = "slides"\nname = "base"\n[[stage]]\nname = "narrowed"\n'
            'narrow_from = { stage = "coarse" }\n[stage.space]\nbatch_size = 8\n'
        )
        (tmp_path / "mine.toml").write_text(
            'extends = "base.toml"\nname = "mine"\n[[stage]]\nname = "narrowed"\n'
            "narrow_from = { top = 3 }\n[stage.space]\nlearning_rate = 0.1\n"
        )
        assert list(library.load(str(base)).stage("narrowed").space.parameters) == ["batch_size"]
        stage = library.load(str(tmp_path / "mine.toml")).stage("narrowed")
        assert str(stage.narrow_from) == "narrowed from the best 3 trials of coarse"
        assert list(stage.space.parameters) == ["batch_size", "learning_rate"]

    def test_extends_lays_tables_over_tables_and_stages_by_name(self, tmp_path):
        (tmp_path / "mine.toml").write_text(
            'extends = "slides"\nname = "mine"\n[backbone]\nname = "compact"\nimage_size = 32\n'
            'weights = "w.h5"\n[[stage]]\nname = "coarse"\ntrials = 2\n'
            "[stage.space]\nlearning_rate = 0.5\n"
            '[[stage]]\nname = "last"\ntrials = 1\nepochs = 2\n[stage.space]\n'
            'optimizer = "SGD"\nbatch_size = 8\nlearning_rate = 0.1\n'
        )
        study = library.load(str(tmp_path / "mine.toml"))
        slides = library.load("slides")
        assert [stage.name for stage in study.stages] == [
            "baseline", "coarse", "narrowed", "finalists", "augmented", "fine-tuned",
            "scratch", "scratch-augmented", "last"
        ]  # fmt: skip
        coarse = study.stage("coarse")
        assert (coarse.trials, coarse.epochs) == (2, 50)
        assert str(coarse.space.parameters["learning_rate"]) == "0.5"
        assert (
            coarse.space.parameters["batch_size"]
            == (slides.stage("coarse").space.parameters["batch_size"])
        )
        assert study.backbone.features == "last"
        assert study.backbone.name == "compact"

    def test_images_are_looked_for_beside_the_file_first(self, tmp_path, monkeypatch):
        for place in ("here/photos", "own/photos", "here/others"):
            (tmp_path / place).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "here")
        file = tmp_path / "own" / "study.toml"
        for source, found in (
            ("photos", str(tmp_path / "own" / "photos")),
            ("others", "others"),
            ("gone", "gone"),
            ("digits", "digits"),
            (str(tmp_path / "here" / "photos"), str(tmp_path / "here" / "photos")),
        ):
            file.write_text(f'extends = "quickstart"\nname = "own"\n[data]\nsource = "{source}"\n')
            assert library.load(str(file)).data.source == found

    def test_how_images_are_read_is_no_part_of_what_a_study_is(self):
        study = library.load("quickstart")
        said = Reading(label_column="breed", class_level=2, window=(0, 4095))
        other = studyfile.overridden(study, reading=said)
        assert other.digest() == study.digest()
        assert other.data.window == (0, 4095)
        assert "label_column" not in study.as_toml_data()["data"]
        again = studyfile.parse(other.as_toml_data(), "stored")
        assert again == other
        with pytest.raises(UserError, match="data.window: expected .*low below high"):
            raw = {**study.as_toml_data(), "data": {"window": [3, 3]}}
            studyfile.parse(raw, "file")

    def test_extends_a_file_beside_it(self, tmp_path):
        (tmp_path / "base.toml").write_text('extends = "slides"\nname = "base"\nseed = 4\n')
        (tmp_path / "mine.toml").write_text('extends = "base.toml"\nname = "mine"\n')
        assert library.load(str(tmp_path / "mine.toml")).seed == 4

    def test_a_circle_is_refused(self, tmp_path):
        (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
        (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
        with pytest.raises(UserError, match="circle: a.toml -> b.toml -> a.toml"):
            library.load(str(tmp_path / "a.toml"))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("quickstrat", "did you mean 'quickstart'"),
            ("missing/study.toml", "no such study file"),
        ],
    )
    def test_unknown_studies(self, name, message):
        with pytest.raises(UserError, match=message):
            library.load(name)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name = \n", "line 1: 'name =': Invalid value"),
            ('name = "a"\nname = "b"\n', "line 2: name stands twice in one table; leave one out"),
            ('name = "a', "Unterminated string (at end of document)"),
        ],
    )
    def test_no_toml(self, tmp_path, monkeypatch, text, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(UserError) as raised:
            library.load("./x.toml")
        assert str(raised.value) == f"x.toml: no valid TOML: {message}"

    def test_a_mark_of_windows_is_no_text(self, tmp_path):
        path = tmp_path / "x.toml"
        path.write_text('extends = "optimizers"\nname = "x"\n', encoding="utf-8-sig")
        study = library.load(str(path))
        assert study.name == "x"
        assert study.about == "", "what is said of quickstart's digits need not hold for x"


class TestNetworks:
    TOML = """
name = "n"
[[stage]]
name = "heads"
trials = 2
epochs = 4
head = { name = "mlp", width = 32 }
[stage.space]
optimizer = "SGD"
batch_size = 8
learning_rate = 0.1
[[stage]]
name = "scratch"
network = { name = "ResNet34", stem = "small" }
retrain = { stages = "heads", top = 1 }
epochs = 9
[[stage]]
name = "architectures"
trials = 2
epochs = 3
network = "ResNet18"
[stage.space]
optimizer = "SGD"
batch_size = 8
learning_rate = 0.1
network = ["ResNet18", "ResNet34"]
width = { low = 0.1, high = 1 }
label_smoothing = 0.1
"""

    def test_a_network_takes_the_place_of_a_head(self):
        study = studyfile.parse(tomllib.loads(self.TOML), "n.toml")
        scratch, searched = study.stage("scratch"), study.stage("architectures")
        assert scratch.network.parameters["block"] == "full_preactivation"
        assert (scratch.head.name, scratch.epochs) == ("linear", 9)
        assert searched.space.parameters["width"] == FloatRange(low=0.1, high=1.0)
        assert {"network", "block", "width"} <= searched.known_parameters
        assert "normalization" not in searched.known_parameters
        assert studyfile.parse(study.as_toml_data(), "again") == study

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (('"ResNet34", stem', '"ResNet35", stem'), "stage.scratch.network: unknown network"),
            (('stem = "small"', 'stem = "smal"'), "stem: expected one of 'imagenet', 'small'"),
            (('["ResNet18", "ResNet34"]', '["ResNet1"]'), "network: expected one of 'ResNet10'"),
            (("label_smoothing = 0.1", 'features = "all"'), "unknown parameter 'features'"),
            (('network = "ResNet18"\n[stage', "[stage"), "unknown parameter 'network'"),
        ],
    )
    def test_mistakes(self, change, message):
        assert change[0] in self.TOML
        with pytest.raises(UserError) as raised:
            studyfile.parse(tomllib.loads(self.TOML.replace(*change)), "n.toml")
        assert message in str(raised.value)
