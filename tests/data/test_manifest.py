import builtins
import sys
import zipfile

import pandas as pd
import pytest

from automl_cv.data.candidates import Candidate
from automl_cv.data.manifest import list_manifest
from automl_cv.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png", "sub/c.png", "d, e.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


def write(folder, *lines, encoding="utf-8"):
    path = folder / "images.csv"
    path.write_text("\n".join([*lines, ""]), encoding=encoding)
    return path


def test_all_columns(folder):
    manifest = write(
        folder,
        "group,path,label,split,comment",
        "g1,sub/c.png,cat,TRAIN,x",
        ",a.png,NA,val,",
        'g1,"d, e.png",cat,test,',
    )
    assert list_manifest(manifest).candidates == (
        Candidate(str(folder / "a.png"), "a.png", "NA", "validation", None),
        Candidate(str(folder / "d, e.png"), "d, e.png", "cat", "test", "g1"),
        Candidate(str(folder / "sub/c.png"), "sub/c.png", "cat", "train", "g1"),
    )


def test_paths_and_labels_suffice(folder):
    absolute = folder / "b.png"
    # Excel begins UTF-8 files with a byte-order mark.
    manifest = write(folder, "path,label", f"{absolute},1", "./a.png,2", encoding="utf-8-sig")
    assert [(one.name, one.label, one.split) for one in list_manifest(manifest).candidates] == [
        ("a.png", "2", None),
        ("b.png", "1", None),
    ]


def test_an_empty_split_column_is_none(folder):
    manifest = write(folder, "path,label,split", "a.png,x,", "b.png,y,")
    assert {one.split for one in list_manifest(manifest).candidates} == {None}


def test_a_row_given_twice_is_noted(folder):
    manifest = write(folder, "path,label", "a.png,x", "b.png,y", "sub/../a.png,x")
    listing = list_manifest(manifest)
    assert len(listing.candidates) == 2
    assert listing.notes == ("1 row of the manifest said the same twice",)


def test_parquet_says_the_same_as_csv(folder):
    rows = {
        "path": ["a.png", "b.png", "sub/c.png"],
        "label": [1, 2, 1],
        "split": ["train", "validation", "test"],
        "group": ["g", None, "g"],
    }
    pd.DataFrame(rows).to_parquet(folder / "images.parquet")
    manifest = write(
        folder,
        "path,label,split,group",
        *("a.png,1,train,g", "b.png,2,validation,", "sub/c.png,1,test,g"),
    )
    assert list_manifest(folder / "images.parquet") == list_manifest(manifest)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a,b,c", "x,y,z"],
            "lacks the columns path and label; it has a, b, c; expected "
            "path,label[,split][,group]; or name yours with --path-column, --label-column",
        ),
        (
            ["path,age,sex", "a.png,41,f"],
            "lacks the column label; it has path, age, sex; expected "
            "path,label[,split][,group]; or name yours with --path-column, --label-column",
        ),
        (["path,label,path", "a.png,x,b.png"], "has the column 'path' twice"),
        (["path,label"], "has no rows; expected one for each image"),
        (["path,label", "a.png,x", "", "b.png,"], "line 4, column label: empty"),
        (["path,label", "a.png,x", ",x"], "line 3, column path: empty"),
        (
            ["path,label", "a.png,x,y"],
            "line 2: expected 2 cells, as the first line has; quote cells that hold a comma",
        ),
        (
            ["path,label,split", "a.png,x,train", "b.png,y,tets"],
            "line 3, column split: 'tets'; did you mean 'test'? known: train, validation, test",
        ),
        (
            ["path,label,split", "a.png,x,train", "b.png,y,"],
            "line 3, column split: empty, though other rows have a split; known: train, "
            "validation, test",
        ),
        (
            ["path,label", "a.png,x", "b.png,x", "./a.png,y"],
            "line 4, column label: ./a.png has 'y' here but 'x' in line 2; give each file once",
        ),
        (
            ["path,label,split", "a.png,x,train", "a.png,x,test"],
            "line 3, column split: a.png has 'test' here but 'train' in line 2; "
            "give each file once",
        ),
    ],
)
def test_mistakes_are_placed(folder, lines, message):
    manifest = write(folder, *lines)
    with pytest.raises(UserError) as caught:
        list_manifest(manifest)
    assert str(caught.value) == f"{manifest}: {message}"


def test_missing_files_are_counted_and_the_first_few_named(folder):
    manifest = write(folder, "path,label", "a.png,x", *(f"no{n}.png,x" for n in range(5)), "sub,x")
    with pytest.raises(UserError) as caught:
        list_manifest(manifest)
    assert str(caught.value) == (
        f"{manifest}: column path: 6 files not found, line 3: no0.png, line 4: no1.png, "
        f"line 5: no2.png and 3 more; paths are relative to {folder}; "
        "name another folder with --root"
    )


def test_files_that_are_no_tables(folder):
    broken = folder / "broken.csv"
    broken.write_bytes(b"path,label\na.png,caf\x81\n")
    with pytest.raises(UserError, match="broken.csv: no UTF-8 text"):
        list_manifest(broken)
    broken.write_text('path,label\n"a.png,x\n')
    with pytest.raises(UserError, match="broken.csv: line 2: no valid CSV"):
        list_manifest(broken)
    parquet = folder / "broken.parquet"
    parquet.write_text("path,label")
    with pytest.raises(UserError, match="broken.parquet: no valid Parquet file"):
        list_manifest(parquet)


def test_parquet_without_pyarrow_says_what_to_install(folder, monkeypatch):
    parquet = folder / "images.parquet"
    pd.DataFrame({"path": ["a.png"], "label": ["x"]}).to_parquet(parquet)
    real = builtins.__import__

    def without_pyarrow(name, *rest):
        if name.partition(".")[0] in ("pyarrow", "fastparquet"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(UserError, match=r"needs PyArrow; run in automl-cv's folder: pip install"):
        list_manifest(parquet)


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    "{}</sheetData></worksheet>"
)
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-'
    'types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
    'relationships+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    'main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="mine" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/'
    '2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}


def spreadsheet(path, *rows):
    """Write the least that is a workbook: numbers as numbers, text in its cells."""
    lines = []
    for row in rows:
        cells = (
            f"<c><v>{cell}</v></c>"
            if isinstance(cell, int)
            else f'<c t="inlineStr"><is><t>{cell}</t></is></c>'
            for cell in row
        )
        lines.append(f"<row>{''.join(cells)}</row>")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in PARTS.items():
            archive.writestr(name, text)
        archive.writestr("xl/worksheets/sheet1.xml", SHEET.format("".join(lines)))
    return path


def test_a_spreadsheet(folder):
    manifest = spreadsheet(
        folder / "labels.xlsx", ("path", "label", ""), ("a.png", 3, ""), ("sub/c.png", "NA", "")
    )
    assert [(one.name, one.label) for one in list_manifest(manifest).candidates] == [
        ("a.png", "3"),
        ("sub/c.png", "NA"),
    ]


def test_a_spreadsheet_without_its_reader_or_content(folder, monkeypatch):
    broken = folder / "labels.xlsx"
    broken.write_text("no archive")
    with pytest.raises(UserError, match="labels.xlsx: no spreadsheet that can be read"):
        list_manifest(broken)
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UserError, match=r"needs python-calamine; .*'\.\[excel\]'"):
        list_manifest(spreadsheet(broken, ("path", "label"), ("a.png", "x")))
