"""The sets of images that `worth.py` measures on, each with its splits into three parts.

Digits and clothes come with automl-cv and Debian's `dataset-fashion-mnist` (the 10,000 test
images: the embedded backbone learned from the others). Two sets of photographs are taken from
Debian packages and written as RGB images:

cut-outs
    `tuxpaint-stamps-default`: the eight largest folders of stamps, drawings and letters among
    them, on white. 713 images.
surfaces
    `ufoai-textures`: opaque images whose file names begin with one of eleven kinds of
    surface ("bricks_r_1", "wood017", "roof004"), one of each number, so that variants of a
    image are left out. 526 images.
surface-crops
    the eight of these kinds that have the most photographs; one whose sides have 512 pixels or
    more is cut into four, which are one group: no split parts them.

Sets of UNSEEN were made when all was chosen, and no choice saw an image of them: other clothes
(the other 5,000 test images), letters (A to J in the fonts of Debian's `fonts-aenigma`, white on
black) and the five next folders of stamps. They are measured where `--sets` names them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from automl_cv.catalog import datasets

STAMPS = Path("usr/share/tuxpaint/stamps")
TEXTURES = Path("usr/share/games/ufoai/base/0textures.pk3")
CLOTHES = Path("usr/share/datasets/fashion-mnist")
FONTS = Path("usr/share/fonts/truetype/aenigma")

CUT_OUTS = "symbols animals town food seasonal plants vehicles household".split()
SMALL_CUT_OUTS = "clothes space hobbies sports military".split()
SURFACES = {
    "brick": r"bricks?|wall_bricks?|trak\d_brick|streetbricks",
    "carpet": "carpet|wallpaper",
    "concrete": r"concrete|conc|e8crete|trak\d_concrete|cement|cementwall|con_block",
    "door": r"door|japdoor|metaldoor|trak\d_door",
    "floor": "floor|tiles?|lab_floor|sfloor|paving|pavement|ab_floor",
    "ground": "dirt|sand|soil|desert|grass|ground|drymud|pebbles|snow|ice|leaves",
    "metal": "metal|metall|met_panel|rust|mtl",
    "rock": "rock|rocks|pjrock|stone|rockyground",
    "roof": "roof",
    "window": "window",
    "wood": "wood|s_wood|wizwood|woodceiling|woodb",
}
CROPPED_KINDS = 8
_CUT_FROM = 512  # pixels of the shorter side
_OTHER_MAPS = re.compile(r"_(nm|sm|gm|rm|pls|glow)$")  # normals, shine, glow: no photographs
_LONG_SIDE = 256  # of a texture's shorter side at most; the backbone sees 224 pixels
_TRANSPARENT = 0.05  # a texture with more of that is an overlay

# Kind, file name and image.
Picture = tuple[str, str, Image.Image]


class Absent(Exception):
    """What a set is made from is not there; the text says what to install."""


@dataclass(frozen=True)
class ImageSet:
    """A set and how it is divided.

    Args:
        pool: name of the images, a key of POOLS; two sets may share one.
        sizes: images of train, validation and test.
        needs_backbone: photographs need an ImageNet backbone, the others take the study's own.
    """

    pool: str
    sizes: tuple[int, int, int]
    needs_backbone: bool = False


SETS = {
    "few-digits": ImageSet("digits", (120, 40, 1637)),
    "few-clothes": ImageSet("clothes", (120, 40, 4840)),
    "cut-outs": ImageSet("cut-outs", (427, 143, 143), needs_backbone=True),
    "surfaces": ImageSet("surfaces", (162, 54, 310), needs_backbone=True),
    "digits": ImageSet("digits", (1078, 360, 359)),
    "clothes": ImageSet("clothes", (1000, 400, 3600)),
}
UNSEEN = {
    "few-other-clothes": ImageSet("other-clothes", (120, 40, 4840)),
    "other-clothes": ImageSet("other-clothes", (1000, 400, 3600)),
    "few-letters": ImageSet("letters", (120, 40, 4000)),
    "letters": ImageSet("letters", (1000, 400, 3000)),
    "small-cut-outs": ImageSet("small-cut-outs", (30, 10, 29), needs_backbone=True),
}


@dataclass(frozen=True, eq=False)
class Pool:
    """Images of a set: files, their class names, and what each is a part of."""

    paths: tuple[Path, ...]
    labels: np.ndarray

    @property
    def groups(self) -> np.ndarray:
        """The photograph of each image: "bricks_1" of "bricks_1@2.png"."""
        return np.array([path.stem.partition("@")[0] for path in self.paths])

    @property
    def is_grouped(self) -> bool:
        """Whether several images are of one photograph."""
        return len(set(self.groups)) < len(self.paths)


def build(name: str, folder: Path, root: Path) -> Pool:
    """Return the images of a pool, written first where they are not there yet.

    Args:
        name: a key of POOLS.
        folder: where images are written.
        root: where Debian packages were unpacked, "/" if they are installed.

    Raises:
        Absent: the package is not there.
    """
    paths = POOLS[name](folder, root)
    return Pool(tuple(paths), np.array([path.parent.name for path in paths]))


def split(pool: Pool, sizes: tuple[int, int, int], number: int) -> np.ndarray:
    """Divide a pool at random, stratified by class.

    Args:
        pool: the images.
        sizes: of train, validation and test.
        number: of the split, from 0; it is the seed.

    Returns:
        "train", "validation", "test" or "" for each image of the pool.
    """
    train, validation, test = sizes
    seed = 1000 + number
    fitted, tested = train_test_split(
        np.arange(len(pool.paths)),
        train_size=train + validation,
        test_size=test,
        stratify=pool.labels,
        random_state=seed,
    )
    trained, validated = train_test_split(
        fitted, train_size=train, stratify=pool.labels[fitted], random_state=seed
    )
    parts = np.full(len(pool.paths), "", dtype="<U10")
    for part, rows in (("train", trained), ("validation", validated), ("test", tested)):
        parts[rows] = part
    return parts


def grouped_split(pool: Pool, number: int) -> np.ndarray:
    """Divide a pool into five parts, one of which is for test; no photograph stands in two.

    Args:
        pool: the images.
        number: of the split, from 0 to 4.

    Returns:
        "train", "validation" or "test" for each image of the pool.
    """
    parts = np.full(len(pool.paths), "train", dtype="<U10")
    fifths = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    (known, tested) = list(fifths.split(pool.labels, pool.labels, pool.groups))[number]
    quarters = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    (_, validated) = next(quarters.split(known, pool.labels[known], pool.groups[known]))
    parts[tested], parts[known[validated]] = "test", "validation"
    return parts


def _digits(folder: Path, root: Path) -> list[Path]:
    return sorted(datasets.materialise("digits", folder).rglob("*.png"))


def _clothes(folder: Path, root: Path) -> list[Path]:
    paths = _all_clothes(folder, root)
    return [paths[place] for place in _chosen_clothes(len(paths))]


def _other_clothes(folder: Path, root: Path) -> list[Path]:
    paths = _all_clothes(folder, root)
    chosen = set(_chosen_clothes(len(paths)).tolist())
    return [path for place, path in enumerate(paths) if place not in chosen]


def _all_clothes(folder: Path, root: Path) -> list[Path]:
    if not (root / CLOTHES).is_dir():
        raise Absent(f"{root / CLOTHES}: not there; install Debian's dataset-fashion-mnist")
    os.environ[datasets.FASHION_MNIST_VARIABLE] = str(root / CLOTHES)
    return sorted(datasets.materialise("fashion-mnist-test", folder).rglob("*.png"))


def _chosen_clothes(count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).choice(count, 5000, replace=False))


def _letters(folder: Path, root: Path) -> list[Path]:
    fonts = sorted((root / FONTS).glob("*.ttf"))
    if not fonts:
        raise Absent(f"{root / FONTS}: not there; install Debian's fonts-aenigma")
    return _written(folder / "sets" / "letters", lambda: _drawn_letters(fonts))


def _drawn_letters(fonts: list[Path]) -> Iterator[Picture]:
    for path in fonts:
        font = ImageFont.truetype(str(path), 40)
        for letter in "ABCDEFGHIJ":
            left, top, right, bottom = font.getbbox(letter)
            if right - left < 4 or bottom - top < 4:
                continue  # the font has no such letter
            side = int(max(right - left, bottom - top)) + 8
            picture = Image.new("L", (side, side))
            middle = ((side - right - left) / 2, (side - bottom - top) / 2)
            ImageDraw.Draw(picture).text(middle, letter, fill=255, font=font)
            small = picture.resize((28, 28), Image.Resampling.LANCZOS)
            yield letter, f"{path.stem}.png", small.convert("RGB")


def _cut_outs(name: str, kinds: list[str], folder: Path, root: Path) -> list[Path]:
    if not (root / STAMPS).is_dir():
        raise Absent(f"{root / STAMPS}: not there; install Debian's tuxpaint-stamps-default")
    return _written(folder / "sets" / name, lambda: _stamps(root / STAMPS, kinds))


def _stamps(stamps: Path, kinds: list[str]) -> Iterator[Picture]:
    for kind in kinds:
        for path in sorted((stamps / kind).rglob("*.png")):
            stamp = Image.open(path).convert("RGBA")
            white = Image.new("RGBA", stamp.size, "white")
            name = "-".join(path.relative_to(stamps / kind).parts)
            yield kind, name, Image.alpha_composite(white, stamp).convert("RGB")


def _surfaces(folder: Path, root: Path) -> list[Path]:
    return _written(folder / "sets" / "surfaces", lambda: _shrunk(_textures(root / TEXTURES)))


def _surface_crops(folder: Path, root: Path) -> list[Path]:
    return _written(folder / "sets" / "surface-crops", lambda: _cropped(root / TEXTURES))


def _shrunk(pictures: Iterator[Picture]) -> Iterator[Picture]:
    for kind, name, picture in pictures:
        picture.thumbnail(_thumbnail(picture.size), Image.Resampling.LANCZOS)
        yield kind, name, picture


def _cropped(archive: Path) -> Iterator[Picture]:
    """Give photographs of the kinds that have most of them, large ones as four."""
    counts = Counter(kind for kind, _, _ in _textures(archive))
    kinds = {kind for kind, _ in counts.most_common(CROPPED_KINDS)}

    def crops() -> Iterator[Picture]:
        for kind, name, picture in _textures(archive):
            if kind not in kinds:
                continue
            width, height = picture.size
            if min(width, height) < _CUT_FROM:
                yield kind, name, picture
                continue
            for number in range(4):
                left, top = number % 2 * (width // 2), number // 2 * (height // 2)
                crop = picture.crop((left, top, left + width // 2, top + height // 2))
                yield kind, name.replace(".png", f"@{number}.png"), crop

    return _shrunk(crops())


def _textures(archive: Path) -> Iterator[Picture]:
    if not archive.is_file():
        raise Absent(f"{archive}: not there; install Debian's ufoai-textures")
    seen: set[object] = set()
    with zipfile.ZipFile(archive) as opened:
        for path in sorted(Path(name) for name in opened.namelist()):
            found = _kind(path)
            if found is None or (path.parent.name, found[1]) in seen:
                continue
            image = Image.open(io.BytesIO(opened.read(path.as_posix()))).convert("RGBA")
            overlay = (np.asarray(image)[..., 3] < 255).mean() > _TRANSPARENT
            picture = image.convert("RGB")
            content = hashlib.sha256(picture.tobytes()).digest()
            if overlay or content in seen or min(picture.size) < 64:
                continue
            seen |= {(path.parent.name, found[1]), content}
            # Two folders have a "wood001".
            yield found[0], f"{path.parent.name}-{path.stem}.png", picture


def _kind(path: Path) -> tuple[str, str] | None:
    """Return a texture's kind, and its name without what tells variants apart."""
    if path.suffix not in (".png", ".jpg") or _OTHER_MAPS.search(path.stem):
        return None
    for kind, words in SURFACES.items():
        ends = r"(?=[\d_]|[a-z]?\d|$)((_[a-z]{1,2})?_?\d+)?"
        found = re.match(rf"({words}){ends}", path.stem)
        if found:
            return kind, found[0]
    return None


def _thumbnail(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, _LONG_SIDE / min(size))
    return round(size[0] * shrink), round(size[1] * shrink)


def _written(folder: Path, pictures: Callable[[], Iterator[Picture]]) -> list[Path]:
    """Write images as folder/KIND/NAME, all or none; return their sorted paths."""
    if not folder.is_dir():
        unfinished = folder.with_name(f".{folder.name}-{os.getpid()}")
        for kind, name, picture in pictures():
            path = unfinished / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.exists(), f"two images of {kind} are called {name}"
            picture.save(path)
        unfinished.rename(folder)
    return sorted(folder.rglob("*.png"))


POOLS: dict[str, Callable[[Path, Path], list[Path]]] = {
    "digits": _digits,
    "clothes": _clothes,
    "cut-outs": partial(_cut_outs, "cut-outs", CUT_OUTS),
    "surfaces": _surfaces,
    "surface-crops": _surface_crops,
    "other-clothes": _other_clothes,
    "letters": _letters,
    "small-cut-outs": partial(_cut_outs, "small-cut-outs", SMALL_CUT_OUTS),
}
