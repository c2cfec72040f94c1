"""card.md: a classifier's model card, after Mitchell et al. 2019 (https://arxiv.org/abs/1810.03993).

What nobody can measure (what the classifier is for, who took the images) is left to people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl_cv.catalog.augmentations import drawn_augmentation
from automl_cv.catalog.engines import FLOAT32, TENSORFLOW
from automl_cv.catalog.kinds import KINDS
from automl_cv.catalog.metrics import METRICS, MetricEntry
from automl_cv.data.ledger import Ledger
from automl_cv.history import Epoch, History
from automl_cv.saved.facts import Manifest, Metric, Validation
from automl_cv.words import counted, in_markdown, listed

SHOWN_EPOCHS = 8  # rows of a curve
SHOWN_CLASSES = 50


def compose(
    manifest: Manifest,
    classes: Sequence[str],
    *,
    folder: str,
    searched: Sequence[Epoch],
    fitted: Sequence[History],
    weights: int,
) -> str:
    """Return the card as Markdown.

    Args:
        manifest: of the classifier.
        classes: names of the classes, in the order of the probabilities.
        folder: where the classifier lies, as the user wrote it.
        searched: epochs of the search up to the best one.
        fitted: epochs of each training on train and validation images.
        weights: numbers that the network holds.
    """
    winner, fitting = manifest.winner, manifest.fitting
    parts = [
        f"# {winner.run}: {len(classes)} classes",
        f"{_network(manifest)} Any image in, a probability for each class out. "
        f"Written {manifest.created:%Y-%m-%d %H:%M} UTC by automl-cv "
        f"{manifest.versions.get('automl-cv', '')}.",
        f"```sh\nautoml-cv predict {folder} IMAGES\n```",
        "## Figures",
        f"Validation {_figures(winner.validation)}: measured in the search{_before(manifest)}. The "
        "winner was chosen by the first figure, which flatters it. The test images played no part.",
        *_corrected(winner.validation),
        *_overconfidence(manifest),
        *_calibration(manifest),
        *_foreign(manifest),
        "## How it was chosen",
        f"{winner.trial} of run {winner.run}: {winner.why}.",
        _table(("parameter", "value"), sorted(_settings(manifest).items())),
        "## Training",
        _training(manifest),
        _curve(searched, fitted, METRICS[winner.validation.chosen_by.name]),
        "## Data",
        _data(manifest, classes),
        "## Network",
        f"{weights:,} numbers. Images are resized to {manifest.image_size} × "
        f"{manifest.image_size} pixels (bilinear, antialiased, proportions not kept), within the "
        f"network.{_engine(manifest)}",
        "## Licences",
        _table(
            ("of", "licence"),
            [
                ("images", manifest.data.licence or "not stated; whoever passes this on asks"),
                _weights(manifest),
            ],
        ),
        "## Versions",
        _table(("package", "version"), sorted(manifest.versions.items())),
        "## Again",
        f"```sh\n{fitting.command}\n```",
        "## For people to fill in",
        "What it is for, and what it must not be used for. Where the images come from, and "
        "whom or what they leave out.",
    ]
    return "\n\n".join(parts) + "\n"


def _network(manifest: Manifest) -> str:
    """Return what was trained, in the words of its kind."""
    backbone, stage = manifest.backbone or {}, _stage(manifest)
    count = (stage.get("fine_tune") or {}).get("blocks", 0)
    return KINDS[manifest.kind].sentence.format(
        trained=_trained(manifest),
        blocks={"last": "the last block", "all": "all blocks"}.get(backbone.get("features", "")),
        backbone=backbone.get("name"),
        tuned="block was" if count == 1 else f"{count} blocks were",
    )


def _engine(manifest: Manifest) -> str:
    """Return what made the features, where that was not the saved network's own TensorFlow."""
    searched = manifest.study.get("backbone", {}).get("precision", FLOAT32)
    if manifest.engine == TENSORFLOW and searched == FLOAT32:
        return ""
    coarse = "" if searched == FLOAT32 else f", those of the search in {searched}"
    return f" The features that it was trained on were made by {manifest.engine}{coarse}."


def _is_over_folds(manifest: Manifest) -> bool:
    return manifest.study.get("validation") == "folds"


def _before(manifest: Manifest) -> str:
    """Return on which images figures of the search are."""
    if _is_over_folds(manifest):
        return " on all these images, each by a training that it had no part in"
    return ", before the validation images were trained on as well"


def _weights(manifest: Manifest) -> tuple[str, str]:
    """Return whose weights these are, and their licence."""
    if manifest.backbone is None:
        return "weights", "trained from scratch on these images; nobody else's are in them"
    return "weights of the backbone", manifest.weights_licence or "not stated"


def _figures(validation: Validation) -> str:
    """Return what the winner was chosen by, then accuracy and loss where that is another."""
    chosen = validation.chosen_by
    entry = METRICS[chosen.name]
    own = _interval(chosen if validation.metric else validation)
    figures = [f"{entry.about} {chosen.value:.4f}{own}"]
    if entry.of_epoch != "val_accuracy":
        figures.append(f"accuracy {validation.accuracy:.4f}{_interval(validation)}")
    if entry.of_epoch != "val_loss":
        figures.append(f"loss {validation.loss:.4f}")
    return ", ".join(figures)


def _corrected(validation: Validation) -> list[str]:
    """Return what the figures are worth after the choice, where that is known."""
    found, chosen = validation.corrected, METRICS[validation.chosen_by.name]
    if found is None:
        return []
    figures = [f"{chosen.about} {found.value:.4f} ({found.low:.4f} to {found.high:.4f})"]
    if chosen.of_epoch != "val_loss":
        figures.append(f"log loss {found.loss:.4f} ({found.loss_low:.4f} to {found.loss_high:.4f})")
    note = "" if found.note is None else f" {found.note[0].upper()}{found.note[1:]}."
    return [
        f"Corrected for having been chosen from {counted(found.trials, 'trial')}: "
        f"{', '.join(figures)}, with 95 % intervals, by bootstrap bias-corrected selection "
        "(Tsamardinos et al. 2018, https://doi.org/10.1007/s10994-018-5714-4). This is what to "
        f"expect on other images like these.{note}"
    ]


def _interval(figure: Validation | Metric) -> str:
    if figure.low is None or figure.high is None:
        return f" ({figure.over})"
    text = f"95 % interval {figure.low:.4f} to {figure.high:.4f}, over {figure.over}"
    if isinstance(figure, Validation) and figure.over_images is not None:
        low, high = figure.over_images
        text += f"; over other images {low:.4f} to {high:.4f}"
    return f" ({text})"


def _overconfidence(manifest: Manifest) -> list[str]:
    found = manifest.overconfidence
    return [] if found is None else [f"Its probabilities are {found}."]


def _stage(manifest: Manifest) -> Mapping[str, Any]:
    """Return the winner's stage as the study file declares it."""
    stages: dict[str, dict[str, Any]] = {
        stage["name"]: stage for stage in manifest.study.get("stage", ())
    }
    return stages.get(manifest.winner.stage, {})


def _trained(manifest: Manifest) -> str:
    """Return the name of the head or network that was trained: drawn, or the stage's."""
    key = KINDS[manifest.kind].trained
    declared = (_stage(manifest).get(key) or {}).get("name")
    return str(manifest.winner.parameters.get(key, declared))


def _settings(manifest: Manifest) -> dict[str, Any]:
    """Return what was drawn, and what the stage set for all its trials."""
    stage = _stage(manifest)
    kind = KINDS[manifest.kind]
    shown = (kind.trained, "schedule") if kind.in_steps else (kind.trained,)
    own = {name: _named(stage[name]) for name in shown if name in stage}
    if stage.get("fine_tune"):
        own["fine_tune"] = _pairs(stage["fine_tune"])
    if (loss := stage.get("loss", {})).get("name", "cross_entropy") != "cross_entropy":
        own["loss"] = _named(loss)
    if stage.get("class_weight"):
        own["class_weight"] = str(stage["class_weight"])
    drawn = manifest.winner.parameters
    if altered := drawn_augmentation(stage.get("augmentation", {}), drawn):
        if kind.learns_from == "pixels" or stage["views"] == "online":
            times = "anew in each epoch: "
        else:
            times = f"{stage['views']} views: " if altered.of_level("image", "batch") else ""
        own["augmentation"] = f"{times}{altered}"
    return {**own, **drawn}


def _named(entry: Mapping[str, Any]) -> str:
    own = _pairs(entry.get("parameters", {}))
    return f"{entry['name']} ({own})" if own else str(entry["name"])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _training(manifest: Manifest) -> str:
    fitting = manifest.fitting
    several = (
        ""
        if len(fitting.seeds) == 1
        else f", {len(fitting.seeds)} times with other seeds, whose logits are averaged"
    )
    judged = "" if fitting.accuracy is None else _judged(manifest, fitting.accuracy)
    if not KINDS[manifest.kind].in_steps:
        return (
            f"{fitting.images:,} train and validation images together, by the settings above; "
            f"{fitting.seconds:.1f} s.{judged}"
        )
    return (
        f"{fitting.images:,} train and validation images together, {fitting.epochs} epochs: the "
        f"best epoch of the search{several}. Nothing was held out, so no epoch was chosen. "
        f"Seeds {', '.join(map(str, fitting.seeds))}; {fitting.seconds:.1f} s.{judged}"
    )


def _judged(manifest: Manifest, accuracy: float) -> str:
    """Return what the classifier is worth on its own images, beside what was expected."""
    note = manifest.fitting.note
    own = f"{note[0].upper()}{note[1:]}. " if note else ""
    return (
        f" {own}Of these images it classifies {accuracy:.4f} right, as it must: in the search "
        f"{manifest.winner.validation.accuracy:.4f} of images were that it had not seen."
    )


def _calibration(manifest: Manifest) -> list[str]:
    """Return the parts on calibration; none of a classifier whose logits are as trained."""
    found = manifest.calibration
    if found is None:
        return []
    trainings = "a training"
    if len(manifest.fitting.seeds) > 1:
        trainings = f"{len(manifest.fitting.seeds)} trainings, their logits averaged,"
    source = (
        f"{found.images:,} validation images, by {trainings} on the training images alone, with "
        "the settings, seeds and epochs below."
    )
    if _is_over_folds(manifest):
        source = f"{found.images:,} images, each by a training that it had no part in."
    rows = [
        ("log loss", f"{found.before.log_loss:.4f}", f"{found.after.log_loss:.4f}"),
        (
            "expected calibration error",
            f"{found.before.calibration_error:.4f}",
            f"{found.after.calibration_error:.4f}",
        ),
    ]
    return [
        "## Calibration",
        f"The logits are divided by a temperature of {found.temperature:.4f} (Guo et al. 2017, "
        "https://arxiv.org/abs/1706.04599). It is the one of lowest log loss on the "
        f"{source}",
        _table(("validation images", "before", "after"), rows),
        *([f"{found.note[0].upper()}{found.note[1:]}."] if found.note else []),
        "The temperature was fitted on these very images, which flatters the second column a "
        "little; and the winner was chosen by them, so that they look easier than others and the "
        "temperature may be too low. The classifier itself was trained on them too: only other "
        "images can check it, with `automl-cv evaluate`. A temperature changes how sure the "
        "probabilities are, not which class is the first: "
        f"accuracy {found.accuracy:.4f} before and after.",
    ]


def _foreign(manifest: Manifest) -> list[str]:
    """Return the part on foreign images; none of a classifier that can't tell."""
    found = manifest.foreign
    if found is None:
        return []
    return [
        "## Foreign images",
        "An image whose features lie far from those of all images that it was trained on is called "
        f"foreign, whatever its class. Of new images of the same kind {found.share:.1%} are: the "
        f"distance was found from {found.images:,} images, each measured from others. That it is "
        "not called foreign does not make an image one of the classes.",
    ]


def _curve(searched: Sequence[Epoch], fitted: Sequence[History], metric: MetricEntry) -> str:
    """Return a few epochs of the search beside the same of the first fit."""
    own = metric.of_epoch is None  # else accuracy or loss, which are shown anyway
    step = max(1, -(-len(searched) // SHOWN_EPOCHS))
    rows = [
        (
            before.epoch,
            *(f"{value:.4f}" for value in (before.loss, before.val_loss, before.val_accuracy)),
            *([f"{metric.score(before.merit):.4f}"] if own else []),
            *(f"{value:.4f}" for value in (now.loss, now.accuracy)),
            f"{now.learning_rate:.3g}",
        )
        for number, (before, now) in enumerate(
            zip(searched, fitted[0].epochs, strict=True), start=1
        )
        if number % step == 0 or number in (1, len(searched))
    ]
    titles = ["epoch", "search: loss", "val loss", "val accuracy"]
    titles += [f"val {metric.about}"] if own else []
    return _table((*titles, "fit: loss", "accuracy", "learning rate"), rows)


def _data(manifest: Manifest, classes: Sequence[str]) -> str:
    data = manifest.data
    lines = [
        f"- Source: {in_markdown(data.source)}",
        f"- Fingerprint of images, labels and splits: `{data.fingerprint}`",
        f"- Images: {', '.join(f'{count:,} {name}' for name, count in data.split_sizes.items())}",
    ]
    if data.ledger:
        ledger = Ledger.from_json(data.ledger)
        skipped = listed([f"{one.path} ({one.reason})" for one in ledger.skipped])
        ledger_line = f"{ledger.summary()}{f': {skipped}' if skipped else ''}"
        lines.append(f"- Ledger: {in_markdown(ledger_line)}")
        lines += [f"- {in_markdown(note)}" for note in ledger.notes]
    shown = ", ".join(map(in_markdown, classes[:SHOWN_CLASSES]))
    more = len(classes) - SHOWN_CLASSES
    lines.append(f"- Classes: {shown}{f' and {more:,} more' if more > 0 else ''}")
    return "\n".join(lines)


def _table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else in_markdown(str(value))
