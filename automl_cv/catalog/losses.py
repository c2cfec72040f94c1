"""The losses that training minimises. Validation loss is cross-entropy whatever they are."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class LossEntry(SettableEntry):
    """A loss; its target is a function (**parameters) -> `engine.losses.Loss`."""


CROSS_ENTROPY = "cross_entropy"

LOSSES: Table[LossEntry] = Table(
    "loss",
    [
        LossEntry(
            name=CROSS_ENTROPY,
            about="minus the logarithm of the right class's probability",
            target="automl_cv.engine.losses:cross_entropy",
        ),
        LossEntry(
            name="focal",
            about="cross-entropy times (1 - probability) ** gamma (Lin et al. 2017)",
            target="automl_cv.engine.losses:focal",
            # 2 worked best in the paper (section 4.1), whose experiments go up to 5.
            parameters={"gamma": Setting(2.0, lowest=0)},
        ),
    ],
)
