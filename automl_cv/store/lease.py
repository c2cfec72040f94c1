"""A lease: which process runs a trial, or searches a run; others see whether it still does."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# Where it can't be seen whether a process lives, on another machine above all, one that has
# written no epoch for this long counts as dead.
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

    def to_json(self) -> dict[str, Any]:
        """Return the lease as plain data."""
        return {**asdict(self), "time": self.time.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Lease:
        """Return the lease that `to_json` wrote."""
        return cls(**{**stored, "time": datetime.fromisoformat(stored["time"])})


def process_start(process: int) -> str | None:
    """Return when a process of this machine began; None if it has ended, "" if none can tell.

    On Linux in clock ticks after a named boot, elsewhere as `ps` writes it; Windows has no `ps`.
    """
    if platform.system() == "Linux":
        try:
            # The name, field 2, may hold spaces and brackets; the start is field 22
            # (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
            after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        is_zombie = after_name[0] in ("Z", "X")
        return None if is_zombie else f"{boot} {after_name[19]}"
    if shutil.which("ps") is None:
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None
