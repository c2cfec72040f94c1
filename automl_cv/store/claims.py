"""A claim: which search holds a run. It beats while the search lives, and is fenced.

Whether a search still lives is told from where it can be told best:

- by the process table, where its process can be seen (`lease.place`): at once, and surely;
- else by its beats, in the clock of the database: silent for `STALE_SECONDS`, it counts as dead.
  PostgreSQL, MySQL and MariaDB have one clock for all hosts. SQLite has that of the machine that
  asks, which is one for all processes there, containers too; hosts that share an SQLite file over
  a network have each their own, and must be set alike.

Where a clock was wrong, or a search slept through its time, another one may take the run from a
search that lives. So every transaction of a search checks, within it, that the claim is still its
own (`optuna_writes.checked_writes`): who lost it writes nothing any more, and ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from automl_cv.errors import AutomlError
from automl_cv.store.checksums import UNREADABLE, opened, sealed
from automl_cv.store.database import database_seconds, is_private, seconds_of
from automl_cv.store.facts import StageFacts, StudyFacts, facts_from_json, facts_to_json
from automl_cv.store.lease import Lease, place, process_start
from automl_cv.store.optuna_tables import StudyRow, read_studies, study_text
from automl_cv.store.optuna_writes import checked_writes, swap_study_attributes
from automl_cv.store.patience import patiently
from automl_cv.store.records import BEAT, HOLDER

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""Six beats: a database that restarts or is locked for a while costs nobody a claim."""

_OWN: set[str] = set()
"""Claims that this process holds: after one was given back, the process lives on."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run, as the database has it.

    Args:
        lease: the process; its host is for people.
        facts: what the run begins with, as stored; see `facts_from_json`.
        owner: of this one claim; empty where an older automl-cv made it, which knows no beats.
        place: see `lease.place`.
        fence: grows with each claim of a run.
        silence: seconds since the last beat, in the database's clock; None where another one, or
            nobody, beats.
    """

    lease: Lease
    facts: Mapping[str, Any]
    owner: str = ""
    place: str = ""
    fence: int = 0
    silence: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the search that holds the run may still be at work."""
        if not self.owner:
            return self.lease.is_of_another
        if self.silence is None:
            return False
        if self.place == place():
            if self.lease.process == os.getpid():
                return self.owner in _OWN
            started = process_start(self.lease.process)
            if started != "":
                return started == self.lease.process_started
        return self.silence < STALE_SECONDS

    def __str__(self) -> str:
        """Say which process, and since when: "71 on gpu-1 since 2026-01-02 03:04 UTC"."""
        lease = self.lease
        text = f"{lease.process} on {lease.host} since {lease.time:%Y-%m-%d %H:%M} UTC"
        if self.silence is None or self.place == place():
            return text
        free = max(0.0, STALE_SECONDS - self.silence)
        return (
            f"{text}, last heard of {max(0.0, self.silence):.0f} s ago (were it killed, its run "
            f"would be free in {free:.0f} s)"
        )


def holder_of(texts: Mapping[str, str], now: float) -> Holder | None:
    """Return who holds a run; None where nobody does, or what is stored of it is damaged.

    Args:
        texts: attributes of the run's first study, as stored.
        now: the time in the database's clock, in seconds.
    """
    if HOLDER not in texts:
        return None
    try:
        stored = opened(texts[HOLDER])
        if stored is None:
            return None
        facts_from_json("", stored["facts"])
        lease = Lease.from_json(stored["lease"])
        own = {name: stored[name] for name in ("owner", "place", "fence") if name in stored}
        return Holder(lease, stored["facts"], **own, silence=_silence(texts.get(BEAT), now, **own))
    except UNREADABLE:
        return None


def _silence(text: str | None, now: float, *, owner: str = "", **_: Any) -> float | None:
    try:
        beat = opened(text or "")
        return now - float(beat["time"]) if beat["owner"] == owner else None
    except UNREADABLE:
        return None


def run_holder(storage: RDBStorage, run: str) -> Holder | None:
    """Return who holds a run now; None where nobody does."""
    found = _studies(storage, run)
    return holder_of(found[0].texts, database_seconds(storage)) if found else None


class Claim:
    """A run that this process holds. Made by `claim`.

    Args:
        storage: the database.
        run: name of the run.
        study_id: Optuna's number of the study that has the claim.
        owner: of this claim alone.
        fence: grows with each claim of the run.
        beat: text of the last beat, as stored.
    """

    def __init__(
        self, storage: RDBStorage, run: str, study_id: int, *, owner: str, fence: int, beat: str
    ) -> None:
        self.run = run
        self.fence = fence
        self._storage = storage
        self._study_id = study_id
        self._owner = owner
        self._beat = beat
        self._is_lost = False
        _OWN.add(owner)

    @contextmanager
    def kept(self, seconds: float = BEAT_SECONDS) -> Iterator[Claim]:
        """Beat and check all writes of the storage for a with block; give the run back after it.

        Args:
            seconds: between beats.
        """
        ended = Event()
        beating = Thread(target=self._beat_until, args=(ended, seconds), daemon=True)
        try:
            with checked_writes(self._storage, self._check):
                if not is_private(self._storage):  # nobody else could see it
                    beating.start()
                try:
                    yield self
                except Exception as error:
                    # What another search has done since may break anything here.
                    if self._was_taken():
                        raise self._loss() from error
                    raise
                finally:
                    ended.set()
                    if beating.ident is not None:
                        beating.join()
        finally:
            # Where the database is away, the claim ends by itself.
            with suppress(SQLAlchemyError):
                self.release()

    def check(self) -> None:
        """Raise an AutomlError where another search was seen to have taken the run over."""
        if self._is_lost:
            raise self._loss()

    def beat(self) -> bool:
        """Show that this search lives; return whether the claim is still its own."""
        with self._storage.engine.connect() as connection:
            after = _beat_text(self._owner, self.fence, seconds_of(connection))
        if not swap_study_attributes(self._storage, self._study_id, {BEAT: (self._beat, after)}):
            # Where the connection was lost just then, the last beat may be stored after all.
            found = self._stored(BEAT) or ""
            self._is_lost = not self._is_own(found)
            after = found
        self._beat = after
        return not self._is_lost

    def release(self) -> None:
        """Give the run back, unless another search has taken it since."""
        _OWN.discard(self._owner)
        holder, beat = self._stored(HOLDER), self._stored(BEAT) or ""
        if not self._is_own(beat):
            return
        given_back = json.dumps(sealed({"owner": "", "fence": self.fence, "time": 0.0}))
        change = {BEAT: (beat, given_back), HOLDER: (holder, "null")}
        patiently(lambda: swap_study_attributes(self._storage, self._study_id, change))

    def _stored(self, key: str) -> str | None:
        """Return an attribute at once, or not at all: nobody waits to give a claim back."""
        with self._storage.engine.connect() as connection:
            return study_text(connection, self._study_id, key)

    def _beat_until(self, ended: Event, seconds: float) -> None:
        while not ended.wait(seconds) and not self._is_lost:
            # The next beat may reach the database again. Till then writes tell of the trouble.
            with suppress(SQLAlchemyError, AutomlError):
                self.beat()

    def _check(self, connection: Connection) -> None:
        """Let no transaction end that writes, once the claim is another's."""
        if not self._is_own(study_text(connection, self._study_id, BEAT, locked=True) or ""):
            self._is_lost = True
            raise self._loss()

    def _was_taken(self) -> bool:
        with suppress(SQLAlchemyError):
            self._is_lost = self._is_lost or not self._is_own(self._stored(BEAT) or "")
        return self._is_lost

    def _is_own(self, text: str) -> bool:
        try:
            beat = opened(text)
            return bool((beat["owner"], beat["fence"]) == (self._owner, self.fence))
        except UNREADABLE:
            return False

    def _loss(self) -> AutomlError:
        return AutomlError(
            f"another search has taken {self.run} over, as this one was not heard of for "
            f"{STALE_SECONDS:.0f} s; what it stored until then is kept, and the other goes on "
            "with it"
        )


def claim(storage: RDBStorage, run: str, stage: str, facts: StudyFacts) -> Claim | None:
    """Take a run for this process.

    Trials of less than a second are written only when they have ended, so that leases of
    trials alone would let two searches run the same ones. The claim is of the whole run: between
    two stages another search would begin the next one.

    Args:
        storage: the database.
        run: its name; it may be one that does not exist yet.
        stage: the one that begins a run which does not exist.
        facts: what the run will begin with, for other searches to see.

    Returns:
        The claim; None if another search holds the run, or was faster.
    """
    if first_study(storage, run) is None:
        patiently(
            lambda: optuna.create_study(
                storage=storage,
                study_name=f"{run}/{stage}",
                direction="maximize",
                load_if_exists=True,
            )
        )
    # Another search may have begun the run with another stage at the same moment, and hold that.
    studies, now = _studies(storage, run), database_seconds(storage)
    holders = [holder_of(study.texts, now) for study in studies]
    if any(holder is not None and holder.is_alive for holder in holders):
        return None
    first = studies[0]
    owner, fence = uuid4().hex, 1 + _last_fence(first.texts)
    stored = {
        "lease": Lease.of_this_process().to_json(),
        "facts": facts_to_json(stage, facts, StageFacts()),
        "owner": owner,
        "place": place(),
        "fence": fence,
    }
    beat = _beat_text(owner, fence, now)
    changes = {
        BEAT: (first.texts.get(BEAT), beat),
        HOLDER: (first.texts.get(HOLDER), json.dumps(sealed(stored))),
    }
    if not patiently(lambda: swap_study_attributes(storage, first.study_id, changes)):
        return None
    taken = Claim(storage, run, first.study_id, owner=owner, fence=fence, beat=beat)
    if first_study(storage, run) != first.study_id:
        taken.release()
        return None
    return taken


def first_study(storage: RDBStorage, run: str) -> int | None:
    """Return Optuna's number of the first study of a run, which holds the claim."""
    found = _studies(storage, run)
    return found[0].study_id if found else None


def _studies(storage: RDBStorage, run: str) -> list[StudyRow]:
    return [study for study in read_studies(storage) if study.name.rpartition("/")[0] == run]


def _beat_text(owner: str, fence: int, now: float) -> str:
    return json.dumps(sealed({"owner": owner, "fence": fence, "time": now}))


def _last_fence(texts: Mapping[str, str]) -> int:
    """Return the fence of the last claim; 0 where there was none, or it can't be read."""
    try:
        return int(opened(texts.get(BEAT, ""))["fence"])
    except UNREADABLE:
        return 0
