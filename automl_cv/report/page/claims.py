"""The page's section on what a study's source said: its claims with verdicts, and its tables."""

from __future__ import annotations

from automl_cv.report.claims import CLAIM_COLUMNS, footnotes, source_tables
from automl_cv.report.document import Report, Section, grid_of
from automl_cv.report.page.parameters import MOST_EVALUATED
from automl_cv.report.page.sections import Content
from automl_cv.results.claims import claims_frame, declared, judged


def claims(report: Report) -> Content:
    """Show each claim with its verdict and figures, then the source's tables beside ours."""
    read = report.read
    if read is None or not read.is_whole:
        return Content()
    known, tables = declared(read)
    if not known and not tables:
        return Content()
    found = judged(read, most=MOST_EVALUATED)
    table = Section("claims", grid_of(CLAIM_COLUMNS, claims_frame(found), found))
    return Content(
        grids=(table, *source_tables(read, tables)),
        notes=tuple(footnotes(found)) if known else (),
    )
