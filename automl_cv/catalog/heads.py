"""The heads that learn from a backbone's features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class HeadEntry(Entry):
    """A head; its target is a function (HeadInput, **parameters) -> Keras model.

    Args:
        parameters: what a study file may set, with defaults.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)


HEADS: Table[HeadEntry] = Table(
    "head",
    [
        HeadEntry(
            name="linear",
            about="one softmax layer on the features",
            target="automl_cv.engine.head:linear",
            parameters={"normalization": False},
        ),
    ],
)
