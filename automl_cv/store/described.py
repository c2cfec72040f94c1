"""What an Optuna study says of itself where other programs show it: a note, and its value's name.

The keys and the form of a note are those of optuna-dashboard 0.20 (`optuna_dashboard/_note.py`);
a note that someone has edited there, of whatever version, is left as it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from optuna.storages import RDBStorage
from optuna.study.study import _SYSTEM_ATTR_METRIC_NAMES as METRIC_NAMES

from automl_cv.store.facts import StudyFacts
from automl_cv.store.patience import patiently
from automl_cv.words import in_markdown

NOTE_VERSION = "dashboard:note_ver"
NOTE_PART = "dashboard:note_str:{}"
LONGEST_PART = 2045  # signs that one attribute of a note holds, there


def describe(storage: RDBStorage, study_id: int, run: str, stage: str, facts: StudyFacts) -> None:
    """Write which run and stage an Optuna study is, unless it says so already.

    Args:
        storage: the database.
        study_id: Optuna's number of the study.
        run: name of the run.
        stage: name of the stage.
        facts: what is known of the study.
    """
    note = note_of(run, stage, facts)
    parts = [note[at : at + LONGEST_PART] for at in range(0, len(note), LONGEST_PART)]
    stored = storage.get_study_system_attrs(study_id)
    wanted: dict[str, Any] = (
        {METRIC_NAMES: [value_name(facts)]} if METRIC_NAMES not in stored else {}
    )
    if NOTE_VERSION not in stored:
        wanted |= {NOTE_PART.format(number): part for number, part in enumerate(parts)}
        wanted |= {NOTE_VERSION: 1}  # the last: without it there is no note
    for key, value in wanted.items():
        patiently(partial(storage.set_study_system_attr, study_id, key, value))


def value_name(facts: StudyFacts) -> str:
    """Return what Optuna's value of a trial is: a metric of which less is better is negated."""
    metric = facts.metric
    sign = "-" if metric.direction == "minimize" else ""
    return f"{sign}val_{metric.name}"


def note_of(run: str, stage: str, facts: StudyFacts) -> str:
    """Return the note as Markdown."""
    names = [one["name"] for one in facts.study.get("stage", ())]
    place = f" ({names.index(stage) + 1} of {len(names)})" if stage in names else ""
    sizes = ", ".join(f"{number:,} {split}" for split, number in facts.split_sizes.items())
    value = "" if facts.metric.direction == "maximize" else ", negated"
    lines = [
        f"Stage **{in_markdown(stage)}**{place} of the run **{in_markdown(run)}** of automl-cv.",
        "",
        f"- images: {in_markdown(facts.data_source or 'not known')}"
        + (f" ({sizes})" if sizes else ""),
        f"- value: validation {facts.metric.about} at a trial's best epoch{value}; a trial that "
        "was pruned for being worse has its last epoch's",
        "- user attributes: `val_loss` and `best_epoch` of the best epoch, `seconds` of the "
        "training; those that begin with `automl-cv:` are the record",
        "",
        f"More: `automl-cv report {run} --stage {stage}`",
    ]
    return "\n".join(lines)
