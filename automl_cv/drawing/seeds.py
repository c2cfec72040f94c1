"""The seeds of a study's random numbers: a function of what they are for, and of nothing else."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, stage: str, trial: int | None, purpose: str) -> int:
    """Return a seed below 2**31 that depends on its arguments and nothing else.

    Args:
        seed: the study's seed.
        stage: name of the stage.
        trial: number of the trial; None for a seed that all trials of the stage share.
        purpose: keeps the streams of one trial apart: "parameters", "training".
    """
    text = f"{seed}/{stage}/{trial}/{purpose}"
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
