"""What stands around the figures: alerts, the images, further tables, how to repeat it all."""

from __future__ import annotations

import shlex
from collections import Counter

from automl_cv.data.ledger import findings_of
from automl_cv.report.columns import Column
from automl_cv.report.document import Grid, Report, Section, free_text
from automl_cv.report.page.sections import Content
from automl_cv.report.verdict import n_tied
from automl_cv.words import counted, printable

MOST_FILES = 50  # named of a kind
# Sections of a report that the page shows elsewhere.
ELSEWHERE = ("narrowed stages",)


def alert_lines(report: Report) -> list[str]:
    """Return what a reader must know of a run before any figure: ties, luck, broken trials."""
    read = report.read
    if read is None:
        return []
    lines = []
    tied, others = n_tied(read), len(read.rows) - 1
    if tied:
        lines.append(f"{tied:,} of {counted(others, 'other row')} can't be told from the first")
    if report.winner is not None and report.winner.get("overtuned"):
        lines.append(
            "overtuned: on images left out the search found nothing better than its first trial, "
            f"{report.winner['first']}"
        )
    states = Counter(str(record.state) for record in read.unranked)
    for state, told in (("failed", "broke"), ("interrupted", "lost its process")):
        if states[state]:
            reasons = Counter(one.reason for one in read.unranked if one.state == state)
            first, _ = reasons.most_common(1)[0]
            lines.append(f"{counted(states[state], 'trial')} {told}, most often: {first}")
    return [printable(line) for line in lines]


def images(report: Report) -> Content:
    """Show what was found of the images: damaged files, copies, and the sizes of classes."""
    facts = report.facts
    if report.read is None or "n_read" not in facts.ledger:
        return Content()
    skipped = facts.ledger.get("skipped", ())
    findings = findings_of(facts.ledger)
    sizes = ", ".join(f"{number:,} {split}" for split, number in facts.split_sizes.items())
    classes = counted(len(facts.class_names), "class", "classes")
    lines = (
        f"{counted(facts.ledger['n_read'], 'image')} of {classes} were read: {sizes}. "
        f"{counted(len(skipped), 'file')} skipped.",
    )
    found = Grid(
        (_text("about"), _text("harm"), free_text("finding", "what was found"), _number("files")),
        tuple(
            (printable(one.about), one.harm, printable(one.line), f"{len(one.files):,}")
            for one in findings
        ),
    )
    damaged = Grid(
        (free_text("file", "relative to the source"), free_text("reason", "why it is left out")),
        tuple((printable(one["path"]), printable(one["reason"])) for one in skipped[:MOST_FILES]),
    )
    named = Grid(
        (_text("about"), free_text("file", "relative to the source")),
        tuple(
            (printable(one.about), printable(name))
            for one in findings
            for name in one.files[:MOST_FILES]
        ),
    )
    notes = []
    if len(skipped) > MOST_FILES or any(len(one.files) > MOST_FILES for one in findings):
        notes.append(
            f"{MOST_FILES} files of a kind at most; `automl-cv data --format json` names all"
        )
    return Content(
        lines=lines,
        grids=(
            Section("findings", found),
            Section("files skipped", damaged),
            Section("files of these findings", named),
        ),
        notes=tuple(notes),
    )


def tables(report: Report) -> Content:
    """Show the report's further tables and notes."""
    if report.sides:  # their boards have a section of their own
        return Content(lines=report.notes, heading="How the studies differ")
    grids = [one for one in report.sections if one.heading not in ELSEWHERE or report.read is None]
    return Content(grids=tuple(grids), lines=report.notes)


def origin(report: Report) -> Content:
    """Show the environment of the search, and the commands that repeat it and this page."""
    read, facts = report.read, report.facts
    if read is None:
        return Content()
    study, source = str(read.run.study), facts.data_source
    data = f" --data {shlex.quote(source)}" if source else ""
    rows = [
        ("search", f"automl-cv search {shlex.quote(study)}{data} --new"),
        ("this page", f"automl-cv report {shlex.quote(read.run.name)} --out report.html"),
        ("seed", str(facts.seed)),
        ("study", facts.digest),
        ("images", facts.data_fingerprint),
        ("begun", f"{facts.started:%Y-%m-%d %H:%M} UTC"),
        *facts.versions.items(),
    ]
    grid = Grid(
        (_text("what"), free_text("value", "as it was")),
        tuple((printable(what), printable(value)) for what, value in rows if value),
    )
    return Content(grids=(Section("environment", grid),))


def _text(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading, align="left")


def _number(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading)
