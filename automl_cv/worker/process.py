"""A worker process: carries out the orders of the search, one after the other.

Started as `python -m automl_cv.worker.process DESCRIPTOR [MODULE …]`. Only here does TensorFlow
load, once something needs it: images that have no features yet, heads of several layers, a model
to write. What is solved on cached features needs none, nor do heads of one layer. Modules that are
named are loaded first, while the search still reads the images (a thread that loads them beside
other work deadlocks in Python's locks of modules). What TensorFlow prints goes to a log file, and
when it runs out of memory or crashes it takes one trial with it and not the search.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from automl_cv.errors import AutomlError, trouble
from automl_cv.history import Epoch, History, StopReason
from automl_cv.loading import process_is_ours
from automl_cv.orders import messages
from automl_cv.orders.crew import TEMPORARY
from automl_cv.worker.materials import Materials
from automl_cv.worker.reference import survey
from automl_cv.worker.versions import versions


class _Worker:
    """Holds what `Prepare` made ready for the orders that follow.

    Args:
        connection: to the search.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._epochs: list[Epoch] = []

    def serve(self) -> None:
        """Carry out orders until the search hangs up."""
        while True:
            order = self._connection.recv()
            if isinstance(order, messages.Verdict):
                continue  # on a trial that ended meanwhile
            if isinstance(order, messages.Load):
                _load(order.modules)
                continue
            self._epochs = []
            try:
                self._connection.send(self._carry_out(order))
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                self._connection.send(_failure(error, tuple(self._epochs)))

    def _carry_out(self, order: messages.Order) -> messages.Answer:
        match order:
            case messages.Prepare():
                self._materials = Materials(order, self._report, self._connection.send)
                if not order.extracts:
                    return messages.Prepared(0, 0, 0.0, versions())
                return self._materials.prepare(messages.PrepareFeatures(order.backbone))
            case messages.PrepareFeatures() | messages.PreparePixels():
                return self._materials.prepare(order)
            case messages.Look():
                return messages.Lacking(self._materials.lacking(order.order))
            case messages.Extract():
                return messages.Extracted(self._materials.extract(order))
            case messages.Ask():
                return messages.Needed(tuple(self._materials.needs(order.inputs)))
            case messages.Survey():
                return survey(self._materials, order.backbone)
            case messages.Train():
                return self._train(order)
            case messages.Fit():
                from automl_cv.worker.fit import fit

                return fit(order, self._report, self._connection.send)

    def _report(self, done: int, total: int, images_per_second: float) -> None:
        self._connection.send(messages.Extracting(done, total, images_per_second))

    def _train(self, order: messages.Train) -> messages.Trained:
        next_ask = order.next_ask

        def ask(epoch: Epoch) -> StopReason | None:
            nonlocal next_ask
            self._epochs.append(epoch)
            self._connection.send(epoch)
            if epoch.epoch < next_ask and not self._connection.poll():
                return None
            verdict: messages.Verdict = self._connection.recv()
            if verdict.is_cut:
                raise AutomlError("the time ended")
            next_ask = verdict.next_ask
            return verdict.stop

        kind = self._materials.kind(order.trial.stage)
        result = kind.train(order.trial, ask, order.checkpoint)
        return messages.Trained(result.history, result.optimizer_config, result.probabilities)


def _failure(error: Exception, epochs: tuple[Epoch, ...]) -> messages.Failed:
    """Put an exception into one line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    known = isinstance(error, AutomlError)
    reason = str(error) if known else trouble(error) or f"{type(error).__name__}: {first}"
    if type(error).__name__ == "ResourceExhaustedError" or isinstance(error, MemoryError):
        reason = f"out of memory ({first[:120]})"
    return messages.Failed(
        reason=reason,
        exit_code=error.exit_code if isinstance(error, AutomlError) else 1,
        traceback="".join(traceback.format_exception(error)),
        history=History(epochs=epochs, stop_reason="failed", error=reason),
    )


def _load(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)


def main() -> None:
    """Serve the search at the other end of the descriptor named on the command line."""
    # Ctrl-C reaches the whole process group; the search decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so does the end of a terminal
    temporary = Path(tempfile.gettempdir())
    if temporary.name.startswith(TEMPORARY):  # where the search was killed, nobody else removes it
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    process_is_ours()
    _load(sys.argv[2:])
    connection = Connection(int(sys.argv[1]))
    try:
        _Worker(connection).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The search ended, or was killed: nothing is left to do.


if __name__ == "__main__":
    main()
