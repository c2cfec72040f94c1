"""What a stage that trains again takes from the stages it names, before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl_cv.catalog.kinds import KINDS
from automl_cv.errors import suggest

# What a stage that retrains takes from the first stage it names, unless it sets its own.
INHERITED = (
    "epochs",
    "pruner",
    "head",
    "schedule",
    "loss",
    "class_weight",
    "augmentation",
    "views",
    "precision",
    "kind",
    "exact",
)


def inherit(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give stages that retrain what they take from the first stage they name."""
    stages = raw.get("stage")
    if not isinstance(stages, list | tuple):
        return raw
    completed: list[Any] = []
    for stage in stages:
        again = stage.get("retrain") if isinstance(stage, Mapping) else None
        if isinstance(again, Mapping):
            named = again.get("stages")
            listed = named if isinstance(named, list | tuple) else [named]
            first = listed[0] if listed and isinstance(listed[0], str) else None
            above = {
                one["name"]: one
                for one in completed
                if isinstance(one, Mapping) and isinstance(one.get("name"), str)
            }
            if first is not None and first not in above:
                raise ValueError(
                    f"stage.{stage.get('name')}.retrain.stages: no stage {first!r} stands above "
                    f"it: {suggest(str(first), map(str, above))}"
                )
            source = above[first] if first is not None else {}
            taken = {key: source[key] for key in INHERITED if key in source}
            if "network" in stage:
                taken.pop("head", None)  # it has none
            if any(entry.key in stage for entry in KINDS if entry.key):
                for said in ("kind", "exact"):  # such a key says another
                    taken.pop(said, None)
            repeats = again.get("folds") or again.get("repeats", 1)
            top = again.get("top", 1)
            if isinstance(top, int) and isinstance(repeats, int):
                taken["trials"] = top * repeats
            again = {"drawn_augmentation": "augmentation" not in stage, **again}
            stage = {**taken, **stage, "retrain": again}
        completed.append(stage)
    return {**raw, "stage": completed}
