"""Checksums of what the database holds: a bit that flipped must not show as another figure.

They are taken of the stored texts. CRC-32 finds every single flipped bit, and every burst of up to
32 bits.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from automl_cv.store.records import (
    HISTORY,
    OPTIMIZER,
    PREDICTIONS,
    STOP_REASON,
    TRIAL,
    WORKER,
    TrialRecord,
)

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


def begun_sums(
    record: TrialRecord, distributions: Mapping[str, BaseDistribution]
) -> dict[str, int]:
    """Return the checksums that are stored with a trial when it begins."""
    read = _as_read(record.parameters, distributions)
    return {"trial": record.trial, "begun": begun_sum(record.trial, read)}


def finished_sums(
    attributes: Mapping[str, Any],
    record: TrialRecord,
    distributions: Mapping[str, BaseDistribution],
    lease: Mapping[str, Any],
) -> dict[str, int]:
    """Return a finished trial's checksums, of the texts that Optuna makes of what it stores.

    Args:
        attributes: that are stored of the record, by key.
        record: the trial.
        distributions: what each of its parameters was drawn from.
        lease: who ran it, as stored.
    """
    texts = {key: json.dumps(value) for key, value in attributes.items()}
    system_texts = {key: json.dumps(value) for key, value in record.system_attributes.items()}
    sums = {
        "trial": record.trial,
        "record": record_sum(texts, _as_read(record.parameters, distributions)),
        "sampler": sampler_sum(system_texts),
        "lease": checksum(json.dumps(lease)),
    }
    said = system_texts.get(PREDICTIONS)
    return sums if said is None else {**sums, "said": checksum(said)}


def _as_read(
    parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """Return parameters as they will be read: a whole number may be of a range of others."""
    return {
        name: distributions[name].to_external_repr(distributions[name].to_internal_repr(value))
        for name, value in parameters.items()
    }
