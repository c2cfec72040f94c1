"""Worker processes that need not load TensorFlow: forks of one that has loaded it.

A worker loads TensorFlow in five seconds of processor time, and tests start many. Whatever starts
one in a test's own process gets a child of `forking.py` instead, which has the descriptors,
environment and folder that a process of its own would have, and runs the same `main`. Workers of
commands that are processes (`conftest.run`) start as users' do.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pytest

from automl_cv.orders import crew
from tests import forking


class Forked:
    """A forked worker, with what `crew.Worker` needs of `subprocess.Popen`.

    Args:
        pid: its process.
        ending: a descriptor, from which its status can be read once it has ended.
    """

    def __init__(self, pid: int, ending: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def wait(self) -> int:
        """Wait for its end; return the exit code, or what is below 0 for a signal."""
        if self.returncode is None:
            (status,) = struct.unpack("i", os.read(self._ending, 4))
            os.close(self._ending)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Origin:
    """The process that forks, as tests see it; it starts with the first worker."""

    DEVNULL = subprocess.DEVNULL

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def Popen(  # noqa: N802  stands in for subprocess.Popen
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: BinaryIO,
        stderr: BinaryIO,
        pass_fds: tuple[int],
        env: dict[str, str],
    ) -> Forked | subprocess.Popen[bytes]:
        """Start a worker, as `crew.Worker` asks `subprocess.Popen` to."""
        assert command[1:4] == ["-P", "-m", "automl_cv.worker.process"]
        assert stdin == subprocess.DEVNULL and stdout is stderr
        if self._socket is None:
            self._socket = self._start()
        if not self._would_load_the_same():
            return subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, env=env
            )
        ours, theirs = os.pipe()
        order = pickle.dumps((env, os.getcwd()))
        socket.send_fds(self._socket, [order], [*pass_fds, stdout.fileno(), theirs])
        os.close(theirs)
        return Forked(*struct.unpack("i", self._socket.recv(4)), ours)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._before = forking.read_when_loaded()
        self._process = subprocess.Popen(
            [sys.executable, "-P", forking.__file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        self._after: dict[str, str] | None = pickle.loads(ours.recv(forking.LONGEST))
        return ours

    def _would_load_the_same(self) -> bool:
        """Tell whether libraries would find the variables that the forking process gave them."""
        now = forking.read_when_loaded()
        if self._after is None or self._before.keys() - now.keys():
            return False
        return {**self._after, **now} == self._after

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._process.wait()


@contextlib.contextmanager
def workers_as_forks() -> Iterator[None]:
    """Fork every worker that this process starts in a with block."""
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(Origin()) as origin:
        if sys.platform == "linux":
            patch.setattr(crew, "subprocess", origin)
        yield
