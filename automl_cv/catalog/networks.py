"""The networks that can be trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.catalog.heads import REGULARISATION
from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(SettableEntry):
    """A network.

    Its target is a function (input_shape, classes, **parameters) -> Keras model, from float32
    pixels in [0, 255], shape (batch, *input_shape), to one logit a class. Parameters of
    REGULARISATION are left to the training loop, the target does not get them.
    """


_FRACTION = Setting(0.0, lowest=0, highest=1, open_ends=(False, True))

_RESNET = {
    "block": Setting(
        "full_preactivation",
        choices=(
            "original",
            "bn_after_addition",
            "relu_before_addition",
            "relu_only_preactivation",
            "full_preactivation",
        ),
    ),
    "stem": Setting("imagenet", choices=("imagenet", "small", "resnet_d")),
    "width": Setting(1.0, lowest=0, highest=64, open_ends=(True, False)),
    "stochastic_depth": _FRACTION,
    "squeeze_excitation": Setting(False),
    "dropout": _FRACTION,
    **REGULARISATION,
}


def _resnet(depth: int, about: str, source: str = "He et al. 2015") -> NetworkEntry:
    return NetworkEntry(
        name=f"ResNet{depth}",
        about=f"{depth} layers, {about} ({source})",
        target=f"automl_cv.engine.resnet:resnet{depth}",
        parameters=_RESNET,
    )


NETWORKS: Table[NetworkEntry] = Table(
    "network",
    [
        _resnet(10, "4 blocks of two", "Simon et al. 2016"),
        _resnet(18, "8 blocks of two"),
        _resnet(34, "16 blocks of two"),
        _resnet(50, "16 bottlenecks"),
        _resnet(101, "33 bottlenecks"),
        _resnet(152, "50 bottlenecks"),
    ],
)
