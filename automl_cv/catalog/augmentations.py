"""How training images may be altered, and the check of a study file's `augmentation` table.

    augmentation = { width_shift = 0.1, zoom = 0.1, horizontal_flip = true }
    augmentation = { rand_augment = { magnitude = 5, operations = 3 }, mixup = 0.2 }

A bare number sets an operation's first parameter, `true` takes its defaults, `false` or a first
parameter of 0 leaves it out. Operations apply in the order of the table, whatever the file's.

A space may draw the first parameter, under the operation's own name:

    zoom = [0.0, 0.1, 0.2]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.errors import suggest
from automl_cv.registry import Table


@dataclass(frozen=True)
class Strength(Setting):
    """The first parameter of an operation, as a space draws it: true and false will do too."""

    def takes(self, value: object) -> bool:
        """Tell whether a space may draw this value."""
        return isinstance(value, bool) or super().takes(value)


Level = Literal["image", "batch", "features"]
"""What an operation looks at: one image's pixels, the pixels of two images, or their features."""


@dataclass(frozen=True, kw_only=True)
class AugmentationEntry(SettableEntry):
    """An operation.

    A bare number sets the first of its parameters, and 0 there switches it off.

    The target draws what happens to each image, from its view's name alone (see
    `engine.augment`): of level "image" a function (seed, views, **parameters) -> `Change`, of
    "batch" (seed, views, size, **parameters) -> boxes, of "features" (seed, views,
    **parameters) -> shares.

    Args:
        level: see `Level`. Only "image" may be cached; "batch" needs a pass of the backbone
            in each epoch.
    """

    level: Level

    @property
    def strength(self) -> Strength:
        """What a space may draw: the first parameter."""
        first = next(iter(self.parameters.values()))
        return Strength(first.default, lowest=first.lowest, highest=first.highest)


AUGMENTATIONS: Table[AugmentationEntry] = Table(
    "augmentation",
    [
        # Flip, zoom and rotation keep the centre, so that shifts after them keep their range.
        AugmentationEntry(
            name="horizontal_flip",
            about="mirrors left and right, with a probability",
            target="automl_cv.engine.augment:horizontal_flip",
            level="image",
            parameters={"probability": Setting(0.5, lowest=0, highest=1)},
        ),
        AugmentationEntry(
            name="zoom",
            about="enlarges or shrinks by up to a fraction",
            target="automl_cv.engine.augment:zoom",
            level="image",
            parameters={"fraction": Setting(0.1, lowest=0, highest=0.9)},
        ),
        AugmentationEntry(
            name="rotation",
            about="turns by up to an angle in degrees, either way",
            target="automl_cv.engine.augment:rotation",
            level="image",
            parameters={"degrees": Setting(15.0, lowest=0, highest=180)},
        ),
        AugmentationEntry(
            name="width_shift",
            about="moves left or right by up to a fraction of the width",
            target="automl_cv.engine.augment:width_shift",
            level="image",
            parameters={"fraction": Setting(0.1, lowest=0, highest=1)},
        ),
        AugmentationEntry(
            name="height_shift",
            about="moves up or down by up to a fraction of the height",
            target="automl_cv.engine.augment:height_shift",
            level="image",
            parameters={"fraction": Setting(0.1, lowest=0, highest=1)},
        ),
        AugmentationEntry(
            name="brightness",
            about="multiplies all pixels by 1 - fraction to 1 + fraction",
            target="automl_cv.engine.augment:brightness",
            level="image",
            parameters={"fraction": Setting(0.2, lowest=0, highest=1)},
        ),
        AugmentationEntry(
            name="contrast",
            about="multiplies distances from the mean by 1 - fraction to 1 + fraction",
            target="automl_cv.engine.augment:contrast",
            level="image",
            parameters={"fraction": Setting(0.2, lowest=0, highest=1)},
        ),
        # The paper's values for ResNet50 on ImageNet; strong on small images.
        AugmentationEntry(
            name="rand_augment",
            about="some operations drawn anew for each image (Cubuk et al. 2019)",
            target="automl_cv.engine.augment:rand_augment",
            level="image",
            parameters={
                "magnitude": Setting(9.0, lowest=0, highest=10),
                "operations": Setting(2, lowest=1, highest=8),
            },
        ),
        AugmentationEntry(
            name="cutmix",
            about="pastes a box of another image, mixes the labels by area (Yun et al. 2019)",
            target="automl_cv.engine.mixing:draw_boxes",
            level="batch",
            parameters={
                "alpha": Setting(1.0, lowest=0, highest=10),
                "probability": Setting(1.0, lowest=0, highest=1),
            },
        ),
        # The paper's 0.1 to 0.4 for ImageNet (section 3.1).
        AugmentationEntry(
            name="mixup",
            about="mixes features and labels of two images (Zhang et al. 2017)",
            target="automl_cv.engine.mixing:draw_shares",
            level="features",
            parameters={"alpha": Setting(0.2, lowest=0, highest=10)},
        ),
    ],
)


@dataclass(frozen=True)
class Operation:
    """An entry of the table with its parameters: name and value of each, all of them."""

    name: str
    parameters: tuple[tuple[str, float], ...]

    @property
    def entry(self) -> AugmentationEntry:
        """The operation's row of the table."""
        return AUGMENTATIONS[self.name]


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images; made by `augmentation`.

    Args:
        operations: in the order of the table, none of them idle: equal augmentations are equal.
    """

    operations: tuple[Operation, ...] = ()

    def of_level(self, *levels: Level) -> Augmentation:
        """Return the operations that look at one of these levels."""
        return Augmentation(tuple(one for one in self.operations if one.entry.level in levels))

    def as_data(self) -> dict[str, dict[str, float]]:
        """Return plain data, every default written out; `augmentation` reads it back."""
        return {one.name: dict(one.parameters) for one in self.operations}

    def __bool__(self) -> bool:
        return bool(self.operations)

    def __str__(self) -> str:
        """Return one line for people: "zoom 0.1, rand_augment 9 (operations 2)"."""
        return ", ".join(_describe(one) for one in self.operations) or "none"


def augmentation(raw: Mapping[str, Any]) -> Augmentation:
    """Check a study file's `augmentation` table.

    Args:
        raw: operations by name: a number, true, false, or a table of parameters.

    Raises:
        ValueError: an operation or parameter is unknown, or a value out of its bounds; one
            line that names it, without the file and the key above it.
    """
    given = {name: _parameters(name, value) for name, value in raw.items()}
    return Augmentation(
        tuple(
            Operation(entry.name, given[entry.name])
            for entry in AUGMENTATIONS
            if entry.name in given and given[entry.name][0][1] > 0  # not switched off
        )
    )


def drawn_augmentation(table: Mapping[str, Any], drawn: Mapping[str, Any]) -> Augmentation:
    """Return a trial's augmentation: its stage's, with what the trial drew laid over it.

    Args:
        table: of the stage, checked.
        drawn: parameters of the trial; those named as an operation count. A number sets the
            operation's first parameter, and the table may give the others.
    """
    found = dict(table)
    for entry in AUGMENTATIONS:
        value = drawn.get(entry.name)
        if value is None:
            continue
        own = found.get(entry.name)
        if isinstance(own, Mapping) and value is not False:
            first = next(iter(entry.parameters))
            found[entry.name] = {**own} if value is True else {**own, first: value}
        else:
            found[entry.name] = value
    return augmentation(found)


def _parameters(name: str, value: Any) -> tuple[tuple[str, float], ...]:
    """Return an operation's parameters, those that the file does not give at their defaults."""
    if name not in AUGMENTATIONS:
        raise ValueError(f"unknown augmentation {name!r}: {suggest(name, AUGMENTATIONS.names)}")
    entry = AUGMENTATIONS[name]
    first = next(iter(entry.parameters))
    match value:
        case True:
            given: Mapping[str, Any] = {}
        case False:
            given = {first: 0}
        case Mapping():
            given = value
        case _:
            given = {first: value}
    return tuple(entry.completed(given).items())


def _describe(operation: Operation) -> str:
    """Write the first parameter, and of the others those that are not at their defaults."""
    (_, first), *others = operation.parameters
    settings = operation.entry.parameters
    changed = [f"{name} {value:g}" for name, value in others if value != settings[name].default]
    return f"{operation.name} {first:g}" + (f" ({', '.join(changed)})" if changed else "")
