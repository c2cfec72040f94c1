"""What augmentation and a falling rate do to the quickstart's best trial: 10 seeds, 10 folds.

    python tests/benchmarks/augmentation_gain.py

Validation accuracy at the best epoch of 50 and at the last, with the paired interval of the
difference to training without either. The best of 50 epochs is the luckiest too, and the more
so the more a curve moves: the last one is no choice.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from automl_cv.results.leaderboard import read_run
from automl_cv.results.repeats import Interval, interval, paired_difference

MOVES = "width_shift = 0.1, height_shift = 0.1, zoom = 0.1"
AUGMENTATIONS = {
    "none": "{}",
    "the published four": f"{{ {MOVES}, horizontal_flip = true }}",
    "without the flip": f"{{ {MOVES} }}",
    "mixup": "{ mixup = 0.2 }",
}
SCHEDULES = ("constant", "cosine")
REPEATS = 10


def study(over: str) -> str:
    """Return a study file that trains the best trial again over "repeats" or "folds"."""
    stages = [
        f'[[stage]]\nname = "{schedule}-{number}"\npruner = "none"\nschedule = "{schedule}"\n'
        f'retrain = {{ stages = ["coarse", "narrowed"], top = 1, {over} = {REPEATS} }}\n'
        f"augmentation = {table}\nviews = 8\n"
        for schedule in SCHEDULES
        for number, table in enumerate(AUGMENTATIONS.values())
    ]
    return "\n".join([f'extends = "optimizers"\nname = "{over}"', *stages])


def text(found: Interval | None) -> str:
    """Return "+0.0067, +0.0038 to +0.0095"."""
    assert found is not None
    return f"{found.mean:+.4f}, {found.low:+.4f} to {found.high:+.4f}"


def measure(over: str, folder: Path) -> None:
    """Run a study and print its rows."""
    (folder / f"{over}.toml").write_text(study(over))
    script = str(Path(sys.executable).parent / "automl-cv")
    command = [script, "search", f"./{over}.toml", "--cache-dir", "cache", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    best: dict[str, dict[int, float]] = {}
    last: dict[str, dict[int, float]] = {}
    for record in read_run(f"sqlite:///{folder}/automl-cv.db", over).repeated:
        assert record.best is not None
        repeat = int(record.parameters["repeat"])
        best.setdefault(record.stage, {})[repeat] = record.best.val_accuracy
        last.setdefault(record.stage, {})[repeat] = record.history.epochs[-1].val_accuracy
    folds = REPEATS if over == "folds" else None
    print(f"over {REPEATS} {'folds' if folds else 'seeds'}")
    for schedule in SCHEDULES:
        for number, name in enumerate(AUGMENTATIONS):
            row = f"| {name} | {schedule} |"
            for values in (best, last):
                own = values[f"{schedule}-{number}"]
                mean = interval(list(own.values()), folds=folds).mean
                difference = paired_difference(own, values["constant-0"], folds=folds)
                row += f" {mean:.4f} | {text(difference)} |"
            print(row)


def main() -> None:
    """Measure over seeds, then over folds."""
    with tempfile.TemporaryDirectory() as name:
        for over in ("repeats", "folds"):
            measure(over, Path(name))


if __name__ == "__main__":
    main()
