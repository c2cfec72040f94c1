"""What the documents say exists: commands, options, links, study files."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from automl_cv.catalog.augmentations import AUGMENTATIONS
from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.datasets import DATASETS
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.networks import NETWORKS
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.cli.app import build
from automl_cv.study import claims, library, studyfile
from tests.conftest import checked

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Return each call of `automl-cv` in shell lines, without comments."""
    found = []
    for line in text.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "automl-cv":
                found.append(words[1:])
    return found


def known_options(words: list[str]) -> tuple[object, set[str]]:
    """Return the command that words lead to, and its options."""
    command = typer.main.get_command(build())
    for word in words:
        children = getattr(command, "commands", {})
        if word not in children:
            break
        command = children[word]
    return command, {name for option in command.params for name in option.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page):
    for block in blocks(page, "sh"):
        for words in commands(block):
            command, options = known_options(words)
            assert command.name == words[0] or command.name in words[:2], words
            used = {word.split("=")[0] for word in words if word.startswith("--")}
            assert used <= options, f"{page.name}: {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_study_examples_read(page, tmp_path):
    for number, block in enumerate(blocks(page, "toml")):
        raw = tomllib.loads(block)
        if "extends" in raw or "name" in raw:
            path = tmp_path / f"{number}.toml"
            path.write_text(block)
            library.load(str(path))
        else:
            given = raw["stage"] if isinstance(raw["stage"], list) else [raw["stage"]]
            stages = [{"name": "x", "trials": 1, "epochs": 1, **stage} for stage in given]
            told = {key: raw[key] for key in ("claim", "table") if key in raw}
            studyfile.parse({"name": "x", "stage": stages, **told}, page.name)


def test_messages_that_are_explained_exist():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "automl_cv").rglob("*.py"))
    joined = re.sub(r'"\n\s*f?"', "", source)
    quoted = re.findall(r'\*\*"(.+?)"', page)
    assert len(quoted) > 5
    for text in quoted:
        assert text in joined, text


@pytest.mark.slow
def test_the_site_is_built_and_every_link_in_it_leads_somewhere(tmp_path):
    pytest.importorskip("material", reason="the site needs mkdocs-material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", ROOT / ".mkdocs.yml"]
        + ["-d", tmp_path / "site"],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem for path in (tmp_path / "site").rglob("*.html")}
    assert {path.stem for path in PAGES[1:]} <= pages, "each page of docs/ stands in the site"
    text = (tmp_path / "site" / "reference" / "commands.html").read_text()
    assert all(f"automl-cv {name}" in text for name in ("search", "report", "fit", "studies"))


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=50)
def test_the_tutorial_runs_and_says_what_it_says(call, tmp_path):
    """Each command in its order; of what is shown, each line comes, whatever its numbers are."""
    page = ROOT / "docs" / "tutorial.md"
    (program,) = blocks(page, "python")
    (tmp_path / "write_digits.py").write_text(program)
    checked(
        subprocess.run(
            [sys.executable, "write_digits.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    )
    said = ""
    for block in blocks(page, "sh")[1:]:
        for words in commands(block):
            done = call(*words)
            said += done.stdout + done.stderr
    known = [shape(line) for line in said.splitlines()]
    shown = [shape(line) for block in blocks(page, "text") for line in block.splitlines()]
    for line in shown:
        assert line == "…" or any(other.startswith(line) for other in known), line


def shape(line: str) -> str:
    """Return a line without what may differ: numbers, and how wide a table is."""
    return " ".join(re.sub(r"\d+", "#", line).split())


def test_the_readme_begins_with_the_line_that_runs_and_the_line_that_tests():
    first, second, *_ = blocks(ROOT / "README.md", "sh")
    assert first.count("\n") == second.count("\n") == 1
    assert "venv" in first and first.strip().endswith("automl-cv search quickstart")
    assert "venv" in second and "pytest" in second


def test_the_readme_shows_pictures_that_a_command_makes():
    from tests.benchmarks.readme_pictures import BEGIN_AT

    shown = re.findall(r"!\[[^]]+\]\(docs/([^)]+)\)", (ROOT / "README.md").read_text())
    assert sorted(shown) == sorted(["board.svg", *BEGIN_AT])
    board = (ROOT / "docs" / "board.svg").read_text()
    assert "automl-cv&#160;report&#160;quickstart" in board
    assert "url(http" not in board, "a picture asks for no font"


def test_the_reference_names_every_key_and_every_entry():
    text = (ROOT / "docs" / "study-files.md").read_text()
    for key in studyfile.Retrain.model_fields:
        assert f"`retrain.{key}`" in text, key
    for model in (claims.Claim, claims.PublishedTable, claims.PublishedRow):
        for key in model.model_fields:
            assert f"`{key}`" in text, key
    models = [studyfile.StudyFile, studyfile.Stage]
    keys = {
        field.alias or name for model in models for name, field in model.model_fields.items()
    } - {"data", "backbone"}
    for key in keys:
        assert f"`{key}`" in text or f"[[{key}]]" in text or f"[stage.{key}]" in text, key
    for model, name in ((studyfile.Data, "data"), (studyfile.Backbone, "backbone")):
        for key in model.model_fields:
            assert f"`{name}.{key}`" in text, f"{name}.{key}"
    for table in (AUGMENTATIONS, HEADS, LOSSES, OPTIMIZERS, PRUNERS, SAMPLERS, SCHEDULES):
        for entry in table:
            assert f"`{entry.name}`" in text, entry.name
    for table in (AUGMENTATIONS, HEADS, LOSSES, OPTIMIZERS, PRUNERS, SAMPLERS, SCHEDULES):
        for entry in table:
            for name in entry.parameters:
                assert f"`{name}`" in text, f"{entry.name}.{name}"


def test_every_backbone_network_and_data_set_is_described():
    pages = ((BACKBONES, "backbones.md"), (NETWORKS, "networks.md"), (DATASETS, "data.md"))
    for table, page in pages:
        text = (ROOT / "docs" / page).read_text()
        for entry in table:
            assert f"`{entry.name}`" in text, entry.name
    for entry in NETWORKS:
        text = (ROOT / "docs" / "networks.md").read_text()
        for name, setting in entry.parameters.items():
            assert f"`{name}`" in text, name
            assert all(
                f"`{choice}`" in text or f'`"{choice}"`' in text for choice in setting.choices
            )


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_begins_with_its_command(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith(f"# automl-cv search {path.stem}")
    assert library.load(path.stem).name == path.stem
