"""What is wrong in a study file, in one line a mistake, by the file's own key paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from automl_cv.errors import alike, suggest
from automl_cv.words import shortened

Location = tuple[int | str, ...]

# What was expected, by the type of pydantic's complaint; in braces its own figures.
EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text in quotes",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-', a letter or digit first, "
    "100 at most",
    "literal_error": "{expected}",
    "tuple_type": "a list: [ … ]",
    **dict.fromkeys(("dict_type", "model_type"), "a table: {{ … }}"),
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "at least {min_length} in the list",
}
RANGES = ("IntRange", "FloatRange")
SINGLE = {"bool": "bool_type", "int": "int_type", "float": "float_type", "str": "string_type"}
"""What pydantic says of one value that may be any of these, four times."""


def explain(
    error: ValidationError, raw: Mapping[str, Any], sections: Mapping[str, type[BaseModel]]
) -> Iterator[str]:
    """Turn each of pydantic's complaints into "key.path: what was wrong, what was expected".

    Args:
        error: what pydantic raised.
        raw: the file's data.
        sections: the model of each table of the file by its name; "" for the file itself.
    """
    # An unknown key is often why another is missing: it comes first.
    problems = sorted(
        error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden"
    )
    told: set[str] = set()
    for problem in problems:
        for line in _lines(problem, problems, raw, sections):
            if line not in told:
                yield line
            told.add(line)


def _lines(
    problem: ErrorDetails,
    problems: Sequence[ErrorDetails],
    raw: Mapping[str, Any],
    sections: Mapping[str, type[BaseModel]],
) -> Iterator[str]:
    """Yield the line of one complaint, none where that of another says it already."""
    *holder, last = problem["loc"] or ("",)
    path, received, kind = _key_path(problem["loc"], raw), problem["input"], problem["type"]
    unknown = _keys_told(problems, "extra_forbidden", holder)
    lacking = [
        key
        for key in _keys_told(problems, "missing", holder)
        if not any(alike(slip, [key]) for slip in unknown)
    ]
    if holder and holder[-1] in RANGES and unknown and lacking and last in (*unknown, *lacking):
        given = next(
            one["input"]
            for one in problems
            if one["type"] == "missing" and list(one["loc"][:-1]) == holder
        )
        path = _key_path(tuple(holder), raw)
        yield f"{path}: got {shortened(given)}; expected a range: {{ low = …, high = … }}"
    elif kind == "extra_forbidden":
        yield f"{path}: unknown key; {suggest(str(last), _keys_at(problem['loc'], sections))}"
    elif kind == "missing":
        if last in lacking:
            yield f"{path}: missing; it must be given"
    elif kind == "value_error":
        yield f"{path}: {problem['ctx']['error']}".removeprefix("the file: ")
    elif problem["loc"] == ("stage",) and isinstance(received, Mapping):
        yield "stage: stages are a list; write [[stage]], not [stage]"
    elif SINGLE.get(str(last)) == kind:
        path = _key_path(tuple(holder), raw)
        yield f"{path}: got {shortened(received)}; expected text in quotes, a number, true or false"
    elif not (kind == "too_short" and received):  # else its items are the mistake
        yield f"{path}: got {shortened(received)}; {_expected(problem)}"


def _keys_told(
    problems: Sequence[ErrorDetails], kind: str, holder: Sequence[int | str]
) -> list[str]:
    """Return the keys of one table that are all unknown, or all missing."""
    return [
        str(one["loc"][-1])
        for one in problems
        if one["type"] == kind and list(one["loc"][:-1]) == list(holder)
    ]


def _expected(problem: ErrorDetails) -> str:
    """Return what pydantic expected, in the words of a study file."""
    figures = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in problem.get("ctx", {}).items()
    }
    if figures.get("class_name") in ("Named", "NarrowFrom"):
        return "expected a name in quotes, or a table: { … }"
    words = EXPECTED.get(problem["type"])
    return problem["msg"] if words is None else f"expected {words.format(**figures)}"


def _key_path(location: Location, raw: Mapping[str, Any]) -> str:
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


def _keys_at(location: Location, sections: Mapping[str, type[BaseModel]]) -> list[str]:
    """Return the keys that would have been right where an unknown one stood."""
    holders = [part for part in location[:-1] if isinstance(part, str)]
    whole = sections[""]
    model = sections.get(holders[-1], whole) if holders else whole
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "extends"] if model is whole else keys
