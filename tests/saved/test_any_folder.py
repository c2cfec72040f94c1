"""Whatever stands in the folder of a saved classifier, it is read or refused in lines."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from automl_cv.features.weightfile import hash_of
from automl_cv.saved import folder
from automl_cv.saved.facts import checksum_of
from tests.generated import TEXTS, ends_well, numbers
from tests.saved.saved import write_saved

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *([], [[]], [1], {}, {"a": 1}, {"class_name": "Dense"}, {"class_name": None, "module": 3}),
    *({"module": "os", "class_name": "System", "config": {}}, "keras.layers", "Lambda", "Dense"),
    *TEXTS,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that stands in plain data."""
    if not isinstance(value, dict | list):
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, one in inner for found in ((*path, key), *places(one, (*path, key)))]


def changed(draw: random.Random, value: Any) -> Any:
    """Return plain data of which a part is something else, or gone."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 2))):
        found = places(value)
        if not found:
            return copy.deepcopy(draw.choice(VALUES))
        *path, last = draw.choice(found)
        holder = value
        for key in path:
            holder = holder[key]
        if draw.random() < 0.8:
            holder[last] = copy.deepcopy(draw.choice(VALUES))
        else:
            del holder[last]
    return value


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def change_network(draw: random.Random, path: Path) -> None:
    """Change the network's config, or the archive that it stands in."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    match draw.randrange(6):
        case 0:
            depth = draw.choice((50, 5000, 200000))
            members["config.json"] = b'{"class_name":' * depth + b"1" + b"}" * depth
        case 1:
            name = draw.choice((*TEXTS, "../x", "/etc/x", "config.json/x"))
            members[name.replace("\x00", "") or "x"] = b"x"
        case 2:
            members.pop(draw.choice(list(members)))
        case _:
            members["config.json"] = written(changed(draw, config)).encode("utf-8", "replace")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def flip(draw: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 4)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(content[: draw.choice((len(content), draw.randrange(len(content))))]))


def change(draw: random.Random, saved: Path) -> None:
    """Change a folder; most often its manifest agrees with what was changed."""
    manifest = saved / folder.MANIFEST
    raw = json.loads(manifest.read_text(encoding="utf-8"))
    match draw.randrange(8):
        case 0 | 1:
            raw = changed(draw, raw)
        case 2 | 3:
            change_network(draw, saved / folder.NETWORK)
        case 4:
            classes = changed(draw, ["cat", "dog"])
            (saved / folder.CLASSES).write_text(written(classes), "utf-8", "replace")
        case 5:
            flip(draw, draw.choice([path for path in saved.iterdir() if path.stat().st_size]))
            return
        case 6:
            path = draw.choice(list(saved.iterdir()))
            path.unlink()
            if draw.random() < 0.7:
                draw.choice(
                    (path.mkdir, partial(os.symlink, "/dev/zero", path), partial(os.mkfifo, path))
                )()
        case _:
            depth = draw.choice((100, 10**5))
            manifest.write_text(draw.choice(("", "[]", "null", "{", "[" * depth + "]" * depth)))
            return
    if isinstance(raw, dict) and draw.random() < 0.9:
        named = raw.get("files")
        if isinstance(named, dict):
            for name in named:
                path = saved / name if isinstance(name, str) and len(name) < 99 else saved
                if "\x00" not in str(path) and path.is_file() and not path.is_symlink():
                    named[name] = hash_of(path)
        raw["checksum"] = checksum_of(raw)
    if manifest.is_file():
        manifest.write_text(written(raw), "utf-8", "replace")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_saved(tmp_path_factory.mktemp("saved") / "model", trained_on=("0" * 32, "1" * 32))


@numbers(60)
def test_a_model_folder_is_read_or_refused_in_lines(tmp_path, whole, cases):
    read = 0
    for seed in range(cases):
        saved = tmp_path / "model"
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(whole, saved)
        change(random.Random(seed), saved)
        read += ends_well(partial(folder.read, saved), seed)
    assert 0 < read < cases
