import os
import unicodedata

import pytest

from automl_cv.data.ledger import Skipped
from automl_cv.data.listing import list_folder
from automl_cv.errors import UserError


def grow(root, *names):
    """Create files, which need not be images here, and the folders above them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return root


def found(root):
    return [(one.name, one.label, one.split) for one in list_folder(root).candidates]


def test_class_folders_with_nested_files(tmp_path):
    grow(tmp_path, "dog/b.png", "cat/deep/er/a.png", "cat/z.png", "README.txt")
    assert found(tmp_path) == [
        ("README.txt", None, None),
        ("cat/deep/er/a.png", "cat", None),
        ("cat/z.png", "cat", None),
        ("dog/b.png", "dog", None),
    ]
    assert list_folder(tmp_path).candidates[1].path == str(tmp_path / "cat/deep/er/a.png")


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "VAL"])
def test_ready_splits(tmp_path, name):
    grow(tmp_path, "Train/cat/a.png", f"{name}/cat/b.png", "test/cat/c.png", "test/loose.png")
    assert sorted(found(tmp_path)) == sorted(
        [
            ("Train/cat/a.png", "cat", "train"),
            ("test/cat/c.png", "cat", "test"),
            ("test/loose.png", None, None),
            (f"{name}/cat/b.png", "cat", "validation"),
        ]
    )


def test_a_class_may_be_called_train(tmp_path):
    grow(tmp_path, "train/ice/a.png", "tram/b.png")
    assert [label for _, label, _ in found(tmp_path)] == ["train", "tram"]


def test_train_alone_is_a_split(tmp_path):
    grow(tmp_path, "train/cat/a.png", "train/dog/a.png")
    assert [(label, split) for _, label, split in found(tmp_path)] == [
        ("cat", "train"),
        ("dog", "train"),
    ]


def test_other_folders_beside_ready_splits_are_noted(tmp_path):
    grow(tmp_path, "train/cat/a.png", "test/cat/a.png", "annotations/a.xml")
    assert len(found(tmp_path)) == 2
    assert list_folder(tmp_path).notes == (
        "folder annotations stands beside ready splits and was left out",
    )


def test_litter_is_passed_over_and_counted(tmp_path):
    grow(
        tmp_path,
        *("cat/a.png", "cat/Thumbs.db", "cat/.DS_Store", "cat/._a.png", "desktop.ini"),
        *("__MACOSX/cat/a.png", "cat/@eaDir/a.png", ".git/config"),
    )
    listing = list_folder(tmp_path)
    assert [one.name for one in listing.candidates] == ["cat/a.png"]
    assert listing.passed_over == 7
    assert listing.skipped == ()


def test_links_are_followed_but_not_for_ever(tmp_path):
    photos = grow(tmp_path / "photos", "a.png", "more/b.png")
    source = grow(tmp_path / "source", "dog/c.png")
    (source / "cat").symlink_to(photos)
    (photos / "more" / "up").symlink_to(photos)
    (source / "dog" / "root").symlink_to(source)
    (source / "dog" / "nowhere.png").symlink_to(tmp_path / "gone")
    listing = list_folder(source)
    assert [one.name for one in listing.candidates] == [
        "cat/a.png",
        "cat/more/b.png",
        "dog/c.png",
    ]
    assert set(listing.skipped) == {
        Skipped("cat/more/up", "a link to a folder above it"),
        Skipped("dog/root", "a link to a folder above it"),
        Skipped("dog/nowhere.png", "broken link"),
    }


def test_a_name_that_is_no_text_is_skipped(tmp_path):
    grow(tmp_path, "cat/a.png")
    os.close(os.open(os.fsencode(tmp_path) + b"/cat/\xff.png", os.O_CREAT))
    listing = list_folder(tmp_path)
    assert [one.name for one in listing.candidates] == ["cat/a.png"]
    assert listing.skipped == (Skipped("cat/\ufffd.png", "its name is no valid UTF-8"),)


def test_labels_are_composed(tmp_path):
    grow(tmp_path, f"{unicodedata.normalize('NFD', 'é')}/a.png", "b/a.png")
    assert {label for _, label, _ in found(tmp_path)} == {"é", "b"}


def test_an_empty_class_folder_is_noted(tmp_path):
    grow(tmp_path, "cat/a.png")
    (tmp_path / "dog").mkdir()
    assert list_folder(tmp_path).notes == ("folder dog holds no files and makes no class",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "empty folder; expected one sub-folder of images a class"),
        (["a.png"], "holds files only; expected one sub-folder"),
        (["train/a.png", "test/b.png"], "train: holds no class folders"),
        (["train/a/a.png", "val/a/a.png", "valid/a/a.png"], "val and valid are both the valid"),
    ],
)
def test_folders_that_make_no_sense(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        list_folder(grow(tmp_path, *names))
