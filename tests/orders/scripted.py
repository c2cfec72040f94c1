"""Workers without processes: the crew is the real one, what its workers answer is a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Pipe

from automl_cv.history import Epoch, History
from automl_cv.orders.crew import Crew, Worker
from automl_cv.orders.messages import (
    Ask,
    Failed,
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
            self._go_on(message)
        else:
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
                if isinstance(answer, Epoch):
                    return
                answer = next(self._course)
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
        order = Prepare(images=None, backbone=Backbone(), cache_dir=None, seed=0, metric="accuracy")
        self.prepare(order, lambda progress: None)
        return order


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
        case Survey():
            yield SURVEYED
        case _:
            yield PREPARED
