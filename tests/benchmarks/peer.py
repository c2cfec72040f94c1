"""One peer's search, in a process of its own; run by `peers.py`, which measures it from outside.

    python tests/benchmarks/peer.py ROW GIVEN.json

All rows search the same space on the same features and splits, stop early alike, compile without
XLA. What is told (a line of JSON) has the processor time and the seconds of the wall so far, of
this process and all that it started. Nothing of automl_cv is imported but where it is measured.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

TICKS = os.sysconf("SC_CLK_TCK")
STARTED = time.time()

OPTIMIZERS = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
WITH_MOMENTUM = ("SGD", "RMSprop")
BATCHES, RATES, MOMENTA = (16, 128), (1e-4, 0.3), (0.0, 0.9)
PENALTIES = (1e-3, 1e4)
FOLDS = 5


@dataclass(frozen=True)
class Given:
    """What is searched.

    Args:
        trials: how many.
        epochs: of each at most.
        patience: epochs without a better validation accuracy.
        workers: trials at a time, where a row takes more than one.
        data: file of the arrays `train`, `train_labels`, `validation`, `validation_labels`, and
            of pixels for those rows that have the backbone inside.
        classes: how many.
        network: the frozen backbone with its pooled blocks, a Keras file.
        study: of automl-cv.
        exact_study: the same, of solved heads.
        cache: of automl-cv, which holds the features.
    """

    trials: int
    epochs: int
    patience: int
    workers: int
    data: str
    classes: int
    network: str
    study: str
    exact_study: str
    cache: str

    def array(self, name: str) -> np.ndarray:
        """Return one of the arrays."""
        return _array(self.data, name)


@functools.cache
def _array(path: str, name: str) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays[name]


def family(root: int) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields (from the state on) of a process and of all that it started."""
    parents: dict[int, list[int]] = {}
    fields: dict[int, list[str]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            text = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue  # it has ended
        fields[int(name)] = own = text.rpartition(")")[2].split()
        parents.setdefault(int(own[1]), []).append(int(name))
    waiting = [root]
    while waiting:
        number = waiting.pop()
        if number in fields:
            yield number, fields[number]
            waiting += parents.get(number, [])


def processor_seconds(root: int) -> float:
    """Return what a process and all that it started have used, those that ended included."""
    return sum(sum(map(int, own[11:15])) for _, own in family(root)) / TICKS


def tell(**what: Any) -> None:
    """Print a line of JSON, with the time."""
    used = processor_seconds(os.getpid())
    print(json.dumps({"cpu": used, "wall": time.time() - STARTED, **what}), flush=True)


def tell_trial(given: Given, epochs: int, batch: int, accuracy: float) -> None:
    """Tell that a trial has ended, and its best validation accuracy."""
    images = len(given.array("train_labels"))
    tell(trial=True, epochs=epochs, steps=epochs * -(-images // batch), accuracy=float(accuracy))


# The Keras side, which several rows share.

Drawn = Mapping[str, Any]


def build(given: Given, drawn: Drawn) -> Any:
    """Return a compiled head on features, standardised first."""
    import keras

    features = given.array("train")
    inputs = keras.Input(features.shape[1:])
    normalization = keras.layers.Normalization(
        mean=features.mean(axis=0), variance=features.var(axis=0)
    )
    outputs = keras.layers.Dense(given.classes)(normalization(inputs))
    return compiled(keras.Model(inputs, outputs), drawn)


def build_whole(given: Given, drawn: Drawn) -> Any:
    """Return a compiled classifier of pixels, the frozen backbone inside it."""
    import keras

    network = keras.models.load_model(given.network, compile=False)
    network.trainable = False
    inputs = keras.Input(network.input.shape[1:])
    outputs = keras.layers.Dense(given.classes)(network(inputs, training=False))
    return compiled(keras.Model(inputs, outputs), drawn)


def compiled(model: Any, drawn: Drawn) -> Any:
    """Return a model with the optimizer that was drawn."""
    import keras

    options = {"learning_rate": drawn["learning_rate"]}
    if drawn["optimizer"] in WITH_MOMENTUM:
        options["momentum"] = drawn["momentum"]
    optimizer = getattr(keras.optimizers, drawn["optimizer"])(**options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    return model


def fit(
    given: Given, model: Any, batch: int, *, prefix: str = "", callbacks: tuple[Any, ...] = ()
) -> tuple[int, float, Any]:
    """Train; return epochs, the best validation accuracy and Keras's history."""
    import keras

    stopping = keras.callbacks.EarlyStopping("val_accuracy", patience=given.patience, mode="max")
    history = model.fit(
        given.array(f"{prefix}train"),
        given.array("train_labels"),
        batch_size=batch,
        epochs=given.epochs,
        validation_data=(given.array(f"{prefix}validation"), given.array("validation_labels")),
        callbacks=[stopping, *callbacks],
        verbose=0,
    )
    found = history.history["val_accuracy"]
    return len(found), max(found), history


def suggested(trial: Any) -> Drawn:
    """Return what an Optuna trial draws."""
    drawn = {
        "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
        "batch_size": trial.suggest_int("batch_size", *BATCHES, log=True),
        "learning_rate": trial.suggest_float("learning_rate", *RATES, log=True),
    }
    if drawn["optimizer"] in WITH_MOMENTUM:
        drawn["momentum"] = trial.suggest_float("momentum", *MOMENTA)
    return drawn


def optuna_keras(given: Given, *, whole: bool = False) -> None:
    """Search as Optuna's own Keras examples do: a model built, compiled and fitted each trial."""
    import keras
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        keras.backend.clear_session()
        drawn = suggested(trial)
        model = (build_whole if whole else build)(given, drawn)
        epochs, accuracy, _ = fit(
            given, model, drawn["batch_size"], prefix="pixels_" if whole else ""
        )
        tell_trial(given, epochs, drawn["batch_size"], accuracy)
        return accuracy

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    tell(began=True)
    study.optimize(objective, n_trials=given.trials)


def optuna_keras_whole(given: Given) -> None:
    """Do the same with the backbone inside the model: what most people write first."""
    optuna_keras(given, whole=True)


def keras_tuner(given: Given, *, whole: bool = False) -> None:
    """Search with KerasTuner's RandomSearch."""
    import keras_tuner as tuner

    prefix = "pixels_" if whole else ""

    class Head(tuner.HyperModel):
        def build(self, space: Any) -> Any:
            drawn = {
                "optimizer": space.Choice("optimizer", list(OPTIMIZERS)),
                "learning_rate": space.Float("learning_rate", *RATES, sampling="log"),
                "momentum": space.Float("momentum", *MOMENTA),
            }
            space.Int("batch_size", *BATCHES, sampling="log")
            return (build_whole if whole else build)(given, drawn)

        def fit(self, space: Any, model: Any, *args: Any, **options: Any) -> Any:
            batch = space.get("batch_size")
            own = tuple(options["callbacks"])
            epochs, accuracy, history = fit(given, model, batch, prefix=prefix, callbacks=own)
            tell_trial(given, epochs, batch, accuracy)
            return history

    with tempfile.TemporaryDirectory() as folder:
        search = tuner.RandomSearch(
            Head(), "val_accuracy", max_trials=given.trials, seed=0, directory=folder
        )
        tell(began=True)
        search.search(verbose=0)


def keras_tuner_whole(given: Given) -> None:
    """Do the same with the backbone inside the model."""
    keras_tuner(given, whole=True)


def ray_tune(given: Given) -> None:
    """Search with Ray Tune, each trial in a process of its own."""
    import ray
    from ray import tune

    def objective(drawn: Drawn) -> None:
        epochs, accuracy, _ = fit(given, build(given, drawn), drawn["batch_size"])
        tune.report({"epochs": epochs, "accuracy": accuracy})

    class Telling(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            last = trial.last_result
            tell_trial(given, last["epochs"], trial.config["batch_size"], last["accuracy"])

    space = {
        "optimizer": tune.choice(OPTIMIZERS),
        "batch_size": tune.lograndint(BATCHES[0], BATCHES[1] + 1),
        "learning_rate": tune.loguniform(*RATES),
        "momentum": tune.uniform(*MOMENTA),
    }
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=given.workers, include_dashboard=False, log_to_driver=False)
        tell(began=True)
        tune.Tuner(
            objective,
            param_space=space,
            tune_config=tune.TuneConfig(num_samples=given.trials, metric="accuracy", mode="max"),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Telling()]),
        ).fit()
        tell(ended=True)
        ray.shutdown()


def autokeras(given: Given) -> None:
    """Search with AutoKeras from pixels, until it is stopped from outside."""
    import autokeras as auto
    import keras

    class Telling(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            tell(accuracy=float(logs["val_accuracy"]))

    with tempfile.TemporaryDirectory() as folder:
        search = auto.ImageClassifier(max_trials=1000, overwrite=True, directory=folder, seed=0)
        tell(began=True)
        search.fit(
            given.array("pixels_train"),
            given.array("train_labels"),
            validation_data=(given.array("pixels_validation"), given.array("validation_labels")),
            callbacks=[Telling()],
            verbose=0,
        )


def halving(given: Given) -> None:
    """Search logistic regression's penalty with scikit-learn's halving, out of folds."""
    from scipy.stats import loguniform
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import HalvingRandomSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([given.array("train"), given.array("validation")])
    labels = np.concatenate([given.array("train_labels"), given.array("validation_labels")])
    search = HalvingRandomSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": loguniform(1 / PENALTIES[1], 1 / PENALTIES[0])},
        n_candidates=given.trials,
        min_resources="exhaust",
        cv=FOLDS,
        random_state=0,
    )
    tell(began=True)
    search.fit(features, labels)
    tell(trial=True, epochs=0, steps=0, accuracy=float(search.best_score_))


def numpy_loop(given: Given) -> None:
    """Train with what anybody would write in NumPy, SGD and Adam in turn, all epochs."""
    import head_steps

    from automl_cv.trained import TrainingData

    train = given.array("train")
    both = np.concatenate([train, given.array("validation")])
    rows = np.arange(len(both))
    data = TrainingData(
        both,
        rows[: len(train)],
        given.array("train_labels"),
        rows[len(train) :],
        given.array("validation_labels"),
        given.classes,
    )
    draw = np.random.default_rng(0)
    tell(began=True)
    for number in range(given.trials):
        batch = round(float(np.exp(draw.uniform(*np.log(BATCHES)))))
        todo = replace(head_steps.task(("SGD", "Adam")[number % 2], True), batch_size=batch)
        epoch = head_steps.bare(data, todo)
        for one in range(1, given.epochs + 1):
            epoch(one)
        tell_trial(given, given.epochs, batch, 0.0)


def ours(given: Given, study: str = "") -> None:
    """Search with automl-cv."""
    import automl_cv
    from automl_cv.search import events

    begun = False

    def listen(event: events.Event) -> None:
        nonlocal begun
        if isinstance(event, events.TrialStarted) and not begun:
            begun = True
            tell(began=True)
        if isinstance(event, events.TrialEnded):
            epochs, accuracy = len(event.history.epochs), event.history.best.val_accuracy
            tell_trial(given, epochs, int(event.parameters.get("batch_size", 1)), accuracy)

    with tempfile.TemporaryDirectory() as folder:
        automl_cv.run(
            study or given.study,
            storage=f"sqlite:///{folder}/trials.db",
            workers=given.workers,
            despite_findings=True,
            cache_dir=given.cache,
            quiet=True,
            listen=listen,
        )


def ours_exact(given: Given) -> None:
    """Search with automl-cv: heads that are solved, out of folds."""
    ours(given, given.exact_study)


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        name: as it is asked for.
        about: for people.
        search: what it does.
        needs: modules, of the package to install where its name is another.
        workers: trials at a time.
        group: rows that are compared with one another.
        few: it takes few of the trials: each takes minutes.
    """

    name: str
    about: str
    search: Callable[[Given], None]
    needs: Mapping[str, str]
    workers: int = 1
    group: str = "features"
    few: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it is run by the interpreter that automl-cv is installed for."""
        return self.search in (ours, ours_exact, numpy_loop)


ROWS = [
    Row("ours", "automl-cv, one worker", ours, {}),
    Row("ours-2", "automl-cv, two workers", ours, {}, workers=2),
    Row("numpy", "bare NumPy, epochs alone", numpy_loop, {}),
    Row("optuna", "Optuna, Keras `fit` each trial", optuna_keras, {}),
    Row("keras-tuner", "KerasTuner RandomSearch", keras_tuner, {"keras_tuner": "keras-tuner"}),
    Row("ray", "Ray Tune, one at a time", ray_tune, {"ray.tune": "ray[tune]"}),
    Row("ray-2", "Ray Tune, two at a time", ray_tune, {"ray.tune": "ray[tune]"}, workers=2),
    Row("exact", "automl-cv, solved, five folds", ours_exact, {}, group="exact"),
    Row("halving", "scikit-learn HalvingRandomSearchCV", halving, {}, group="exact"),
    Row("naive", "Optuna, Keras `fit`", optuna_keras_whole, {}, group="whole", few=True),
    Row(
        "keras-tuner-whole",
        "KerasTuner RandomSearch",
        keras_tuner_whole,
        {"keras_tuner": "keras-tuner"},
        group="whole",
        few=True,
    ),
    Row("autokeras", "AutoKeras", autokeras, {"autokeras": "autokeras"}, group="time"),
]


def main() -> None:
    """Run a row."""
    name, given = sys.argv[1:]
    row = next(one for one in ROWS if one.name == name)
    missing = [package for module, package in row.needs.items() if not found(module)]
    if missing:
        tell(missing=missing)
        return
    row.search(Given(**json.loads(Path(given).read_text())))
    tell(ended=True)


def found(module: str) -> bool:
    """Tell whether a module is installed."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    import peer

    # Ray's processes find functions by their module's name, which "__main__" is not.
    peer.main()
