"""The sections of a page: the only list of them.

A section is an entry here, a function (report) -> Content, and a block of a template: one of its
own, or the one that shows whatever a content holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_cv.registry import Entry, Table
from automl_cv.report.document import Report, Section

if TYPE_CHECKING:
    from automl_cv.report.page.plot import Plot


@dataclass(frozen=True)
class Thumbnail:
    """A small image.

    Args:
        png: content of a PNG file.
        told: what it is, in words.
        lines: what stands below it.
        is_wide: whether it is shown as wide as it is, where there is room.
    """

    png: bytes
    told: str
    lines: tuple[str, ...]
    is_wide: bool = False


@dataclass(frozen=True)
class Content:
    """What a section shows; without any of it there is no section.

    Args:
        lines: sentences, first.
        plots: drawings.
        grids: tables with their headings.
        thumbnails: small images.
        notes: small lines, last.
        more: what a template of the section's own wants beside it.
        heading: what stands above it, where that is not what the section is called.
    """

    lines: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    grids: tuple[Section, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    notes: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    heading: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show; notes alone are none."""
        grids = any(section.grid.rows for section in self.grids)
        return not (self.lines or self.plots or grids or self.thumbnails or self.more)


@dataclass(frozen=True, kw_only=True)
class PageSection(Entry):
    """One section; its target is a function (report) -> Content, its `about` the heading.

    Args:
        template: file among the page's templates that shows the content.
    """

    template: str = "content.html"


HERE = "automl_cv.report.page"

PAGE_SECTIONS: Table[PageSection] = Table(
    "section of the page",
    [
        PageSection(
            name="board", about="Leaderboard", target=f"{HERE}.board:board", template="board.html"
        ),
        PageSection(name="sides", about="Best so far, of both", target=f"{HERE}.sides:sides"),
        PageSection(name="progress", about="Best so far", target=f"{HERE}.progress:best_so_far"),
        PageSection(
            name="curves", about="Learning curves", target=f"{HERE}.progress:learning_curves"
        ),
        PageSection(name="backbones", about="Backbones", target=f"{HERE}.backbones:backbones"),
        PageSection(name="stages", about="Stages", target=f"{HERE}.stages:stages"),
        PageSection(
            name="comparisons",
            about="Trials trained again, compared",
            target=f"{HERE}.stages:comparisons",
        ),
        PageSection(name="parameters", about="Parameters", target=f"{HERE}.parameters:parameters"),
        PageSection(
            name="importance",
            about="Which parameters mattered",
            target=f"{HERE}.parameters:importance",
        ),
        PageSection(
            name="classes",
            about="Where the winner is wrong",
            target=f"{HERE}.mistakes:classes",
        ),
        PageSection(
            name="maps", about="What the network sees in an image", target=f"{HERE}.maps:maps"
        ),
        PageSection(name="claims", about="What the source said", target=f"{HERE}.claims:claims"),
        PageSection(name="images", about="Images", target=f"{HERE}.background:images"),
        PageSection(
            name="tables", about="Further tables and notes", target=f"{HERE}.background:tables"
        ),
        PageSection(name="origin", about="How to repeat it", target=f"{HERE}.background:origin"),
    ],
)


def contents(report: Report) -> Iterator[tuple[PageSection, Content]]:
    """Give the sections that have something to show, in their order."""
    for section in PAGE_SECTIONS:
        content: Content = section.load()(report)
        if not content.is_empty:
            yield section, content


def plots_of(report: Report) -> list[Plot]:
    """Return all plots of a page, in its order."""
    return [plot for _, content in contents(report) for plot in content.plots]
