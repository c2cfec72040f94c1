"""What the solved heads of `quickstart` take on digits whose features are cached, by trial.

    python tests/benchmarks/exact_stage.py --cache CACHE --heads kernel --keep FILE.json
    python tests/benchmarks/exact_stage.py --cache CACHE --heads kernel --beside FILE.json

Every head and setting of the stage, out of five folds, as a worker solves them. Prints processor
seconds, accuracy and log loss; beside what another version kept (PYTHONPATH names the checkout),
the ratio, and the largest difference of any probability. Features that are not in the cache are
extracted first. BLAS has one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from automl_cv.data import dataset
from automl_cv.features import FeatureCache, recipe
from automl_cv.orders.images import images_of
from automl_cv.orders.messages import Prepare
from automl_cv.study import library
from automl_cv.study.trial import plan
from automl_cv.worker.materials import Materials

SETTINGS = (
    *(
        {"exact": name, "scaling": how}
        for name in ("logistic", "lda")
        for how in ("standard", "unit")
    ),
    *({"exact": "kernel", "reach": reach} for reach in (0.3, 1.0)),
)
FOLDS = 5


def main() -> None:
    """Solve each, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--heads", nargs="*", default=["logistic", "lda", "kernel"])
    parser.add_argument("--rounds", type=int, default=2, help="of which the fastest counts")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--beside", type=Path)
    asked = parser.parse_args()
    study = library.load("quickstart")
    study = study.model_copy(update={"validation": "folds"})
    digits = dataset.load("digits", split=study.data.split, seed=0, cache_dir=asked.cache)
    images = images_of(digits)
    cache, wanted = FeatureCache(asked.cache), recipe(study.backbone)
    if cache.missing(wanted, images.content_hashes):
        from automl_cv.engine.extract import extract

        paths = [Path(path) for path in images.paths]
        extract(study.backbone, paths, images.content_hashes, cache, wanted)
    given = Prepare(images, study.backbone, asked.cache, 0, "accuracy", FOLDS)
    kept, beside = {}, json.loads(asked.beside.read_text()) if asked.beside else {}
    chosen = [one for one in SETTINGS if one["exact"] in asked.heads]
    for number, drawn in enumerate(chosen):
        trial = plan(study, study.stages[0], number, drawn, seed=0)
        times = []
        for _ in range(asked.rounds):
            materials = Materials(given, lambda *progress: None, lambda space: None)
            materials.prepare_trial(trial)
            started = time.process_time()
            result = materials.kind(trial.stage).train(trial, lambda epoch: None, None)
            times.append(time.process_time() - started)
        name = " ".join(map(str, drawn.values()))
        (epoch,) = result.history.epochs
        kept[name] = {"cpu": min(times), "said": result.probabilities.tolist()}
        line = f"{name:18} {min(times):6.2f} s  {epoch.val_accuracy:.4f}  {epoch.val_loss:.6f}"
        if name in beside:
            difference = np.abs(result.probabilities - np.array(beside[name]["said"])).max()
            line += (
                f"  {beside[name]['cpu'] / min(times):.2f} times as fast, {difference:.1e} apart"
            )
        print(line, flush=True)
    print(f"{sum(one['cpu'] for one in kept.values()):.2f} s of processor time")
    if asked.keep:
        asked.keep.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
