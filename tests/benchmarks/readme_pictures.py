"""Makes the pictures of the README: a board as a terminal shows it, and the page of the same run.

    python tests/benchmarks/readme_pictures.py [--out docs] [--storage FILE]

Searches `quickstart` as the README's first line does, unless --storage names a database that has
it, then writes OUT/board.svg (Rich's own export of `automl-cv report`, as far as the table goes)
and OUT/page.png and OUT/page-mistakes.png (the page of `automl-cv report --format html` in headless
Chromium, which is Debian's). Nothing is drawn by hand: who changes the report runs this again, and
looks at what comes out.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from automl_cv.cli.commands.report import _leaderboard
from automl_cv.places import cache_folder
from automl_cv.report.document import Report
from automl_cv.report.page.render import as_page
from automl_cv.report.terminal import for_terminal
from automl_cv.searching import run
from automl_cv.study import reference
from tests.report.browser import asked, shot

STUDY = "quickstart"
COLUMNS = 104  # of the terminal
COLOURS = 128  # of a screenshot: it is text and lines, and a third of the bytes
WIDTH, HEIGHT = 1000, 1100  # pixels of a picture of the page
BEGIN_AT = {"page.png": "", "page-mistakes.png": "classes"}  # the page's top, and a section


def board(report: Report) -> str:
    """Return the first lines of a report, its table whole, as a terminal shows them."""
    lines = for_terminal(report, COLUMNS).split("\n")
    last = next(row for row, line in enumerate(lines) if f" {reference.NAME} " in line.plain)
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(f"$ automl-cv report {STUDY}", markup=False, highlight=False, style="bold")
    for line in lines[: last + 1]:
        console.print(line)
    # Without the addresses of fonts: a picture asks no network for anything.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="automl-cv", code_format=form, unique_id="board")


def top(page: str, name: str) -> int:
    """Return how many pixels above an element of the page lie."""
    script = f'''
    for (const one of document.querySelectorAll("section")) one.style.contentVisibility = "visible";
    return document.getElementById("{name}").getBoundingClientRect().top + scrollY;
    '''
    return round(asked(page, script, width=WIDTH)["found"]) - 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--storage", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.storage or Path(folder) / "automl-cv.db"
        storage = f"sqlite:///{database.resolve()}"
        if options.storage is None:
            run(STUDY, storage=storage)
        report = replace(
            _leaderboard(storage, STUDY, None, None, None), cache_dir=cache_folder(None)
        )
        (options.out / "board.svg").write_text(board(report) + "\n", encoding="utf-8")
        file = Path(folder) / "page.html"
        page = as_page(report)
        file.write_text(page, encoding="utf-8")
        for name, place in BEGIN_AT.items():
            begin = top(page, place) if place else 0
            taken = Image.open(io.BytesIO(shot(file, width=WIDTH, height=begin + HEIGHT)))
            picture = taken.convert("RGB").crop((0, begin, WIDTH, begin + HEIGHT))
            picture.quantize(COLOURS).save(options.out / name, optimize=True)
    for name in ("board.svg", *BEGIN_AT):
        print(f"{name}  {os.path.getsize(options.out / name):,} bytes")


if __name__ == "__main__":
    main()
