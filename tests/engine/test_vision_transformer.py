"""DINOv2 built of Keras's layers gives what its authors' code gives (see record_dinov2.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.study.studyfile import Backbone, parse
from tests.later import later

with later():
    import keras

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine import saved_network
    from automl_cv.engine.backbone_parts import cut
    from automl_cv.engine.head import HeadInput, linear
    from automl_cv.engine.vision_transformer import build, load_weights

WEIGHTS = Path(__file__).parent / "dinov2_tiny.pth"
TINY = {"patch": 2, "width": 8, "depth": 4, "heads": 2}


@pytest.fixture(scope="module")
def expected():
    with np.load(WEIGHTS.with_suffix(".npz")) as found:
        return dict(found)


@pytest.fixture
def tiny() -> Iterator[Backbone]:
    """Return a backbone of the table as small as the file of weights is."""
    own = {"name": "tiny", "arguments": TINY, "image_size": 6, "patch": 2, "preprocessing": "none"}
    with BACKBONES.temporary(replace(BACKBONES["DINOv2Small"], **own)):
        yield Backbone(name="tiny", weights=str(WEIGHTS), features="all")


@pytest.mark.slow
@pytest.mark.parametrize("size", [6, 10, 4], ids=["positions of its own", "more", "fewer"])
def test_tokens_are_those_of_the_authors_code(size, expected):
    network = build(image_size=size, **TINY)
    load_weights(network, WEIGHTS)
    third = keras.Model(network.input, [network.get_layer("block3_end").output, network.output])
    inner, tokens = third(expected[f"images{size}"])
    np.testing.assert_allclose(inner, expected[f"third{size}"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tokens, expected[f"tokens{size}"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_block_gives_its_class_token_and_the_average_of_its_patches(tiny, expected):
    third, last = backbones.compile_calls(backbones.build(tiny, 10), 2)(expected["images10"])
    for found, name in ((third, "third10"), (last, "tokens10")):
        tokens = expected[name]
        vectors = np.concatenate([tokens[:, 0], tokens[:, 1:].mean(axis=1)], axis=1)
        np.testing.assert_allclose(found, vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_its_last_blocks_are_cut_off_and_trained(tiny, expected):
    parts = cut(tiny, 6, 1)
    assert (parts.shape, parts.n_frozen) == ((10, 8), 1)
    (flat,) = keras.tree.flatten(parts.frozen(expected["images6"]))
    tokens = keras.tree.flatten(parts.trained(keras.ops.reshape(flat, (-1, 10, 8))))[0]
    np.testing.assert_allclose(tokens, expected["tokens6"], rtol=1e-4, atol=1e-5)
    assert len(parts.trained.trainable_weights) == 18  # a block of 16, and the last norm


# Keras saves TensorFlow's variables in a way that NumPy 2 no longer likes.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_it_is_saved_and_loaded_as_layers_of_keras_alone(tiny, expected, tmp_path):
    network = backbones.build(tiny, 6)
    given = HeadInput(32, 3, np.zeros(32, np.float32), np.ones(32, np.float32))
    whole = saved_network.behind(network, "all", [linear(given, normalization=False)])
    saved_network.save(whole, tmp_path / "model.keras")
    graph = saved_network.from_resized(saved_network.load_network(tmp_path / "model.keras"))
    images = expected["images6"]
    vectors = np.concatenate(keras.tree.flatten(network(images)), axis=1)
    logits = whole.get_layer("head1")(vectors)
    np.testing.assert_allclose(graph(images), keras.ops.softmax(logits), rtol=1e-4)


@pytest.mark.slow
def test_the_network_has_as_many_numbers_as_its_file():
    """Less the token of masks, and the factors of each half of a block, which are multiplied in.

    The file has 88,283,115 bytes, of which 60 kB describe 175 tensors.
    """
    entry = BACKBONES["DINOv2Small"]
    network = entry.load()(**entry.arguments, image_size=518)
    numbers = network.count_params() + 2 * 384 + 12 * 2 * 384
    assert 88_283_115 - 80_000 < 4 * numbers < 88_283_115
    assert round(4 * numbers / 1e6) == round(entry.weights.megabytes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depth": 5}, "no tensor blocks.4.norm1.weight"),
        ({"depth": 3}, "a tensor that the network has no place for: blocks.3.attn.proj.bias"),
        ({"width": 4}, r"patches: the tensors give a weight of shape \(2, 2, 3, 8\), not \(2, 2"),
    ],
)
def test_weights_of_another_network_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        load_weights(build(image_size=6, **{**TINY, **changed}), WEIGHTS)


@pytest.mark.parametrize(
    ("backbone", "sizes", "line"),
    [
        (
            {"name": "DINOv2Small", "image_size": 100},
            None,
            "backbone: image_size: DINOv2Small cuts",
        ),
        ({"name": "DINOv2Small"}, [224, 100], "stage.one.space.image_size: DINOv2Small cuts"),
    ],
)
def test_a_size_that_does_not_fit_the_patches_is_refused(backbone, sizes, line):
    space = {"optimizer": "SGD", "batch_size": 32, "learning_rate": 0.1}
    space |= {} if sizes is None else {"image_size": sizes}
    stage = {"name": "one", "trials": 1, "epochs": 1, "space": space}
    with pytest.raises(UserError) as caught:
        parse({"name": "sizes", "backbone": backbone, "stage": [stage]}, "mine.toml")
    message = f"mine.toml: {line} images into patches of 14 pixels, got 100; take 98 or 112"
    assert str(caught.value) == message
