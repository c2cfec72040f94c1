"""A classifier that somebody saved as the backbone: searched, fine-tuned, fitted, exported."""

from __future__ import annotations

import pytest

from automl_cv.saved import folder
from tests.later import later

with later():
    import keras

pytestmark = [
    pytest.mark.slow,
    pytest.mark.exhaustive,
    # Keras saves TensorFlow's variables in a way that NumPy 2 no longer likes.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

STUDY = """
extends = "optimizers"
name = "mine"
[backbone]
name = "mine.keras"
features = "all"
[data]
split = { train = 0.12, validation = 0.1, test = 0.78 }
[[stage]]
name = "coarse"
trials = 1
epochs = 2
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
[[stage]]
name = "tuned"
retrain = { stages = "coarse", top = 1, repeats = 1 }
fine_tune = { blocks = 2 }
epochs = 2
pruner = "none"
"""


def saved(path) -> None:
    """Write what transfer learning leaves: preprocessing, a backbone as one layer, scores."""
    keras.utils.set_random_seed(0)
    inside = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="_stem")(
        inside
    )
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(x)
    whole = [
        keras.Input((16, 16, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.Model(inside, x, name="_backbone"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(5, activation="softmax"),
    ]
    keras.Sequential(whole).save(path)


def test_it_is_fine_tuned_and_exported(call, tmp_path):
    saved(tmp_path / "mine.keras")
    (tmp_path / "mine.toml").write_text(STUDY)
    call("search", "./mine.toml")
    call("fit", "mine", "--trial", "tuned/0", "--out", "model")
    assert folder.read(tmp_path / "model").manifest.kind == "fine_tuned"
    # It writes nothing unless the written graph gives the same probabilities.
    call("export", "model", "--format", "litert", "--out", "exported")
