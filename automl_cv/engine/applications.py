"""Networks of keras.applications that take more than their own function.

`convnext` and `load_efficientnet` follow keras/src/applications/convnext.py and efficientnet.py of
Keras 3.12 to 3.15.
"""

from __future__ import annotations

from pathlib import Path

import keras

# IMAGENET_STDDEV_RGB of keras/src/applications/efficientnet.py.
EFFICIENTNET_DEVIATIONS = (0.229, 0.224, 0.225)


def convnext(name: str) -> keras.Model:
    """Return a headless ConvNeXt with random weights and an output for each stage.

    Its blocks end in sums that are no layers and have no names: a stage's end is what the
    reduction behind it reads.

    Args:
        name: of the function in keras.applications.
    """
    return with_stages(getattr(keras.applications, name)(include_top=False, weights=None))


def with_stages(network: keras.Model) -> keras.Model:
    """Return a ConvNeXt with the ends of its first stages as outputs before its own."""
    reductions = [layer for layer in network.layers if "_downsampling_block_" in layer.name]
    ends = [layer.input for layer in reductions]
    return keras.Model(network.input, [*ends, network.output], name=network.name)


def load_efficientnet(network: keras.Model, path: Path) -> None:
    """Put the weights that Keras publishes into an EfficientNet of V1.

    The file's Normalization holds standard deviations for variances. Keras mends that with a
    layer behind it, which divides by their square root; only `weights="imagenet"` adds it.
    Here the variances are mended: no layer more, and the same numbers.
    """
    network.load_weights(path)
    (normalization,) = (
        layer for layer in network.layers if isinstance(layer, keras.layers.Normalization)
    )
    mean, variance, count = normalization.get_weights()
    normalization.set_weights([mean, variance * EFFICIENTNET_DEVIATIONS, count])
    normalization.finalize_state()
