"""What of a study decides its results, as plain data: told apart, and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from automl_cv.catalog.engines import TENSORFLOW

# Of a study: words, and what its source said.
SAID = ("about", "name", "claim", "table")


def digest(study: dict[str, Any]) -> str:
    """Return a hash of all that changes results but the images: 16 hexadecimal digits."""
    text = json.dumps(essence(study), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one line for each thing that changes results, of stages that both have."""
    left, right = (essence(study) for study in (old, new))
    common = set(left["stage"]) & set(right["stage"])
    for side in (left, right):
        side["stage"] = {name: side["stage"][name] for name in side["stage"] if name in common}
    before, after = dict(_flat(left)), dict(_flat(right))
    lines = []
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key, "(absent)"), after.get(key, "(absent)")
        if was != now:
            lines.append(f"{key.replace('.parameters', '')}: {was} -> {now}")
    return lines


def essence(study: dict[str, Any]) -> dict[str, Any]:
    """Leave out what does not change the result of a trial; key stages by name.

    The place of the images and how they are read are left out too: a moved folder holds the same
    ones, and their fingerprint is compared on its own. An engine counts where it is not
    TensorFlow, which made all features when studies had none.
    """
    kept = {key: value for key, value in study.items() if key not in SAID}
    if "backbone" in study:
        own = study["backbone"].items()
        kept["backbone"] = {key: one for key, one in own if (key, one) != ("engine", TENSORFLOW)}
    kept["data"] = {"split": study["data"]["split"]}
    kept["stage"] = {
        stage["name"]: {
            key: value for key, value in stage.items() if key not in ("about", "name", "trials")
        }
        for stage in study["stage"]
    }
    return kept


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value
