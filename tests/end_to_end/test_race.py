"""A stage that sees a sample of the images, through the installed command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from automl_cv.features import FeatureCache
from tests.in_process import run_here

pytestmark = pytest.mark.slow

STUDY = """
name = "race"
validation = "folds"
folds = 3
[backbone]
name = "compact"
image_size = 8
[[stage]]
name = "race"
exact = "lda"
trials = 4
images = 60
[stage.space]
image_size = [8, 16]
features = ["last", "all"]
[[stage]]
name = "exact"
exact = "logistic"
trials = 2
narrow_from = { stage = "race", top = 1 }
[stage.space]
exact = ["lda", "ridge"]
"""


SEARCH = ("search", "./race.toml", "--data", "pictures")
KNOWN = 144  # of 180, the others are test images


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    draw = np.random.default_rng(0)
    for number in range(180):
        path = folder / "pictures" / f"kind{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 150, (12, 12, 3)) + np.eye(3)[number % 3] * 40
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    (folder / "race.toml").write_text(STUDY)
    return folder, run_here(folder, folder / "cache", *SEARCH).stderr


def board(folder, *words):
    done = run_here(folder, folder / "cache", "report", *words, "--format", "json")
    return json.loads(done.stdout)


def test_losers_are_never_finished_and_the_best_is_never_begun_again(raced):
    folder, told = raced
    assert "stage race: 4 trials on a sample of 60 images" in told
    best = board(folder)["trials"][0]["image_size"]
    cached = {
        one.recipe.image_size: one.n_images for one in FeatureCache(folder / "cache").entries()
    }
    assert cached == {best: 180, 24 - best: 60}
    extracted = [line.partition(": ")[2] for line in told.splitlines() if " images in " in line]
    assert [int(line.split()[0]) for line in extracted] == [60, 60, 120]


def test_the_first_result_waits_for_one_network_alone(raced):
    _, told = raced
    lines = told.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("race: 1 of 4 done"))
    extractions = [n for n, line in enumerate(lines) if " images in " in line]
    assert extractions[0] < first < extractions[1]


def test_figures_of_a_sample_stand_apart_from_those_of_all(raced, call):
    folder, _ = raced
    race = board(folder, "--stage", "race")
    assert len(race["trials"]) == 4
    sizes = race["facts"]["split_sizes"]
    assert (sizes["train"] + sizes["validation"], sizes["test"]) == (60, 0)
    for one in race["trials"]:
        hits = one["val_accuracy"] * 60
        assert hits == pytest.approx(round(hits), abs=1e-6), "shares of the sample"
    whole = board(folder)
    assert {one["stage"] for one in whole["trials"]} == {"exact"}
    assert f"its trials saw 60 of {KNOWN} " in " ".join(whole["facts"]["notes"])
    # The reference learned from what the race found, and can be fitted.
    found = whole["facts"]["reference"]["parameters"]
    assert found["image_size"] == whole["trials"][0]["image_size"]
    refused = call("fit", "race", "--trial", "race/0", "--out", "m", check=False, folder=folder)
    assert refused.returncode == 2
    assert "saw a sample of 60 images" in refused.stderr


def test_the_numbers_are_the_same_for_two_workers_and_after_a_cut(raced):
    folder, _ = raced
    words = (*SEARCH, "--storage", "sqlite:///two.db")
    run_here(folder, folder / "cache", *words, "--stage", "race", "--workers", "2")
    run_here(folder, folder / "cache", *words)

    def figures(*words):
        found = board(folder, *words)["trials"]
        return [(one["stage"], one["trial"], one["val_loss"], one["image_size"]) for one in found]

    for stage in ((), ("--stage", "race")):
        assert figures(*stage) == figures(*stage, "--storage", "sqlite:///two.db")
    # The time ends before the second network is run.
    words = (*SEARCH, "--storage", "sqlite:///three.db")
    run_here(folder, folder / "other", *words, "--timeout", "0.001")
    assert [one.n_images for one in FeatureCache(folder / "other").entries()] == [60]
    run_here(folder, folder / "other", *words)
    for stage in ((), ("--stage", "race")):
        assert figures(*stage) == figures(*stage, "--storage", "sqlite:///three.db")


def test_a_board_says_what_each_backbone_gives_and_takes(raced):
    folder, _ = raced
    (found,) = [board(folder, "--backbones")["backbones"]]
    race = board(folder, "--stage", "race")["trials"]
    assert [one["stage"] for one in found] == ["race", "race"]
    for row in found:
        own = [one for one in race if one["image_size"] == row["image_size"]]
        best = min(own, key=lambda one: one["rank"])
        assert (row["val_accuracy"], row["val_loss"]) == (best["val_accuracy"], best["val_loss"])
        assert row["val_accuracy_low"] < row["val_accuracy"] < row["val_accuracy_high"]
        assert (row["images"], row["extracted"], row["trials"]) == (60, 60, 2)
        assert row["milliseconds"] > 0
        assert row["seconds"] > sum(one["seconds"] for one in own)
        assert (row["backbone"], row["licence"]) == ("compact", "MIT")
        assert row["megabytes"] == pytest.approx(2.9, abs=0.1)
    assert [one["kept"] for one in found] == [True, False], "the best goes on"
    run_here(folder, folder / "cache", "report", "--out", "page.html")
    page = (folder / "page.html").read_text()
    assert "What a backbone gives and takes" in page.replace("Stage race: w", "W")


def test_vectors_of_another_tool_are_searched_and_nothing_is_promised_beyond(raced, call):
    folder, _ = raced
    paths = sorted((folder / "pictures").rglob("*.png"))
    means = [np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in paths]
    np.save(folder / "means.npy", np.array(means))
    ids = [path.relative_to(folder / "pictures").as_posix() for path in paths]
    (folder / "ids.csv").write_text("\n".join(["path", *ids, ""]))
    text = STUDY[: STUDY.index("[backbone]")].replace('"race"', '"vectors"')
    text += '[backbone]\nfeatures = "means.npy"\nids = "ids.csv"\n'
    text += '[[stage]]\nname = "exact"\nexact = "lda"\ntrials = 1\n'
    (folder / "vectors.toml").write_text(text)
    done = run_here(folder, folder / "cache", "search", "./vectors.toml", "--data", "pictures")
    assert "none can be fitted, exported, or predict from images" in done.stderr
    (trial,) = board(folder, "vectors")["trials"]
    assert trial["val_accuracy"] > 0.95, "the kinds are told by their mean colours"
    refused = call("fit", "vectors", "--out", "m", check=False, folder=folder)
    assert (refused.returncode, "fit needs the network" in refused.stderr) == (2, True)
