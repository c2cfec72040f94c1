"""A worker process on a machine of a Dask cluster, as the crew speaks to it.

A `Post` stands there and holds the process. Here it has the end of a pipe, on which its answers
come as those of a process of this machine do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent import futures
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from automl_cv.orders.crew import Worker
from automl_cv.orders.messages import Order, Verdict
from automl_cv.orders.post import SECONDS_OF_LISTENING, Post

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_LEAVE = 5.0
SECONDS_OF_SILENCE = 60.0
"""A call that takes so much longer than it should is never answered: Dask forgot the post."""


class _Relay:
    """Carries what a post and the crew say, in the thread of Dask's client.

    Args:
        client: connected to the cluster.
        address: of the Dask worker where the post shall stand.
        given: what the post is made with.
        pipe: answers are written to it; closed once the post is gone.
    """

    def __init__(
        self, client: Client, address: str, given: tuple[int, Sequence[str]], pipe: Connection
    ) -> None:
        self.reason = "it was sent away"
        self.is_lost = False
        self._pipe = pipe
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._stands = asyncio.Event()
        self._future = client.submit(
            Post, *given, actor=True, workers=[address], allow_other_workers=False, pure=False
        )
        self._listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)

    def send(self, message: bytes) -> None:
        """Send once the post stands; where it is gone, that shows when it is listened to."""
        asyncio.run_coroutine_threadsafe(self._send(message), self._loop)

    def lose(self, reason: str) -> None:
        """Give the post up: its machine is gone."""
        self.reason, self.is_lost = reason, True
        self._listening.cancel()

    def kill(self) -> None:
        """End the process; whoever listens hears of it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)

    def leave(self) -> futures.Future[None]:
        """End the process and the post."""
        self._listening.cancel()
        return asyncio.run_coroutine_threadsafe(self._leave(), self._loop)

    async def _listen(self) -> None:
        try:
            self._post: Any = await self._future
            self._stands.set()
            await self._hear()
        except Exception as error:
            self._fail(error)
        finally:
            self._pipe.close()

    async def _hear(self) -> None:
        while True:
            async with asyncio.timeout(SECONDS_OF_LISTENING + SECONDS_OF_SILENCE):
                said, end = await self._post.answers()
            for answer in said:
                await asyncio.to_thread(self._pipe.send_bytes, answer)
            if end is not None:
                self.reason = end
                return

    async def _send(self, message: bytes) -> None:
        await self._stands.wait()
        try:
            await self._post.send(message)
        except Exception as error:
            self._fail(error)
            self._listening.cancel()

    def _fail(self, error: Exception) -> None:
        """Take note of what a call ended with: Dask says in several ways that a worker is gone.

        Where the post did not stand yet, whether its machine is, is for the crew to see.
        """
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        if self._stands.is_set():
            self.reason, self.is_lost = f"the machine of the worker was lost ({said})", True
        else:
            self.reason = f"the worker process could not be started ({said})"

    async def _leave(self) -> None:
        await self._end()
        self._future.release()

    async def _end(self) -> None:
        with contextlib.suppress(Exception):  # whatever it is, the post is gone with the future
            if self._stands.is_set():
                async with asyncio.timeout(SECONDS_TO_LEAVE):
                    await self._post.end()


class RemoteWorker(Worker):
    """A worker process on a Dask worker; it carries out one order at a time.

    Args:
        number: tells workers apart, from 0.
        client: connected to the cluster.
        address: of the Dask worker.
        loads: see `Worker`.
    """

    def __init__(
        self, number: int, client: Client, address: str, *, loads: Sequence[str] = ()
    ) -> None:
        self.address = address
        self.n_lives = 0
        """How many processes it had."""
        self.has_died = False
        """Whether its last answer was the end of one."""
        self.deaths = 0
        """How many of them died one after the other before they were ready."""
        self.leaving: list[futures.Future[None]] = []
        self._client = client
        super().__init__(number, loads=loads)

    def _start(self) -> None:
        self.is_prepared = False
        self.trained = self.n_prepared = 0
        if self.is_lost:
            return
        self.n_lives += 1
        self.connection, theirs = Pipe(duplex=False)
        given = (self.number, self._loads)
        self._relay = _Relay(self._client, self.address, given, theirs)

    def send(self, message: Order | Verdict) -> None:
        """Send an order, or the answer to an epoch; a dead worker shows when it is read."""
        self._relay.send(bytes(ForkingPickler.dumps(message)))

    def lose(self, reason: str) -> None:
        """Give it up: its machine is gone."""
        self._relay.lose(reason)

    def epitaph(self) -> str:
        """Say how it ended."""
        self.is_lost = self._relay.is_lost
        return f"{self._relay.reason}, on {self.address}"

    def kill(self) -> None:
        """End the process; its end shows when it is read."""
        self._relay.kill()

    def close(self) -> None:
        """Hang up and end the process."""
        self.connection.close()
        self.leaving.append(self._relay.leave())
