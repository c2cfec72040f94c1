import json
from collections import Counter

import pandas as pd
import pytest

from automl_cv.data.ledger import Finding, Ledger, Skipped
from automl_cv.data.sources import as_stored, list_source, place_beside, shared, was_at
from automl_cv.errors import UserError
from automl_cv.study.sections import Reading


def grow(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return root


def listed(source, **said):
    return list_source(str(source), source, Reading(**said))[1]


def found(source, **said):
    return Counter((one.label, one.split) for one in listed(source, **said).candidates)


def test_kaggle_training_set_and_test_set(tmp_path):
    inner = [f"{s}_set/{s}_set/{c}/{n}.jpg" for s in ("training", "test") for c, n in ("c1", "d2")]
    grow(tmp_path, *inner)
    expected = {(label, split): 1 for label in "cd" for split in ("train", "test")}
    assert found(tmp_path) == expected


@pytest.mark.parametrize(
    ("first", "second", "split"),
    [
        ("training_set", "test_set", "test"),
        ("images_train", "images_val", "validation"),
        ("train", "dev", "validation"),
        ("Train Images", "Test-Images", "test"),
        ("train2017", "val2017", "validation"),
        ("trainset", "testset", "test"),
    ],
)
def test_usual_names_of_splits(tmp_path, first, second, split):
    grow(tmp_path, *(f"{part}/{label}/a.png" for part in (first, second) for label in "cd"))
    assert found(tmp_path) == {(label, one): 1 for label in "cd" for one in ("train", split)}


def test_a_test_folder_without_labels_is_left_out(tmp_path):
    grow(tmp_path, "train1/cat/a.png", "train1/dog/b.png", "test1/1.png", "test1/2.png")
    assert found(tmp_path) == {("cat", "train"): 1, ("dog", "train"): 1}
    assert listed(tmp_path).notes == (
        "folder test1 holds 2 files of no class and was left out; predict takes images without "
        "labels",
    )


def test_labels_in_file_names(tmp_path):
    grow(tmp_path, *(f"{label}.{n}.jpg" for label in ("cat", "dog") for n in (0, 12)), "README")
    assert found(tmp_path) == {("cat", None): 2, ("dog", None): 2, (None, None): 1}
    assert listed(tmp_path).notes == (
        "no class folders: labels are what stands before the numbers in the files' names, cat, dog",
    )
    cats = tmp_path / "cats"
    grow(cats, *(f"train/great_cat_{n}.jpg" for n in "123"), "train/pug 1.jpg", "train/pug 2.jpg")
    assert found(grow(cats, "test1/1.jpg")) == {("great_cat", "train"): 3, ("pug", "train"): 2}


@pytest.mark.parametrize(
    "names",
    [
        ("IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg"),
        ("train_1.jpg", "train_2.jpg", "cat_1.jpg", "cat_2.jpg"),
        ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "dog.2.jpg", "other.jpg"),
        ("2020-1.jpg", "2020-2.jpg", "2021-1.jpg", "2021-2.jpg"),
        ("a1.jpg", "b1.jpg"),
    ],
)
def test_file_names_that_say_no_label(tmp_path, names):
    with pytest.raises(UserError, match="holds files only"):
        listed(grow(tmp_path, *names))


def test_levels_above_the_classes_are_refused_with_the_way_out(tmp_path):
    grow(tmp_path, *(f"{site}/{label}/a.png" for site in ("oslo", "rome") for label in "cd"))
    with pytest.raises(UserError) as caught:
        listed(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: oslo, rome hold the same sub-folders, c, d, and no images beside them; if "
        "c, d are the classes, say --class-level 2, if oslo, rome are, --class-level 1"
    )
    assert found(tmp_path, class_level=2) == {("c", None): 2, ("d", None): 2}
    assert found(tmp_path, class_level=1) == {("oslo", None): 2, ("rome", None): 2}


def test_names_that_begin_like_splits_are_no_classes(tmp_path):
    grow(tmp_path, "train-a/1.png", "test-a/1.png")
    with pytest.raises(UserError, match="test-a, train-a are named like splits"):
        listed(tmp_path)
    assert found(tmp_path, class_level=1) == {("train-a", None): 1, ("test-a", None): 1}


def test_classes_with_folders_of_their_own_stay_classes(tmp_path):
    grow(tmp_path, "cat/left/a.png", "cat/b.png", "dog/left/a.png", "tram/old/a.png")
    assert found(tmp_path) == {("cat", None): 2, ("dog", None): 1, ("tram", None): 1}


def text(path, content, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


@pytest.mark.parametrize(
    ("content", "encoding", "note"),
    [
        ("file_name,label\n1.png,é\n2.png,b\n", "utf-8", "column file_name is taken for the path"),
        ("path;label\r\n1.png;é\r\n2.png;b\r\n;\r\n", "utf-8-sig", "separated by semicolons"),
        ("sep=;\npath;label\n1.png;é\n2.png;b\n", "cp1252", "no UTF-8, so it was read as Windows"),
        ("path\tlabel\n1.png\té\n2.png\tb\n", "utf-16", "it is written in UTF-16"),
        ("path\tlabel\n1.png\té\n2.png\tb\n", "utf-16-le", "separated by tabs"),
        ("id,label\n1,é\n2,b\n", "utf-8", "found by their names below images"),
        ("id,é,b\n1,1,0\n2,0.0,1.0\n", "utf-8", "labels are the columns that hold 1: é, b"),
        ("n,image,breed\n7,1,é\n8,2,b\n", "utf-8", "column breed is taken for the label"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_tables_as_programs_write_them(tmp_path, content, encoding, note, beside):
    grow(tmp_path, "images/1.png", "images/2.png", "sample_submission.csv")
    text(tmp_path / ("train.csv" if beside else "images/metadata.csv"), content, encoding)
    source = tmp_path if beside else tmp_path / "images"
    seen = listed(source)
    assert {one.name.rpartition("/")[2]: one.label for one in seen.candidates} == {
        "1.png": "é",
        "2.png": "b",
    }
    assert note in " ".join(seen.notes) or (not beside and "found by" in note)


def test_a_table_in_each_split_folder(tmp_path):
    for split in ("train", "test"):
        text(tmp_path / split / "metadata.csv", "file_name,label\n1.png,a\n2.png,b\n")
        grow(tmp_path, f"{split}/1.png", f"{split}/2.png")
    assert found(tmp_path) == {(label, one): 1 for label in "ab" for one in ("train", "test")}


def test_a_table_takes_the_folder_of_its_own_split(tmp_path):
    grow(tmp_path, *(f"{part}/{n}.jpg" for part in ("train", "test") for n in "12"))
    text(tmp_path / "train.csv", "id,label\n1,a\n2,b\n")
    assert [one.name for one in listed(tmp_path).candidates] == ["train/1.jpg", "train/2.jpg"]


def test_several_tables_of_named_splits_are_joined(tmp_path):
    grow(tmp_path, *(f"images/{n}.jpg" for n in "1234"))
    text(tmp_path / "train.csv", "id,label\n1,a\n2,b\n")
    text(tmp_path / "val.csv", "id,label\n3,a\n4,b\n")
    assert found(tmp_path) == {(label, one): 1 for label in "ab" for one in ("train", "validation")}


@pytest.mark.parametrize(
    ("content", "said", "message"),
    [
        (
            "id,age,sex\n1,3,m\n",
            {},
            "lacks the column label; it has id, age, sex; .*--label-column",
        ),
        ("id,x,y2\n1,1,1\n2,0,1\n", {}, "line 2: 2 of the columns x, y2, … are 1; expected one"),
        ("id,label\n1,a\n", {"label_column": "lable"}, "no column 'lable' .*did you mean 'label'"),
        (
            "id,label\n1,a\n9,b\n",
            {},
            "1 file not found, line 3: 9; .* name another folder with --ro",
        ),
        ("id,label\nx,a\n", {}, "'x' fits 2 files, images/x.png, more/x.png; .* with --root"),
        ("id,label\nx,a\n", {"root": "none"}, "--root none: no such folder"),
    ],
)
def test_what_has_more_meanings_is_refused_with_the_way_out(tmp_path, content, said, message):
    grow(tmp_path, "images/1.png", "images/2.png", "images/x.png", "more/x.png")
    text(tmp_path / "labels.csv", content)
    with pytest.raises(UserError, match=message):
        listed(tmp_path / "labels.csv", **said)


def test_columns_and_root_may_be_named(tmp_path):
    grow(tmp_path, "images/x.png", "more/x.png")
    text(tmp_path / "t/labels.csv", "sha,label,kind,where\n1,7,a,x.png\n")
    seen = listed(
        tmp_path / "t/labels.csv",
        **{"path_column": "where", "label_column": "kind", "root": "../more"},
    )
    assert [(one.path, one.label) for one in seen.candidates] == [
        (str(tmp_path / "more/x.png"), "a")
    ]


def test_other_tables_beside_readable_names_change_nothing(tmp_path):
    grow(tmp_path, *(f"{label}.{n}.jpg" for label in ("cat", "dog") for n in (0, 12)))
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "notes.csv")
    assert set(found(tmp_path)) == {("cat", None), ("dog", None), (None, None)}


def test_a_spreadsheet_that_none_can_read_is_to_be_saved_as_csv(tmp_path):
    grow(tmp_path, "labels.numbers")
    with pytest.raises(UserError, match="labels.numbers: expected .*; save it as CSV"):
        listed(tmp_path / "labels.numbers")


def test_a_stored_source_is_found_where_it_was(tmp_path, monkeypatch):
    ledger = {"place": str(grow(tmp_path / "there", "photos/a.png") / "photos")}
    monkeypatch.chdir(tmp_path)
    assert as_stored("photos", ledger) == ledger["place"]
    assert was_at("photos", ledger) == f" (the images were at {ledger['place']})"
    assert was_at("there/photos", ledger) == ""
    (tmp_path / "photos").mkdir()
    assert as_stored("photos", ledger) == "photos"
    assert as_stored("digits", ledger) == "digits"
    assert as_stored("gone", {}) == as_stored("gone", {"place": "/no/where"}) == "gone"


def test_a_model_folder_says_where_images_are_only_if_they_go_along(tmp_path, monkeypatch):
    photos = grow(tmp_path / "home" / "work", "photos/a.png") / "photos"
    model = tmp_path / "home" / "work" / "models" / "first"
    monkeypatch.chdir(tmp_path / "home" / "work")
    place = place_beside(str(photos), model)
    assert place == "../../photos"
    assert place_beside("", model) == ""
    assert place_beside("/data/of/others", model) == ""
    monkeypatch.chdir(tmp_path)
    # Named from elsewhere, a source is found where the model says, and so after both are moved.
    assert as_stored("photos", {"place": place}, model) == str(photos)
    (tmp_path / "home" / "work").rename(tmp_path / "away")
    moved = tmp_path / "away" / "models" / "first"
    assert as_stored("photos", {"place": place}, moved) == str(tmp_path / "away" / "photos")
    # Models of before hold an absolute path.
    before = {"place": str(tmp_path / "away" / "photos")}
    assert as_stored("photos", before, model) == before["place"]


def test_a_shared_ledger_names_files_without_where_they_lie(tmp_path):
    line = "1 test image of 2 is identical to one in train; first /home/me/b/2.png and 1.png"
    ledger = Ledger(
        n_read=2,
        skipped=(Skipped("/home/me/b/3.png", "empty file"),),
        findings=(Finding("overlap", "warning", line, ("/home/me/b/2.png", "1.png")),),
        place="/home/me/labels.csv",
    )
    found = shared(ledger, ["/home/me/a/1.png", "/home/me/b/2.png"], tmp_path / "model")
    assert "/home" not in json.dumps(found.to_json())
    assert found.findings[0].files == ("2.png", "1.png")
    assert found.findings[0].line.endswith("first 2.png and 1.png")


def test_the_metadata_of_an_image_folder_may_be_json_lines(tmp_path):
    grow(tmp_path, "1.png", "2.png", "notes.jsonl")
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "1.png", "label": 3, "box": [1, 2]}\n\n'
        '{"label": "b", "file_name": "2.png"}\n'
    )
    found = listed(tmp_path)
    assert [(one.name, one.label) for one in found.candidates] == [("1.png", "3"), ("2.png", "b")]
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "1.png", "label": 3}\n[1]\n')
    with pytest.raises(UserError, match="metadata.jsonl: line 2: expected an object"):
        listed(tmp_path)


def test_half_a_pair_in_json_lines_is_no_harm(tmp_path):
    grow(tmp_path, "1.png")
    row = '{"file_name": "1.png", "label": "a\\ud83d", "text": "\\udc00"}\n'
    (tmp_path / "metadata.jsonl").write_text(row)
    assert [one.label for one in listed(tmp_path).candidates] == ["a\N{REPLACEMENT CHARACTER}"]
