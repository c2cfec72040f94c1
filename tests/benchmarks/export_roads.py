"""How many files get another class from an export than from `predict`, by kind of file.

    python tests/benchmarks/export_roads.py MODEL FOLDER [--count 100] [--export FORM=DIR …]

FOLDER holds images that MODEL was not fitted on. Each is written as a file of every kind
(`automl_cv.data.file_kinds`), opened by the preprocess.py of each exported folder, and run in its
runtime. "naive" is what programs do that know nothing of all this: Pillow's `convert("RGB")`,
then the classifier's own resizing and network. Prints classes that differ, and the largest
difference between two probabilities in brackets.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from automl_cv.catalog.exports import EXPORTS
from automl_cv.data import file_kinds
from automl_cv.data.images import decode
from automl_cv.engine import saved_network
from automl_cv.engine.prediction import Predictor
from automl_cv.saved import folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--export", action="append", default=[], metavar="FORM=DIR")
    given = parser.parse_args()

    saved = folder.read(given.model)
    window = saved.manifest.data.window
    predictor = Predictor(saved_network.load(saved), window=window)

    def predicted(sources: list[Path | np.ndarray]) -> np.ndarray:
        return np.concatenate([one.probabilities for one in predictor.predict(sources)])

    roads = dict(word.split("=") for word in given.export)
    runs = {form: EXPORTS[form].load()(first_file(Path(out), form)) for form, out in roads.items()}
    opens = {
        form: runpy.run_path(f"{out}/preprocess.py")["preprocess"] for form, out in roads.items()
    }
    files = sorted(path for path in given.folder.rglob("*") if path.is_file())
    chosen = files[:: max(1, len(files) // given.count)][: given.count]
    print(f"{len(chosen)} images; kind of file, naive, {', '.join(roads)}")
    with tempfile.TemporaryDirectory() as written:
        kinds: dict[str, list[Path]] = {}
        for number, path in enumerate(chosen):
            own = Path(written) / str(number)
            own.mkdir()
            for kind in file_kinds.write(decode(path, window), own, window):
                kinds.setdefault(kind, []).append(own / kind)
        for kind, paths in kinds.items():
            expected = predicted(list(paths))
            naive = predicted([opened_naively(path) for path in paths])
            cells = [told(expected, naive)]
            for form, run in runs.items():
                found = np.concatenate([run(opens[form](path))[0] for path in paths])
                cells.append(told(expected, found))
            print(f"{kind:26s} " + "  ".join(cells), flush=True)


def first_file(out: Path, form: str) -> Path:
    return out / EXPORTS[form].files[0]


def opened_naively(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def told(expected: np.ndarray, found: np.ndarray) -> str:
    others = int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
    return f"{others:3d} ({np.abs(expected - found).max():.1e})"


if __name__ == "__main__":
    main()
