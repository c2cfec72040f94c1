"""What memory a search takes: extraction by the number of images, training by the number of heads.

    python tests/benchmarks/memory.py [search|predict|large]

And what `automl-cv predict` takes, by the number of files; large: what it takes of one PNG file of
13,000 x 13,000 pixels, and what `data` and `search` take of eight drawings of 10,562 x 16,000. Each
measurement runs in a process of its own and prints its peak resident memory, or that of its largest
process. Images of searches are Fashion-MNIST's test images (Debian's package
dataset-fashion-mnist).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from automl_cv.data import dataset
from automl_cv.engine.extract import extract
from automl_cv.engine.training import HeadTrainer
from automl_cv.features import FeatureCache, recipe
from automl_cv.study.studyfile import Backbone, Data
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData

FEATURES = 360  # of the embedded backbone's four blocks
HEADS = (50, 400)
IMAGES = (2_000, 10_000)
FILES = (2_000, 20_000, 100_000)
PHOTOS = (128, 512)


def peak_megabytes() -> float:
    """Return this process's largest resident memory so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_megabytes() -> float:
    """Return this process's resident memory now."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def run_extraction(count: int, cache_dir: Path) -> None:
    """Extract `count` images into an empty cache."""
    images = dataset.load(
        "fashion-mnist-test", split=Data().split, seed=0, cache_dir=cache_dir
    ).images[:count]
    backbone = Backbone(name="compact", features="all")
    paths = [Path(path) for path in images["path"]]
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        before = resident_megabytes()
        extract(backbone, paths, list(images["content_hash"]), cache, recipe(backbone))
        print(peak_megabytes() - before)


def run_heads(count: int) -> None:
    """Train `count` heads of five epochs, optimizers in turn."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 1000).astype(np.int32)
    rows = np.arange(1000)
    trainer = HeadTrainer(
        TrainingData(
            features=generator.random((1000, FEATURES), dtype=np.float32),
            train=rows[:800],
            train_labels=labels[:800],
            validation=rows[800:],
            validation_labels=labels[800:],
            classes=10,
        )
    )
    optimizers = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
    for number in range(count):
        trainer.train(
            TrainingTask(
                optimizer=optimizers[number % len(optimizers)],
                batch_size=10 + number % 91,
                learning_rate=0.01,
                epochs=5,
                seed=number,
                head="linear",
                head_parameters={"normalization": True},
            ),
            lambda epoch: None,
        )
    print(resident_megabytes())


def run_command(*words: str) -> None:
    """Run a command of automl-cv; print the memory of its largest process."""
    command = [sys.executable, "-c", "from automl_cv.cli.app import main; main()", *words]
    subprocess.run(command, check=True, capture_output=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def run_prediction(model: Path, files: str) -> None:
    """Run `automl-cv predict` on the files that `files` lists."""
    script = str(Path(sys.executable).parent / "automl-cv")
    command = [script, "predict", str(model), "-", "--out", str(model.parent / "out.csv")]
    with Path(files).open() as lines:
        subprocess.run(command, stdin=lines, check=True, capture_output=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def measured(*arguments: str) -> float:
    """Run this file in a process of its own and return the number that it prints."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def predictions() -> None:
    """Measure prediction with `compact`: of many tiny files, and of few large ones."""
    from tests.benchmarks.predict_speed import make

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make(place, "compact", FILES[-1], (28, 28), "png")
        tiny = [str(path) for path in sorted((place / "files").iterdir())]
        photo = str(place / "photo.jpg")
        Image.open(tiny[0]).resize((4000, 3000)).save(photo)
        lists = {f"{n:,} files of 28x28 pixels": tiny[:n] for n in FILES}
        lists |= {f"{n} photographs of 4000x3000": [photo] * n for n in PHOTOS}
        for about, files in lists.items():
            (place / "list").write_text("\n".join(files))
            peak = measured("prediction", str(place / "model"), str(place / "list"))
            print(f"{about:35} {peak:.0f} MB at most")


def drawing(path: Path, size: tuple[int, int], mode: str, seed: int) -> None:
    """Write lines on white."""
    image = Image.new(mode, size, "white")
    lines, draw = np.random.default_rng(seed), ImageDraw.Draw(image)
    for _ in range(40):
        ends = [int(end) for end in lines.integers(0, size * 2)]
        draw.line(ends, fill="black", width=9)
    image.save(path)


def large() -> None:
    """Measure pictures that are seen in parts."""
    from tests.benchmarks.predict_speed import make

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make(place, "compact", 1, (28, 28), "png")
        drawing(place / "large.png", (13_000, 13_000), "RGB", 0)
        for about, path in {
            "one file of 28x28 pixels": next((place / "files").iterdir()),
            "a PNG of 13,000x13,000": place / "large.png",
        }.items():
            out = ("--out", str(place / "out.csv"))
            peak = measured("command", "predict", str(place / "model"), str(path), *out)
            print(f"predict, {about:28} {peak:.0f} MB at most", flush=True)
        for number in range(8):
            folder = place / "drawings" / f"class{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            drawing(folder / f"{number}.png", (10_562, 16_000), "RGB", number)
        given = (str(place / "drawings"), "--cache-dir")
        print(f"data:   {measured('command', 'data', *given, f'{place}/data'):.0f} MB at most")
        words = ("search", "optimizers", "--stage", "coarse", "--trials", "1", "--data", *given)
        stored = (f"{place}/cache", "--storage", f"sqlite:///{place}/trials.db", "--quiet")
        print(f"search: {measured('command', *words, *stored):.0f} MB at most")


def searches() -> None:
    """Measure both, at two sizes each, and print what more of them costs."""
    with tempfile.TemporaryDirectory() as name:
        measured("extraction", "64", name)  # writes the images
        few, many = (measured("extraction", str(count), name) for count in IMAGES)
    features = (IMAGES[1] - IMAGES[0]) * FEATURES * 4 / 2**20
    print(f"extraction of {IMAGES[0]:,} images   {few:.0f} MB more at the peak")
    print(f"extraction of {IMAGES[1]:,} images  {many:.0f} MB more at the peak")
    print(f"growth                        {many - few:.0f} MB; features alone {features:.0f} MB")
    first, last = (measured("heads", str(count)) for count in HEADS)
    each = (last - first) / (HEADS[1] - HEADS[0])
    print(f"after {HEADS[0]} heads                {first:.0f} MB")
    print(f"after {HEADS[1]} heads               {last:.0f} MB, {1024 * each:.0f} KB a head")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    if sys.argv[1:2] == ["extraction"]:
        run_extraction(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["heads"]:
        run_heads(int(sys.argv[2]))
    elif sys.argv[1:2] == ["prediction"]:
        run_prediction(Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["command"]:
        run_command(*sys.argv[2:])
    else:
        parts = {"search": searches, "predict": predictions, "large": large}
        for part in sys.argv[1:] or parts:
            parts[part]()
