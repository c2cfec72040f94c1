"""Runs that keep what every layer gives, also layers of models within models."""

from __future__ import annotations

import numpy as np
import pytest

from tests.later import later

with later():
    import keras
    import tensorflow as tf
    from keras import layers

    from automl_cv.engine import layer_outputs


def pixels(size: int = 16) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)), tf.float32)


def small_base(name: str = "base") -> keras.Model:
    """Return a headless network with a skip connection."""
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(image)
    y = layers.BatchNormalization(name="norm")(x)
    y = layers.ReLU(name="relu")(y)
    return keras.Model(image, layers.Add(name="sum")([x, y]), name=name)


def transfer_model(base: keras.Model) -> keras.Model:
    """Return the usual: preprocessing, a whole network as one layer, a head that is sequential."""
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scaling")(image)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    kept = layers.Dropout(0.5, name="dropout")
    head = keras.Sequential([kept, layers.Dense(3, name="scores")], name="head")
    return keras.Model(image, head(x))


def test_inner_layers_give_what_the_inner_model_gives_when_called_itself():
    base = small_base()
    model = transfer_model(base)
    outputs, steps = layer_outputs.run(model, pixels())
    by_path = {step.path: step for step in steps}
    scaled = pixels() / 127.5 - 1
    for name in ("conv1", "norm", "relu", "sum"):
        direct = keras.Model(base.input, base.get_layer(name).output)(scaled, training=False)
        np.testing.assert_allclose(by_path[f"base/{name}"].output, direct, atol=1e-6)
    np.testing.assert_allclose(outputs, model(pixels(), training=False), atol=1e-6)
    assert list(by_path) == [
        "scaling",
        *("base/conv1", "base/norm", "base/relu", "base/sum"),
        "pooled",
        *("head/dropout", "head/scores"),
    ]
    assert outputs is steps[-1].output
    assert by_path["base/sum"].inputs[1] is by_path["base/relu"].output


def test_gradients_reach_inner_layers_although_all_is_frozen():
    model = transfer_model(small_base())
    model.trainable = False
    given = pixels()
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs, steps = layer_outputs.run(model, given)
        score = outputs[0, 0]
    inner = next(step for step in steps if step.path == "base/relu")
    assert float(tf.reduce_max(tf.abs(tape.gradient(score, inner.output)))) > 0


def test_models_in_models_in_models():
    image = keras.Input((16, 16, 3))
    outer = keras.Model(image, transfer_model(small_base())(image), name="outer")
    last = keras.Sequential([keras.Input((16, 16, 3)), outer, layers.Softmax(name="end")])
    outputs, steps = layer_outputs.run(last, pixels())
    np.testing.assert_allclose(outputs, last(pixels(), training=False), atol=1e-6)
    assert any(step.path.endswith("/base/relu") for step in steps)
    assert layer_outputs.short_names([step.path for step in steps])[1:3] == ["conv1", "norm"]


@pytest.mark.slow
def test_a_network_of_keras():
    model = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=3)
    outputs, steps = layer_outputs.run(model, pixels(32))
    np.testing.assert_allclose(outputs, model(pixels(32), training=False), rtol=1e-4, atol=1e-6)
    assert len(steps) == len(model.layers) - 1, "all but the input"


def test_training_that_stands_in_the_graph_is_not_followed():
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Dropout(0.5, name="drop")(image, training=True))
    outputs, _ = layer_outputs.run(model, pixels())
    np.testing.assert_array_equal(outputs, pixels())


def test_layers_used_twice_and_layers_of_one_name():
    conv = layers.Conv2D(3, 1, name="conv1")
    image = keras.Input((16, 16, 3))
    x = small_base("left")(conv(conv(image)))
    _, steps = layer_outputs.run(keras.Model(image, x), pixels())
    paths = [step.path for step in steps]
    assert paths[:3] == ["conv1", "conv1#2", "left/conv1"]
    assert layer_outputs.short_names(paths)[:4] == ["conv1", "conv1#2", "left/conv1", "norm"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/b/c", "a/d/c", "e"], ["b/c", "d/c", "e"]),
        (["c", "a/c"], ["c", "a/c"]),
        ([], []),
    ],
)
def test_short_names(paths, names):
    assert layer_outputs.short_names(paths) == names
