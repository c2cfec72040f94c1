"""The naive way, as one would write it by hand: plain Keras, the frozen backbone in each model.

    python tests/benchmarks/naive.py costs     # seconds an image through ResNet50, in `fit`
    python tests/benchmarks/naive.py train IN  # trains each task of IN (.npz) in full

Run by `against_naive.py`, in a process of its own: here TensorFlow has all cores.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

IMAGES = 128
REPEATS = 8


def classifier(network: keras.Model, classes: int, every_block: list | None = None) -> keras.Model:
    """Return a frozen network, global average pooling and one dense layer, as one model."""
    network.trainable = False
    outputs = every_block or [network.output]
    frozen = keras.Model(network.input, outputs)
    frozen.trainable = False
    inputs = keras.Input(network.input.shape[1:])
    maps = keras.tree.flatten(frozen(inputs, training=False))
    pooled = [keras.layers.GlobalAveragePooling2D()(one) for one in maps]
    joined = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(joined))


def compile_model(model: keras.Model, optimizer: keras.Optimizer) -> None:
    """Compile for class indices and logits, without XLA, like the other side."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)


def measure_costs() -> dict[str, float]:
    """Return seconds an image in training and in validation, and seconds to build a model.

    The smallest of several: whatever else the machine does only ever adds time, and on two
    cores it often takes one of them away.
    """
    images = np.random.default_rng(0).uniform(-100, 100, (IMAGES, 224, 224, 3)).astype("float32")
    labels = np.arange(IMAGES, dtype="int32") % 10
    started = time.perf_counter()
    network = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    model = classifier(network, 10)
    compile_model(model, keras.optimizers.SGD(0.08, momentum=0.23))
    build = time.perf_counter() - started
    model.fit(images, labels, batch_size=64, verbose=0)
    model.evaluate(images, labels, batch_size=64, verbose=0)
    train, validate = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        model.fit(images, labels, batch_size=64, verbose=0)
        train.append((time.perf_counter() - started) / IMAGES)
        started = time.perf_counter()
        model.evaluate(images, labels, batch_size=64, verbose=0)
        validate.append((time.perf_counter() - started) / IMAGES)
    return {"train": min(train), "validate": min(validate), "build": build}


def batches(images, labels, orders, batch_size: int) -> Iterator[tuple]:
    """Yield the batches of all epochs; a PyDataset's queue would mix the orders of two epochs."""
    for order in orders:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield images[chosen], labels[chosen]


def train_all(path: str) -> dict[str, list[float]]:
    """Train every task; return each one's best validation accuracy and the seconds it took."""
    from automl_cv.engine import pretraining

    given = np.load(path, allow_pickle=False)
    tasks = json.loads(str(given["tasks"]))
    train, train_labels = given["train"], given["train_labels"]
    accuracies, seconds = [], []
    for number, task in enumerate(tasks):
        network = pretraining.build()
        network.load_weights(task["weights"])
        names = [*(f"stage{n}_block1_preact_relu" for n in (2, 3, 4)), "post_relu"]
        model = classifier(network, 10, [network.get_layer(name).output for name in names])
        model.get_layer("logits").set_weights([given[f"kernel{number}"], given[f"bias{number}"]])
        options = {"learning_rate": task["learning_rate"], **task["optimizer_parameters"]}
        compile_model(model, getattr(keras.optimizers, task["optimizer"])(**options))
        orders = given[f"orders{number}"]
        started = time.perf_counter()
        history = model.fit(
            batches(train, train_labels, orders, task["batch_size"]),
            epochs=task["epochs"],
            shuffle=False,
            steps_per_epoch=-(-len(train) // task["batch_size"]),
            validation_data=(given["validation"], given["validation_labels"]),
            validation_batch_size=256,
            verbose=0,
        )
        seconds.append(time.perf_counter() - started)
        accuracies.append(max(history.history["val_accuracy"]))
    return {"accuracies": accuracies, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(measure_costs() if sys.argv[1] == "costs" else train_all(sys.argv[2])))
