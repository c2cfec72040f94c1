"""Where a stage's trials come from: a search, a search of a narrowed space, trials before it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class OriginEntry(Entry):
    """An origin; its target is a module that has these functions (`drawing.origins.Origin`).

    `derived_space(stage, run, begun)`: what is searched now in place of the space that the stage
        declares, as `Narrowed`; None where that space itself is, or none. `begun` is the
        stage's own part of the storage, None where it was not begun. AutomlError where there is
        nothing to derive it from.
    `memory_of(stage, run, trials)`: what draws the trials of the stage, a `StageMemory`. `stage`
        has the space that is searched, `trials` is its own part of the storage, in which it
        stores what it decides on. AutomlError where there is nothing to train.
    `wanted(stage, facts)`: which trials a stage that was begun wants as its facts stand, a
        `Wanted`. Looks into no storage.
    `is_current(stage, run, facts)`: whether what its facts say is still so, since the stages above
        may have gone on. AutomlError where there is nothing to train.
    `notes(stage)`: lines that a reader of its results should know. `stage` has the space that is
        searched.

    `members(stage, run, parameters)`: what a trial of these parameters combines, as `Member`s;
        none where it is a training of its own.

    Throughout, `run` is the `StoredRun` that the stage belongs to, `facts` its `StageFacts`.

    Args:
        key: the key of a stage that says it; empty for a stage that has none of these keys.
    """

    key: str = ""

    def load(self) -> ModuleType:
        """Import and return the module that the target names."""
        return importlib.import_module(self.target)


ORIGINS: Table[OriginEntry] = Table(
    "origin",
    [
        OriginEntry(
            name="searched",
            about="drawn by a sampler from the space that the stage declares",
            target="automl_cv.drawing.searched",
        ),
        OriginEntry(
            name="narrowed",
            about="drawn by a sampler from a space derived from the best trials of another stage",
            target="automl_cv.drawing.narrowed",
            key="narrow_from",
        ),
        OriginEntry(
            name="retrained",
            about="the best trials of other stages, over several seeds or folds",
            target="automl_cv.drawing.retrained",
            key="retrain",
        ),
        OriginEntry(
            name="combined",
            about="the best unlike trials of other stages, combined as they are",
            target="automl_cv.drawing.combined",
            key="combine",
        ),
    ],
)
