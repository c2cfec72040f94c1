"""One edit, one file: an entry of each table goes as far as such an entry can go.

From a TOML study file through search, report, fit, evaluate, predict and export, by the commands
themselves. Each target notes that it was called; nothing but its entry leads to it.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import importlib
import io
import json
import pkgutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.augmentations import AUGMENTATIONS, AugmentationEntry
from automl_cv.catalog.backbones import BACKBONES, BackboneEntry
from automl_cv.catalog.datasets import DATASETS, DatasetEntry
from automl_cv.catalog.engines import ENGINES, EngineEntry
from automl_cv.catalog.exact_heads import EXACT_HEADS, SCALING, ExactHeadEntry
from automl_cv.catalog.exports import EXPORTS, ExportEntry
from automl_cv.catalog.heads import HEADS, HeadEntry
from automl_cv.catalog.kinds import KINDS, KindEntry
from automl_cv.catalog.listeners import LISTENERS, ListenerEntry
from automl_cv.catalog.losses import LOSSES, LossEntry
from automl_cv.catalog.metrics import METRICS, MetricEntry
from automl_cv.catalog.networks import NETWORKS, NetworkEntry
from automl_cv.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from automl_cv.catalog.origins import ORIGINS
from automl_cv.catalog.preprocessing import PREPROCESSINGS
from automl_cv.catalog.presets import PRESETS
from automl_cv.catalog.pruners import PRUNERS, PrunerEntry
from automl_cv.catalog.samplers import SAMPLERS, SamplerEntry
from automl_cv.catalog.schedules import SCHEDULES, ScheduleEntry
from automl_cv.catalog.settings import Setting
from automl_cv.catalog.weights import Weights
from automl_cv.cli import commands
from automl_cv.registry import Entry, Table
from automl_cv.report.backbones import BACKBONE_COLUMNS
from automl_cv.report.columns import COLUMNS, Column
from automl_cv.report.comparison import PAIR_COLUMNS
from automl_cv.report.formats import EVALUATION_FORMATS, FORMATS, Format, ReportFormat
from automl_cv.report.importance import IMPORTANCE_COLUMNS
from automl_cv.report.predictions import PREDICTION_FORMATS
from automl_cv.results import evaluators
from automl_cv.scoring import wilson
from tests.in_process import command, workers_as_threads
from tests.later import later
from tests.results.drawn import drawn

with later():
    import keras
    import tensorflow as tf
    from keras import layers

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HERE = __name__

STUDY = """
name = "new"
metric = "top_two"
[data]
source = "stripes"
[backbone]
name = "little"
engine = "traced"
[[stage]]
name = "heads"
trials = 2
epochs = 4
sampler = "coin"
pruner = "third_epoch"
head = { name = "wide", units = 8 }
schedule = { name = "halved", after = 1 }
loss = { name = "scaled", factor = 3 }
augmentation = { darkened = 0.5 }
views = 2
[stage.space]
optimizer = "Signs"
nesterov = [false, true]
momentum = { low = 0.1, high = 0.9 }
batch_size = 16
learning_rate = { low = 0.001, high = 0.01 }
[[stage]]
name = "again"
retrain = { stages = "heads", top = 2, repeats = 2 }
[[stage]]
name = "scratch"
trials = 1
epochs = 2
network = { name = "shallow", filters = 4 }
[stage.space]
optimizer = "Signs"
batch_size = 16
learning_rate = 0.01
[[stage]]
name = "means"
trials = 2
epochs = 1
kind = "nearest_mean"
[stage.space]
optimizer = "Signs"
batch_size = 16
learning_rate = 0.01
warmth = { low = 0.5, high = 2.0 }
[[stage]]
name = "solved"
trials = 2
exact = { name = "centres", gain = 2.0 }
[stage.space]
damping = [0.0, 3.0]
[[stage]]
name = "raced"
trials = 2
exact = { name = "centres", damping = 1.0 }
[stage.space]
image_size = [16, 20]
[[stage]]
name = "means-folds"
retrain = { stages = "means", folds = 3 }
"""

COMMAND = '''
import typer


def greet(name: str) -> None:
    """Say hello."""
    typer.echo(f"hello {name}")
'''

called: set[str] = set()


def noted(function):
    """Have a target note that it was called."""

    @functools.wraps(function)
    def call(*arguments, **named):
        called.add(function.__name__)
        return function(*arguments, **named)

    return call


@noted
def stripes(folder, report):
    """Write 90 images of 3 classes: bright rows, columns or neither, on noise."""
    generator = np.random.default_rng(0)
    for number in range(90):
        pixels = generator.integers(0, 120, (12, 12, 3), np.uint8)
        if number % 3 == 0:
            pixels[number % 5 :: 3] += 120
        elif number % 3 == 1:
            pixels[:, number % 5 :: 3] += 120
        own = folder / f"class {number % 3}"
        own.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(own / f"{number}.png")


@noted
def little(filters):
    pixels = keras.Input((None, None, 3))
    x = layers.Conv2D(filters, 3, strides=2, activation="relu", name="block1_out")(pixels)
    x = layers.Conv2D(filters, 3, strides=2, activation="relu", name="block2_out")(x)
    return keras.Model(pixels, x)


@noted
def halves(pixels):
    return layers.Rescaling(1 / 255, offset=-0.5)(pixels)


@noted
def traced(network, batch_size, precision):
    run = tf.function(lambda pixels: network(pixels, training=False))
    return lambda pixels: [block.numpy() for block in tf.nest.flatten(run(pixels))]


@noted
def signs(**parameters):
    return keras.optimizers.SGD(**parameters)


@noted
def wide(given, units):
    inputs = keras.Input((given.features,))
    hidden = layers.Dense(units, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(given.classes)(hidden))


@noted
def centres(features, labels, classes, *, gain):
    means = np.stack([features[labels == one].mean(axis=0) for one in range(classes)])

    def solve(damping):
        return gain * means.T / (1 + damping), -gain * np.square(means).sum(axis=1) / 2

    return SimpleNamespace(solve=solve, path=lambda dampings: map(solve, dampings))


@noted
def shallow(shape, classes, filters):
    pixels = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    return keras.Model(pixels, layers.Dense(classes)(layers.Flatten()(x)))


@noted
def darkened(seed, views, fraction):
    from automl_cv.engine.augment import brightness

    return brightness(seed, views, fraction=fraction)


@noted
def halved(plan, after):
    return lambda done: np.full(
        plan.steps_per_epoch, plan.learning_rate / (1 + (len(done) >= after)), np.float32
    )


@noted
def scaled(factor):
    from automl_cv.engine.losses import Loss, cross_entropy

    plain = cross_entropy()
    return Loss(
        lambda labels, logits: factor * plain.of_labels(labels, logits),
        lambda logits: factor * plain.of_even_shares(logits),
    )


@noted
def third_epoch():
    import optuna

    class Third(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step >= 3

    return Third()


@noted
def coin(seed):
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


@noted
def as_ever(trials):
    return trials


@noted
def top_two(labels, probabilities):
    second = np.argsort(probabilities, axis=1)[:, -2:]
    return (second == labels[:, None]).any(axis=1).mean()


@noted
def mean_doubt(labels, probabilities):
    return float(1 - probabilities[np.arange(len(labels)), labels].mean())


@noted
def shouted(name, frame, records):
    return [f"ROW {number}" for number in range(len(frame))]


@noted
def shouted_report(report):
    return f"{report.title}!\n"


@noted
def shouted_evaluation(evaluation):
    return f"{evaluation.scores.metrics['top_two'].value:.4f}!\n"


@noted
def shouted_predictions(predictions, file, top, classes, foreign):
    for one in predictions:
        file.write(f"{one.labels[0]}!\n")


@noted
def graph(path):
    loaded = tf.saved_model.load(str(path))
    return lambda batch: [one.numpy() for one in tf.nest.flatten(loaded.serve(batch))]


@noted
@contextlib.contextmanager
def heard(where):
    with open(where, "a", encoding="utf-8") as file:
        yield lambda event: print(type(event).__name__, file=file)


def entry(kind, name, **fields):
    """Return an entry whose target is the function of its name in this module."""
    return kind(**{"name": name, "about": name, "target": f"{HERE}:{name}", **fields})


def column(name):
    return entry(Column, name, heading=name, target=f"{HERE}:shouted")


def entries(weights: Path):
    """Return tables, each with the entry that it gets."""
    rate = Setting(0.5, lowest=0, highest=1)
    return [
        (DATASETS, entry(DatasetEntry, "stripes", licence="MIT", source="this test")),
        (PREPROCESSINGS, entry(Entry, "halves")),
        (
            BACKBONES,
            entry(
                BackboneEntry,
                "little",
                image_size=16,
                preprocessing="halves",
                block_outputs=r"block\d_out",
                weights=Weights(file_name=str(weights), about="nothing", licence="MIT"),
                arguments={"filters": 6},
            ),
        ),
        (
            OPTIMIZERS,
            entry(
                OptimizerEntry,
                "Signs",
                target=f"{HERE}:signs",
                parameters={"momentum": rate, "nesterov": Setting(False)},
            ),
        ),
        (ENGINES, entry(EngineEntry, "traced")),
        (HEADS, entry(HeadEntry, "wide", parameters={"units": Setting(4, lowest=1)})),
        (
            EXACT_HEADS,
            entry(
                ExactHeadEntry,
                "centres",
                parameters={
                    "damping": Setting(0.0, lowest=0),
                    "gain": Setting(1.0, lowest=0),
                    **SCALING,
                },
                strength="damping",
                strengths=(4.0, 2.0, 1.0),
                gives_probabilities=False,
            ),
        ),
        (NETWORKS, entry(NetworkEntry, "shallow", parameters={"filters": Setting(2, lowest=1)})),
        (
            AUGMENTATIONS,
            entry(AugmentationEntry, "darkened", level="image", parameters={"fraction": rate}),
        ),
        (SCHEDULES, entry(ScheduleEntry, "halved", parameters={"after": Setting(3, lowest=0)})),
        (
            KINDS,
            entry(
                KindEntry,
                "nearest_mean",
                target="tests.nearest_mean:NearestMean",
                sentence="The means of {blocks} of {backbone}.",
                parameters={"warmth": Setting(1.0, lowest=0)},
            ),
        ),
        (LOSSES, entry(LossEntry, "scaled", parameters={"factor": Setting(1.0, lowest=0)})),
        (PRESETS, entry(Entry, "as_ever")),
        (PRUNERS, entry(PrunerEntry, "third_epoch", stop_means="finish")),
        (SAMPLERS, entry(SamplerEntry, "coin", learns=False)),
        (
            METRICS,
            entry(
                MetricEntry,
                "top_two",
                heading="val two",
                direction="maximize",
                is_share_of_images=True,
            ),
        ),
        (METRICS, entry(MetricEntry, "mean_doubt", heading="val doubt", direction="minimize")),
        (COLUMNS, column("loud")),
        (PAIR_COLUMNS, column("loud_pair")),
        (BACKBONE_COLUMNS, column("loud_backbone")),
        (LISTENERS, entry(ListenerEntry, "heard", where="FILE", module="json", extra="none")),
        (IMPORTANCE_COLUMNS, column("loud_share")),
        (FORMATS, entry(ReportFormat, "shouted_report", suffix=".loud")),
        (EVALUATION_FORMATS, entry(Entry, "shouted_evaluation")),
        (PREDICTION_FORMATS, entry(Format, "shouted_predictions", suffix=".loud")),
        (
            EXPORTS,
            entry(ExportEntry, "graph", keras_format="tf_saved_model", files=("saved_model",)),
        ),
    ]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Search a study of temporary entries; return what runs further commands in its folder."""
    folder = tmp_path_factory.mktemp("new")
    keras.utils.set_random_seed(0)
    little(filters=6).save_weights(folder / "little.weights.h5")
    (folder / "new.toml").write_text(STUDY)
    called.clear()
    with contextlib.ExitStack() as stack:
        for table, own in entries(folder / "little.weights.h5"):
            stack.enter_context(table.temporary(own))
        stack.enter_context(workers_as_threads())
        run = functools.partial(command, folder, folder / "cache")
        heard = f"heard={folder / 'heard.txt'}"
        run("search", "./new.toml", "--preset", "as_ever", "--quiet", "--listener", heard)
        assert "TrialEnded" in (folder / "heard.txt").read_text().split()
        yield run


@pytest.fixture(scope="module")
def fitted(followed):
    """Fit a trial of each kind; return names of their folders."""
    followed("fit", "new", "--trial", "heads/0", "--out", "head", "--quiet")
    followed("fit", "new", "--trial", "scratch/0", "--out", "network", "--quiet")
    followed("fit", "new", "--trial", "means/0", "--calibrate", "--out", "means", "--quiet")
    followed("fit", "new", "--trial", "solved/0", "--out", "solved", "--quiet")
    return "head", "network", "means", "solved"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_table_is_followed():
    packages = [importlib.import_module(f"automl_cv.{room}") for room in ("catalog", "report")]
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in packages
        for found in pkgutil.iter_modules(package.__path__)
    ]
    tables = {
        id(value): (module.__name__, name)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Table)
    }
    tested = {id(table) for table, _ in entries(Path())}
    tested.add(id(ORIGINS))  # a stage does not name its origin: keys that it has say it
    assert not [where for key, where in tables.items() if key not in tested]


@pytest.mark.slow
def test_they_are_searched_and_reported(followed):
    trials = json.loads(followed("report", "new", "--format", "json"))["trials"]
    heads = [one for one in trials if one["stage"] == "heads"]
    (network,) = (one for one in trials if one["stage"] == "scratch")
    means = [one for one in trials if one["stage"] == "means"]
    assert len({one["warmth"] for one in means}) == 2 and {one["epochs"] for one in means} == {1}
    assert means[0]["model"] == "little"
    assert {one["model"] for one in heads} == {"little"} and network["model"] == "shallow"
    solved = [one for one in trials if one["stage"] == "solved"]
    assert {one["damping"] for one in solved} == {0.0, 3.0}
    stepped = [one for one in trials if one["stage"] not in ("solved", "raced")]
    assert {one["optimizer"] for one in stepped} == {"Signs"}
    assert {type(one["nesterov"]) for one in heads} == {bool}
    assert {one["epochs"] for one in heads} == {3}, "the pruner ends them"
    assert all(0 < one["top_two"] <= 1 for one in heads)
    assert trials[0]["tied_with_first"] is True, "intervals of shares hold for the metric"
    assert trials[0]["loud"] == "ROW 0"
    shown = followed("report", "new")
    assert "loud" in shown and "val two" in shown
    assert "≈ can't be told apart from the first" in shown
    assert followed("report", "new", "--format", "shouted_report").endswith("!\n")
    followed("report", "new", "--out", "new.loud")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_columns_of_the_other_views(followed, monkeypatch, tmp_path):
    (pair,) = rows(followed("report", "new", "--compare", "--format", "csv"))
    assert pair["loud_pair"] == "ROW 0" and pair["top_two"]
    assert "loud_pair" in followed("report", "new", "--compare")
    sizes = rows(followed("report", "new", "--backbones", "--format", "csv"))
    assert [row["loud_backbone"] for row in sizes] == ["ROW 0", "ROW 1"]
    own = rows(followed("report", "new", "--importance", "--format", "csv"))
    assert own and all(row["loud_share"].startswith("ROW") for row in own)
    # Fewer than 100 trials have no figures to show.
    monkeypatch.setattr(evaluators, "RESAMPLES", 2)
    shown = followed("report", "--importance", "--storage", drawn(tmp_path, 110))
    assert "loud_share" in shown and "ROW 0" in shown


@pytest.mark.exhaustive
@pytest.mark.slow
def test_they_are_fitted_and_evaluated(followed, fitted):
    for model in fitted:
        found = json.loads(followed("evaluate", model, "--format", "json", "--quiet"))
        share, doubt = found["metrics"]["top_two"], found["metrics"]["mean_doubt"]
        ends = wilson(share["value"], found["images"])
        assert (share["low"], share["high"]) == pytest.approx(ends)
        assert doubt["low"] < doubt["value"] < doubt["high"]
        assert found["wilson"]["of"] == ["accuracy", "top_two"]
        assert "mean_doubt" in found["bootstrap"]["of"]
        loud = followed("evaluate", model, "--format", "shouted_evaluation", "--quiet")
        assert loud == f"{share['value']:.4f}!\n"
    assert "intervals: of the accuracy, top_two Wilson's" in followed("evaluate", "head", "--quiet")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_they_predict_and_are_exported(followed, fitted, tmp_path):
    stripes(tmp_path, print)
    for model in fitted:
        loud = followed("predict", model, tmp_path, "--format", "shouted_predictions", "--quiet")
        assert set(loud.splitlines()) <= {"class 0!", "class 1!", "class 2!"}
    followed("export", "head", "--format", "graph", "--quiet")
    assert "graph" in called


@pytest.mark.slow
def test_every_target_that_trains_was_called(followed, fitted, tmp_path):
    """The targets of views and forms are seen by what they write."""
    targets = {own.target.partition(":")[2] for _, own in entries(tmp_path)}
    seen = {"shouted", "shouted_report", "shouted_evaluation", "shouted_predictions"}
    assert called >= targets - seen - {"mean_doubt", "graph", "NearestMean"}


def test_a_command_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "greet.py").write_text(COMMAND)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    try:
        assert command(tmp_path, tmp_path / "cache", "greet", "you") == "hello you\n"
    finally:
        sys.modules.pop(f"{commands.__name__}.greet", None)
        vars(commands).pop("greet", None)
