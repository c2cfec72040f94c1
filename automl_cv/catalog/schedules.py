"""The schedules by which a trial's learning rate changes: Keras's own arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class ScheduleEntry(SettableEntry):
    """A schedule; its target is a function (Plan, **parameters) -> Schedule.

    Its names are those of a space too, where a pruner's `patience` would be
    mistaken for a schedule's: hence `plateau_patience`.
    """


def _share(default: float, *open_ends: bool) -> Setting:
    """Return a setting between 0 and 1, both included unless an end is open."""
    low, high = open_ends or (False, False)
    return Setting(default, lowest=0, highest=1, open_ends=(low, high))


SCHEDULES: Table[ScheduleEntry] = Table(
    "schedule",
    [
        ScheduleEntry(
            name="constant",
            about="the same rate in every step",
            target="automl_cv.training.schedules:constant",
        ),
        ScheduleEntry(
            name="exponential",
            about="falls by the same factor each step",
            target="automl_cv.training.schedules:exponential",
            parameters={"final_fraction": _share(0.01, True, False)},
        ),
        ScheduleEntry(
            name="step",
            about="falls by `drop_factor` after each of equal parts of the epochs",
            target="automl_cv.training.schedules:step",
            parameters={
                "drops": Setting(2, lowest=1),
                "drop_factor": _share(0.1, True, True),
            },
        ),
        ScheduleEntry(
            name="cosine",
            about="falls along half a cosine (Loshchilov and Hutter 2016)",
            target="automl_cv.training.schedules:cosine",
            parameters={"final_fraction": _share(0.0)},
        ),
        ScheduleEntry(
            name="one_cycle",
            about="rises in a line, falls along half a cosine (Goyal et al. 2017, Smith 2018)",
            target="automl_cv.training.schedules:one_cycle",
            parameters={
                # PyTorch's and fastai's defaults: a rise over 3/10, from 1/25 of the highest rate.
                "warmup_fraction": _share(0.3, False, True),
                "first_fraction": _share(0.04),
                "final_fraction": _share(0.0),
            },
        ),
        ScheduleEntry(
            name="reduce_on_plateau",
            about="falls where validation loss has not fallen for `plateau_patience` epochs",
            target="automl_cv.training.schedules:reduce_on_plateau",
            parameters={
                # Keras's defaults, but for the patience: its 10 epochs are those after which
                # our early_stopping ends the trial.
                "plateau_factor": _share(0.1, True, True),
                "plateau_patience": Setting(5, lowest=0),
                "plateau_delta": Setting(1e-4, lowest=0),
                "plateau_cooldown": Setting(0, lowest=0),
                "final_fraction": _share(0.0),
            },
        ),
    ],
)
