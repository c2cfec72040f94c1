import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_cv.data import dataset, stamps
from automl_cv.data.ledger import Skipped
from automl_cv.errors import UserError
from automl_cv.study.studyfile import Split

CLASSES = ("cat", "dog", "owl")


def paint(path, number):
    """Write an image of a colour of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(path)


def grow(root, per_class=10, classes=CLASSES, start=0):
    """Write a folder of class folders whose images all differ."""
    for place, label in enumerate(classes):
        for number in range(per_class):
            paint(root / label / f"{number:02d}.png", start + place * per_class + number)
    return root


def load(source, cache, **options):
    chosen = {"split": Split(train=0.6, validation=0.2, test=0.2), "seed": 0, **options}
    return dataset.load(str(source), cache_dir=cache, **chosen)


@pytest.fixture
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def photos(tmp_path):
    return grow(tmp_path / "photos")


def splits_by_content(images):
    return dict(zip(images.images["content_hash"], images.images["split"], strict=True))


def test_a_folder_becomes_a_table(photos, cache):
    images = load(photos, cache)
    assert images.source == str(photos)
    assert images.classes == CLASSES
    assert list(images.images.columns) == ["path", "label", "split", "content_hash", "group"]
    assert {str(kind) for kind in images.images.dtypes} == {"str"}
    assert images.images["group"].isna().all()
    assert set(images.images["path"]) == {str(path) for path in photos.rglob("*.png")}
    expected = pd.DataFrame(
        {"train": [6] * 3, "validation": [2] * 3, "test": [2] * 3}, index=CLASSES
    )
    assert (images.counts() == expected).all(axis=None)
    assert images.ledger.summary() == "30 images read"
    assert images.ledger.notes == ()


def test_labels_and_rows_of_a_split_belong_together(photos, cache):
    images = load(photos, cache)
    labels = images.labels("validation")
    assert labels.dtype == np.int32
    assert [images.classes[number] for number in labels] == images.rows("validation")[
        "label"
    ].tolist()
    assert images.splits == ("train", "validation", "test")


def test_names_places_and_order_of_files_change_nothing(photos, cache, tmp_path):
    first = load(photos, cache)
    moved = tmp_path / "elsewhere"
    for number, path in enumerate(sorted(photos.rglob("*.png"), reverse=True)):
        target = moved / path.parent.name / f"deep/renamed {number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    second = load(moved, cache)
    assert splits_by_content(second) == splits_by_content(first)
    assert second.fingerprint == first.fingerprint
    same = ["label", "split", "content_hash"]
    assert second.images[same].equals(first.images[same])


def test_the_fingerprint_sees_pictures_labels_and_splits(photos, cache):
    first = load(photos, cache).fingerprint
    assert load(photos, cache, seed=1).fingerprint != first
    (photos / "cat/00.png").rename(photos / "dog/new.png")
    assert load(photos, cache).fingerprint != first
    (photos / "dog/new.png").rename(photos / "cat/00.png")
    assert load(photos, cache).fingerprint == first
    paint(photos / "cat/00.png", 999)
    assert load(photos, cache).fingerprint != first


def test_without_a_test_share_there_is_no_test_split(photos, cache):
    images = load(photos, cache, split=Split(train=0.8, validation=0.2, test=0.0))
    assert images.counts().columns.tolist() == ["train", "validation"]
    assert images.rows("test").empty
    assert images.labels("test").shape == (0,)


def test_copies_stay_together_and_are_noted(photos, cache):
    for number in range(5):
        shutil.copy(photos / "cat/00.png", photos / f"cat/copy {number}.png")
    Image.open(photos / "cat/00.png").save(photos / "owl/also.bmp")
    images = load(photos, cache)
    content = images.images.loc[
        images.images["path"] == str(photos / "cat/00.png"), "content_hash"
    ].item()
    same = images.images[images.images["content_hash"] == content]
    assert len(same) == 7
    assert same["split"].nunique() == 1
    labels, copies = images.ledger.findings
    assert copies.line == "6 images are copies of another"
    assert (labels.about, labels.harm) == ("labels", "stop")
    assert labels.line == (
        "1 image under more than one label, in 7 files (19.4% of the images), first cat/00.png "
        "and owl/also.bmp"
    )
    assert set(labels.files) == {
        "cat/00.png",
        *(f"cat/copy {number}.png" for number in range(5)),
        "owl/also.bmp",
    }


def test_what_is_no_image_is_skipped_with_its_reason(photos, cache):
    (photos / "cat/empty.png").write_bytes(b"")
    (photos / "cat/cut.png").write_bytes((photos / "cat/00.png").read_bytes()[:50])
    (photos / "dog/labels.csv").write_text("a,b")
    (photos / "README.txt").write_text("Photographs.")
    (photos / "dog/Thumbs.db").write_bytes(b"x")
    shutil.copy(photos / "dog/00.png", photos / "stray.png")
    images = load(photos, cache)
    assert images.ledger.n_read == len(images.images) == 30
    assert images.ledger.skipped == (
        Skipped("README.txt", "not an image"),
        Skipped("cat/cut.png", "truncated after 50 bytes"),
        Skipped("cat/empty.png", "empty file"),
        Skipped("dog/labels.csv", "not an image"),
        Skipped("stray.png", "lies in no class folder"),
    )
    assert images.ledger.passed_over == 1
    with pytest.raises(UserError) as caught:
        load(photos, cache, strict=True)
    assert str(caught.value) == (
        f"{photos}: 5 files can't be used as images: README.txt (not an image), "
        "cat/cut.png (truncated after 50 bytes), cat/empty.png (empty file) and 2 more; "
        "remove them, or go on without --strict to leave them out"
    )


def test_an_image_under_a_wrong_ending_is_read_and_noted(photos, cache):
    (photos / "cat/00.png").rename(photos / "cat/00.jpg")
    images = load(photos, cache, strict=True)
    assert images.ledger.n_read == 30
    assert images.ledger.notes == (
        "1 image in PNG format under .jpg, read all the same; first cat/00.jpg",
    )


def test_a_class_without_a_readable_image_is_left_out(photos, cache):
    (photos / "bat").mkdir()
    (photos / "bat/a.png").write_bytes(b"")
    images = load(photos, cache)
    assert images.classes == CLASSES
    assert "class 'bat' was left out: none of its files is an image" in images.ledger.notes


def test_ready_splits_are_kept(tmp_path, cache):
    grow(tmp_path / "train", 5)
    grow(tmp_path / "val", 2, start=100)
    grow(tmp_path / "test", 3, start=200)
    images = load(tmp_path, cache, seed=5)
    assert images.counts().to_numpy().tolist() == [[5, 2, 3]] * 3
    assert images.ledger.notes == ()


def test_validation_missing_from_ready_splits_is_cut_from_train(tmp_path, cache):
    grow(tmp_path / "train", 12)
    grow(tmp_path / "test", 3, start=200)
    images = load(tmp_path, cache)
    assert images.counts().to_numpy().tolist() == [[9, 3, 3]] * 3
    assert images.ledger.notes == ("validation cut from train, 25% of it",)


def test_a_missing_test_split_stays_missing(tmp_path, cache):
    grow(tmp_path / "train", 5)
    grow(tmp_path / "valid", 2, start=100)
    images = load(tmp_path, cache)
    assert images.splits == ("train", "validation")
    assert images.ledger.notes == ("no test split: the source has none, so evaluate can't be used",)


def test_training_images_alone_are_split(tmp_path, cache):
    grow(tmp_path / "train", 10)
    images = load(tmp_path, cache)
    assert images.counts().to_numpy().tolist() == [[6, 2, 2]] * 3
    assert images.ledger.notes == (
        "validation, test cut from train: the source has no other split",
    )


def test_a_class_missing_from_a_ready_split(tmp_path, cache):
    grow(tmp_path / "train", 5)
    grow(tmp_path / "val", 2, classes=CLASSES[:2], start=100)
    assert "validation has no images of 'owl'" in load(tmp_path, cache).ledger.notes
    shutil.move(tmp_path / "train/owl", tmp_path / "val/owl")
    with pytest.raises(
        UserError, match="class 'owl' has 0 images in train, 1 needed; it is in val"
    ):
        load(tmp_path, cache)


def test_a_manifest_with_groups(photos, cache):
    lines = ["path,label,group"]
    for path in sorted(photos.rglob("*.png")):
        group = "" if path.stem > "05" else f"patient {int(path.stem) // 2}"
        lines.append(f"{path.relative_to(photos)},{path.parent.name},{group}")
    (photos / "images.csv").write_text("\n".join(lines))
    images = load(photos / "images.csv", cache)
    assert images.ledger.n_read == 30
    assert images.images.dropna().groupby("group")["split"].nunique().tolist() == [1, 1, 1]
    assert images.images["group"].isna().sum() == 12


def test_groups_torn_by_ready_splits_are_noted(photos, cache):
    lines = ["path,label,split,group"]
    for path in sorted(photos.rglob("*.png")):
        split = ("train", "validation", "test")[int(path.stem) % 3]
        lines.append(f"{path.relative_to(photos)},{path.parent.name},{split},g{path.stem[-1:]}")
    lines[1] = lines[1].replace("g0", "g1")
    (photos / "images.csv").write_text("\n".join(lines))
    (found,) = load(photos / "images.csv", cache).ledger.findings
    assert (found.harm, found.line) == ("warning", "1 group in more than one ready split: g1")
    assert len(found.files) == 4


@pytest.mark.exhaustive
@pytest.mark.slow
def test_built_in_data(cache):
    images = load("digits", cache)
    assert images.source == "digits"
    assert images.classes == tuple("0123456789")
    assert images.counts().sum().tolist() == [1078, 360, 359]
    # The split of the shipped studies: their published results depend on it.
    assert images.fingerprint == "86f3477101429f7eb200cf5f365e6072"
    assert load("digits", cache).fingerprint == images.fingerprint


def test_a_second_load_decodes_nothing(photos, cache, monkeypatch):
    monkeypatch.setattr(stamps, "RECENT", 0)
    monkeypatch.setattr(stamps, "_is_telling", lambda path, mounts: True)
    steps = []
    load(photos, cache)
    images = load(photos, cache, on_progress=lambda *step: steps.append(step))
    assert steps == [("inspecting images", 30, 30)]
    assert images.ledger.n_read == 30


def test_pictures_put_right_with_mv_get_their_labels(tmp_path, cache):
    paths = [tmp_path / "photos" / label / "a.bmp" for label in ("cat", "dog")]
    for path, number in zip(paths, (1, 2), strict=True):
        paint(path, number)
        os.utime(path, ns=(10**9, 10**9))
    before = dataset.load_undivided(str(tmp_path / "photos"), cache_dir=cache)
    aside = tmp_path / "aside.bmp"
    for path, target in ((paths[0], aside), (paths[1], paths[0]), (aside, paths[1])):
        path.rename(target)
    after = dataset.load_undivided(str(tmp_path / "photos"), cache_dir=cache)
    assert after.fingerprint != before.fingerprint
    was, now = (one.images.set_index("content_hash")["label"].to_dict() for one in (before, after))
    assert now == {content: {"cat": "dog", "dog": "cat"}[label] for content, label in was.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root), "not found, neither a folder, a manifest nor built-in"),
        (lambda root: [shutil.rmtree(root / name) for name in CLASSES], "empty folder; expected"),
        (
            lambda root: [shutil.rmtree(root / name) for name in CLASSES[1:]],
            "has one class only, 'cat'; expected a sub-folder for each of two or more classes",
        ),
        (
            lambda root: [path.write_bytes(b"") for path in root.rglob("*.png")],
            r"holds no image that can be read: cat/00.png \(empty file\), .* and 27 more",
        ),
        (
            lambda root: [(root / f"owl/{number:02d}.png").unlink() for number in range(8)],
            "class 'owl' has 2 images; 3 are needed, one each for train, validation, test",
        ),
    ],
)
def test_sources_that_can_not_be_used(photos, cache, change, message):
    change(photos)
    with pytest.raises(UserError, match=message):
        load(photos, cache)


def test_a_near_miss_of_a_built_in_name(cache):
    with pytest.raises(UserError, match="did you mean 'fashion-mnist'"):
        load("fashion_mnist", cache)


def test_a_file_that_is_no_manifest(tmp_path, cache):
    (tmp_path / "images.txt").write_text("path,label")
    with pytest.raises(
        UserError, match=r"a manifest ending in .csv, .tsv, .parquet, .jsonl, .xlsx"
    ):
        load(tmp_path / "images.txt", cache)


def test_classes_within_a_wrapper_are_named(tmp_path, cache):
    grow(tmp_path / "archive" / "photos")
    with pytest.raises(UserError) as caught:
        load(tmp_path / "archive", cache)
    assert str(caught.value) == (
        f"{tmp_path / 'archive'}: has one class only, 'photos'; the folders cat, dog, owl lie "
        f"inside: name {tmp_path / 'archive' / 'photos'} instead; expected a sub-folder for each "
        "of two or more classes"
    )
