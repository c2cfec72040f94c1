import gzip
import multiprocessing
import struct

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.datasets import (
    DATASETS,
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_VARIABLE,
    materialise,
    read_idx,
)
from automl_cv.errors import UserError


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def clothes(tmp_path, monkeypatch):
    """A folder of small IDX files in the places of Fashion-MNIST's, named by its variable."""
    folder = tmp_path / "idx"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 20)):
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array), mtime=0))
    monkeypatch.setenv(FASHION_MNIST_VARIABLE, str(folder))
    return folder


def test_every_entry_has_a_licence_a_source_and_a_target():
    for entry in DATASETS:
        assert entry.about and entry.licence and entry.source
        assert callable(entry.load())


def test_digits_become_a_folder_of_classes(tmp_path):
    folder = materialise("digits", tmp_path)
    assert folder == tmp_path / "datasets" / "digits"
    assert sorted(path.name for path in folder.iterdir()) == list("0123456789")
    assert len(list(folder.rglob("*.png"))) == 1797
    with Image.open(folder / "0" / "00000.png") as first:
        assert (first.size, first.mode) == ((8, 8), "L")
        assert np.asarray(first)[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # of 0 5 13 9 1


def test_fashion_mnist_keeps_its_split(clothes, tmp_path):
    folder = materialise("fashion-mnist", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["test", "train"]
    for split, count in (("train", 3), ("test", 2)):
        classes = sorted(path.name for path in (folder / split).iterdir())
        assert classes == list(FASHION_MNIST_CLASSES)
        assert len(list((folder / split / "9 Ankle boot").iterdir())) == count
    pixels = read_idx(clothes / "train-images-idx3-ubyte.gz")[11]
    with Image.open(folder / "train" / "1 Trouser" / "00011.png") as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_the_test_images_alone_are_not_split(clothes, tmp_path):
    (clothes / "train-images-idx3-ubyte.gz").unlink()
    folder = materialise("fashion-mnist-test", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == list(FASHION_MNIST_CLASSES)


def test_plain_idx_files_do_as_well(clothes, tmp_path):
    for path in clothes.iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(list(materialise("fashion-mnist-test", tmp_path).rglob("*.png"))) == 20


def test_missing_files_are_named_with_the_remedy(clothes, tmp_path):
    (clothes / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as caught:
        materialise("fashion-mnist", tmp_path)
    assert str(caught.value) == (
        f"Fashion-MNIST: train-labels-idx1-ubyte.gz not found in {clothes}; install Debian's "
        "package (apt-get install dataset-fashion-mnist) or set AUTOML_CV_FASHION_MNIST to a "
        "folder of these files"
    )
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_data_set_is_written_once(clothes, tmp_path):
    folder = materialise("fashion-mnist-test", tmp_path)
    marker = folder / "0 T-shirt-top" / "marker"
    marker.touch()
    materialise("fashion-mnist-test", tmp_path)
    assert marker.exists()


def test_an_unfinished_one_leaves_nothing(clothes, tmp_path):
    (clothes / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([3], "u1"))))
    with pytest.raises(ValueError, match="zip"):
        materialise("fashion-mnist-test", tmp_path)
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.slow
def test_several_processes_at_once(clothes, tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=materialise, args=("fashion-mnist", tmp_path)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["fashion-mnist"]
    assert len(list((tmp_path / "datasets").rglob("*.png"))) == 50


def test_an_unknown_name(tmp_path):
    with pytest.raises(UserError, match="unknown data set 'digit': did you mean 'digits'"):
        materialise("digit", tmp_path)


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_idx_files_give_their_array(tmp_path, pack):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array)))
    assert np.array_equal(read_idx(path), array)
    assert read_idx(path).dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file of unsigned bytes; it must begin with 00 00 08"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "no IDX file of unsigned bytes"),
        (
            b"\0\0\x08\2\0\0\0\2\0\0\0\3abcde",
            r"declares the shape \(2, 3\), so 18 bytes, but has 17",
        ),
        (gzip.compress(b"\0\0\x08\1\0\0\0\1a", mtime=0)[:-5], "damaged gzip file"),
    ],
)
def test_damaged_idx_files(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_idx(path)


def test_a_missing_idx_file(tmp_path):
    with pytest.raises(UserError, match="file: can't be read: No such file or directory"):
        read_idx(tmp_path / "file")
