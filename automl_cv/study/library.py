"""The library of study files: found by name or path, read with what they extend.

A file may build on another (`extends = "slides"`): tables are merged key by key,
stages by name.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_cv.catalog.datasets import DATASETS
from automl_cv.errors import UserError, suggest
from automl_cv.study.studyfile import StudyFile, parse
from automl_cv.words import shortened, without_long_words

STUDY_FOLDERS = (
    Path(__file__).parent.parent / "studies",  # an installed wheel
    Path(__file__).parent.parent.parent / "studies",  # a checkout
)


GREATEST = 10**15 - 1  # a float holds every whole number up to here


def load(name_or_path: str) -> StudyFile:
    """Read a study by its name (one of those shipped) or by the path of its file.

    Raises:
        UserError: no such study or file, no TOML, or a mistake in it.
    """
    path = locate(name_or_path)
    return parse(_read(path, ()), str(path))


def locate(name_or_path: str) -> Path:
    """Return the path of a study file, given its path or its name.

    Raises:
        UserError: there is none.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        path = Path(name_or_path).expanduser()
        if not os.path.isfile(path):
            raise UserError(f"{path}: no such study file; see `automl-cv studies` for names")
        return path
    shipped_files = shipped()
    if name_or_path not in shipped_files:
        study, _, number = name_or_path.partition("@")
        if number and study in shipped_files:
            raise UserError(
                f"{name_or_path!r} is a run, expected a study: give {study}; `search` goes on "
                "with the latest run of the same study on the same images"
            )
        raise UserError(
            f"no study is called {name_or_path!r}: {suggest(name_or_path, shipped_files)}; "
            "a file of your own is named by its path, ./NAME.toml"
        )
    return shipped_files[name_or_path]


def shipped() -> dict[str, Path]:
    """Return the study files that come with automl-cv, path by name, sorted."""
    folder = next((folder for folder in STUDY_FOLDERS if folder.is_dir()), None)
    found = {path.stem: path for path in folder.glob("*.toml")} if folder else {}
    return dict(sorted(found.items()))


def _read(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """Read TOML and lay it over the study it extends."""
    if path.resolve() in [link.resolve() for link in chain]:
        names = " -> ".join(link.name for link in (*chain, path))
        raise UserError(f"{chain[0]}: extends goes in a circle: {names}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a mark
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: no valid TOML: {_with_line(str(error), text)}") from None
    except (ValueError, RecursionError) as error:  # no text, a number of 5,000 digits, deep nesting
        raise UserError(f"{path}: no valid TOML: {shortened(str(error))}") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    _check_numbers(path, raw)
    _check_stages(path, raw)
    _place_source(path, raw)
    parent = raw.pop("extends", None)
    if parent is None:
        return raw
    if not isinstance(parent, str):
        raise UserError(
            f"{path}: extends: expected the name or path of a study, got {shortened(parent)}"
        )
    beside = (path.resolve() if path.is_symlink() else path).parent / parent
    try:
        parent_path = (
            beside if parent.endswith(".toml") and os.path.isfile(beside) else locate(parent)
        )
    except UserError as error:
        raise UserError(f"{path}: extends: {without_long_words(str(error))}") from None
    base = _read(parent_path, (*chain, path))
    base.pop("about", None)  # what is said of another study need not hold for this one
    return _merge(base, raw)


def _check_numbers(path: Path, value: Any, key: str = "") -> None:
    """Refuse whole numbers that a database, a float or a processor has no room for."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(path, inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(path, inner, key)
    elif isinstance(value, int) and abs(value) > GREATEST:
        raise UserError(f"{path}: {key}: expected a number of at most 15 digits, got a longer one")


def _check_stages(path: Path, raw: dict[str, Any]) -> None:
    """Refuse stages that could not be laid over those of another file, by their names."""
    stages = raw.get("stage", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise UserError(f"{path}: stage: expected a table for each stage, begun with [[stage]]")
    for number, stage in enumerate(stages, start=1):
        if not isinstance(stage.get("name", ""), str):
            raise UserError(
                f"{path}: stage {number}: name: expected a text, got {shortened(stage['name'])}"
            )


def _place_source(path: Path, raw: dict[str, Any]) -> None:
    """Take `data.source` from beside the file, where it lies there, else as it is named."""
    data = raw.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(source, str) or source in DATASETS:
        return
    beside = (path.resolve() if path.is_symlink() else path).parent / source
    if not Path(source).expanduser().is_absolute() and os.path.exists(beside):
        data["source"] = str(beside)


def _with_line(problem: str, text: str) -> str:
    """Return what tomllib says with the line that it means; a doubled key by its name."""
    found = re.search(r" \(at line (\d+), column \d+\)$", problem)
    if found is None:
        return problem
    number = int(found[1])
    line = text.split("\n")[number - 1].strip()
    key = line.partition("=")[0].strip()
    if problem.startswith("Cannot overwrite a value") and "=" in line:
        return f"line {number}: {key} stands twice in one table; leave one out"
    return f"line {number}: {line!r}: {problem[: found.start()]}"


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one table over another: tables key by key, stages by name, anything else replaced.

    Within a space each parameter is replaced as a whole: a list can't be laid over a range.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if key == "stage" and isinstance(below, list) and isinstance(value, list):
            merged[key] = _merge_stages(below, value)
        elif key == "space" and isinstance(below, dict) and isinstance(value, dict):
            merged[key] = {**below, **value}
        elif isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _merge_stages(base: list[Any], over: list[Any]) -> list[Any]:
    stages = {stage.get("name"): stage for stage in base}
    for stage in over:
        name = stage.get("name") if isinstance(stage, dict) else None
        stages[name] = _merge_stage(stages[name], stage) if name in stages else stage
    return list(stages.values())


def _merge_stage(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one stage over another; a rule that narrows takes the place of the space below it."""
    if "narrow_from" in over and "narrow_from" not in base:
        base = {key: value for key, value in base.items() if key != "space"}
    merged = _merge(base, over)
    own, inherited = over.get("space"), base.get("space")
    if isinstance(own, dict) and isinstance(inherited, dict):
        merged["space"] = _with_conditions_shrunk(merged["space"], own)
    return merged


def _with_conditions_shrunk(space: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a space whose inherited parameters ask only for values that are still there.

    A file that lists fewer optimizers would else have to say again when momentum is drawn. A
    parameter whose condition can't hold any more is left out, and so are those that rest on it.

    Args:
        space: parameters of both files, as they are written.
        own: those of the file that extends the other; they stay as they are.
    """
    shrunk: dict[str, Any] = {}
    for name, parameter in space.items():
        when = parameter.get("when") if isinstance(parameter, dict) else None
        if name in own or not isinstance(when, dict):
            shrunk[name] = parameter
            continue
        left = {}
        for needed, values in when.items():
            known = _listed(shrunk.get(needed)) if needed in own or needed in space else None
            asked = values if isinstance(values, list) else [values]
            left[needed] = asked if known is None else [one for one in asked if one in known]
        if all(left.values()) and all(needed in shrunk for needed in left):
            shrunk[name] = {**parameter, "when": left}
    return shrunk


def _listed(parameter: Any) -> list[Any] | None:
    """Return the values of a parameter as it is written; None where it is a range."""
    if isinstance(parameter, dict):
        if "choices" in parameter:
            return _listed(parameter["choices"])
        return [parameter["value"]] if "value" in parameter else None
    return parameter if isinstance(parameter, list) else [parameter]
