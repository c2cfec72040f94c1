"""Checksums of what the database holds: a bit that flipped must not show as another figure.

They are taken of the stored texts, before anything is parsed. CRC-32 finds every single flipped
bit and every burst of up to 32 (Koopman 2002, https://doi.org/10.1109/DSN.2002.1028931).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from automl_cv.store.records import HISTORY, OPTIMIZER, PREDICTIONS, STOP_REASON, TRIAL, WORKER

FIGURES = (TRIAL, HISTORY, STOP_REASON, OPTIMIZER, WORKER)
"""Attributes of a finished trial that its record is made of."""

UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    zlib.error,
)
"""What parsing raises on data of any content."""

_SEAL = re.compile(r', "checksum": (\d+)\}$')


class Damaged(ValueError):
    """Stored data is not what was stored."""


def checksum(*texts: str) -> int:
    """Return the CRC-32 of texts, which are told from each other."""
    return zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with a checksum of their own JSON, as the last of them."""
    return {**values, "checksum": checksum(json.dumps(values))}


def opened(text: str) -> Any:
    """Return the values of a stored JSON text; of older ones, without a checksum, as they are.

    Raises:
        Damaged: it is no JSON, or its checksum is not that of the rest.
    """
    try:
        seal = _SEAL.search(text)
        if seal is not None and int(seal[1]) != checksum(text[: seal.start()] + "}"):
            raise Damaged("the checksum is another")
        values = json.loads(text)
    except Damaged:
        raise
    except UNREADABLE as error:
        raise Damaged("no JSON") from error
    if seal is not None:
        del values["checksum"]
    return values


def record_sum(texts: Mapping[str, str], parameters: Mapping[str, Any]) -> int:
    """Return the checksum of a trial's record.

    Args:
        texts: its attributes by key, as JSON.
        parameters: its values by name. Not what they were drawn from, which may be widened.
    """
    return checksum(*(texts.get(key, "") for key in FIGURES), ascii(sorted(parameters.items())))


def begun_sum(slot: object, parameters: Mapping[str, Any]) -> int:
    """Return the checksum of what of a trial does not change while it runs."""
    return checksum(str(slot), ascii(sorted(parameters.items())))


def sampler_sum(texts: Mapping[str, str]) -> int:
    """Return the checksum of what a sampler keeps with a trial, by key, as JSON."""
    return checksum(*(f"{key}\0{texts[key]}" for key in sorted(texts) if key != PREDICTIONS))
