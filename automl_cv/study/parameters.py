"""The parameters that a trial knows: what a stage's space must and may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl_cv.catalog.augmentations import AUGMENTATIONS
from automl_cv.catalog.backbones import AUTO, BACKBONES
from automl_cv.catalog.exact_heads import EXACT_HEADS
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.kinds import KindEntry
from automl_cv.catalog.networks import NETWORKS
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.catalog.settings import Setting
from automl_cv.errors import suggest
from automl_cv.registry import Table
from automl_cv.study.space import Choice, Constant, FloatRange, IntRange, Parameter, Space

# Numbers that every trial needs, whatever its optimizer, head and schedule.
TRIAL_SETTINGS: Mapping[str, Setting] = {
    "batch_size": Setting(32, lowest=1),
    "learning_rate": Setting(0.001, lowest=0, open_ends=(True, False)),
}
REQUIRED_PARAMETERS = ("optimizer", *TRIAL_SETTINGS)
# What of the study's [backbone] a space may draw, by parameter. Each set of values has an
# entry of its own in the feature cache.
BACKBONE_PARAMETERS = {"backbone": "name", "image_size": "image_size", "features": "features"}
OWN = "own"
"""In place of an image size: that which the backbone has by itself."""
BACKBONE_SETTINGS: Mapping[str, Setting] = {
    "backbone": Setting("compact", choices=(*BACKBONES.names, AUTO)),
    "image_size": Setting(224, lowest=8, highest=4096, words=(OWN,)),
    "features": Setting("last", choices=("last", "all")),
}
# What a space may draw of how training images are altered, by operation.
AUGMENTATION_STRENGTHS: Mapping[str, Setting] = {one.name: one.strength for one in AUGMENTATIONS}
# Those of them that work on pixels, and so decide what passes the backbone.
PIXEL_AUGMENTATIONS = tuple(one.name for one in AUGMENTATIONS if one.level != "features")
# The tables whose entries a space may draw, by parameter.
TABLES_OF_DRAWN: Mapping[str, Table[Any]] = {"network": NETWORKS, "exact": EXACT_HEADS}
MIXING_AUGMENTATIONS = tuple(one.name for one in AUGMENTATIONS if one.level != "image")
NOT_CACHED = 'mixes images, so that its views can\'t be cached; set views = "online"'
ANY_OPTIMIZER = Choice(choices=tuple(OPTIMIZERS.names))


def checked_space(
    space: Space,
    training: KindEntry | None,
    trained: str | None,
    schedule: str | None,
    *,
    is_partial: bool = False,
) -> Space:
    """Check a space against what training, its optimizers, head or network, and schedule take.

    Args:
        space: what a stage searches.
        training: the stage's kind, whose own parameters the space may hold; None where it is not
            known, so that no parameter's name can be told to be wrong.
        trained: likewise the head or network that it trains.
        schedule: likewise its schedule.
        is_partial: whether the space is laid over another one, and need not be whole.

    Returns:
        The space, whole numbers made floats where a parameter is a float.

    Raises:
        ValueError: a parameter is missing, unknown, or of values it can't take.
    """
    found = dict(space.parameters)
    settings = _trained_settings(training, trained, found)
    required: tuple[str, ...] = ()
    if training is None or training.in_steps:
        required = REQUIRED_PARAMETERS
        settings = {
            **TRIAL_SETTINGS,
            **_optimizer_settings(found.get("optimizer", ANY_OPTIMIZER)),
            **settings,
            **(SCHEDULES[schedule].parameters if schedule else {}),
            **AUGMENTATION_STRENGTHS,
        }
    missing = [name for name in required if name not in found]
    if missing and not is_partial:
        raise ValueError(f"the space lacks {', '.join(missing)}")
    known = [*required[:1], *settings]
    for name, parameter in found.items():
        if name in BACKBONE_PARAMETERS and isinstance(parameter, IntRange | FloatRange):
            raise ValueError(
                f"{name}: list the values; each passes all images through a backbone once"
            )
        if name == "backbone" and isinstance(parameter, Choice) and AUTO in parameter.choices:
            raise ValueError(f"backbone: {AUTO!r} is all that are at hand; write it alone")
        if name in settings:
            found[name] = _checked(name, parameter, settings[name])
        elif name not in required[:1] and trained and schedule:
            raise ValueError(f"unknown parameter {name!r}: {suggest(name, known)}")
    return Space(parameters=found)


def check_drawn_names(space: Mapping[str, Any]) -> None:
    """Raise a ValueError where a space, as it is written, lists what no table has.

    Args:
        space: parameters by name; those that are neither a name nor a list of names are left out.
    """
    tables: dict[str, Table[Any]] = {"optimizer": OPTIMIZERS, "exact": EXACT_HEADS}
    for key, table in tables.items():
        written = space.get(key)
        names = written if isinstance(written, list | tuple) else [written]
        for name in names:
            if isinstance(name, str) and name not in table:
                raise ValueError(f"unknown {table.kind} {name!r}: {suggest(name, table.names)}")


def check_cached_views(parameters: Mapping[str, Parameter]) -> None:
    """Raise a ValueError where views of what a space draws can't be cached.

    Args:
        parameters: of the space, by name.
    """
    for entry in AUGMENTATIONS:
        parameter = parameters.get(entry.name)
        if parameter is None or entry.level == "features":
            continue
        if entry.level == "batch":
            raise ValueError(f"{entry.name} {NOT_CACHED}")
        if isinstance(parameter, IntRange | FloatRange):
            raise ValueError(
                f"{entry.name}: a range would run the backbone for each trial; list the values, "
                'each combination of which is cached, or set views = "online"'
            )


def known_parameters(training: KindEntry, trained: str, schedule: str) -> set[str]:
    """Return the names of all parameters that a stage takes, whatever its optimizers."""
    own = {*_trained_settings(training, trained, {})}
    if not training.in_steps:
        return own
    return {
        *own,
        *optimizer_parameters(),
        *AUGMENTATION_STRENGTHS,
        *SCHEDULES[schedule].parameters,
    }


def optimizer_parameters() -> set[str]:
    """Return the names of what any training takes: optimizers, their parameters, batch size."""
    return {"optimizer", *TRIAL_SETTINGS, *_optimizer_settings(ANY_OPTIMIZER)}


def drawn_settings(
    settings: Mapping[str, Setting], fixed: Mapping[str, Any], drawn: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a value for every setting: the drawn one, else the fixed one, else the default.

    Args:
        settings: of an entry of a table.
        fixed: what the stage sets.
        drawn: what a trial drew from its space, which wins; other names are left alone.
    """
    return {
        name: setting.checked(name, drawn.get(name, fixed.get(name, setting.default)))
        for name, setting in settings.items()
    }


def _trained_settings(
    training: KindEntry | None, trained: str | None, space: Mapping[str, Any]
) -> dict[str, Setting]:
    """Return the parameters of a kind of training, and of the head or network that it trains."""
    own = dict(training.parameters) if training else {}
    if training and not training.trained:
        return own
    if training and trained and training.trained != "head":
        drawn = _drawn_entries(TABLES_OF_DRAWN[training.trained], training.trained, trained, space)
        backbone = BACKBONE_SETTINGS if training.learns_from == "features" else {}
        return {**drawn, **backbone, **own}
    return {**(HEADS[trained].parameters if trained else {}), **BACKBONE_SETTINGS, **own}


def _drawn_entries(
    table: Table[Any], key: str, declared: str, space: Mapping[str, Any]
) -> dict[str, Setting]:
    """Return the own parameters of all entries that the space may draw, and their choice.

    Args:
        table: of the entries.
        key: the parameter that draws one.
        declared: the entry of trials that draw none.
        space: parameters by name.
    """
    drawn = space.get(key, Constant(value=declared))
    names = drawn.choices if isinstance(drawn, Choice) else (getattr(drawn, "value", None),)
    settings = {key: Setting(declared, choices=tuple(table.names))}
    for name in map(str, names):
        settings |= table[name].parameters if name in table else {}
    return settings


def _optimizer_settings(parameter: Any) -> dict[str, Setting]:
    """Return the own parameters of all optimizers that the space may draw."""
    match parameter:
        case Constant():
            names: tuple[Any, ...] = (parameter.value,)
        case Choice():
            names = parameter.choices
        case _:
            raise ValueError(f"optimizer: expected a name or a list of names, got {parameter}")
    settings: dict[str, Setting] = {}
    for name in map(str, names):
        if name not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {name!r}: {suggest(name, OPTIMIZERS.names)}")
        settings |= OPTIMIZERS[name].parameters
    return settings


def _checked(name: str, parameter: Any, setting: Setting) -> Any:
    """Check a parameter's values; return a range in the setting's own kind of number."""
    match parameter:
        case Constant():
            setting.checked(name, parameter.value)
            return parameter
        case Choice():
            for value in parameter.choices:
                setting.checked(name, value)
            return parameter
    if setting.kind in (bool, str):
        raise ValueError(
            f"{name}: expected {setting.expected}, got the range {parameter}; list the values"
        )
    if setting.kind is int and isinstance(parameter, FloatRange):
        raise ValueError(
            f"{name}: expected {setting.expected}, got the range {parameter} of any numbers; "
            "write its ends (and its step) as whole numbers: 8, not 8.0"
        )
    for end in (parameter.low, parameter.high):
        setting.checked(name, end)
    return _as_float(parameter) if setting.kind is float else parameter


def _as_float(parameter: Any) -> Any:
    """Return a range of numbers: `low = 0, high = 1` is no whole number here."""
    if not isinstance(parameter, IntRange):
        return parameter
    return FloatRange(
        low=float(parameter.low),
        high=float(parameter.high),
        step=None if parameter.step is None else float(parameter.step),
        log=parameter.log,
        when=parameter.when,
    )
