"""A worker process: carries out the orders of the search, one after the other.

Started as `python -m automl_cv.search.worker DESCRIPTOR`. Only here does TensorFlow
load; what it prints goes to a log file, and when it runs out of memory or crashes
it takes one trial with it and not the search.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from automl_cv.data import overlap
from automl_cv.engine import runtime
from automl_cv.engine.extract import extract
from automl_cv.engine.training import HeadTrainer, TrainingData
from automl_cv.errors import AutomlError
from automl_cv.features import FeatureCache, recipe
from automl_cv.history import Epoch, History, StopReason
from automl_cv.search import messages
from automl_cv.search.objective import run_trial
from automl_cv.search.reference import logistic_reference


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
                return self._prepare(order)
            case messages.Survey():
                return self._survey()
            case messages.Train():
                return self._train(order)

    def _prepare(self, order: messages.Prepare) -> messages.Prepared:
        started = time.perf_counter()
        images, cache = order.images, FeatureCache(order.cache_dir)
        wanted = recipe(order.backbone)

        def report(done: int, total: int, images_per_second: float) -> None:
            self._connection.send(messages.Extracting(done, total, images_per_second))

        paths = [Path(path) for path in images.paths]
        extracted = extract(order.backbone, paths, images.content_hashes, cache, wanted, report)
        self._features = cache.open(wanted, images.content_hashes, order.backbone.features).array
        self._last = cache.open(wanted, images.content_hashes, "last").array
        self._images = images
        rows = {split: np.flatnonzero(images.splits == split) for split in ("train", "validation")}
        self._data = TrainingData(
            features=self._features,
            train=rows["train"],
            train_labels=images.labels[rows["train"]],
            validation=rows["validation"],
            validation_labels=images.labels[rows["validation"]],
            classes=len(images.classes),
        )
        self._trainer = HeadTrainer(self._data)
        return messages.Prepared(
            extracted=extracted,
            dimension=int(self._features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def _survey(self) -> messages.Surveyed:
        data = self._data
        reference = logistic_reference(
            self._features[data.train],
            data.train_labels,
            self._features[data.validation],
            data.validation_labels,
        )
        near = overlap.near_duplicates(self._last, self._images.splits)
        return messages.Surveyed(reference, tuple(near.warnings(self._images.paths)))

    def _train(self, order: messages.Train) -> messages.Trained:
        def ask(epoch: Epoch) -> StopReason | None:
            self._epochs.append(epoch)
            self._connection.send(epoch)
            verdict: messages.Verdict = self._connection.recv()
            return verdict.stop

        result = run_trial(self._trainer, order.stage, order.parameters, order.seed, ask)
        return messages.Trained(result.history, result.optimizer_config)


def _failure(error: Exception, epochs: tuple[Epoch, ...]) -> messages.Failed:
    """Put an exception into one line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    known = isinstance(error, AutomlError)
    reason = str(error) if known else f"{type(error).__name__}: {first}"
    if type(error).__name__ == "ResourceExhaustedError" or isinstance(error, MemoryError):
        reason = f"out of memory ({first[:120]})"
    return messages.Failed(
        reason=reason,
        exit_code=error.exit_code if isinstance(error, AutomlError) else 1,
        traceback="".join(traceback.format_exception(error)),
        history=History(epochs=epochs, stop_reason="failed", error=reason),
    )


def main() -> None:
    """Serve the search at the other end of the descriptor named on the command line."""
    # Ctrl-C reaches the whole process group; the search decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        _Worker(connection).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The search ended, or was killed: nothing is left to do.


if __name__ == "__main__":
    main()
