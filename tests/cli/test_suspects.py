"""`data --suspects` and `report --suspects`: what they print and write, and what they refuse."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import dataset
from automl_cv.data.images import content_hash, decode
from automl_cv.features import FeatureCache, recipe
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.labels import write_labels
from automl_cv.store.trials import StageTrials
from automl_cv.study import library
from automl_cv.study.studyfile import Backbone, Split
from tests.results.searched import finish

CLASSES = ("ant", "bee", "cow", "dog")
OF_EACH = 25
WRONG = range(3, 100, 17)


@dataclass(frozen=True)
class Planted:
    """A table of images of which some stand under a wrong label, and a cache of their features.

    Args:
        table: the file.
        wrong: names of the files that stand under a wrong label.
        cache: folder with their features, so that nothing loads TensorFlow: pixels as they are.
    """

    table: Path
    wrong: frozenset[str]
    cache: Path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    generator = np.random.default_rng(0)
    means = generator.integers(60, 200, (4, 8, 8))
    paths = [folder / name / f"{name}{n:02d}.png" for name in CLASSES for n in range(OF_EACH)]
    for place, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        noisy = means[place // OF_EACH] + generator.normal(0, 30, (8, 8))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    with (folder / "pictures.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        for place, path in enumerate(paths):
            number = place // OF_EACH + (place in WRONG)
            rows.writerow([path, CLASSES[number % 4], "test" if place % 5 == 4 else "train"])
    pictures = [decode(path) for path in paths]
    features = np.stack([one[..., 0].ravel() for one in pictures]).astype(np.float32)
    FeatureCache(folder / "cache").add(
        recipe(Backbone(name="compact")),
        [content_hash(one) for one in pictures],
        np.array_split(features, 4, axis=1),
    )
    wrong = frozenset(paths[place].name for place in WRONG)
    return Planted(folder / "pictures.csv", wrong, folder / "cache")


@pytest.fixture
def ask(call, planted: Planted):
    """Return a function that runs `data` on the table, with its cache."""

    def ask(*words: object, source: object = planted.table, check: bool = True):
        return call("data", source, *words, "--cache-dir", planted.cache, check=check)

    return ask


@pytest.mark.slow
def test_planted_mistakes_are_listed_and_written(ask, planted, tmp_path):
    table, wrong = planted.table, planted.wrong
    done = ask("--suspects", "--out", "corrected.csv", "--compare")
    assert done.stderr.splitlines()[1:] == [
        f"wrote {name}"
        for name in ("corrected-suspects.csv", "corrected-suspects.png", "corrected.csv")
    ]
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"{table} · \d+ suspects among 100 images judged", lines[0])
    assert {Path(line.split()[1]).name for line in lines[3 : 3 + len(wrong)]} == wrong
    assert any("only reported" in line for line in lines)
    assert any(line.startswith("cleaned against not: accuracy") for line in lines)
    with (tmp_path / "corrected-suspects.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert {Path(row["path"]).name for row in listed[: len(wrong)]} == wrong
    assert all(row["likely_label"] == Path(row["path"]).parent.name for row in listed[: len(wrong)])
    with Image.open(tmp_path / "corrected-suspects.png") as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 200


@pytest.mark.slow
def test_what_is_written_is_read_as_it_is(ask, planted, tmp_path):
    table, wrong = planted.table, planted.wrong
    ask("--suspects", "--out", "corrected.csv")
    with (tmp_path / "corrected.csv").open() as file:
        rows = list(csv.DictReader(file))
    changed = [row for row in rows if row["given_label"]]
    assert changed and {Path(row["path"]).name for row in changed} <= wrong
    assert not {row["split"] for row in changed} & {"test"}
    before = json.loads(ask("--format", "json").stdout)
    found = json.loads(ask("--format", "json", source="corrected.csv").stdout)
    labels = Counter(row["label"] for row in rows)
    assert {name: sum(one.values()) for name, one in found["classes"].items()} == labels
    assert found["fingerprint"] != before["fingerprint"]
    assert [row["label"] for row in _rows(table)] != [row["label"] for row in rows]


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_same_twice_and_as_data(ask, planted):
    wrong = planted.wrong
    first, second = (ask("--suspects", "--format", "json") for _ in range(2))
    assert first.stdout == second.stdout
    found = json.loads(first.stdout)
    assert found["judged"] == {"train": 60, "validation": 20, "test": 20}
    assert {Path(one["path"]).name for one in found["suspects"][: len(wrong)]} == wrong
    as_csv = ask("--suspects", "--format", "csv").stdout
    assert len(as_csv.splitlines()) == 1 + len(found["suspects"])


@pytest.mark.slow
def test_what_is_refused(ask, planted, tmp_path):
    table = planted.table
    for words, message in {
        ("--compare",): "--compare is of suspects; add --suspects, or leave it out",
        ("--format", "csv"): "--format csv is of suspects; add --suspects, or leave it out",
        ("--suspects", "--out", "x.txt"): "expected a name that ends with .csv",
        ("--suspects", "--out", "none/x.csv"): "the folder none does not exist; make it first",
        ("--suspects", "--out", str(table)): "is the source itself, whose labels stay",
        ("--suspects", "--backbone", "compcat"): "unknown backbone 'compcat': did you mean",
    }.items():
        done = ask(*words, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
        assert done.stdout == "" and not list(tmp_path.iterdir())


@pytest.fixture
def searched(planted: Planted, tmp_path: Path) -> Path:
    """Return a folder with the database of a run over folds, whose trial said what is true."""
    images = dataset.load(str(planted.table), split=Split(), seed=0, cache_dir=planted.cache)
    study = library.load("quickstart").model_copy(update={"name": "made-up"}).decided(80, 20)
    known = images.images[images.images["split"] != "test"]
    facts = StudyFacts(
        study=study.as_toml_data(),
        data_source=images.source,
        data_fingerprint=images.fingerprint,
        class_names=images.classes,
        split_sizes={"train": len(known), "validation": 0},
        ledger=images.ledger.to_json(),
    )
    storage = open_storage(f"sqlite:///{tmp_path}/automl-cv.db", create=True)
    trials = StageTrials.create(storage, "made-up", "exact", facts)
    given = np.searchsorted(CLASSES, known["label"])
    true = np.searchsorted(CLASSES, [Path(path).parent.name for path in known["path"]])
    write_labels(storage, "made-up", given)
    said = np.full((len(true), 4), 0.01, np.float32)
    said[np.arange(len(true)), true] = 0.97
    finish(trials, 0, given, said)
    return tmp_path


@pytest.mark.slow
def test_a_run_reports_what_its_first_trial_doubts(call, planted, searched):
    untested = {
        f"{CLASSES[place // OF_EACH]}{place % OF_EACH:02d}.png" for place in WRONG if place % 5 != 4
    }
    shown = call("report").stdout
    line = f"labels: {len(untested)} of 80 images that validate are doubted by the first trial; "
    assert line + "`automl-cv report made-up --suspects` shows them" in shown.splitlines()
    cached = ("--suspects", "--cache-dir", planted.cache)
    rows = list(csv.DictReader(call("report", *cached, "--format", "csv").stdout.splitlines()))
    assert {Path(row["path"]).name for row in rows} == untested
    assert all(row["likely_label"] == Path(row["path"]).parent.name for row in rows)
    assert all(row["neighbour_1_label"] for row in rows)
    found = json.loads(call("report", *cached, "--format", "json").stdout)
    assert [one["path"] for one in found["suspects"]] == [row["path"] for row in rows]
    assert f"{len(untested)} suspects among 80 images" in call("report", *cached).stdout
    call("report", *cached, "--out", "page.html")
    page = (searched / "page.html").read_text()
    [picture] = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(base64.b64decode(picture))) as sheet:
        assert min(sheet.size) > 200
    for words, message in {
        ("--compare",): "--compare and --suspects are two views",
        ("--stage", "exact"): "--stage: suspects are of the whole run",
        ("--sort", "rank"): "--sort is of the leaderboard, not of --suspects",
    }.items():
        done = call("report", *cached, *words, check=False)
        assert done.returncode == 2 and message in done.stderr


@pytest.mark.slow
def test_a_run_of_other_images_is_refused(call, planted, searched):
    lines = planted.table.read_text()
    try:
        planted.table.write_text(lines.replace("ant00.png,ant", "ant00.png,bee"))
        done = call("report", "--suspects", "--cache-dir", planted.cache, check=False)
    finally:
        planted.table.write_text(lines)
    assert done.returncode == 2
    assert "the images are not those that made-up" in done.stderr
