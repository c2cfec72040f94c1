"""The backbones whose features the heads learn from."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class BackboneEntry(Entry):
    """A backbone, everything that its features depend on."""


BACKBONES: Table[BackboneEntry] = Table(
    "backbone",
    [BackboneEntry(name="compact", about="", target="automl_cv.engine.resnet:compact")],
)
