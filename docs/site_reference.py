"""Writes the site's reference from the code, as MkDocs builds it: commands and tables.

A hook of MkDocs (`hooks` in .mkdocs.yml): pages that no file of the repository has, so that they
can't be out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from automl_cv.catalog.settings import SettableEntry
from automl_cv.cli.app import build
from automl_cv.registry import Table

# Rooms' modules that hold tables which a study file or an option names entries of.
TABLES = {
    "optimizers": "OPTIMIZERS",
    "schedules": "SCHEDULES",
    "heads": "HEADS",
    "exact_heads": "EXACT_HEADS",
    "losses": "LOSSES",
    "metrics": "METRICS",
    "augmentations": "AUGMENTATIONS",
    "samplers": "SAMPLERS",
    "pruners": "PRUNERS",
    "backbones": "BACKBONES",
    "networks": "NETWORKS",
    "datasets": "DATASETS",
    "exports": "EXPORTS",
    "listeners": "LISTENERS",
    "presets": "PRESETS",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written here; MkDocs calls it once it has found the others."""
    for name, text in (("commands", commands()), ("tables", tables())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """Return a page of every command: what it does, its arguments and options."""
    root = typer.main.get_command(build())
    lines = ["# Commands", "", "Each of them says the same with `--help`.", ""]
    for words, command in _leaves(root, ["automl-cv"]):
        lines += [f"## `{' '.join(words)}`", "", *_about(command), ""]
        lines += ["| argument or option | |", "|---|---|"]
        context = click.Context(command, info_name=words[-1])
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is None:
                record = (parameter.make_metavar(context), getattr(parameter, "help", None) or "")
            lines.append(f"| `{_line(record[0])}` | {_cell(record[1])} |")
        lines.append("")
    return "\n".join(lines)


def tables() -> str:
    """Return a page of every table: its entries, and the parameters that a file may give them."""
    lines = [
        "# Tables",
        "",
        "What a study file may name. A key that is wrong is told with the nearest name.",
        "",
    ]
    for module, name in TABLES.items():
        table: Table[Any] = getattr(import_module(f"automl_cv.catalog.{module}"), name)
        lines += [f"## {module.replace('_', ' ').capitalize()}", "", "| name | | parameters |"]
        lines += ["|---|---|---|"]
        for entry in table:
            lines.append(f"| `{entry.name}` | {_cell(entry.about)} | {_parameters(entry)} |")
        lines.append("")
    return "\n".join(lines)


def _leaves(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something, with the words that lead to it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        yield from _leaves(child, [*words, name])


def _about(command: Any) -> list[str]:
    """Return a command's own text; its examples are commands to copy."""
    lines = []
    for line in (command.help or "").strip().splitlines():
        example = line.strip().removeprefix("Example: ")
        is_example = example != line.strip()
        lines.append(f"```sh\n{example}\n```" if is_example else line.strip())
    return lines


def _parameters(entry: Any) -> str:
    """Return an entry's parameters with their defaults."""
    if not isinstance(entry, SettableEntry):
        return ""
    return ", ".join(f"`{name}` ({setting.default})" for name, setting in entry.parameters.items())


def _line(text: str) -> str:
    """Return a text as a cell of a table in Markdown, where it is set as code."""
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown."""
    return _line(text).replace("<", "&lt;")
