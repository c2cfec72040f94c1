"""The data sets that need no download, written once as ordinary folders of images."""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from automl_cv.errors import UserError
from automl_cv.registry import Entry, Table

Report = Callable[[int, int], None]
"""Is told (how much is done, how much there is)."""

FASHION_MNIST_VARIABLE = "AUTOML_CV_FASHION_MNIST"
FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist

DIGITS = Path("datasets", "data", "digits.csv.gz")  # in scikit-learn

REPORTED = 500  # images from one report of how many are written to the next, a tenth of a second

# The published names (README of github.com/zalandoresearch/fashion-mnist, "Labels"), numbered so
# that folders sort in class order; label 0 is "T-shirt/top", and a slash can't be in a name.
FASHION_MNIST_CLASSES = (
    *("0 T-shirt-top", "1 Trouser", "2 Pullover", "3 Dress", "4 Coat"),
    *("5 Sandal", "6 Shirt", "7 Sneaker", "8 Bag", "9 Ankle boot"),
)


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A data set that `data.source` may name.

    Args:
        target: a function (folder, report) that writes the images into a folder, which is empty,
            and tells how far it is.
        licence: of the images.
        source: who made it, and where it is described.
    """

    licence: str
    source: str


_FASHION_MNIST_SOURCE = "Xiao, Rasul and Vollgraf 2017, https://arxiv.org/abs/1708.07747"

DATASETS: Table[DatasetEntry] = Table(
    "data set",
    [
        DatasetEntry(
            name="digits",
            about="1,797 handwritten digits of 8x8 pixels, 10 classes, not split",
            target="automl_cv.catalog.datasets:write_digits",
            licence="BSD-3-Clause, as part of scikit-learn",
            source="Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49 (its test part)",
        ),
        DatasetEntry(
            name="fashion-mnist",
            about="70,000 clothes of 28x28 pixels, 10 classes, split into train and test",
            target="automl_cv.catalog.datasets:write_fashion_mnist",
            licence="MIT",
            source=_FASHION_MNIST_SOURCE,
        ),
        DatasetEntry(
            name="fashion-mnist-test",
            about="the 10,000 test images of fashion-mnist alone, not split",
            target="automl_cv.catalog.datasets:write_fashion_mnist_test",
            licence="MIT",
            source=_FASHION_MNIST_SOURCE,
        ),
    ],
)


def materialise(name: str, cache_dir: Path, report: Report | None = None) -> Path:
    """Return the folder of a built-in data set, writing it first where it isn't there yet.

    Several processes may do so at once: each writes a folder of its own, the first to finish
    renames it into place, the others throw theirs away.

    Args:
        name: an entry of DATASETS.
        cache_dir: the folder is cache_dir/datasets/NAME.
        report: is told how many images are written, and of how many.

    Raises:
        UserError: there is no such entry, or files it is made from are missing.
    """
    entry = DATASETS[name]
    folder = cache_dir / "datasets" / entry.name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)  # mkdtemp's folder is its owner's alone; a cache may be shared
        entry.load()(unfinished, report or (lambda done, total: None))
        unfinished.rename(folder)
    except OSError:
        # Renaming onto a folder with files in it fails: another process was first.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def write_digits(folder: Path, report: Report) -> None:
    """Write scikit-learn's digits as folder/CLASS/NUMBER.png."""
    values = _digits()
    # Values are 0 to 16: counts of set pixels in 4x4 blocks of the scanned digit.
    pixels = np.rint(values[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    classes = [str(digit) for digit in range(10)]
    for done in _write_images(folder, pixels, values[:, -1].astype(int), classes):
        report(done, len(pixels))


def _digits() -> npt.NDArray[np.float64]:
    """Return scikit-learn's digits, their class last, (images, 65).

    Its file is read without it: `sklearn.datasets` takes a second of the processor to import.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        with suppress(OSError), gzip.open(Path(folder) / DIGITS, "rt") as file:
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def write_fashion_mnist(folder: Path, report: Report) -> None:
    """Write all of Fashion-MNIST as folder/train|test/CLASS/NUMBER.png."""
    files = _find_fashion_mnist("train", "t10k")
    read = {part: (read_idx(images), read_idx(labels)) for part, (images, labels) in files.items()}
    total, before = sum(len(labels) for _, labels in read.values()), 0
    for split, part in (("train", "train"), ("test", "t10k")):
        images, labels = read[part]
        for done in _write_images(folder / split, images, labels, FASHION_MNIST_CLASSES):
            report(before + done, total)
        before += len(labels)


def write_fashion_mnist_test(folder: Path, report: Report) -> None:
    """Write the 10,000 test images of Fashion-MNIST as folder/CLASS/NUMBER.png."""
    images, labels = (read_idx(path) for path in _find_fashion_mnist("t10k")["t10k"])
    for done in _write_images(folder, images, labels, FASHION_MNIST_CLASSES):
        report(done, len(images))


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an array of bytes in the IDX format, gzipped or plain.

    The format: two zero bytes, the type (8: unsigned byte), the number of axes, then each axis's
    length as a big-endian 32-bit number, then the values (Yann LeCun's MNIST page).

    Args:
        path: the file.

    Returns:
        uint8, of the shape the file declares.

    Raises:
        UserError: the file can't be read, or is no whole IDX file of unsigned bytes.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file: {error}; fetch it again") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise UserError(f"{path}: no IDX file of unsigned bytes; it must begin with 00 00 08")
    start = 4 + 4 * content[3]
    shape = tuple(
        int.from_bytes(content[offset : offset + 4], "big") for offset in range(4, start, 4)
    )
    if len(content) != start + math.prod(shape):
        raise UserError(
            f"{path}: declares the shape {shape}, so {start + math.prod(shape)} bytes, "
            f"but has {len(content)}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _write_images(
    folder: Path,
    images: npt.NDArray[np.uint8],
    labels: Iterable[int],
    classes: Iterable[str],
) -> Iterator[int]:
    """Write grey images (n, height, width) as PNG, numbered by their place in the array.

    Yields:
        How many are written, as they are; for those who show it often enough.
    """
    folders = [folder / name for name in classes]
    for class_folder in folders:
        class_folder.mkdir(parents=True)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(pixels).save(folders[int(label)] / f"{number:05d}.png")
        if (number + 1) % REPORTED == 0 or number + 1 == len(images):
            yield number + 1


def _find_fashion_mnist(*parts: str) -> dict[str, tuple[Path, Path]]:
    """Return the paths of images and labels for each part ("train", "t10k")."""
    chosen = os.environ.get(FASHION_MNIST_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else FASHION_MNIST_FOLDER
    found = {
        part: (
            _gzipped_or_plain(folder / f"{part}-images-idx3-ubyte"),
            _gzipped_or_plain(folder / f"{part}-labels-idx1-ubyte"),
        )
        for part in parts
    }
    missing = [path.name for paths in found.values() for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"Fashion-MNIST: {', '.join(missing)} not found in {folder}; install Debian's package "
            f"(apt-get install dataset-fashion-mnist) or set {FASHION_MNIST_VARIABLE} to a folder "
            "of these files"
        )
    return found


def _gzipped_or_plain(path: Path) -> Path:
    """Return the path of an IDX file, gzipped unless only the plain one is there."""
    return path if path.is_file() else path.with_name(f"{path.name}.gz")
