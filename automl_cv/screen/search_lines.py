"""What is said of each event of a search, a line each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.history import History
from automl_cv.search import events
from automl_cv.store.progress import sets_text
from automl_cv.study.trial import method_of
from automl_cv.words import counted, trials_text

SURVEYING = "fitting the reference …"


def line_of(event: events.Event) -> str | None:
    """Return the line of an event that is the same on a terminal and off it."""
    match event:
        case events.DataRead():
            return data_line(event)
        case events.BackbonesAtHand() | events.OtherImages():
            return run_line(event)
        case events.FeaturesReady() | events.ViewsWanted() | events.BackboneEachEpoch():
            return features_line(event)
        case events.Surveyed():
            return reference_line(event.reference)
        case events.StageNarrowed():
            return narrowed_line(event)
        case events.StageEnded():
            return ended_line(event)
    return None


def warnings_of(event: events.Event) -> tuple[str, ...]:
    """Return what an event warns of, a line each."""
    match event:
        case events.DataRead() | events.Surveyed():
            return event.warnings
        case events.StageNarrowed():
            return tuple(f"stage {event.stage}: {line}" for line in event.warnings)
        case events.SpaceNeeded():
            return (space_line(event),)
        case events.SpaceExhausted():
            return (aside(event),)
    return ()


def data_line(event: events.DataRead) -> str:
    """Return "data: digits, 1,797 images (1,077 train, …) of 10 classes"."""
    total = sum(event.images.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in event.images.items())
    skipped = f"; {counted(event.skipped, 'file')} skipped" if event.skipped else ""
    classes = f"{len(event.classes)} classes"
    return f"data: {event.source}, {total:,} images ({splits}) of {classes}{skipped}"


def run_line(event: events.BackbonesAtHand | events.OtherImages) -> str:
    """Return "other images than quickstart@1: begins quickstart@2", or what races."""
    if isinstance(event, events.BackbonesAtHand):
        return event.line
    return f"other images than {event.other}: begins {event.run}"


def features_line(
    event: events.FeaturesReady | events.ViewsWanted | events.BackboneEachEpoch,
) -> str:
    """Return how many images passed the backbone, or will, and how long it takes."""
    match event:
        case events.ViewsWanted():
            total = event.augmentations * event.views * event.images
            return (
                f"stage {event.stage}: {event.augmentations} augmentations, each {event.views} "
                f"views of {event.images:,} images: {total:,} run through the backbone once, less "
                "what is cached"
            )
        case events.BackboneEachEpoch():
            speed = event.images_per_second
            return (
                f'stage {event.stage}: views = "online": each epoch of each trial runs '
                f"{event.images:,} images through the backbone: {event.images / speed:.1f} s, "
                f"{speed:,.0f} a second"
            )
    of = f" of {event.of}" if event.of else ""
    if not event.extracted:
        return f"features{of}: all cached, {event.dimension:,} numbers an image"
    speed = event.extracted / max(event.seconds, 1e-9)
    return (
        f"features{of}: {event.extracted:,} images in {event.seconds:.1f} s "
        f"({speed:,.0f} a second), "
        f"{event.dimension:,} numbers an image; cached from now on"
    )


def speed_text(event: events.Extracting) -> str:
    """Return how fast an extraction is, and how long it still takes: "35 images/s, 3:05 left"."""
    left = (event.total - event.done) / max(event.images_per_second, 1e-9)
    return f"{event.images_per_second:,.0f} images/s, {duration(left)} left"


def extracting_line(event: events.Extracting) -> str:
    """Return how far an extraction is."""
    return f"extracting features: {event.done:,} of {event.total:,}, {speed_text(event)}"


def epoch_line(event: events.EpochEnded, metric: MetricEntry) -> str:
    """Return how far a long trial is."""
    return (
        f"{event.stage}: trial {event.trial}: epoch {event.epoch.epoch} of {event.epochs}, "
        f"val {metric.about} {figure(event.epoch.merit, metric)}"
    )


def space_line(event: events.SpaceNeeded) -> str:
    """Return how much of the disk an extraction will take."""
    return (
        f"feature maps will take {event.n_bytes / 1e9:.1f} GB of the {event.free / 1e9:.1f} GB "
        f"that {event.folder} has left; `automl-cv cache --clear` removes them"
    )


def stage_line(event: events.StageStarted) -> str:
    """Return what a stage will do."""
    if event.finished >= event.trials:
        if event.trials == 1:
            return f"stage {event.stage}: its trial is finished already"
        return f"stage {event.stage}: all {event.trials} trials are finished already"
    done = f", {event.finished} of them finished already" if event.finished else ""
    seen = "" if event.images is None else f" on a sample of {event.images:,} images"
    return f"stage {event.stage}: {counted(event.trials, 'trial')}{seen}{done}"


def aside(
    event: events.SpaceExhausted | events.StageWaits | events.TrialRedrawn | events.TrialBroke,
) -> str:
    """Return what comes otherwise than asked for."""
    match event:
        case events.SpaceExhausted():
            return f"stage {event.stage}: {sets_text(event.sets)}"
        case events.StageWaits():
            return f"stage {event.stage}: left for the next search, the time ended"
        case events.TrialBroke():
            return f"{event.stage}: trial {event.trial} broke and runs again: {event.reason}"
    return (
        f"{event.stage}: trial {event.trial} drew the parameters of trial {event.same_as}, "
        "and is drawn anew"
    )


def ended_line(event: events.StageEnded) -> str:
    """Return how many trials a stage has, and what is missing."""
    what = event.shortfall or counted(event.finished, "trial")
    return f"stage {event.stage}: {what}, {event.seconds:.1f} s"


def narrowed_line(event: events.StageNarrowed) -> str:
    """Return which trials a stage was narrowed from, and to what."""
    values = "; ".join(f"{name} {text}" for name, text in event.space.items())
    return (
        f"stage {event.stage}: narrowed from {trials_text(event.trials)} of {event.source} "
        f"to {values}"
    )


def reference_line(reference: Mapping[str, Any]) -> str:
    """Return the reference's validation accuracy."""
    return (
        f"reference: {reference['label']}: val accuracy {reference['val_accuracy']:.4f}, "
        f"val loss {reference['val_loss']:.4g}"
    )


def parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return "SGD, batch_size 49, learning_rate 0.035"."""
    named = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in parameters.items()
        if name not in ("optimizer", "exact")
    ]
    method = method_of(parameters)
    return ", ".join([method, *named] if method else named)


def figure(merit: float, metric: MetricEntry) -> str:
    """Return the metric's value of this merit; a dash for none yet."""
    return f"{metric.score(merit):.4f}" if math.isfinite(merit) else "–"


def outcome_text(history: History, metric: MetricEntry) -> str:
    """Return a trial's best epoch and why it stopped."""
    best = history.best
    if history.error is not None:
        return f"{history.stop_reason}: {history.error}"
    if best is None:
        return "no epoch"
    if len(history.epochs) == 1:  # solved, or of one epoch
        return f"val {metric.about} {figure(best.merit, metric)} ({history.seconds:.2f} s)"
    return (
        f"val {metric.about} {figure(best.merit, metric)} at epoch {best.epoch} of "
        f"{len(history.epochs)} "
        f"({history.stop_reason}, {history.seconds:.2f} s)"
    )


def duration(seconds: float) -> str:
    """Return a time as "12 s", "3:05" or "1:02:03"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
