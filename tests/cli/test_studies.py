"""`automl-cv studies`: what ships, and what one of them searches."""

from __future__ import annotations

from typer.testing import CliRunner

from automl_cv.cli.app import build
from automl_cv.study import library


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(build(), ["studies", *arguments])
    assert done.exception is None
    return done.stdout


def test_every_study_is_a_row_with_its_number_of_stages():
    rows = [line.split(maxsplit=3) for line in shown().splitlines()[2:]]
    found = {name: (int(stages), int(trials)) for name, stages, trials, _ in rows}
    assert list(found) == sorted(library.shipped())
    for name, counts in found.items():
        stages = library.load(name).stages
        assert counts == (len(stages), sum(stage.trials for stage in stages))
    assert found["optimizers"] == (2, 30)


def test_show_gives_metric_stages_and_spaces(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "optimizers"\nname = "mine"\nmetric = "macro_f1"\n')
    lines = shown("show", str(path)).splitlines()
    assert ["metric", "macro", "F1"] in [line.split() for line in lines]
    (narrowed,) = (line for line in lines if line.startswith("narrowed: "))
    assert narrowed.startswith("narrowed: 10 trials of at most 50 epochs, sampler random, pruner")
    assert ["learning_rate", "0.05", "–", "0.3"] in [line.split() for line in lines]
