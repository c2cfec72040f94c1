"""What stands on a machine of a cluster: a worker process, and what must be so there.

Dask brings all of this to its workers. None of it imports Dask.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import automl_cv
from automl_cv.orders.crew import Worker

SECONDS_OF_LISTENING = 5.0
"""Whoever asks what a process says waits so long; who asks no more is noticed after that."""

PACKAGES = ("numpy", "scipy", "pillow", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu")
"""They decide numbers; of each the same version must be there, or none at both ends."""


class Post:
    """A worker process on the machine where this was made, and what is said to and by it.

    A Dask actor: the conductor calls its methods over the network. Orders and answers pass as
    bytes, so that nothing between the two ends needs to know them. Where nobody holds the actor
    any more, because the conductor was killed, the process ends with it.

    Args:
        number: see `Worker`.
        loads: see `Worker`.
    """

    def __init__(self, number: int, loads: Sequence[str]) -> None:
        self._worker = Worker(number, loads=loads)

    def send(self, message: bytes) -> None:
        """Hand on an order, or the answer to an epoch."""
        # A dead one shows when it is listened to.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._worker.connection.send_bytes(message)

    async def answers(self) -> tuple[list[bytes], str | None]:
        """Wait for what the process says, up to `SECONDS_OF_LISTENING`.

        Returns:
            Its answers, in their order; and how it ended, None while it lives.
        """
        connection, said = self._worker.connection, list[bytes]()
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(connection.fileno(), ready.set)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ready.wait(), SECONDS_OF_LISTENING)
        finally:
            loop.remove_reader(connection.fileno())
        try:
            while connection.poll():
                said.append(connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            return said, self._worker.epitaph()
        return said, None

    def end(self) -> None:
        """End the process; whoever listens hears of it."""
        self._worker.kill()

    def __del__(self) -> None:
        if hasattr(self, "_worker"):
            self._worker.close()


@dataclass(frozen=True)
class Terms:
    """What must be so where a worker process is to stand.

    Args:
        software: versions, by name.
        marker: a file that the conductor has put into its cache folder.
    """

    software: Mapping[str, str | None]
    marker: Path


def refusal(terms: Terms) -> str | None:
    """Return in a line why no worker process can stand on this machine; None if one can."""
    own = software()
    for name, version in terms.software.items():
        if own.get(name) != version:
            here, there = version or "none", own.get(name) or "none"
            return (
                f"{name} is another one there ({there}, here {here}); install the same automl-cv "
                "and the same packages (-c .ci/constraints.txt) on all machines"
            )
    folder = terms.marker.parent
    if not terms.marker.is_file():
        return (
            f"the cache folder {folder} of this machine is not there; name a folder that all "
            "machines share, with --cache-dir or AUTOML_CV_CACHE_DIR"
        )
    if not os.access(folder, os.W_OK):
        return f"the cache folder {folder} can't be written there; change its permissions"
    return None


@functools.cache
def software() -> dict[str, str | None]:
    """Return the versions of what decides numbers, without loading any of it."""
    return {
        "automl-cv": f"{automl_cv.__version__}, code {_code()}",
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: _installed(name) for name in PACKAGES},
    }


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _code() -> str:
    """Return a short digest of automl-cv's code: clones of one version may differ."""
    folder, digest = Path(automl_cv.__file__).parent, hashlib.blake2b(digest_size=4)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()
