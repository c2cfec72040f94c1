"""How fast `Classifier` predicts files, beside a bare forward loop over decoded pixels.

    python tests/benchmarks/predict_speed.py [BACKBONE] [N] [HEIGHT]

The bare loop has everything in memory, decoded and resized, and does nothing but
`model(batch)`: once as TensorFlow comes (its own threads), once as automl-cv sets it up (one
thread an operation, a caller a core). Prediction resizes decoded images besides, and from files
it also reads and decodes them.
The ways run in turns, each in a process of its own; the fastest of three rounds counts, and by
itself the one that took the least processor time, which other programs on the machine hardly
change.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 3
CLASSES = 10


def make(place: Path, backbone: str, count: int, height: int) -> None:
    """Write JPEG files of smooth noise, and a saved classifier of first weights."""
    from PIL import Image

    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.engine import bundle
    from automl_cv.engine.head import HeadInput, linear
    from automl_cv.models import folder
    from tests.models.saved import MANIFEST

    draw = np.random.default_rng(0)
    (place / "files").mkdir()
    for number in range(count):
        coarse = draw.integers(0, 256, (24, 32, 3), np.uint8)
        image = Image.fromarray(coarse).resize((height * 4 // 3, height))
        image.save(place / "files" / f"{number:06d}.jpg", quality=90)
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
        bundle.save(keras.Model(pixels, head(features)), temporary / folder.NETWORK)
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


def bare(place: Path, threads: str) -> Speed:
    """Measure the forward loop."""
    if threads == "own":
        # As TensorFlow comes, before automl-cv sets it up.
        import tensorflow as tf

        tf.constant(0)
    from automl_cv.data.images import decode
    from automl_cv.engine import bundle, images
    from automl_cv.engine.backbone import compile_calls
    from automl_cv.engine.prediction import suited_batch_size

    model = bundle.from_resized(bundle.load_network(place / "model" / "model.keras"))
    size = model.input_shape[1]
    files = sorted((place / "files").iterdir())
    pixels = np.concatenate([images.resize(decode(path), size)[None] for path in files])
    step = suited_batch_size(size)
    batches = [pixels[start : start + step] for start in range(0, len(files), step)]
    call = compile_calls(model, step)
    call(batches[0])
    clock = Clock()
    if threads == "own":
        for batch in batches:
            call(batch)
    else:
        from concurrent.futures import ThreadPoolExecutor
        from os import cpu_count

        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            list(pool.map(call, batches))
    return clock.speed(len(files))


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
    """Print the figures and their ratio."""
    backbone, count, height = [*sys.argv[1:], *("compact", "2000", "240")[len(sys.argv) - 1 :]]
    ways = {"bare own": "bare loop, TensorFlow's threads", "bare ours": "bare loop, ours"}
    ways |= {"predict arrays": "prediction from decoded images", "predict files": "from files"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place, backbone, int(count), int(height))
        fastest = dict.fromkeys(ways, (0.0, 0.0))
        for _ in range(ROUNDS):
            for way in ways:
                wall, processor = measured(way, place)
                fastest[way] = max(fastest[way][0], wall), max(fastest[way][1], processor)
    print(f"{backbone}, {count} JPEG files of {int(height) * 4 // 3}x{height} pixels")
    print(f"{'images a second':35} {'of time':>10} {'of processor time':>20}")
    for way, about in ways.items():
        print(f"{about:35} {fastest[way][0]:10.1f} {fastest[way][1]:20.1f}")
    for mine in ("predict arrays", "predict files"):
        for loop in ("bare own", "bare ours"):
            pairs = zip(fastest[mine], fastest[loop], strict=True)
            wall, processor = (above / below for above, below in pairs)
            print(f"{mine} / {loop:20} {wall:12.2f} {processor:20.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    if sys.argv[1:2] == ["--way"]:
        way, *rest = sys.argv[2].split()
        place = Path(sys.argv[3])
        print(json.dumps(bare(place, rest[0]) if way == "bare" else predict(place, rest[0])))
    else:
        main()
