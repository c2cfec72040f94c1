"""automl-cv doctor: what is installed, what is at hand, what works offline."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.markup import escape

from automl_cv.cli.options import CacheDir, Debug, cache_folder
from automl_cv.screen.console import ruled, say, show

STYLES = {"ok": "green", "absent": "yellow", "broken": "bold red"}


def doctor(
    cache_dir: CacheDir = None,
    output_format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="How to print the findings.")
    ] = "table",
    debug: Debug = False,
) -> None:
    """Check versions, devices, weights, cache and data sets; fail (exit 1) if one is broken."""
    from automl_cv.cli import checkup

    findings = list(checkup.look(cache_folder(cache_dir)))
    if output_format == "json":
        typer.echo(json.dumps([asdict(found) for found in findings], indent=2))
    else:
        table = ruled("topic", "name", "state", "detail")
        topic = ""
        for found in findings:
            state = f"[{STYLES[found.state]}]{found.state}[/]"
            shown = "" if found.topic == topic else found.topic
            table.add_row(shown, escape(found.name), state, escape(found.detail))
            topic = found.topic
        show(table)
    say(checkup.offline(findings))
    if any(found.state == "broken" for found in findings):
        raise typer.Exit(1)
