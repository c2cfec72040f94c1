"""Whatever stands in a table of images or in a folder, it is read or told in lines."""

from __future__ import annotations

import json
import os
import random
import shutil
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from automl_cv.data import dataset
from automl_cv.data.manifest import list_manifest
from automl_cv.study.sections import Reading
from automl_cv.study.studyfile import Split
from tests.generated import TEXTS, ends_well, numbers

NAMES = ("path", "label", "split", "group", "file", "class", "Path ", "LABEL", "image", "y")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for number in range(6):
        found.append(folder / f"{number}.png")
        Image.new("RGB", (4, 4), (40 * number, 0, 9)).save(found[-1])
    return found


def cell(draw: random.Random, pictures: list[Path]) -> str:
    chance = draw.random()
    if chance < 0.6:
        return str(draw.choice(pictures))
    if chance < 0.8:
        return draw.choice(("cat", "dog", "train", "val", "test", "1", "0.5"))
    return draw.choice(TEXTS)


def table(draw: random.Random, pictures: list[Path], path: Path) -> None:
    """Write a table that is nearly one: ragged, of odd names and quotes, in odd encodings."""
    header = draw.sample(NAMES, draw.randint(1, 5)) if draw.random() < 0.7 else ["path", "label"]
    if draw.random() < 0.2:
        header[draw.randrange(len(header))] = draw.choice(TEXTS)
    rows = []
    for number in range(draw.choice((0, 1, 2, 6, 6, 6))):
        row = {name: cell(draw, pictures) for name in header}
        if draw.random() < 0.8:
            row |= {"path": str(pictures[number]), "label": "cat" if number % 2 else "dog"}
            row = {name: row[name] for name in row if name in header}
        rows.append(row)
    mark = draw.choice((",", ",", ",", "\t", ";", "|"))
    quote = draw.choice(('"', "", "'"))
    lines = [mark.join(header)]
    for row in rows:
        cells = [f"{quote}{row.get(name, '')}{quote}" for name in header]
        if draw.random() < 0.1:
            cells = cells[: draw.randint(0, len(cells))] + ["more"] * draw.randint(0, 2)
        lines.append(mark.join(cells))
    if draw.random() < 0.1:
        lines = [json.dumps(draw.choice((row, row, row, [1], "x", {"path": 1}))) for row in rows]
    text = draw.choice(("\n", "\n", "\r\n", "\r", "\n\n")).join(lines)
    encoding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"))
    content = bytearray(text.encode(encoding, "replace"))
    if content and draw.random() < 0.2:
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(content))] = draw.randrange(256)
    if draw.random() < 0.1:
        content = content[: draw.randint(0, len(content))]
    path.write_bytes(bytes(content))


def reading(draw: random.Random) -> Reading:
    if draw.random() < 0.7:
        return Reading()
    names = (None, None, *NAMES, *TEXTS)
    return Reading(
        path_column=draw.choice(names),
        label_column=draw.choice(names),
        root=draw.choice((None, None, ".", *TEXTS)),
        class_level=draw.choice((None, 1, 2, 9)),
    )


@numbers(100)
def test_a_table_is_read_or_told_in_lines(tmp_path, pictures, cases):
    read = 0
    for seed in range(cases):
        draw = random.Random(seed)
        ending = draw.choice((".csv", ".csv", ".csv", ".tsv", ".jsonl", ".parquet"))
        path = tmp_path / f"table{ending}"
        table(draw, pictures, path)
        read += ends_well(partial(list_manifest, path, reading(draw)), seed)
    assert 0 < read < cases


def entry(draw: random.Random, pictures: list[Path], folder: Path) -> None:
    """Put something into a folder: a picture, or what is none."""
    name = draw.choice(("a.png", "b.jpg", "c", ".hidden.png", "d.PNG", "\udcff.png", *TEXTS))
    path = folder / name.replace("/", "_").replace("\x00", "_")[:200]
    if os.path.lexists(path) or path.name in ("", ".", ".."):
        return
    match draw.randrange(10):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(draw.choice((folder, path, folder.parent, Path("/nowhere"))))
        case 2:
            path.write_bytes(draw.randbytes(draw.choice((0, 1, 100))))
        case 3:
            os.mkfifo(path)
        case 4:
            content = bytearray(draw.choice(pictures).read_bytes())
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(bytes(content[: draw.randint(1, len(content))]))
        case 5:
            path.symlink_to(draw.choice(pictures))
        case _:
            shutil.copy(draw.choice(pictures), path)


def folders(draw: random.Random, pictures: list[Path], source: Path) -> None:
    """Make a folder that is nearly one of class folders."""
    shutil.rmtree(source, ignore_errors=True)
    inner = [source]
    for _ in range(draw.randint(0, 5)):
        holder = draw.choice(inner)
        name = draw.choice(("cat", "dog", "train", "val", "test", "Cat", "\udcff", *TEXTS))
        path = holder / (name.replace("/", "_").replace("\x00", "_")[:200] or "empty")
        if path.name not in (".", ".."):
            inner.append(path)
    for folder in inner:
        folder.mkdir(parents=True, exist_ok=True)
    if draw.random() < 0.3:
        for name in ("cat", "dog"):
            (source / name).mkdir(exist_ok=True)
            for number, picture in enumerate(pictures):
                shutil.copy(picture, source / name / f"{number}.png")
    for _ in range(draw.choice((0, 2, 8, 24))):
        entry(draw, pictures, draw.choice(inner))


@pytest.mark.slow
@numbers(40)
def test_a_folder_is_read_or_told_in_lines(tmp_path, pictures, cases):
    read = 0
    for seed in range(cases):
        draw = random.Random(seed)
        folders(draw, pictures, tmp_path / "source")
        load = partial(
            dataset.load,
            str(tmp_path / "source"),
            split=Split(),
            seed=0,
            cache_dir=tmp_path / "cache",
            reading=reading(draw),
            strict=draw.random() < 0.1,
        )
        read += ends_well(load, seed)
    assert 0 < read < cases
