"""Workers without processes: the crew is the real one, what its workers answer is a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Pipe
from pathlib import Path
from unittest import mock

from automl_cv.history import Epoch, History
from automl_cv.orders import cluster
from automl_cv.orders.crew import Crew, Worker
from automl_cv.orders.messages import (
    Ask,
    Failed,
    Lacking,
    Look,
    Need,
    Needed,
    Order,
    Prepare,
    Prepared,
    PrepareFeatures,
    PreparePixels,
    Survey,
    Surveyed,
    Train,
    Trained,
    Verdict,
)
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import Inputs

DEATH = "the process ends here"
SILENCE = "the process answers nothing more"

# Yields answers to an order, DEATH or SILENCE; a yielded Epoch returns its Verdict.
Script = Callable[["ScriptedWorker", Order], Iterator[object]]

PREPARE = Prepare(images=None, backbone=Backbone(), cache_dir=None, seed=0, metric="accuracy")
PREPARED = Prepared(0, 4, 0.0, {"keras": "3"})
SURVEYED = Surveyed({"val_accuracy": 0.5}, ("seen twice",))


class ScriptedWorker(Worker):
    """A worker that goes on in its script whenever it is sent something.

    Args:
        number: tells workers apart.
        script: what it answers.
    """

    def __init__(self, number: int, script: Script) -> None:
        self.script = script
        self.lives: list[list[Order]] = []
        """Orders of each process that it had."""
        super().__init__(number)

    def _start(self) -> None:
        self.is_prepared = False
        self.trained = 0
        self.connection, self._theirs = Pipe()
        self.lives.append([])

    def send(self, message: Order | Verdict) -> None:
        if isinstance(message, Verdict):
            self._next_ask = message.next_ask
            self._go_on(message)
        else:
            self._next_ask = message.next_ask if isinstance(message, Train) else 0
            self.lives[-1].append(message)
            self._course = self.script(self, message)
            self._go_on(None)

    def _go_on(self, verdict: Verdict | None) -> None:
        try:
            answer = self._course.send(verdict)
            while answer is not SILENCE:
                if answer is DEATH:
                    self._theirs.close()
                    return
                self._theirs.send(answer)
                if not isinstance(answer, Epoch):
                    answer = next(self._course)
                elif answer.epoch < self._next_ask:
                    answer = self._course.send(Verdict(None))
                else:
                    return
        except StopIteration:
            pass

    def epitaph(self) -> str:
        return "the worker process ended with exit code 1"

    def close(self) -> None:
        self.connection.close()
        self._theirs.close()


class ScriptedCrew(Crew):
    """A crew of such workers.

    Args:
        count: how many.
        script: what each of them answers.
    """

    workers: list[ScriptedWorker]

    def __init__(self, count: int, script: Script) -> None:
        self._script = script
        super().__init__(count)

    def hire(self, count: int) -> None:
        for number in range(len(self.workers), count):
            self.workers.append(ScriptedWorker(number, self._script))

    def make_ready(self) -> Prepare:
        """Prepare the workers as a search does before its first stage; return the order."""
        self.prepare(PREPARE, lambda progress: None)
        return PREPARE


class ScriptedCluster:
    """Dask's client as far as a crew speaks to it: which workers are there is a list.

    Args:
        machines: addresses of the workers that are there.
        refusals: what a machine that must not be used says, by address.
    """

    def __init__(self, machines: Sequence[str], refusals: dict[str, object] | None = None) -> None:
        self.machines = list(machines)
        self.refusals = refusals or {}

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.machines, 1)

    def run(
        self, asked: object, terms: object, *, workers: list[str], on_error: str
    ) -> dict[str, object]:
        return {address: self.refusals.get(address) for address in workers}

    def close(self) -> None:
        pass

    @contextmanager
    def crew(
        self, folder: Path, script: Script, limit: int | None = None
    ) -> Iterator[cluster.ClusterCrew]:
        """Give a crew whose workers on these machines follow a script."""

        def stand(
            number: int, client: object, address: str, *, loads: object
        ) -> ScriptedRemoteWorker:
            return ScriptedRemoteWorker(number, address, script)

        with (
            mock.patch.object(cluster, "connected", lambda address, scheduler: self),
            mock.patch.object(cluster, "RemoteWorker", stand),
            mock.patch.object(cluster, "SECONDS_BETWEEN_LOOKS", 0.0),
            cluster.ClusterCrew(1, "dask://h:1", cache_dir=folder, limit=limit) as crew,
        ):
            yield crew


class ScriptedRemoteWorker(ScriptedWorker):
    """Such a worker on a machine that may get lost.

    Args:
        number: tells workers apart.
        address: of its machine.
        script: what it answers.
    """

    def __init__(self, number: int, address: str, script: Script) -> None:
        self.address = address
        self.deaths = self.n_prepared = 0
        self.has_died = self._is_gone = False
        self.leaving: list[object] = []
        self._orders: list[list[Order]] = []
        super().__init__(number, script)

    def _start(self) -> None:
        if not self.is_lost:
            super()._start()
            self.n_prepared = 0

    @property
    def n_lives(self) -> int:
        return len(self.lives)

    def send(self, message: Order | Verdict) -> None:
        if not self._theirs.closed:
            super().send(message)

    def lose(self, reason: str) -> None:
        self._is_gone = True  # which shows once all that it has said is read
        self._theirs.close()

    def epitaph(self) -> str:
        self.is_lost = self._is_gone
        return super().epitaph()


def epochs_of(trial: int, count: int, accuracy: float | None = None) -> list[Epoch]:
    """Return a curve that rises; of trials that stand later it is higher."""
    top = 0.5 + trial / 100 if accuracy is None else accuracy
    return [
        Epoch(n, top, top - (count - n) / 1000, 0.1, 0.5, 0.01, 0.0) for n in range(1, count + 1)
    ]


def trained(epochs: Sequence[Epoch], stop: str = "epochs") -> Trained:
    return Trained(History(tuple(epochs), stop, seconds=0.01), {"name": "SGD"})


def need_of(inputs: Inputs) -> Need:
    """Return what a trial needs: its kind's table says whether features or pixels."""
    if inputs.stage.training.learns_from == "pixels":
        return PreparePixels()
    return PrepareFeatures(inputs.backbone)


def obedient(worker: ScriptedWorker, order: Order, count: int = 2) -> Iterator[object]:
    """Carry any order out: trials take `count` epochs, unless they are stopped."""
    match order:
        case Train():
            ran = []
            for epoch in epochs_of(order.trial.number, count):
                ran.append(epoch)
                verdict = yield epoch
                if verdict.is_cut:
                    yield Failed("cut", 1, "")
                    return
                if verdict.stop is not None:
                    yield trained(ran, verdict.stop)
                    return
            yield trained(ran)
        case Ask():
            yield Needed(tuple(dict.fromkeys(map(need_of, order.inputs))))
        case Look():
            yield Lacking(0)
        case Survey():
            yield SURVEYED
        case _:
            yield PREPARED
