"""How fast `Classifier` predicts files, beside a bare batched forward loop over decoded images.

    python tests/benchmarks/predict_speed.py [BACKBONE] [N] [WIDTHxHEIGHT] [jpg|png] [ROUNDS]

The bare loop has all images in memory and does nothing but `model(batch)`, compiled. It is given

- decoded images as they are: the whole saved network resizes them in its graph;
- resized: they were resized before, so the loop does less than any prediction must.

Each once as TensorFlow comes (its own threads, one batch after the other), once as automl-cv
sets it up (one thread an operation, a caller a core). Prediction from decoded images resizes
them; from files it also reads and decodes them, and ranks classes.

The ways run in turns, each in a process of its own. Other programs on the machine hardly change
processor time (all cores together), of which the best round counts; the ratio of time is the
median of the rounds' own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np

from automl_cv.training.head_input import HeadInput

DEFAULTS = ("compact", "2000", "320x240", "jpg", "5")
CLASSES = 10
LOOPS = {
    "raw own": "bare loop, decoded images as they are, TensorFlow's threads",
    "raw ours": "bare loop, decoded images as they are, ours",
    "resized own": "bare loop, resized before, TensorFlow's threads",
    "resized ours": "bare loop, resized before, ours",
}
PREDICTIONS = {
    "predict arrays": "prediction from decoded images",
    "predict files": "prediction from files",
}


def make(place: Path, backbone: str, count: int, size: tuple[int, int], form: str) -> None:
    """Write files of smooth noise, and a saved classifier of first weights."""
    from PIL import Image

    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.engine import saved_network
    from automl_cv.engine.head import linear
    from automl_cv.saved import folder
    from tests.saved.saved import MANIFEST

    draw = np.random.default_rng(0)
    (place / "files").mkdir()
    for number in range(count):
        coarse = draw.integers(0, 256, (24, 32, 3), np.uint8)
        image = Image.fromarray(coarse).resize(size)
        image.save(place / "files" / f"{number:06d}.{form}", quality=90)
    entry = BACKBONES[backbone]
    import keras
    from keras import layers

    network = entry.load()(**entry.arguments)  # weights play no part in its speed
    pixels = keras.Input((entry.image_size, entry.image_size, 3))
    features = layers.GlobalAveragePooling2D()(network(pixels, training=False))
    width = features.shape[-1]
    ones = np.ones(width, np.float32)
    head = linear(HeadInput(width, CLASSES, ones, ones), normalization=False)
    with folder.replacing(place / "model") as temporary:
        saved_network.save(keras.Model(pixels, head(features)), temporary / folder.NETWORK)
        manifest = MANIFEST.model_copy(update={"image_size": entry.image_size})
        names = tuple(map(str, range(CLASSES)))
        folder.complete(temporary, manifest, names, "")


Speed = tuple[float, float]
"""Images a second, and images a second of processor time, all cores together."""


class Clock:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def speed(self, count: int) -> Speed:
        """Return the speed at which `count` images passed."""
        return (
            count / (time.perf_counter() - self._wall),
            count / (time.process_time() - self._processor),
        )


def bare(place: Path, given: str, threads: str) -> Speed:
    """Measure a forward loop."""
    if threads == "own":
        # As TensorFlow comes, before automl-cv sets it up.
        import tensorflow as tf

        tf.constant(0)
    from automl_cv.data.images import decode
    from automl_cv.engine import images, saved_network
    from automl_cv.engine.prediction import suited_batch_size

    model = saved_network.load_network(place / "model" / "model.keras")
    behind = saved_network.from_resized(model)
    size = behind.input_shape[1]
    step = suited_batch_size(size)
    decoded = [decode(path) for path in sorted((place / "files").iterdir())]
    parts = [decoded[start : start + step] for start in range(0, len(decoded), step)]
    if given == "raw":
        batches = [np.stack(part) for part in parts]
    else:
        model, batches = behind, [images.resize_all(part, size) for part in parts]
    import tensorflow as tf

    compiled = tf.function(lambda pixels: model(pixels, training=False))

    def call(batch: np.ndarray) -> np.ndarray:
        return compiled(tf.constant(batch)).numpy()

    for batch in (batches[0], batches[-1]):  # the last may be smaller, and is traced by itself
        call(batch)
    clock = Clock()
    if threads == "own":
        for batch in batches:
            call(batch)
    else:
        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            list(pool.map(call, batches))
    return clock.speed(len(decoded))


def predict(place: Path, given: str) -> Speed:
    """Measure the way from files to ranked classes, or from decoded images to probabilities."""
    from automl_cv.classifier import Classifier

    classifier = Classifier.load(place / "model")
    files = [str(path) for path in sorted((place / "files").iterdir())]
    list(classifier.rank(files[:1], 3))
    if given == "arrays":
        from automl_cv.data.images import decode

        arrays = [decode(Path(path)) for path in files]
        clock = Clock()
        classifier.predict_proba(arrays)
        return clock.speed(len(files))
    clock = Clock()
    ranked = list(classifier.rank(files, 3))
    speed = clock.speed(len(files))
    assert len(ranked) == len(files) and all(one.error is None for one in ranked)
    return speed


def measured(way: str, place: Path) -> Speed:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, processor = json.loads(done.stdout.splitlines()[-1])
    return wall, processor


def main() -> None:
    """Print the figures and their ratios."""
    backbone, count, shape, form, rounds = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    width, height = map(int, shape.split("x"))
    ways = LOOPS | PREDICTIONS
    speeds: dict[str, list[Speed]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place, backbone, int(count), (width, height), form)
        for _ in range(int(rounds)):
            for way in ways:
                speeds[way].append(measured(way, place))
    print(f"{backbone}, {count} {form} files of {shape} pixels, {rounds} rounds")
    print(f"{'images a second, best round':60} {'of time':>10} {'of processor time':>20}")
    best = {way: tuple(map(max, zip(*found, strict=True))) for way, found in speeds.items()}
    for way, about in ways.items():
        print(f"{about:60} {best[way][0]:10.1f} {best[way][1]:20.1f}")
    for mine in PREDICTIONS:
        for loop in LOOPS:
            pairs = zip(speeds[mine], speeds[loop], strict=True)
            wall = statistics.median(above[0] / below[0] for above, below in pairs)
            processor = best[mine][1] / best[loop][1]
            print(f"{mine + ' / ' + loop:60} {wall:10.2f} {processor:20.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    if sys.argv[1:2] == ["--way"]:
        way, *rest = sys.argv[2].split()
        place = Path(sys.argv[3])
        print(json.dumps(predict(place, *rest) if way == "predict" else bare(place, way, *rest)))
    else:
        main()
