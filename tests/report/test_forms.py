import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.errors import UserError
from automl_cv.report import data
from automl_cv.report.columns import COLUMNS
from automl_cv.report.data import as_csv, as_json, as_parquet
from automl_cv.report.formats import FORMATS, chosen_format
from automl_cv.report.markdown import as_markdown
from automl_cv.report.page.render import as_page
from automl_cv.report.terminal import as_text

EXPECTED = Path(__file__).parent / "expected"


def test_table_at_100_columns(built):
    assert as_text(built.report(), 100) == (EXPECTED / "table.txt").read_text()


def test_markdown(built):
    shown = as_markdown(built.report(stage="coarse", top=2))
    assert shown == (EXPECTED / "markdown.md").read_text()


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_a_table_fits_its_width(built, width):
    lines = as_text(built.report(), width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


@pytest.mark.slow
def test_the_interval_gives_way_last_and_takes_its_footnote_along(built):
    wide, narrow = (as_text(built.report(), width) for width in (80, 60))
    for part in ("0.915–0.949", f"{COLUMNS['interval'].heading}: interval of val acc"):
        assert part in wide
        assert part not in narrow


def test_text_off_a_terminal_is_not_wrapped(built):
    text = as_text(built.report())
    assert "not shown at this width" not in text
    assert "complete" in text
    assert "\x1b" not in text


def test_csv_has_full_precision(built):
    report = built.report()
    again = pd.read_csv(io.StringIO(as_csv(report)))
    pd.testing.assert_frame_equal(again, report.board, check_dtype=False)
    assert list(again["loss"])[7] == 5.98e-5


def test_json_is_strict_and_whole(built):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(as_json(built.report()), parse_constant=refuse)
    assert content["run"] == "slides"
    assert content["facts"]["split_sizes"]["validation"] == 807
    assert content["facts"]["class_names"] == ["boat", "mug [blue]", "<tree>"]
    first, adadelta = content["trials"][0], content["trials"][10]
    assert (first["batch_size"], first["val_accuracy"]) == (63, 0.9343)
    assert (first["tied_with_first"], adadelta["tied_with_first"]) == (True, False)
    assert adadelta["momentum"] is None
    assert [trial["state"] for trial in content["unfinished"]] == ["failed", "interrupted"]


def test_parquet_keeps_types(built):
    report = built.report()
    again = pd.read_parquet(io.BytesIO(as_parquet(report)))
    pd.testing.assert_frame_equal(again, report.board)


def test_parquet_without_pyarrow_is_one_line(built, monkeypatch):
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs pyarrow.*pip install"):
        as_parquet(built.report())


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.slow
def test_the_page_is_whole_escaped_and_needs_nothing_else(built):
    built.trials.update_facts(warnings=("<script>alert('x')</script> & more",))
    page = as_page(built.report())
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    assert all(link.startswith("#") for link in reader.links)
    assert not set(reader.tags) & {"op", "img", "link"}
    assert reader.tags.count("script") == 2  # the rows, and what sorts them
    assert "://" not in page
    for told in ("<script>alert('x')</script> & more", "[64,2048] <Op> |at step 3", "0.9343"):
        assert told in reader.text
    assert reader.tags.count("tr") >= 2 + 12 + 1 + 2


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMATS), ids=lambda form: form.name)
def test_every_format_loads_and_is_told_by_its_suffix(built, form):
    content = form.load()(built.report())
    assert isinstance(content, bytes if form.is_binary else str)
    assert chosen_format(FORMATS, None, Path(f"Report{form.suffix.upper()}")) == form
    assert chosen_format(FORMATS, form.name, Path("report")) == form
    assert chosen_format(FORMATS, None, Path("report")).name == "table"
    if not form.is_binary:
        assert content.endswith("\n")
        assert not re.search(r"[ \t]\n", content)
