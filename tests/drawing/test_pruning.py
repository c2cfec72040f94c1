"""Early stopping is Keras's own, to the epoch."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from automl_cv.drawing.pruning import EarlyStoppingPruner, earliest_plateau, has_plateaued

# Few distinct values, so that ties are common, as on small validation sets.
CURVES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan]), st.floats(0, 1)),
    min_size=1,
    max_size=60,
)


def keras_stop(values: list[float], patience: int, min_delta: float) -> int | None:
    """Return the epoch, from 1, at which Keras's callback stops; None if it does not."""
    import keras

    callback = keras.callbacks.EarlyStopping(
        monitor="val_accuracy", mode="max", patience=patience, min_delta=min_delta
    )
    model = keras.Sequential([keras.layers.Dense(1)])
    callback.set_model(model)
    model.stop_training = False
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_accuracy": value})
        if model.stop_training:
            return epoch + 1
    return None


def our_stop(values: list[float], patience: int, min_delta: float) -> int | None:
    """Return the epoch at which our pruner, asked through an Optuna trial, stops."""
    study = optuna.create_study(
        direction="maximize", pruner=EarlyStoppingPruner(patience, min_delta)
    )
    trial = study.ask()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return None


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    values=CURVES,
    patience=st.integers(0, 12),
    min_delta=st.sampled_from([0.0, 0.001, 0.01, 0.25]),
)
@example(values=[0.90, *[0.93] * 20], patience=10, min_delta=0.0)
@example(values=[math.nan, *np.linspace(0, 1, 20)], patience=3, min_delta=0.0)
@example(values=list(np.arange(0, 1, 0.001)[:50]), patience=10, min_delta=0.01)
@example(values=[0.1, 0.1], patience=0, min_delta=0.0)
def test_stops_where_keras_early_stopping_stops(values, patience, min_delta):
    assert our_stop(values, patience, min_delta) == keras_stop(values, patience, min_delta)


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [40, 360])
def test_a_gain_of_exactly_min_delta_is_none_as_in_keras(n_images):
    """Shares of images as Keras's metrics give them, float32; each better by one image."""
    ways = set()
    for right in range(n_images):
        values = [float(np.float32((right + more) / n_images)) for more in (0, 1)]
        kept = keras_stop(values, 1, 1 / n_images) is None
        assert (our_stop(values, 1, 1 / n_images) is None) == kept, right
        ways.add((kept, values[1] - 1 / n_images > values[0]))
    assert (False, True) in ways, "where float64 would see a gain"


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.5], False),
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.6, 0.5], False),
        ([0.5, 0.4, 0.4], True),
    ],
)
def test_plateau_of_patience_two(values, stops):
    assert has_plateaued(values, patience=2, min_delta=0.0) is stops


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_no_trial_stops_before_the_epoch_that_it_was_let_run_to(patience):
    draw, puts_off = np.random.default_rng(0), 0
    for _ in range(50):
        values = [*draw.integers(0, 6, 12) / 6, 0.0, 0.0, 0.0]
        stop = our_stop(values, patience, 0.1)
        asks = [earliest_plateau(values[:count], patience, 0.1) for count in range(stop)]
        assert asks == sorted(asks) and asks[-1] == stop
        puts_off += len({*asks}) > 1
    assert puts_off, "an improvement puts it off"


def test_optunas_patient_pruner_is_not_a_stand_in():
    """The reason this pruner exists: Optuna's own waits for ever on a level curve."""
    curve = [0.90, *[0.93] * 49]
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        patient = optuna.pruners.PatientPruner(None, patience=10)
    study = optuna.create_study(direction="maximize", pruner=patient)
    trial = study.ask()
    stopped = []
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
        stopped.append(trial.should_prune())
    assert not any(stopped)
    assert our_stop(curve, 10, 0.0) == 12


def good_region_share(*, plateau_stops: bool, seed: int) -> int:
    """Count TPE's late draws near the optimum of a made-up search.

    Validation accuracy rises towards a level that depends on x alone. Trials stopped on a
    plateau are told as COMPLETE with their best value, as the search does.
    """
    from automl_cv.drawing.samplers import grouped_tpe

    study = optuna.create_study(
        direction="maximize",
        sampler=grouped_tpe(seed=seed, n_startup_trials=10),
        pruner=EarlyStoppingPruner(5, 0.0),
    )
    late = 0
    for number in range(60):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0)
        level = 1.0 - abs(x - 0.7)
        values = [level * min(1.0, epoch / 10) for epoch in range(1, 51)]
        best = 0.0
        for epoch, value in enumerate(values, start=1):
            best = max(best, value)
            trial.report(value, epoch)
            if plateau_stops and trial.should_prune():
                break
        study.tell(trial, best, TrialState.COMPLETE)
        late += number >= 20 and abs(x - 0.7) < 0.1
    return late


@pytest.mark.slow
def test_tpe_learns_from_plateau_stopped_trials_as_much_as_from_full_ones():
    stopped = [good_region_share(plateau_stops=True, seed=seed) for seed in range(3)]
    full = [good_region_share(plateau_stops=False, seed=seed) for seed in range(3)]
    assert sum(stopped) >= sum(full)
    assert sum(full) > 3 * 40 * 0.4, "TPE found the region at all; a fifth would be chance"
