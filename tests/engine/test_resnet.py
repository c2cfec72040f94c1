"""Residual networks: orders of layers, shapes and sizes of the papers, switches, learning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_cv.catalog.heads import shape_of
from automl_cv.catalog.networks import NETWORKS
from tests.depth import each_time
from tests.later import later

with later():
    import keras
    import tensorflow as tf
    from keras import layers

    from automl_cv.engine import blocks, pretraining, resnet

KINDS = {
    "Conv2D": "conv",
    "BatchNormalization": "bn",
    "ReLU": "relu",
    "Add": "add",
    "Dropout": "drop",
    "Multiply": "weigh",
}
VARIANTS = NETWORKS["ResNet18"].parameters["block"].choices
PREACTIVATION = ["relu_only_preactivation", "full_preactivation"]
BLOCKS = (2, 1, 1, 1)
TWO: dict[str, Any] = {"name": "two", "blocks": BLOCKS}
BOTTLENECK: dict[str, Any] = {"name": "bottleneck", "blocks": BLOCKS, "bottleneck": True}


def network(name: str, size: int = 224, classes: int = 1000, **given) -> keras.Model:
    entry = NETWORKS[name]
    return entry.load()((size, size, 3), classes, **shape_of(entry.completed(given)))


def small(layout: dict[str, Any], **given) -> keras.Model:
    """Return a network of few blocks and 4 to 32 channels, for images of 16 pixels."""
    parameters = NETWORKS["ResNet18"].completed({"stem": "small", "width": 0.0625, **given})
    return resnet.build(resnet.Layout(**layout), (16, 16, 3), 4, **shape_of(parameters))


def parents(layer: layers.Layer) -> list[layers.Layer]:
    return [tensor._keras_history.operation for tensor in keras.tree.flatten(layer.input)]


def way(end: layers.Layer, start: layers.Layer) -> str:
    """Return the kinds of layers from after `start` to `end`, along first inputs."""
    kinds = []
    while end is not start:
        kinds.append(KINDS[type(end).__name__])
        end = parents(end)[0]
    return " ".join(reversed(kinds))


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


# Orders of layers

# He et al. 2016, figure 4: the residual of a block of two, and what follows the sum.
FIGURE_4 = {
    "original": ("conv bn relu conv bn", "relu"),
    "bn_after_addition": ("conv bn relu conv", "bn relu"),
    "relu_before_addition": ("conv bn relu conv bn relu", ""),
    "relu_only_preactivation": ("relu conv bn relu conv bn", ""),
    "full_preactivation": ("bn relu conv bn relu conv", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("block", VARIANTS)
@pytest.mark.parametrize("layout", [TWO, BOTTLENECK], ids=lambda layout: layout["name"])
def test_a_blocks_layers_stand_as_in_the_figure(block, layout):
    residual, after = FIGURE_4[block]
    if "bottleneck" in layout:
        residual = residual.replace("conv", "conv bn relu conv", 1)
    model = small(layout, block=block)
    first, second = (model.get_layer(f"stage1_block{number}_add") for number in (1, 2))
    output = model.get_layer(f"stage1_block1_out_{after.split()[-1]}") if after else first
    assert way(output, first) == after
    shortcut, end = parents(second)
    assert shortcut is output, "a bare identity"
    assert way(end, output) == residual
    kernels = [
        layer.kernel_size[0]
        for layer in model.layers
        if isinstance(layer, layers.Conv2D) and layer.name.startswith("stage1_block2")
    ]
    assert kernels == ([1, 3, 1] if "bottleneck" in layout else [3, 3])


@pytest.mark.parametrize("block", VARIANTS)
def test_a_projection_reads_what_is_activated_and_is_normalised_like_the_residual(block):
    model = small(TWO, block=block)
    shortcut, end = parents(model.get_layer("stage2_block1_add"))
    projection = model.get_layer("stage2_block1_projection")
    ends_in_bn = "bn" in blocks.ORDERS[block].last
    assert way(shortcut, parents(projection)[0]) == ("conv bn" if ends_in_bn else "conv")
    assert parents(projection) == parents(model.get_layer("stage2_block1_conv1"))
    assert projection.strides == (2, 2) and projection.kernel_size == (1, 1)
    read = parents(projection)[0].name
    if block in PREACTIVATION:
        assert read == "stage2_block1_preact_relu"
    else:
        assert read.startswith("stage1_block2_")


@pytest.mark.parametrize("block", VARIANTS)
def test_before_the_first_and_after_the_last_block(block):
    """Of pre-activation, the stem's BN and ReLU are the first block's, and the last has its own."""
    model = small(TWO, block=block)
    first, last = (model.get_layer(name) for name in ("stage1_block1_add", "stage4_block1_add"))
    stem = model.get_layer("stem_relu")
    assert way(stem, model.get_layer("scaling")) == "conv bn relu"
    shortcut, end = parents(first)
    assert shortcut is stem
    residual, after = FIGURE_4[block]
    assert way(end, stem) == residual[residual.index("conv") :]
    (before_pooling,) = parents(model.get_layer("pooled"))
    assert way(before_pooling, last) == ("bn relu" if block in PREACTIVATION else after)


def test_the_orders_are_those_that_a_study_can_name():
    for entry in NETWORKS:
        assert entry.parameters["block"].choices == tuple(blocks.ORDERS)
        assert entry.parameters["stem"].choices == tuple(resnet.STEMS)


# Shapes and sizes

# torchvision counts what is trained: convolutions without biases, gamma and beta of each
# BatchNorm, weights and biases of the last layer. (Its documents: "num_params" of the weights.)
TORCHVISION = {
    "ResNet10": 5_418_792,
    "ResNet18": 11_689_512,
    "ResNet34": 21_797_672,
    "ResNet50": 25_557_032,
    "ResNet101": 44_549_160,
    "ResNet152": 60_192_808,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "channels"),
    [
        ("ResNet10", (1, 1, 1, 1), (64, 128, 256, 512)),
        ("ResNet18", (2, 2, 2, 2), (64, 128, 256, 512)),
        ("ResNet34", (3, 4, 6, 3), (64, 128, 256, 512)),
        ("ResNet50", (3, 4, 6, 3), (256, 512, 1024, 2048)),
        pytest.param(
            "ResNet101", (3, 4, 23, 3), (256, 512, 1024, 2048), marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "ResNet152", (3, 8, 36, 3), (256, 512, 1024, 2048), marks=pytest.mark.exhaustive
        ),
    ],
)
def test_stages_and_sizes_are_the_published_ones(name, count, channels):
    """He et al. 2015, table 1, for images of 224 pixels."""
    model = network(name, block="original")
    assert trainable(model) == TORCHVISION[name]
    assert model.get_layer("stem_conv").output.shape == (None, 112, 112, 64)
    assert model.get_layer("stem_conv").kernel_size == (7, 7)
    assert model.get_layer("stem_pool").output.shape == (None, 56, 56, 64)
    assert model.get_layer("stem_pool").pool_size == (3, 3)
    for stage, (number, width, size) in enumerate(
        zip(count, channels, (56, 28, 14, 7), strict=True), start=1
    ):
        sums = [
            layer
            for layer in model.layers
            if layer.name.startswith(f"stage{stage}_") and layer.name.endswith("_add")
        ]
        assert len(sums) == number
        assert {layer.output.shape for layer in sums} == {(None, size, size, width)}
    assert model.output_shape == (None, 1000)
    weighted = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.Conv2D | layers.Dense) and "projection" not in layer.name
    ]
    assert len(weighted) == int(name.removeprefix("ResNet")), "layers are counted so"


@pytest.mark.slow
def test_resnet50_is_keras_applications_but_for_biases():
    """Keras's convolutions have biases; it counts BatchNorm's stored statistics too."""
    model, reference = (
        network("ResNet50", block="original"),
        keras.applications.ResNet50(weights=None),
    )
    convolutions = [layer for layer in reference.layers if isinstance(layer, layers.Conv2D)]
    biases = sum(layer.filters for layer in convolutions)
    stored = 2 * biases  # each convolution is followed by a BatchNorm: mean and variance
    assert (biases, stored) == (26_560, 53_120)
    assert reference.count_params() == 25_636_712 == TORCHVISION["ResNet50"] + biases + stored
    assert model.count_params() == reference.count_params() - biases


@pytest.mark.slow
@pytest.mark.parametrize("block", each_time("full_preactivation", of=VARIANTS))
@pytest.mark.parametrize("layout", [TWO, BOTTLENECK], ids=lambda layout: layout["name"])
def test_orders_differ_in_batch_norms_alone(block, layout):
    counts = []
    for order in ("original", block):
        model = small(layout, block=order)
        norms = sum(trainable(x) for x in model.layers if isinstance(x, layers.BatchNormalization))
        counts.append(trainable(model) - norms)
    assert counts[0] == counts[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "projected"),
    [
        ("ResNet10", 128 + 256 + 512),
        ("ResNet34", 128 + 256 + 512),
        ("ResNet50", 256 + 512 + 1024 + 2048),
    ],
)
def test_full_preactivation_lacks_the_norms_of_projections_alone(name, projected):
    """Each block's last norm is the next one's first, the last block's is `post_bn`."""
    assert trainable(network(name)) == TORCHVISION[name] - 2 * projected


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["small", "imagenet", "resnet_d"])
def test_stems(stem):
    model = network("ResNet18", size=32, classes=10, stem=stem)
    side = 32 if stem == "small" else 8
    assert model.get_layer("stage1_block1_add").output.shape == (None, side, side, 64)
    stems = [layer for layer in model.layers if layer.name.startswith("stem_conv")]
    found = [(layer.kernel_size[0], layer.strides[0], layer.filters) for layer in stems]
    assert (
        found
        == {
            "small": [(3, 1, 64)],
            "imagenet": [(7, 2, 64)],
            "resnet_d": [(3, 2, 32), (3, 1, 32), (3, 1, 64)],
        }[stem]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("width", "channels"), [(0.25, 16), (2.0, 128), (0.3, 19), (0.001, 1)])
def test_width_scales_all_channels(width, channels):
    model = network("ResNet18", size=16, classes=3, stem="small", width=width)
    assert model.get_layer("stem_conv").filters == channels
    widths = [model.get_layer(f"stage{stage}_block2_conv2").filters for stage in (1, 2, 3, 4)]
    assert widths == [max(1, round(width * filters)) for filters in (64, 128, 256, 512)]


def test_the_embedded_backbone_keeps_its_layers_and_settings():
    """Its weights were trained with them; the stem is bare, and the first block's identity too."""
    model = pretraining.build()
    assert [layer.name for layer in model.layers[:9]] == [
        "image",
        "stem_conv",
        "stage1_block1_preact_bn",
        "stage1_block1_preact_relu",
        "stage1_block1_conv1",
        "stage1_block1_bn2",
        "stage1_block1_relu2",
        "stage1_block1_conv2",
        "stage1_block1_add",
    ]
    assert parents(model.get_layer("stage1_block1_add"))[0].name == "stem_conv"
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.99, 1e-3)}
    assert len(norms) == 9 and model.layers[-1].name == "post_relu"


# Switches


def test_stochastic_depth_rises_to_the_last_block_and_leaves_out_whole_residuals():
    model = small(TWO, stochastic_depth=0.8, block="original")
    drops = [layer for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert [drop.rate for drop in drops] == pytest.approx([0.16, 0.32, 0.48, 0.64, 0.8])
    for drop in drops:
        (add,) = [layer for layer in model.layers if layer.name == f"{drop.name[:-6]}_add"]
        assert parents(add)[1] is drop, "the last thing before the sum"
    ones = np.ones((4000, 2, 2, 3), np.float32)
    kept = drops[1](ones, training=True).numpy().reshape(4000, -1)
    assert (kept == kept[:, :1]).all(), "all of an image's residual, or nothing"
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.68)}
    assert (kept[:, 0] == 0).mean() == pytest.approx(0.32, abs=0.04)
    np.testing.assert_array_equal(drops[1](ones, training=False), ones)


@pytest.mark.slow
def test_random_states_are_variables_that_can_be_kept_and_put_back():
    images = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)
    given = {"stochastic_depth": 0.5, "dropout": 0.5}
    keras.utils.set_random_seed(4)
    model = small(TWO, **given)
    states = [variable.numpy() for variable in model.variables]
    assert len(states) == len(model.weights) + 6, "five blocks and the dropout"
    first, second = (model(images, training=True).numpy() for _ in range(2))
    assert (first != second).any()
    for variable, state in zip(model.variables, states, strict=True):
        variable.assign(state)
    np.testing.assert_array_equal(model(images, training=True), first)
    keras.utils.set_random_seed(4)
    np.testing.assert_array_equal(small(TWO, **given)(images, training=True), first)


@pytest.mark.slow
@pytest.mark.parametrize("block", VARIANTS)
def test_squeeze_and_excitation_weighs_the_residual(block):
    model = small(BOTTLENECK, block=block, squeeze_excitation=True, stochastic_depth=0.1)
    weigh = model.get_layer("stage1_block2_weigh")
    assert parents(model.get_layer("stage1_block2_depth")) == [weigh]
    residual, gate = parents(weigh)
    last = {"bn": "stage1_block2_last_bn", "relu": "stage1_block2_last_relu"}
    order = blocks.ORDERS[block].last
    assert residual.name == (last[order[-1]] if order else "stage1_block2_conv3")
    assert gate.activation is keras.activations.sigmoid and gate.filters == 16
    assert model.get_layer("stage1_block2_excite1").filters == 4, "a quarter"
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 16)).astype(np.float32)
    path = keras.Model(residual.output, weigh.output)
    channels = images.mean(axis=(1, 2))
    for number, function in ((1, lambda x: np.maximum(x, 0)), (2, lambda x: 1 / (1 + np.exp(-x)))):
        kernel, bias = model.get_layer(f"stage1_block2_excite{number}").get_weights()
        channels = function(channels @ kernel[0, 0] + bias)
    np.testing.assert_allclose(path(images), images * channels[:, None, None], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_first_weights_are_he_normal():
    model = network("ResNet18", size=32, classes=10, stem="small")
    for name, inputs in (("stage4_block2_conv1", 9 * 512), ("stage2_block1_projection", 64)):
        kernel = model.get_layer(name).kernel.numpy()
        assert kernel.mean() == pytest.approx(0, abs=3e-4 if inputs > 64 else 0.01)
        assert kernel.std() == pytest.approx((2 / inputs) ** 0.5, rel=0.03)


@pytest.mark.slow
def test_half_precision_scales_pixels_and_gives_logits_in_full():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small(TWO)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("stage1_block1_conv1").compute_dtype == "float16"
    assert model.get_layer("scaling").compute_dtype == "float32"
    assert model(np.full((1, 16, 16, 3), 255, np.float32)).dtype == "float32"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_network_is_loaded_without_this_package(tmp_path):
    """Only Keras's own layers stand in the graph."""
    model = small(BOTTLENECK, squeeze_excitation=True, stochastic_depth=0.3, dropout=0.2)
    model.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", safe_mode=True)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(images), model(images))


# Learning


def step(
    model: keras.Model, n_images: int = 8, *, is_compiled: bool = False
) -> tuple[float, float]:
    """Take one step of gradient descent; return the loss on the same images before and after.

    Compiling a small network takes three times as long as the step.
    """
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (n_images, *model.input_shape[1:])).astype(np.float32)
    labels = np.arange(n_images) % 4

    def loss():
        logits = model(images, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_mean(losses)

    if is_compiled:
        loss = tf.function(loss, jit_compile=False)
    with tf.GradientTape() as tape:
        before = loss()
    for weight, slope in zip(
        model.trainable_weights, tape.gradient(before, model.trainable_weights), strict=True
    ):
        assert slope is not None and np.isfinite(slope).all(), weight.path
        weight.assign(weight - 0.01 * slope)
    return float(before), float(loss())


def steps() -> dict[str, tuple[float, float]]:
    """Return losses before and after a step: each order of layers and layout, every switch."""
    found = {}
    for layout in (TWO, BOTTLENECK):
        for block in VARIANTS:
            keras.utils.set_random_seed(1)
            found[f"{layout['name']}, {block}"] = step(small(layout, block=block))
    keras.utils.set_random_seed(1)
    found["every switch"] = step(small(BOTTLENECK, squeeze_excitation=True, stem="resnet_d"))
    return found


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_step_lowers_the_loss():
    """In a process without oneDNN, which damages memory where a layer has 4 channels (AMD EPYC)."""
    program = "import json; from tests.engine import test_resnet as t; print(json.dumps(t.steps()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = json.loads(done.stdout.splitlines()[-1])
    assert len(losses) == 2 * len(VARIANTS) + 1
    assert not {name: pair for name, pair in losses.items() if not pair[1] < pair[0]}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_step_at_full_size_lowers_the_loss():
    """The published ResNet34 of full pre-activation blocks, at 224 pixels."""
    keras.utils.set_random_seed(1)
    before, after = step(network("ResNet34"), n_images=2, is_compiled=True)
    assert after < before
