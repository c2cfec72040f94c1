"""The heads that learn from a backbone's features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class HeadEntry(SettableEntry):
    """A head; its target is a function (HeadInput, **parameters) -> Keras model.

    Parameters of REGULARISATION are left to the training loop, the target does not get them.

    Args:
        one_layer: parameters with which it is one dense layer and nothing else, on features that
            are standardised where `normalization` says so; None for never.
    """

    one_layer: Mapping[str, Any] | None = None

    def is_one_layer(self, parameters: Mapping[str, Any]) -> bool:
        """Tell whether it is one dense layer with these parameters, a value for each."""
        wanted = self.one_layer
        return wanted is not None and wanted.items() <= parameters.items()


# What training does to any head, whatever its layers.
REGULARISATION = {
    "label_smoothing": Setting(0.0, lowest=0, highest=1, open_ends=(False, True)),
    "weight_decay": Setting(0.0, lowest=0),
}


def shape_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those parameters of a head or network that its target gets."""
    return {name: value for name, value in parameters.items() if name not in REGULARISATION}


_NORMALIZATION = {"normalization": Setting(False)}

HEADS: Table[HeadEntry] = Table(
    "head",
    [
        HeadEntry(
            name="linear",
            about="one softmax layer on the features",
            target="automl_cv.engine.head:linear",
            parameters={**_NORMALIZATION, **REGULARISATION},
            one_layer={},
        ),
        HeadEntry(
            name="mlp",
            about="hidden layers with dropout between the features and the softmax layer",
            target="automl_cv.engine.head:mlp",
            parameters={
                "hidden_layers": Setting(1, lowest=0),
                "width": Setting(256, lowest=1, highest=65_536),
                "activation": Setting("relu", choices=("relu", "gelu", "silu", "tanh")),
                "dropout": Setting(0.0, lowest=0, highest=1, open_ends=(False, True)),
                **_NORMALIZATION,
                **REGULARISATION,
            },
            one_layer={"hidden_layers": 0},
        ),
    ],
)
