"""A lease: which process runs a trial; others see whether it still does.

Who searches a run has a claim (`store.claims`), which says it better. A lease alone tells of trials
that no claim stands behind, and of claims of an older automl-cv.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import getnode, uuid4

# Where only a lease tells, and it can't be seen whether its process lives, on another machine
# above all, one that has written no epoch for this long counts as dead.
FOREIGN_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Lease:
    """A process that holds a trial or a run.

    Args:
        host: name of the machine.
        process: its process number.
        process_started: when the process began, as the system counts it: a number that was
            given to another process since shows by it. Empty where the system doesn't tell.
        time: when the lease was written, UTC.
    """

    host: str
    process: int
    process_started: str
    time: datetime

    @classmethod
    def of_this_process(cls) -> Lease:
        """Return a lease of the calling process, written now."""
        process = os.getpid()
        return cls(platform.node(), process, process_start(process) or "", datetime.now(UTC))

    def renewed(self) -> Lease:
        """Return the same lease, written now."""
        return replace(self, time=datetime.now(UTC))

    @property
    def is_alive(self) -> bool:
        """Whether the process that holds the lease can still be at work."""
        started = process_start(self.process) if self.host == platform.node() else ""
        if started == "":
            return datetime.now(UTC) - self.time < FOREIGN_PATIENCE
        return started == self.process_started

    @property
    def is_of_another(self) -> bool:
        """Whether another process, one that is alive, holds the lease."""
        return (self.host, self.process) != (platform.node(), os.getpid()) and self.is_alive

    def is_same_process(self, other: Lease) -> bool:
        """Tell whether both were written by one process, whenever that was."""
        return replace(self, time=other.time) == other

    def to_json(self) -> dict[str, Any]:
        """Return the lease as plain data."""
        return {**asdict(self), "time": self.time.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Lease:
        """Return the lease that `to_json` wrote."""
        return cls(**{**stored, "time": datetime.fromisoformat(stored["time"])})


@cache
def place() -> str:
    """Return what processes that see each other's numbers have in common, and no others.

    A host name is no such thing: two containers, or two machines of one image, have the same.
    On Linux it is a boot and its namespace of process numbers
    (https://man7.org/linux/man-pages/man7/pid_namespaces.7.html), elsewhere the name and the
    address of a network card; where there is none, this process has a place of its own.
    """
    if platform.system() == "Linux":
        try:
            return f"{_boot()} {os.readlink('/proc/self/ns/pid')}"
        except OSError:
            return uuid4().hex
    return f"{platform.node()} {getnode():x}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def process_start(process: int) -> str | None:
    """Return when a process of this machine began; None if it has ended, "" if none can tell.

    On Linux in clock ticks after a named boot, elsewhere as `ps` writes it; Windows has no `ps`.
    """
    if platform.system() == "Linux":
        try:
            # The name, field 2, may hold spaces and brackets; the start is field 22
            # (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
            after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            boot = _boot()
        except OSError:
            return None
        is_zombie = after_name[0] in ("Z", "X")
        return None if is_zombie else f"{boot} {after_name[19]}"
    if shutil.which("ps") is None:
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None
