"""A stage while it runs: its trials are drawn, handed out, stored, given up and settled."""

from __future__ import annotations

import math
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.drawing.stage_memory import Drawn, StageMemory
from automl_cv.errors import SearchBroken, warn
from automl_cv.history import Epoch, History
from automl_cv.orders.crew import TRIALS_OF_A_LONG_ONE, Worker
from automl_cv.orders.messages import Answer, Failed, Train, Trained, Verdict
from automl_cv.search import events
from automl_cv.search.context import SearchContext
from automl_cv.search.preparation import StageFeatures
from automl_cv.search.running import Running
from automl_cv.store.progress import Progress
from automl_cv.store.records import DAMAGED, TrialRecord
from automl_cv.store.trials import StageTrials
from automl_cv.study.stage import Stage
from automl_cv.study.trial import method_of, plan

# So many trials that break one after the other are no accident (KerasTuner's number).
BROKEN_IN_A_ROW = 3

# A trial whose worker was killed, or lost with its machine, runs again, so often (Dask's own
# number): it may be what brings processes and machines down.
LOSSES_OF_A_TRIAL = 3

# Longer trials are written while they run, about so often, so that a kill loses no epoch.
SECONDS_BETWEEN_WRITES = 1.0

# Where the time ends, a worker that ends an epoch so soon gives its trial up by itself. Others
# are replaced, and the next stage's first trials wait for TensorFlow, about 3 seconds.
SECONDS_TO_GIVE_UP = 2.0


class StageRun:
    """Searches one stage until it has all its trials.

    Args:
        context: of the search.
        stage: what to search, with the space that is searched.
        memory: draws the stage's trials and decides when they stop.
        trials: the stage's part of the storage.
        features: what its trials learn from, so far as it is made ready when one needs it; None
            where all of it is ready.
    """

    def __init__(
        self,
        context: SearchContext,
        stage: Stage,
        memory: StageMemory,
        trials: StageTrials,
        features: StageFeatures | None = None,
    ) -> None:
        self._context = context
        self._stage = stage
        self._memory = memory
        self._trials = trials
        self._features = features or StageFeatures(context, stage, trials)
        self._crew = context.crew
        self._listen = context.listen
        self._budget = context.budget
        self._running: dict[Worker, Running] = {}
        self._waiting: dict[int, Running] = {}
        self._again: deque[Running] = deque()
        self._next: Running | None = None  # drawn, and waits for its features
        self._broken = 0
        self._why = "the search was stopped"  # why trials are given up

    def run(self) -> tuple[Progress, int]:
        """Run every trial that is missing; return how far the stage came, and trials finished.

        Raises:
            SearchBroken: three trials in a row broke.
            AutomlError: another search has taken the run over.
        """
        started = time.monotonic()
        self._trials.describe()  # one of an older automl-cv has not said it
        self._trials.settle()
        records = self._trials.records()
        for record in records:
            if record.reason == DAMAGED:
                warn(f"trial {record.name} of {record.run}: {DAMAGED}")
        finished = {record.trial: record for record in records if record.is_done}
        for number in sorted(finished):
            record = finished[number]
            self._memory.restore(
                number, record.parameters, record.history, record.system_attributes
            )
            self._budget.measure(self._stage, record.history)
        slots = self._memory.slots
        pending = deque(n for n in slots if n not in finished)
        self._finished = len(slots) - len(pending)
        self._begin_progress()
        metric = self._trials.facts.metric
        self._listen(
            events.StageStarted(
                self._stage.name,
                len(slots),
                self._finished,
                best_by_method(finished, metric),
                metric.name,
                self._stage.images,
            )
        )
        try:
            is_cut = self._work(pending)
        finally:
            self._abandon()
        self._note(replace(self._progress, is_cut=is_cut))
        self._listen(
            events.StageEnded(
                self._stage.name,
                self._finished,
                time.monotonic() - started,
                self._progress.shortfall(self._finished),
            )
        )
        return self._progress, self._finished

    def _begin_progress(self) -> None:
        """Store how many trials the stage wants, and tell if there are no more to have."""
        before = self._trials.stage_facts.progress
        self._note(
            Progress(
                wanted=len(self._memory.slots),
                n_sets=self._memory.n_sets,
                redrawn=() if before is None else before.redrawn,
            )
        )
        if self._memory.n_sets is not None:
            sets, asked = self._memory.n_sets, self._stage.trials
            self._listen(events.SpaceExhausted(self._stage.name, sets, asked))

    def _note(self, progress: Progress) -> None:
        self._progress = progress
        if self._trials.stage_facts.progress != progress:
            # What an earlier search noted of other stages is no longer so.
            self._trials.update_facts(progress=progress, waiting={})

    def _checkpoint(self, number: int) -> Path:
        return self._context.checkpoint(self._trials.name, number)

    def _work(self, pending: deque[int]) -> bool:
        """Run the trials; return whether the time ended before they all were."""
        while pending or self._running or self._again or self._next:
            self._context.claim.check()
            self._budget.workers = max(1, len(self._crew.workers))
            if self._budget.is_over(self._stage):
                self._recall()
                return True
            self._hand_out(pending)
            for worker, answer in self._crew.answers(timeout=1.0):
                if worker in self._running:
                    self._take(worker, answer)
        return False

    def _hand_out(self, pending: deque[int]) -> None:
        """Give each idle worker a trial, drawn no sooner than that: samplers learn from others."""
        for worker in self._crew.workers:
            if worker in self._running:
                continue
            if self._again:
                self._train(worker, self._again.popleft())
                continue
            if self._next is None and pending and self._memory.can_draw(pending[0]):
                drawn = self._memory.draw(pending.popleft())
                self._note_redrawn(drawn)
                self._next = Running(drawn)
            if self._next is None:
                continue
            parameters = self._next.drawn.parameters
            if self._features.wait_for(parameters):
                if not self._running:
                    self._features.make_ready(parameters)
                    self._hand_out(pending)  # of a cluster, workers may be others by now
                return
            self._begin(worker, self._next)
            self._next = None

    def _begin(self, worker: Worker, running: Running) -> None:
        self._train(worker, running)
        drawn = running.drawn
        self._listen(events.TrialStarted(self._stage.name, drawn.trial, drawn.parameters))

    def _train(self, worker: Worker, running: Running) -> None:
        """Have a worker train a trial from its first epoch, or from its checkpoint."""
        number = running.drawn.trial
        trial = plan(
            self._context.run.study,
            self._stage,
            number,
            running.drawn.parameters,
            seed=self._memory.training_seed(number),
            fold=self._memory.fold(number),
            head_stage=self._memory.head_stage(number),
            members=self._memory.members(number),
        )
        is_long = self._stage.training.is_long
        running.next_ask = self._memory.next_ask(number)
        checkpoint = self._checkpoint(number) if is_long else None
        self._crew.order(worker, Train(trial, checkpoint, running.next_ask))
        running.epochs, running.started = [], time.monotonic()
        self._running[worker] = running

    def _note_redrawn(self, drawn: Drawn) -> None:
        """Store and tell that a trial drew what another one has; it may not do so again.

        Where all sets there are get a trial, it does not matter which comes when.
        """
        redrawn = {*self._progress.redrawn} - {drawn.trial}
        if drawn.same_as is not None and not self._memory.tries_all:
            redrawn.add(drawn.trial)
            self._listen(events.TrialRedrawn(self._stage.name, drawn.trial, drawn.same_as))
        self._note(replace(self._progress, redrawn=tuple(sorted(redrawn))))

    def _take(self, worker: Worker, answer: Answer) -> None:
        running = self._running[worker]
        match answer:
            case Epoch():
                running.epochs.append(answer)
                stop = self._memory.after(running.drawn.trial, answer)
                if answer.epoch >= running.next_ask:
                    running.next_ask = self._memory.next_ask(running.drawn.trial)
                    worker.send(Verdict(stop, next_ask=running.next_ask))
                if answer.is_finite:
                    self._budget.note_result()
                self._keep(running)
                self._listen(
                    events.EpochEnded(
                        self._stage.name, running.drawn.trial, answer, self._stage.epochs
                    )
                )
            case Trained():
                self._broken = 0
                self._end(worker, answer)
            # Trials and stages after it go by it: an accident must not decide.
            case Failed() if answer.is_dead and running.losses < LOSSES_OF_A_TRIAL:
                running.losses += 1
                self._run_again(worker, answer)
            case Failed() if not running.broke:
                running.broke = True
                self._run_again(worker, answer)
            case Failed():
                self._broken += 1
                history = replace(running.history(answer.reason), stop_reason="failed")
                self._end(worker, Trained(history, {}))
                if self._broken == BROKEN_IN_A_ROW:
                    error = SearchBroken(
                        f"stage {self._stage.name!r}: {BROKEN_IN_A_ROW} trials in a row failed, "
                        f"the last with: {answer.reason}; mend the cause and run the same "
                        "command again, finished trials are kept"
                    )
                    error.add_note(answer.traceback)
                    raise error

    def _run_again(self, worker: Worker, failed: Failed) -> None:
        running = self._running.pop(worker)
        self._again.append(running)
        if not failed.is_lost:
            number = running.drawn.trial
            self._listen(events.TrialBroke(self._stage.name, number, failed.reason))

    def _keep(self, running: Running) -> None:
        """Write a long trial's epochs while it runs; a short one costs one write at its end.

        Not those after which it may turn out that it should have stopped before them.
        """
        now = time.monotonic()
        standing = running.epochs[: self._memory.n_judged(running.drawn.trial)]
        if not standing or now - (running.written or running.started) < SECONDS_BETWEEN_WRITES:
            return
        if running.written is None:
            self._show(running)
        written = replace(running.history(), epochs=tuple(standing))
        self._trials.write_epochs(running.drawn.trial, written)
        running.written = now

    def _show(self, running: Running) -> None:
        """Write a trial as one that runs."""
        drawn = running.drawn
        self._trials.begin(
            drawn.trial,
            drawn.parameters,
            drawn.distributions,
            system_attributes=drawn.system_attributes,
            began=datetime.now(UTC) - timedelta(seconds=running.history().seconds),
        )

    def _end(self, worker: Worker, trained: Trained) -> None:
        """Take what a worker ended with, and store all trials that are settled by it."""
        running = self._running.pop(worker)
        worker.trained += TRIALS_OF_A_LONG_ONE if self._stage.training.is_long else 1
        running.trained = trained
        self._waiting[running.drawn.trial] = running
        for settled in self._memory.finish(running.drawn.trial, trained.history):
            ended = self._waiting.pop(settled.trial)
            if settled.history is None:
                shutil.rmtree(self._checkpoint(settled.trial), ignore_errors=True)
                self._again.append(ended)
            else:
                self._settle(ended, settled.history)

    def _settle(self, running: Running, history: History) -> None:
        drawn, trained = running.drawn, running.trained
        assert trained is not None
        self._budget.measure(self._stage, history)
        self._trials.finish(
            drawn.trial,
            drawn.parameters,
            drawn.distributions,
            history,
            optimizer_config=trained.optimizer_config,
            system_attributes=drawn.system_attributes,
            # Of a sample, nobody could say which images they are of.
            probabilities=None if self._stage.images else trained.probabilities,
        )
        if history.stop_reason != "failed":
            # Only now: a search killed before would have to train all of it again.
            shutil.rmtree(self._checkpoint(drawn.trial), ignore_errors=True)
        self._finished += history.stop_reason != "failed"
        self._listen(
            events.TrialEnded(
                self._stage.name, drawn.trial, drawn.parameters, history, self._finished
            )
        )

    def _recall(self) -> None:
        """Have the workers give up their trials at the end of the epoch, if it comes soon."""
        self._why = "the time ended"
        recalled: set[Worker] = set()
        until = time.monotonic() + SECONDS_TO_GIVE_UP
        while self._running and time.monotonic() < until:
            for worker, answer in self._crew.answers(timeout=0.1):
                if worker not in self._running:
                    continue
                if isinstance(answer, Epoch):
                    self._running[worker].epochs.append(answer)
                    if worker not in recalled:
                        worker.send(Verdict(None, is_cut=True))
                    recalled.add(worker)
                elif worker in recalled:
                    self._give_up(self._running.pop(worker))
                else:
                    self._take(worker, answer)

    def _abandon(self) -> None:
        """Give up what still runs, and end its processes."""
        for worker, running in self._running.items():
            self._give_up(running)
            self._crew.replace(worker)
        for waiting in (*self._waiting.values(), *self._again):
            self._give_up(waiting)
        self._running.clear()

    def _give_up(self, running: Running) -> None:
        """Let a trial go: it runs again, with the same numbers, next time.

        What it reached is kept for the report, but is no result: a trial that was cut is
        another one than the search without a deadline would have.
        """
        if running.epochs:
            if running.written is None:
                self._show(running)
            history = running.history(f"{self._why}; the next search runs it again")
            self._trials.interrupt(running.drawn.trial, history)


def best_by_method(records: Mapping[int, TrialRecord], metric: MetricEntry) -> dict[str, float]:
    """Return the best of a metric that each optimizer or exact head reached."""
    best: dict[str, float] = {}
    for record in records.values():
        epoch = record.history.best
        if epoch is not None:
            method = method_of(record.parameters)
            best[method] = max(best.get(method, -math.inf), epoch.merit)
    return {method: metric.score(merit) for method, merit in best.items()}
