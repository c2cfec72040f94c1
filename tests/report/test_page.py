import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.cli.commands.report import _leaderboard
from automl_cv.errors import UserError
from automl_cv.report.page.board import MOST
from automl_cv.report.page.maps import MOST_BYTES
from automl_cv.report.page.plot import INK, as_inline_svg, as_png, as_svg
from automl_cv.report.page.render import as_page
from automl_cv.report.page.sections import (
    PAGE_SECTIONS,
    Content,
    PageSection,
    contents,
    plots_of,
)
from tests.report.browser import asked, browser
from tests.results.retrained import retrained
from tests.results.searched import searched

NASTY = "</script><script>told.push('ran')</script>=1+2"

in_browser = pytest.mark.skipif(
    browser() is None, reason="needs Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Searched and retrained stages, whose learning curves, ties and pairs a page shows."""
    return _leaderboard(retrained(tmp_path_factory.mktemp("page")), None, None, None, None)


@pytest.fixture(scope="module")
def page(report):
    return as_page(report)


class _Sections(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.ids, self.headings = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "section" and "id" in found:
            self.headings.append(found["id"])


@pytest.mark.slow
def test_sections_stand_in_the_order_of_their_table(page):
    found = _Sections(page)
    assert found.headings == [name for name in PAGE_SECTIONS.names if name in found.headings]
    assert {"board", "progress", "curves", "stages", "parameters", "comparisons", "origin"} <= set(
        found.headings
    )
    assert len(found.ids) == len(set(found.ids))


def test_alerts_and_the_verdict_stand_before_the_board(report, page):
    places = [page.index(part) for part in ('class="alerts"', 'class="verdict"', 'id="board"')]
    assert places == sorted(places)
    assert len(report.verdict) == 3
    assert report.verdict[0].startswith("winner: narrowed/3 as stage folded trained it, accuracy")


def told(report):
    return Content(lines=(f"{len(report.table.rows)} rows",))


def test_a_new_section_is_one_entry(report):
    entry = PageSection(name="counted", about="How <many>", target="tests.report.test_page:told")
    with PAGE_SECTIONS.temporary(entry):
        page = as_page(replace(report, read=None))
    assert f"<p>{len(report.table.rows)} rows</p>" in page
    assert '<h2 id="counted-heading">How &lt;many&gt;</h2>' in page


def test_accuracy_and_interval_stand_right_after_the_rank(page):
    headings = re.findall(r"<th scope=\"col\".*?>(.*?)</th>", page)
    assert headings[:3] == ["#", "val acc", "95\N{NO-BREAK SPACE}%"]


@pytest.mark.slow
def test_plots_are_pictures_of_their_own_too(report):
    plots = plots_of(report)
    assert len({plot.name for plot in plots}) == len(plots) >= 6
    assert all(plot.told and plot.title for plot in plots)
    one = plots[0]
    assert as_png(one).startswith(b"\x89PNG")
    assert as_svg(one).startswith(b"<?xml") and INK.encode() in as_svg(one)
    inline = as_inline_svg(one)
    assert INK not in inline and "currentColor" in inline and "http" not in inline
    assert inline == as_inline_svg(one), "the same each time"


@pytest.mark.slow
def test_kept_predictions_show_where_the_winner_is_wrong(tmp_path):
    report = _leaderboard(searched(tmp_path, (0.8,) * 12), None, None, None, None)
    content = dict((section.name, one) for section, one in contents(report))["classes"]
    assert [plot.name for plot in content.plots] == ["confusion", "calibration"]
    accuracy = report.winner["raw"]
    wrong = round((1 - accuracy) * 200)
    assert f"is wrong about {wrong} of 200 validation images" in content.lines[0]
    confusions = content.grids[0].grid.rows
    assert sum(int(row[2]) for row in confusions) == wrong


@pytest.mark.slow
@pytest.mark.exhaustive
def test_pictures_of_maps_stand_in_the_page_as_far_as_there_is_room(report, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("01-first", "02-second", "grad-cam", "overview", "other"):
        pixels = generator.integers(0, 256, (300, 900, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    mapped = replace(report, read=None, sections=(), notes=(), maps=tmp_path)
    content = {section.name: one for section, one in contents(mapped)}["maps"]
    assert [one.lines[0] for one in content.thumbnails] == ["feature maps"]
    assert sum(len(one.png) for one in content.thumbnails) <= MOST_BYTES
    assert "3 pictures left out" in content.notes[1] and "other" not in content.notes[1]
    assert 'class="wide"' in as_page(mapped)
    with pytest.raises(UserError, match="holds no picture that `automl-cv maps"):
        as_page(replace(mapped, maps=Path(__file__).parent))


@pytest.mark.slow
@in_browser
def test_in_a_browser_it_sorts_filters_and_asks_for_nothing(page):
    answer = asked(
        page,
        """
        const first = () => [...document.querySelectorAll("#board-table tbody tr")].map(
          (row) => [...row.cells].map((cell) => cell.textContent));
        const head = (name) => [...document.querySelectorAll("#board-table th button")].find(
          (one) => one.textContent === name);
        const filter = document.getElementById("board-filter");
        const before = first();
        head("val loss").click();
        const ascending = first();
        const sorted = head("val loss").parentElement.getAttribute("aria-sort");
        head("val loss").click();
        const descending = first();
        filter.value = "rmsprop coarse";
        filter.dispatchEvent(new Event("input"));
        const filtered = first();
        const status = document.getElementById("board-status").textContent;
        const wide = document.documentElement.scrollWidth;
        return { before, ascending, sorted, descending, filtered, status, wide };
        """,
        width=500,
    )
    assert answer["told"] == []
    assert answer["requests"] == []
    found = answer["found"]
    assert len(found["before"]) == 16 and found["before"][0][0] == "1"
    assert found["sorted"] == "ascending"
    ranks = {kind: [row[0] for row in found[kind]] for kind in ("ascending", "descending")}
    assert ranks["ascending"] != ranks["descending"]
    assert set(ranks["ascending"]) == {str(rank) for rank in range(1, 17)}
    assert len(found["filtered"]) == 3
    assert all("RMSprop" in row and "coarse" in row for row in found["filtered"])
    assert found["status"] == "3 of 16 rows"
    assert found["wide"] <= 500, "nothing but tables is wider than the window"


@pytest.mark.slow
@in_browser
def test_names_are_text(tmp_path):
    report = _leaderboard(searched(tmp_path, (0.8,) * 12), None, None, None, None)
    rows = tuple(tuple(NASTY for _ in row) for row in report.table.rows)
    facts = replace(report.facts, class_names=(NASTY, "a$b$c"))
    read = replace(report.read, facts=facts)
    nasty = replace(
        report,
        title=NASTY,
        warnings=(NASTY,),
        verdict=(NASTY,),
        table=replace(report.table, rows=rows),
        facts=facts,
        read=read,
    )
    answer = asked(as_page(nasty), "return document.querySelector('h1').textContent;")
    assert answer["told"] == []
    assert answer["found"] == NASTY


@pytest.mark.slow
def test_many_rows_stay_within_their_room(report):
    from automl_cv.report.page.board import board

    rows = tuple(
        tuple(f"{number} {place} of these" for place in range(len(report.table.columns)))
        for number in range(6_000)
    )
    content = board(replace(report, table=replace(report.table, rows=rows)))
    data = json.dumps(content.more["data"], ensure_ascii=False, separators=(",", ":"))
    assert len(data.encode()) < 1.01 * MOST
    assert content.notes[0].endswith(
        "rows are in this page, so that it stays small; --format csv has all"
    )
    assert len(content.more["drawn"]) == 100
