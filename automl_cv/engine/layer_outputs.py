"""Runs a network on an image and keeps what each layer gives, also layers of models within models.

A graph that ends in a layer of an inner model can't be built from that layer's own `output`:
it belongs to the inner model's graph, not to the outer one ("graph disconnected"). So nothing is
cut out: all operations run one after the other, as one flat graph, and what each gives is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.src.models import Functional  # Keras exports the class under no public name.


@dataclass(frozen=True, eq=False)  # tensors have no truth value
class Step:
    """One operation of a run.

    Args:
        path: names of the models it stands in, and its own: "backbone/compact/stem_conv". Where
            it ran before, a number follows: "stem_conv#2".
        operation: a layer, or an operation of `keras.ops`.
        inputs: tensors it was given.
        output: what it gave.
    """

    path: str
    operation: keras.Operation
    inputs: tuple[tf.Tensor, ...]
    output: tf.Tensor


def run(model: keras.Model, pixels: tf.Tensor) -> tuple[Any, list[Step]]:
    """Run a network in inference mode.

    Args:
        model: a functional or sequential model; functional and sequential models in it are
            followed, anything else in it counts as one operation.
        pixels: what the model takes, shape (batch, height, width, channels).

    Returns:
        What the model gives, and all operations that give a single tensor, in the order of their
        run: an operation follows those it depends on.
    """
    steps: list[Step] = []
    times: Counter[str] = Counter()

    def follow(operation: keras.Operation, path: str) -> Callable[..., Any]:
        def call(*args, **kwargs):
            if "training" in kwargs:
                kwargs["training"] = False
            output = operation(*args, **kwargs)
            if tf.is_tensor(output):
                times[path] += 1
                number = f"#{times[path]}" if times[path] > 1 else ""
                given = [x for x in keras.tree.flatten((args, kwargs)) if tf.is_tensor(x)]
                steps.append(Step(path + number, operation, tuple(given), output))
            return output

        return call

    return go_through(model, pixels, follow), steps


def go_through(
    model: keras.Model,
    inputs: Any,
    follow: Callable[[keras.Operation, str], Callable[..., Any]],
    prefix: str = "",
) -> Any:
    """Run a network and the models in it, operation by operation.

    Args:
        model: a functional or sequential model.
        inputs: what it takes, tensors or Keras's symbols for them.
        follow: returns what is called in place of an operation that is no such model; is given
            the operation and its path, as in `Step` but without a number.
        prefix: the path of the model, with a "/" behind.

    Returns:
        What the model gives.
    """

    def called(operation: keras.Operation) -> Callable[..., Any]:
        path = prefix + operation.name
        if isinstance(operation, Functional | keras.Sequential):
            return lambda inputs, **unused: go_through(operation, inputs, follow, f"{path}/")
        return follow(operation, path)

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            inputs = called(layer)(inputs)
        return inputs
    # What `Functional.call` itself does, with another function for each operation.
    outputs = model._run_through_graph(inputs, operation_fn=called)
    return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs


def short_names(paths: list[str]) -> list[str]:
    """Return the shortest end of each path that no other path ends in.

    Args:
        paths: as in `Step`, each once.
    """
    ends = Counter(end for path in paths for end in _ends(path))
    return [next((end for end in _ends(path) if ends[end] == 1), path) for path in paths]


def _ends(path: str) -> list[str]:
    """Return "c", "b/c", "a/b/c" of "a/b/c"."""
    names = path.split("/")
    return ["/".join(names[start:]) for start in reversed(range(len(names)))]
