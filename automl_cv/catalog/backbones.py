"""The backbones whose features the heads learn from.

The table can be read without TensorFlow: `doctor`, `cache` and the check of a
study file ask it what a backbone needs before anything heavy is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl_cv.registry import Entry, Table

EMBEDDED_FOLDER = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that belong to a backbone: where they are, and how to know them again.

    Args:
        file_name: name of the weights file.
        about: what they were trained on.
        licence: SPDX identifier of their licence.
        url: where Keras publishes the file; empty for a file that comes with automl-cv.
        md5: hash that Keras publishes with the address; empty like `url`.
    """

    file_name: str
    about: str
    licence: str
    url: str = ""
    md5: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the file comes with automl-cv, so that nothing is downloaded."""
        return not self.url

    @property
    def path(self) -> Path:
        """Where the file is, or where Keras puts it once it is downloaded."""
        folder = EMBEDDED_FOLDER if self.embedded else keras_models_folder()
        return folder / self.file_name


@dataclass(frozen=True, kw_only=True)
class BackboneEntry(Entry):
    """A backbone, everything that its features depend on.

    The target is a function (**arguments) -> headless Keras model with one image input
    of any height and width.

    Args:
        image_size: height and width in pixels that images are resized to by default.
        preprocessing: what it does to pixels of 0 to 255 first, an entry of
            `catalog.preprocessing`.
        block_outputs: regular expression that matches the whole names of the layers whose
            outputs are the rectified outputs of the residual blocks; the last of them is
            the network's own output.
        weights: what the backbone was trained to; a study file may name another file.
        arguments: passed to the target.
    """

    image_size: int
    preprocessing: str
    block_outputs: str
    weights: Weights
    arguments: Mapping[str, Any] = field(default_factory=dict)


def keras_models_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights; KERAS_HOME moves it."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


# Blocks of ResNet V1 end in a ReLU of their own. Those of V2 and of `compact` end in a bare
# sum, which the next block's first BatchNorm and ReLU (after the last block: `post_relu`)
# normalise; these stand in for the block's output, and the first block's have no block before.
_V1_BLOCKS = r"conv\d_block\d+_out"
_V2_BLOCKS = r"(?!conv2_block1_)conv\d_block\d+_preact_relu|post_relu"
_COMPACT_BLOCKS = r"(?!stage1_block1_)stage\d_block\d+_preact_relu|post_relu"

_KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


def _imagenet_resnet(
    name: str, about: str, preprocessing: str, block_outputs: str, md5: str
) -> BackboneEntry:
    """Return the entry of a ResNet of keras/src/applications/resnet.py, as `md5` is."""
    file_name = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return BackboneEntry(
        name=name,
        about=about,
        target=f"keras.applications:{name}",
        arguments={"include_top": False, "weights": None},
        image_size=224,
        preprocessing=preprocessing,
        block_outputs=block_outputs,
        weights=Weights(
            file_name=file_name,
            about="ImageNet, 1.28 million photographs of 1,000 classes (Deng et al. 2009)",
            licence="Apache-2.0",
            url=_KERAS_WEIGHTS + file_name,
            md5=md5,
        ),
    )


BACKBONES: Table[BackboneEntry] = Table(
    "backbone",
    [
        BackboneEntry(
            name="compact",
            about="small ResNet that comes with automl-cv, for pictures of about 32 pixels",
            target="automl_cv.engine.pretraining:build",
            image_size=32,
            preprocessing="tf",
            block_outputs=_COMPACT_BLOCKS,
            weights=Weights(
                file_name="compact.weights.h5",
                about="Fashion-MNIST, 60,000 pictures of 10 kinds of clothes (Xiao et al. 2017)",
                licence="MIT",
            ),
        ),
        _imagenet_resnet(
            "ResNet50",
            "50 layers, 16 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        _imagenet_resnet(
            "ResNet101",
            "101 layers, 33 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            "88cf7a10940856eca736dc7b7e228a21",
        ),
        _imagenet_resnet(
            "ResNet152",
            "152 layers, 50 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            "ee4c566cf9a93f14d82f913c2dc6dd0c",
        ),
        _imagenet_resnet(
            "ResNet50V2",
            "50 layers, 16 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            "fac2f116257151a9d068a22e544a4917",
        ),
        _imagenet_resnet(
            "ResNet101V2",
            "101 layers, 33 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            "c0ed64b8031c3730f411d2eb4eea35b5",
        ),
        _imagenet_resnet(
            "ResNet152V2",
            "152 layers, 50 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            "ed17cf2e0169df9d443503ef94b23b33",
        ),
    ],
)
