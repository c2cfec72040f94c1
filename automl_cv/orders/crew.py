"""The worker processes of a search: started, spoken to, replaced when they die.

A process of its own for TensorFlow keeps the memory of a long search bounded, turns
a crash into one failed trial, and lets `automl-cv` show its progress undisturbed. The
search itself stays the only one that writes the storage.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import IO, Any, NoReturn

from automl_cv.errors import AutomlError, UserError
from automl_cv.orders.messages import (
    Answer,
    Ask,
    Extracting,
    Failed,
    Load,
    Need,
    Needed,
    Order,
    Prepare,
    Prepared,
    PrepareFeatures,
    SpaceNeeded,
    Survey,
    Train,
    Verdict,
)
from automl_cv.study.trial import Inputs

ENGINE = "automl_cv.engine"
"""The room that loads TensorFlow, by its name: this process never does."""

OnProgress = Callable[[Extracting | SpaceNeeded], None]
"""Is told how far a preparation is, and before a large one what it takes of the disk."""

SOLVING = "automl_cv.worker.exact_heads"
"""What nearly every search needs and loads longest beside that, for the reference at least."""

# A worker is replaced after so many trials: TensorFlow never gives all its memory back.
TRIALS_BEFORE_REPLACEMENT = 400
# A process that dies so often before it is ready does so for a reason that stays.
DEATHS_AT_WORK = 3
# A trial that trains a network counts as so many: with the last blocks of `compact` it leaves
# 10 MB behind.
TRIALS_OF_A_LONG_ONE = 20


# Set for the process that a user works in (a notebook's plots, an interactive Python), and of harm
# to one that only trains: Jupyter's MPLBACKEND names a module that workers can't import.
FOREIGN = ("MPLBACKEND", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONWARNINGS")


def environment(temporary: str) -> dict[str, str]:
    """Return the environment of a worker: this process's, without what is foreign to training.

    Args:
        temporary: folder for temporary files, see `TEMPORARY`.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    own = {"KERAS_BACKEND": "tensorflow", "PYTHONUTF8": "1", "TMPDIR": temporary}
    return {**kept, **own}


TEMPORARY = "automl-cv-worker-"
"""Begins the name of the folder of a worker's temporary files, which goes with it: TensorFlow
writes the code that it compiles there, and removes it only where its process ends by itself."""


@dataclass(frozen=True)
class _Started:
    """A worker process, with what goes when it goes."""

    popen: subprocess.Popen[bytes]
    connection: Connection
    log: IO[bytes]
    temporary: tempfile.TemporaryDirectory[str]

    @classmethod
    def process(cls, loads: Sequence[str]) -> _Started:
        """Start one that loads modules at once."""
        temporary = tempfile.TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True)
        log = tempfile.TemporaryFile(prefix=TEMPORARY)
        ours, theirs = Pipe()
        # -P: a random.py in the user's folder must not shadow the library's.
        command = [sys.executable, "-P", "-m", "automl_cv.worker.process", str(theirs.fileno())]
        popen = subprocess.Popen(
            [*command, *loads],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(),),
            env=environment(temporary.name),
        )
        theirs.close()
        return cls(popen, ours, log, temporary)

    def end(self) -> None:
        """Hang up and end it."""
        self.connection.close()
        self.popen.kill()
        self.popen.wait()
        self.log.close()
        self.temporary.cleanup()


_reserve: list[_Started] = []


@contextlib.contextmanager
def one_in_reserve(loads: Sequence[str]) -> Iterator[None]:
    """Have a worker process load what workers need, while this one loads what a search needs.

    The first worker that is started in the block takes it. What this process loads before it
    knows its first worker takes half a second of the processor, and so does what is loaded there.

    Args:
        loads: modules, as far as they are known.
    """
    _reserve.append(_Started.process(loads))
    try:
        yield
    finally:
        while _reserve:
            _reserve.pop().end()


class Worker:
    """One process that carries out one order at a time.

    Args:
        number: tells workers apart in messages, from 0.
        loads: modules that it loads at once, and not when something needs them.
    """

    is_lost = False
    """Whether the machine that it was on is gone, which says nothing of the trial."""

    def __init__(self, number: int, *, loads: Sequence[str] = (ENGINE,)) -> None:
        self.number = number
        self._loads = loads
        self._start()

    def _start(self) -> None:
        self.is_prepared = False
        self.trained = 0
        if _reserve:
            self._own = _reserve.pop()
            with contextlib.suppress(BrokenPipeError):  # a dead one shows when it is read
                self._own.connection.send(Load(tuple(self._loads)))
        else:
            self._own = _Started.process(self._loads)
        self._process, self.connection = self._own.popen, self._own.connection

    def send(self, message: Order | Verdict) -> None:
        """Send an order, or the answer to an epoch; a dead worker shows when it is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def receive(self) -> Answer:
        """Return the next answer; a worker that died answers `Failed` and is replaced."""
        try:
            answer: Answer = self.connection.recv()
            return answer
        except (EOFError, ConnectionResetError):
            reason = self.epitaph()
            self.close()
            self._start()
            return Failed(reason, 1, traceback=reason, is_dead=True, is_lost=self.is_lost)

    def epitaph(self) -> str:
        """Say how the process ended, with the last line it printed."""
        status = self._process.wait()
        self._own.log.seek(0)
        lines = self._own.log.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][:200]}" if lines else ""
        if status == -9:
            return "the worker process was killed, most likely for want of memory"
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        return f"the worker process ended with {how}{last}"

    def kill(self) -> None:
        """End the process; its end shows when it is read."""
        self._process.kill()

    def close(self) -> None:
        """Hang up and end the process."""
        self._own.end()

    def replace(self) -> None:
        """End the process and start another in its place."""
        self.close()
        self._start()


class Crew:
    """All workers of a search; a context manager that leaves no process behind.

    Args:
        count: how many, from 0.
        loads: returns what a worker of a number loads at once, see `Worker`; the first is the
            one that extracts features. None for TensorFlow in all.
    """

    def __init__(self, count: int, *, loads: Callable[[int], Sequence[str]] | None = None) -> None:
        self.workers: list[Worker] = []
        self._loads = loads or (lambda number: (ENGINE,))
        self.hire(count)
        self._orders: list[Prepare | Need] = []
        self._made: list[Prepared] = []  # what came of each

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.close()

    def hire(self, count: int) -> None:
        """Start workers until there are so many; only before the first order."""
        numbers = range(len(self.workers), count)
        self.workers += [Worker(number, loads=self._loads(number)) for number in numbers]

    def made(self, order: Need) -> Prepared | None:
        """Return what came of features or pixels that all workers hold; None of others."""
        for earlier, prepared in zip(self._orders, self._made, strict=True):
            if isinstance(earlier, Prepare):
                if earlier.extracts and order == PrepareFeatures(earlier.backbone):
                    return prepared
            elif order == earlier:
                return prepared
        return None

    def prepare(
        self,
        order: Prepare | Need,
        on_progress: OnProgress,
    ) -> Prepared:
        """Have the features extracted by one worker, then opened by all of them.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: extraction failed.
        """
        prepared = [self._prepare(worker, [order], on_progress)[-1] for worker in self.workers]
        self._orders.append(order)
        self._made.append(prepared[0])
        return prepared[0]

    def needs(self, inputs: tuple[Inputs, ...]) -> tuple[Need, ...]:
        """Return the orders that make ready what trials learn from; a worker knows them.

        Raises:
            UserError: a backbone or its weights can't be had.
        """
        match self.ask(Ask(inputs)):
            case Needed(orders=orders):
                return orders
            case Failed() as failed:
                raise_failure(failed)
            case other:
                raise AssertionError(f"a worker answered {other}")

    def ask(self, order: Ask | Survey) -> Answer:
        """Have any worker carry out an order while none trains; return what it answers.

        Where its process ends meanwhile, the next one does.
        """
        worker = self.workers[0]
        for _ in range(DEATHS_AT_WORK):
            self.order(worker, order)
            answer = worker.receive()
            if not isinstance(answer, Failed) or not answer.is_dead:
                break
        return answer

    def _prepare(
        self,
        worker: Worker,
        orders: Sequence[Prepare | Need],
        on_progress: OnProgress,
    ) -> list[Prepared]:
        """Have a worker carry out orders, and those before them where its process is a fresh one.

        Where it ends meanwhile, the next one begins anew.
        """
        deaths = 0
        while True:
            all_orders = orders if worker.is_prepared else [*self._orders, *orders]
            prepared: list[Prepared] = []
            for order in all_orders:
                match self._carried_out(worker, order, on_progress):
                    case Prepared() as done:
                        prepared.append(done)
                    case Failed() as failed:
                        deaths += 1
                        if not failed.is_dead or deaths == DEATHS_AT_WORK:
                            raise_failure(failed)
                        break
            else:
                worker.is_prepared = True
                return prepared

    def _carried_out(
        self,
        worker: Worker,
        order: Prepare | Need,
        on_progress: OnProgress,
    ) -> Answer:
        worker.send(order)
        while isinstance(answer := worker.receive(), Extracting | SpaceNeeded):
            on_progress(answer)
        return answer

    def order(self, worker: Worker, order: Ask | Survey | Train) -> None:
        """Send an order to a worker that waits for one; a fresh process is prepared first."""
        if worker.trained >= TRIALS_BEFORE_REPLACEMENT:
            worker.replace()
        if not worker.is_prepared:
            self._prepare(worker, [], lambda progress: None)
        worker.send(order)

    def replace(self, worker: Worker) -> None:
        """End a worker's process, whatever it does, and have another in its place."""
        worker.replace()

    def answers(self, timeout: float | None = None) -> Iterator[tuple[Worker, Answer]]:
        """Yield what the workers have to say; nothing if none does within `timeout` seconds."""
        by_connection: dict[Any, Worker] = {worker.connection: worker for worker in self.workers}
        for ready in wait(list(by_connection), timeout):
            worker = by_connection[ready]
            yield worker, worker.receive()


def raise_failure(failed: Failed) -> NoReturn:
    """Raise what a worker's failure stands for: UserError where the input is to blame."""
    error = UserError if failed.exit_code == UserError.exit_code else AutomlError
    raised = error(failed.reason)
    raised.add_note(failed.traceback)
    raise raised
