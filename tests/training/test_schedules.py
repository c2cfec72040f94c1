"""Our rates are those of Keras's schedules and of its callback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.history import Epoch
from tests.later import later

with later():
    import keras

    from automl_cv.training.schedules import Plan
    from tests.engine.keras_schedules import FIXED, plateau_callback


OWN = {
    "exponential": [{"final_fraction": 0.01}, {"final_fraction": 1.0}],
    "step": [{"drops": 2, "drop_factor": 0.1}, {"drops": 30, "drop_factor": 0.9}],
    "cosine": [{"final_fraction": 0.0}, {"final_fraction": 0.3}],
    "one_cycle": [
        {"warmup_fraction": 0.3, "first_fraction": 0.04, "final_fraction": 0.0},
        {"warmup_fraction": 0.99, "first_fraction": 0.0, "final_fraction": 0.1},
        {"warmup_fraction": 0.0, "first_fraction": 0.5, "final_fraction": 0.0},
    ],
}
# Learning rate, epochs, steps an epoch.
PLANS = [(0.1, 10, 7), (0.003, 1, 1), (1.0, 5, 1), (0.3, 1, 9)]


def epoch(number: int, val_loss: float) -> Epoch:
    return Epoch(number, 0.5, 0.5, 1.0, val_loss, 0.1, 0.0)


def all_rates(name: str, plan: Plan, **parameters: object) -> np.ndarray:
    schedule = SCHEDULES[name].load()(plan, **SCHEDULES[name].completed(parameters))
    done = [epoch(number, 1.0) for number in range(1, plan.epochs + 1)]
    return np.concatenate([schedule(done[:count]) for count in range(plan.epochs)])


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize(
    ("name", "parameters"), [(name, own) for name, several in OWN.items() for own in several]
)
def test_rates_of_all_steps_are_those_of_keras(name, parameters, plan):
    plan = Plan(*plan)
    keras_schedule = FIXED[name](plan, **parameters)
    theirs = [float(keras_schedule(step)) for step in range(plan.steps)]
    ours = all_rates(name, plan, **parameters)
    assert ours.dtype == np.float32
    # Near its end a cosine is the difference of two numbers close to 1.
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * plan.learning_rate)


def test_every_schedule_but_the_constant_one_is_compared():
    assert ["constant", *OWN, "reduce_on_plateau"] == SCHEDULES.names
    assert set(all_rates("constant", Plan(*PLANS[0]))) == {np.float32(0.1)}


def test_steps_fall_between_epochs():
    rates = all_rates("step", Plan(1.0, 7, 3), drops=2, drop_factor=0.1).reshape(7, 3)
    assert rates[:, 0] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    assert np.all(rates == rates[:, :1])


def test_no_schedule_passes_the_learning_rate():
    for name in SCHEDULES.names:
        assert all_rates(name, Plan(0.25, 12, 5)).max() <= np.float32(0.25)


# Few distinct losses, so that ties and falls by exactly the delta come up. None below 1e-30:
# TensorFlow compares numbers below float32's smallest normal one, 1.2e-38, as if they were 0.
losses = st.lists(
    st.one_of(
        st.integers(0, 20).map(lambda tenths: tenths / 10),
        st.floats(1e-30, 10),
        st.just(float("nan")),
        st.just(float("inf")),
    ),
    max_size=40,
)


# Keras reads the optimizer's rate by `np.array(variable)`, whose `__array__` NumPy 2 warns of.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@settings(deadline=None)
@given(
    losses,
    st.floats(1e-4, 1.0),
    st.sampled_from([0.1, 0.5, 0.9]),
    st.integers(0, 4),
    st.sampled_from([0.0, 1e-4, 0.1, 0.2]),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
def test_reduce_on_plateau_is_the_callback(
    curve, rate, factor, patience, min_delta, cooldown, final_fraction
):
    parameters = {
        "plateau_factor": factor,
        "plateau_patience": patience,
        "plateau_delta": min_delta,
        "plateau_cooldown": cooldown,
        "final_fraction": final_fraction,
    }
    plan = Plan(rate, len(curve) + 1, 3)
    callback = plateau_callback(plan, **parameters)
    model = keras.Sequential()
    model.compile(keras.optimizers.SGD(rate))
    callback.set_model(model)
    callback.on_train_begin()
    schedule = SCHEDULES["reduce_on_plateau"].load()(plan, **parameters)
    done: list[Epoch] = []
    for number, loss in enumerate([*curve, 0.0]):
        theirs = float(model.optimizer.learning_rate.numpy())
        np.testing.assert_array_equal(schedule(done), np.full(3, theirs, np.float32))
        callback.on_epoch_end(number, {"val_loss": loss})
        done.append(epoch(number + 1, loss))
