"""A report as one HTML page that needs no other file, made of templates with autoescape."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from automl_cv.report.document import Report
from automl_cv.report.page.plot import Plot, as_inline_svg
from automl_cv.report.page.sections import contents

TEMPLATES = Path(__file__).parent / "templates"


def as_page(report: Report) -> str:
    """Return a report as a page; every text of the data is escaped."""
    page = (
        _environment()
        .get_template("page.html")
        .render(report=report, sections=list(contents(report)), alerts=alerts(report))
    )
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def alerts(report: Report) -> list[str]:
    """Return what a reader must know first: of the images, of ties and luck, of broken trials."""
    from automl_cv.report.page.background import alert_lines

    return [*report.warnings, *alert_lines(report)]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": _svg, "data_url": _data_url, "as_json": _as_json, "code": _code}
    environment.globals |= {"source": _source}
    return environment


def _svg(plot: Plot) -> Markup:
    return Markup(as_inline_svg(plot))  # matplotlib has escaped what it holds


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _as_json(data: Any) -> Markup:
    """Return data for a script element, which nothing in it can end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _code(line: str) -> Markup:
    """Return a sentence with its commands, which stand between backticks, set as code."""
    parts = line.split("`")
    written = [
        Markup("<code>{}</code>").format(part) if place % 2 and place < len(parts) - 1 else part
        for place, part in enumerate(parts)
    ]
    return Markup("").join(written)


def _source(name: str) -> Markup:
    """Return a file of ours, style or script, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
