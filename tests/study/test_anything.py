"""Whatever stands in a study file, it is read or told in lines: never a traceback, never a hang.

Shipped studies with parts replaced, left out or added, each case by its own seed.
"""

from __future__ import annotations

import copy
import random
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from automl_cv.errors import UserError
from automl_cv.study import library
from automl_cv.study.studyfile import StudyFile, parse

CASES = 2000
KINDS = """
extends = "optimizers"
name = "kinds"
[[stage]]
name = "coarse"
trials = 5
epochs = 2
views = 2
augmentation = { rotation = 10, rand_augment = { magnitude = 1, operations = 1 } }
[stage.space]
learning_rate = 0.1
zoom = [0.0, 0.1]
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
narrow_from = { stage = "coarse", top = 2 }
[[stage]]
name = "tuned"
retrain = { stages = "coarse", top = 1, repeats = 1 }
fine_tune = { blocks = 1 }
epochs = 2
pruner = "none"
[[stage]]
name = "scratch"
trials = 1
epochs = 2
schedule = "cosine"
network = { name = "ResNet18", stem = "small", width = 0.25, stochastic_depth = 0.2 }
[stage.space]
optimizer = "Adam"
batch_size = 8
learning_rate = 0.005
"""
WHOLE = (
    *(tomllib.loads(path.read_text(encoding="utf-8")) for path in library.shipped().values()),
    *[tomllib.loads(KINDS)] * 3,
)
KEYS = "trials epochs network fine_tune kind exact combine retrain folds width oops".split()
VALUES: tuple[Any, ...] = (
    *(True, False, 0, -1, 1, 2**53, 2**63, 10**25, 10**4500, -0.5, 1e25, 1e308),
    *(float("nan"), float("inf"), "", "x", "ResNet18", "SGD", "coarse", "a/b", "\x00", "0" * 5000),
    *([], [[]], ["SGD"], [1, 2], {}, {"a": 1}, [{"a": 1}]),
    *({"low": 0, "high": 1}, {"low": 1, "high": 0}, {"low": "a", "high": "b"}, {"choices": []}),
    *({"name": "random"}, {"stages": "coarse"}, {"stages": [1]}, {"stages": {}}, {"stage": 1}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all that stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


def changed(seed: int) -> dict[str, Any]:
    """Return a document with one or two parts that are something else."""
    draw = random.Random(seed)
    document = copy.deepcopy(draw.choice(WHOLE))
    for _ in range(draw.choice((1, 1, 1, 2))):
        *path, last = draw.choice(list(places(document)))
        holder: Any = document
        for key in path:
            holder = holder[key]
        chance = draw.random()
        if chance < 0.7:
            holder[last] = copy.deepcopy(draw.choice(VALUES))
        elif chance < 0.85:
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw.choice(KEYS)] = copy.deepcopy(draw.choice(VALUES))
    return document


@pytest.mark.slow
def test_it_is_read_or_told_in_lines(tmp_path, monkeypatch):
    path = tmp_path / "study.toml"
    path.write_text("document = true")
    loads, found = tomllib.loads, {"read": 0, "told": 0}
    for seed in range(CASES):
        document = changed(seed)

        def instead(text: str, given: dict[str, Any] = document) -> dict[str, Any]:
            return given if text == "document = true" else loads(text)

        monkeypatch.setattr(library.tomllib, "loads", instead)
        try:
            read = library.load(str(path))
        except UserError as told:
            lines = str(told).splitlines()
            assert all(line.startswith(str(path)) and len(line) < 1000 for line in lines), seed
            found["told"] += 1
        else:
            assert isinstance(parse(read.as_toml_data(), "again"), StudyFile), seed
            found["read"] += 1
    assert min(found.values()) > CASES / 20, "both happen"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"seed = {'9' * 5000}", "no valid TOML: .*limit"),
        (f"name = {'[' * 2000}{']' * 2000}", "no valid TOML: .*recursion"),
        ("seed = 9999999999999999", "seed: expected a number of at most 15 digits"),
        ('[stage]\nname = "coarse"', r"begun with \[\[stage\]\]"),
        ("[[stage]]\nname = {}", "stage 1: name: expected a text, got {}"),
        ('[[stage]]\nname = "a"\nretrain = { stages = { a = 1 } }', "stage.a.retrain.stages"),
    ],
)
def test_what_once_was_a_bug_is_a_line(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(f'extends = "optimizers"\n{text}' if "extends" not in text else text)
    with pytest.raises(UserError, match=message):
        library.load(str(path))
