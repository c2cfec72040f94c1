"""What is wrong in a study file, in one line a mistake, by the file's own key paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from automl_cv.errors import suggest


def explain(
    error: ValidationError, raw: Mapping[str, Any], sections: Mapping[str, type[BaseModel]]
) -> Iterator[str]:
    """Turn each of pydantic's complaints into "key.path: what was wrong, what was expected".

    Args:
        error: what pydantic raised.
        raw: the file's data.
        sections: the model of each table of the file by its name; "" for the file itself.
    """
    for problem in error.errors(include_url=False):
        path = _key_path(problem["loc"], raw)
        received = problem["input"]
        match problem["type"]:
            case "missing":
                yield f"{path}: missing; it must be given"
            case "extra_forbidden":
                known = _keys_at(problem["loc"], sections)
                yield f"{path}: unknown key; {suggest(str(problem['loc'][-1]), known)}"
            case "value_error":
                yield f"{path}: {problem['ctx']['error']}".removeprefix("the file: ")
            case _:
                yield f"{path}: got {received!r}; {problem['msg']}"


def _key_path(location: tuple[int | str, ...], raw: Mapping[str, Any]) -> str:
    """Write pydantic's location as the file's own key path: "stage.coarse.epochs"."""
    hidden = {"parameters", "Constant", "Choice", "IntRange", "FloatRange"}
    path: list[str] = []
    for part in location:
        if isinstance(part, int):
            stages = raw.get("stage")
            is_stage = path == ["stage"] and isinstance(stages, list)
            stage = stages[part] if is_stage and stages else {}
            name = stage.get("name") if isinstance(stage, Mapping) else None
            path.append(str(name or part + 1))
        elif part not in hidden:
            path.append(part)
    return ".".join(path) or "the file"


def _keys_at(location: tuple[int | str, ...], sections: Mapping[str, type[BaseModel]]) -> list[str]:
    """Return the keys that would have been right where an unknown one stood."""
    holders = [part for part in location[:-1] if isinstance(part, str)]
    whole = sections[""]
    model = sections.get(holders[-1], whole) if holders else whole
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "extends"] if model is whole else keys
