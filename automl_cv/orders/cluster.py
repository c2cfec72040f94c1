"""A crew whose workers stand on the machines of a Dask cluster.

Dask starts and watches its workers, says which are there, and carries calls to them. The crew has
a worker process on each (`remote.py`), and is for the search what a crew of this machine is.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from automl_cv.errors import AutomlError, UserError, installing, naming, warn
from automl_cv.orders.crew import (
    DEATHS_AT_WORK,
    TRIALS_BEFORE_REPLACEMENT,
    Crew,
    OnProgress,
    Worker,
    raise_failure,
)
from automl_cv.orders.messages import (
    Answer,
    Ask,
    Extracting,
    Failed,
    Look,
    Need,
    Prepare,
    Prepared,
    PrepareFeatures,
    SpaceNeeded,
    Survey,
    Train,
)
from automl_cv.orders.post import Terms, refusal, software
from automl_cv.orders.remote import SECONDS_TO_LEAVE, RemoteWorker
from automl_cv.orders.spread import spread

if TYPE_CHECKING:
    from distributed import Client

EXTRA = "cluster"
SECONDS_TO_CONNECT = 10
SECONDS_WITHOUT_WORKERS = 60.0
"""A search whose cluster has no worker for so long ends."""
SECONDS_BETWEEN_LOOKS = 1.0
"""So often a search looks which of Dask's workers are there."""


class ClusterCrew(Crew):
    """The workers of a search on a Dask cluster.

    `workers` are those that are ready. One that has just joined, or whose process died, is made
    ready while the others train; one whose machine is lost is a worker no more.

    Args:
        count: 0 to connect to nothing until somebody is hired.
        address: of the scheduler, `dask://HOST:PORT` or `tcp://HOST:PORT`.
        cache_dir: the cache folder, which all machines share.
        loads: see `Crew`.
        limit: how many workers at most; None for one on each of Dask's that is there or joins.

    Raises:
        UserError: no scheduler answers there, no worker joins it, or none can be used.
    """

    workers: list[RemoteWorker]  # type: ignore[assignment]

    def __init__(
        self,
        count: int,
        address: str,
        *,
        cache_dir: Path,
        loads: Callable[[int], Sequence[str]] | None = None,
        limit: int | None = None,
    ) -> None:
        self.address = address
        self._scheduler = scheduler_address(address)
        self._marker = cache_dir.absolute() / f"cluster-{uuid.uuid4().hex}"
        self._limit = limit
        self._client: Client | None = None
        self._coming: list[RemoteWorker] = []
        self._gone: list[RemoteWorker] = []
        self._hired = 0
        self._refusals: dict[str, str | None] = {}  # of Dask's workers, by address
        self._looked = 0.0
        super().__init__(0, loads=loads)
        try:
            self.hire(count)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        everyone, self.workers, self._coming = [*self.workers, *self._coming], [], []
        for worker in everyone:
            worker.close()
        leaving = [one for worker in (*everyone, *self._gone) for one in worker.leaving]
        futures.wait(leaving, SECONDS_TO_LEAVE)
        if self._client is not None:
            self._client.close()
            self._client = None
        self._marker.unlink(missing_ok=True)

    def hire(self, count: int) -> None:
        """Connect to the cluster, unless that is done, and wait until a worker is there."""
        if self._client is not None or not count:
            return
        with naming(self._marker.parent):
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        self._client = connected(self.address, self._scheduler)
        self._inhabited = time.monotonic()
        self._look()
        while not (self.workers or self._coming):
            refused = next((line for line in self._refusals.values() if line), None)
            if refused is not None:
                raise UserError(f"--cluster {self.address}: {refused}")
            time.sleep(0.1)
            self._look()

    def prepare(self, order: Prepare | Need, on_progress: OnProgress) -> Prepared:
        """Have the workers extract features together, and one put them in order.

        The others open them while it trains already.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: extraction failed, or the cluster has no worker any more.
        """
        if isinstance(order, Prepare) and order.extracts:
            # All must know the images before they divide them.
            self.prepare(replace(order, extracts=False), on_progress)
            order = PrepareFeatures(order.backbone)
        began, extracted = time.monotonic(), 0
        if isinstance(order, PrepareFeatures):
            extracted = spread(self, order, on_progress)
        answer = self.answered(order, on_progress)
        assert isinstance(answer, Prepared), "the only other answer to it"
        if extracted:
            total = answer.extracted + extracted
            answer = replace(answer, extracted=total, seconds=time.monotonic() - began)
        self._orders.append(order)
        self._made.append(answer)
        first, *others = self.workers
        first.n_prepared += 1
        for other in others:
            self._make_ready(other)
        return answer

    def ask(
        self, order: Prepare | Need | Look | Ask | Survey, on_progress: OnProgress | None = None
    ) -> Answer:
        """Have a worker carry out an order while none trains; return what it answers at last.

        Where its process dies or its machine is lost, another one does. It is the first of
        `workers` then.
        """
        deaths = 0
        while True:
            worker = self._anyone()
            worker.send(order)
            answer = self._receive(worker)
            while isinstance(answer, Extracting | SpaceNeeded):
                if on_progress is not None:
                    on_progress(answer)
                answer = self._receive(worker)
            deaths += worker.has_died and not worker.is_lost
            if not worker.has_died or deaths >= DEATHS_AT_WORK:
                return answer

    def answered(self, order: Prepare | Need | Look, on_progress: OnProgress) -> Answer:
        """As `ask`, but raise what a failure stands for."""
        answer = self.ask(order, on_progress)
        if isinstance(answer, Failed):
            self.give_up(answer, *self.workers[:1])
        return answer

    def give_up(self, failed: Failed, worker: RemoteWorker | None = None) -> NoReturn:
        """Raise what a worker's failure stands for; say where it was, if others do not fail."""
        if worker is not None and not worker.has_died:
            failed = replace(failed, reason=f"{worker.address}: {failed.reason}")
        raise_failure(failed)

    def order(self, worker: Worker, order: Ask | Survey | Train) -> None:
        """Send an order to a worker that waits for one."""
        worker.send(order)

    def replace(self, worker: Worker) -> None:
        """End a worker's process, whatever it does, and have another in its place."""
        worker.replace()
        self._make_ready(cast(RemoteWorker, worker))

    @property
    def n_hired(self) -> int:
        """How many workers there are, ready or not."""
        return len(self.workers) + len(self._coming)

    def answers(self, timeout: float | None = None) -> Iterator[tuple[RemoteWorker, Answer]]:
        """Yield what the workers have to say; nothing if none does within `timeout` seconds."""
        self._look()
        heard: dict[Any, RemoteWorker] = {
            worker.connection: worker for worker in (*self.workers, *self._coming)
        }
        for ready in wait([*heard], timeout):
            worker = heard[ready]
            if worker in self._coming:
                self._go_on(worker)
                continue
            yield worker, self._receive(worker)
            if worker.trained >= TRIALS_BEFORE_REPLACEMENT:
                self.replace(worker)

    def _anyone(self) -> RemoteWorker:
        """Return a worker that is ready, as soon as there is one."""
        while not self.workers:
            for _ in self.answers(timeout=SECONDS_BETWEEN_LOOKS):
                pass
        return self.workers[0]

    def _receive(self, worker: RemoteWorker) -> Answer:
        """Return a worker's next answer; one whose process died is made ready anew or gone."""
        lives = worker.n_lives
        answer = worker.receive()
        worker.has_died = worker.is_lost or worker.n_lives > lives
        if worker.is_lost:
            self._remove(worker)
            self._gone.append(worker)
        elif worker.has_died:
            worker.deaths += 1
            self._make_ready(worker)
        return answer

    def _remove(self, worker: RemoteWorker) -> None:
        for ones in (self.workers, self._coming):
            if worker in ones:
                ones.remove(worker)

    def _make_ready(self, worker: RemoteWorker) -> None:
        """Have a worker carry out the next order that it has not, or count it as ready."""
        self._remove(worker)
        worker.is_prepared = worker.n_prepared == len(self._orders)
        if worker.is_prepared:
            self.workers.append(worker)
        else:
            self._coming.append(worker)
            worker.send(self._orders[worker.n_prepared])

    def _go_on(self, worker: RemoteWorker) -> None:
        """Take an answer of a worker that is being made ready."""
        match self._receive(worker):
            case Prepared():
                worker.n_prepared += 1
                worker.deaths = 0
                self._make_ready(worker)
            case Failed() as failed:
                if not worker.has_died or worker.deaths >= DEATHS_AT_WORK:
                    self.give_up(failed, worker)

    def _look(self) -> None:
        """See which of Dask's workers are there, give up those that left, hire on those that came.

        Raises:
            AutomlError: none has been there for too long, or the scheduler is gone.
        """
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        assert self._client is not None
        try:
            there = list(self._client.nthreads())
            self._check([one for one in there if one not in self._refusals])
        except (OSError, TimeoutError, futures.CancelledError) as error:
            raise AutomlError(
                f"--cluster {self.address}: the scheduler does not answer any more; start it "
                "again and run the same command: everything finished is kept"
            ) from error
        good = [one for one in there if self._refusals.get(one, "") is None]
        everyone = [*self.workers, *self._coming]
        for worker in everyone:
            if worker.address not in there:
                worker.lose("the machine of the worker was lost")
        if good:
            self._inhabited = now
            self._hire_on(good, [one for one in everyone if one.address in there])
        elif not any(map(self._refusals.get, there)) and self._is_deserted(now):
            raise AutomlError(
                f"--cluster {self.address}: has had no worker for {SECONDS_WITHOUT_WORKERS:.0f} "
                f"seconds; start some (dask worker {self._scheduler}) and run the same command "
                "again: everything finished is kept"
            )

    def _is_deserted(self, now: float) -> bool:
        return now - self._inhabited > SECONDS_WITHOUT_WORKERS

    def _check(self, addresses: Sequence[str]) -> None:
        """Ask of Dask workers that have just joined whether they can be used; tell if not."""
        if not addresses:
            return
        assert self._client is not None
        terms = Terms(software(), self._marker)
        found = self._client.run(refusal, terms, workers=list(addresses), on_error="return")
        for address, line in found.items():
            if isinstance(line, OSError):
                continue  # it has left already
            if isinstance(line, Exception):
                line = (
                    f"automl-cv can't be loaded there ({type(line).__name__}: {line}); install "
                    "the same one, with its extra cluster, where `dask worker` runs"
                )
            self._refusals[address] = line and f"the worker at {address}: {line}"
            if line and (self.workers or self._coming):
                warn(f"--cluster {self.address}: {self._refusals[address]}; it is left out")

    def _hire_on(self, addresses: Sequence[str], everyone: Sequence[RemoteWorker]) -> None:
        """Have a worker on each of Dask's that has none."""
        held = {worker.address for worker in everyone}
        wanted = min(len(addresses), self._limit or len(addresses))
        for address in [one for one in addresses if one not in held][: wanted - len(everyone)]:
            loads = self._loads(self._hired)
            self._make_ready(RemoteWorker(self._hired, self._client, address, loads=loads))
            self._hired += 1


def scheduler_address(address: str) -> str:
    """Return a scheduler's address as Dask writes it.

    Raises:
        UserError: it is no address.
    """
    found = re.fullmatch(r"(?P<how>dask|tcp|tls|ws|wss)://(?P<where>[^/\s]+:\d+)/?", address)
    if found is None:
        raise UserError(
            f"--cluster {address}: is no address of a Dask scheduler; expected dask://HOST:PORT, "
            "such as dask://10.0.0.1:8786 (`dask scheduler` prints its own)"
        )
    how = "tcp" if found["how"] == "dask" else found["how"]
    return f"{how}://{found['where']}"


def connected(address: str, scheduler: str) -> Client:
    """Return a connection to a cluster.

    Args:
        address: as the user wrote it.
        scheduler: as Dask does.

    Raises:
        UserError: Dask is not installed, or no scheduler answers.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UserError(
            f"--cluster {address}: needs distributed, which is not installed; {installing(EXTRA)}"
        )
    import distributed

    # What Dask says of workers that come and go, the search says itself.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    for name in ("client", "core", "comm"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
    try:
        return distributed.Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, TimeoutError) as error:
        raise UserError(
            f"--cluster {address}: no Dask scheduler answers there within {SECONDS_TO_CONNECT} "
            "seconds; start one (`dask scheduler`), or name the address that it printed"
        ) from error
