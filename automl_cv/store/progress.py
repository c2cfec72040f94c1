"""The progress of stages: how far the search of each came, and the lines that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the search of a stage came, and what a reader of its results should know of it.

    Args:
        wanted: trials that the stage wants: as many as there are different ones, at most.
        is_begun: whether the search came to it.
        is_cut: whether the time ended before it had its trials.
        n_sets: number of different parameter sets, where more trials were asked for.
        redrawn: trials that drew a set which another one had, and were drawn anew.
    """

    wanted: int
    is_begun: bool = True
    is_cut: bool = False
    n_sets: int | None = None
    redrawn: tuple[int, ...] = ()

    def shortfall(self, finished: int) -> str | None:
        """Say in a few words how many trials are missing, and why; None where none is."""
        reason = " (the time ended)" if self.is_cut else ""
        if not self.is_begun:
            return f"not begun{reason}"
        return f"{finished} of {self.wanted} trials{reason}" if finished < self.wanted else None

    def lines(self, finished: int) -> list[str]:
        """Return what there is to say, one line each.

        Args:
            finished: trials that are done.
        """
        shortfall = self.shortfall(finished)
        found = [] if shortfall is None else [shortfall]
        if self.n_sets is not None:
            found.append(sets_text(self.n_sets))
        if self.redrawn:
            drew = (
                "drew a parameter set that an earlier trial has, and was drawn anew"
                if len(self.redrawn) == 1
                else "drew parameter sets that earlier trials have, and were drawn anew"
            )
            found.append(f"{len(self.redrawn)} of {self.wanted} trials {drew}")
        return found


def sets_text(count: int) -> str:
    """Say that a space has no more parameter sets."""
    sets, each = ("one parameter set", "it") if count == 1 else (f"{count} parameter sets", "each")
    return f"the space holds {sets}, fewer than the trials asked for; {each} is tried once"


def progress_lines(progress: Mapping[str, Progress], finished: Mapping[str, int]) -> list[str]:
    """Return what a reader should know of how far the stages came.

    Args:
        progress: by stage.
        finished: number of trials that are done, by stage.
    """
    return [
        f"stage {name}: {line}"
        for name, one in progress.items()
        for line in one.lines(finished.get(name, 0))
    ]


def outdone_lines(
    finalists: Mapping[str, tuple[str, ...]], contenders: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Return which finalists count no more, since a stage above went on and found better ones.

    Args:
        finalists: all that were ever trained again, by stage.
        contenders: those that count, by stage.
    """
    outdone = {
        stage: [name for name in names if name not in contenders.get(stage, names)]
        for stage, names in finalists.items()
    }
    return [
        f"stage {stage}: {', '.join(names)} trained again too, and outdone since"
        for stage, names in outdone.items()
        if names
    ]
