"""How many planted copies are found by looks, how many images are falsely called so, how fast.

    python tests/benchmarks/near_copies.py [--root DIR] [--sets digits clothes …] [--libraries]
    python tests/benchmarks/near_copies.py --search 100000 [--of soft|tiny|alike|same]

Sets are those of `worth_sets`. A tenth of a set's images at a time is altered and laid beside the
whole set, until each has had its turn; found is one that makes a pair with its own original. A
false alarm is an image whose nearest neighbour in the set as it is is called its copy; pairs that
are copies by the sets' own word (`_mirror` in a name, letters and signs that are mirrored ones of
one another, textures stored under two names) don't count, and all others are printed.

`--libraries` does the same with hashes of ImageHash and pdqhash, if these are installed, at the
largest distance that leaves one false alarm in 1,000. `--search` times the search for pairs alone,
on sketches of soft noise, or of images of 4 x 4 pixels: noise, or one image give or take 12 or 2
levels of grey.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import worth_sets
from PIL import Image

from automl_cv.data import images, near_copies, sketches

TENTHS = 10
ALIKE = {"alike": 12, "same": 2}  # levels that images of one kind differ by
LANCZOS, BOX = Image.Resampling.LANCZOS, Image.Resampling.BOX


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return Image.open(buffer).convert("RGB")


def half(picture: Image.Image, how: Image.Resampling) -> Image.Image:
    return picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)), how)


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 75": as_jpeg,
    "half, Lanczos": lambda one: half(one, LANCZOS),
    "half, box": lambda one: half(one, BOX),
    "a pixel off the left": lambda one: one.crop((1, 0, one.width, one.height)),
    "a pixel off a corner": lambda one: one.crop((0, 0, one.width - 1, one.height - 1)),
    "a pixel off all sides": lambda one: one.crop((1, 1, one.width - 1, one.height - 1)),
    "mirrored": lambda one: one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}

# Copies that the sets hold already, by parts of two files' names; looked at one by one.
KNOWN = [
    *(("lowercase-b", "lowercase-d"), ("lowercase-p", "lowercase-q")),
    *(("lessthan", "greaterthan"), ("door007", "door008"), ("dirt.", "drymud")),
    ("desert.", "dirt_b_1."),
]


def is_known(one: str, other: str) -> bool:
    return one.replace("_mirror", "") == other.replace("_mirror", "") or any(
        (first in one and second in other) or (first in other and second in one)
        for first, second in KNOWN
    )


def find(pictures: Sequence[Image.Image], drawn: Sequence[bytes], contents: Sequence[str]):
    sizes = np.array([one.size for one in pictures])
    return near_copies.find(as_greys(drawn), sizes, contents)


def as_greys(drawn: Iterable[bytes]) -> sketches.Greys:
    return np.frombuffer(b"".join(drawn), np.uint8).reshape(-1, sketches.SIDE, sketches.SIDE)


def measure(name: str, folder: Path, root: Path) -> None:
    pool = worth_sets.build(name, folder, root)
    pictures = [Image.fromarray(images.decode(path)) for path in pool.paths]
    drawn = [sketches.draw(np.asarray(one)) for one in pictures]
    contents = [images.content_hash(np.asarray(one)) for one in pictures]
    count = len(pictures)
    own = find(pictures, drawn, contents)
    alarms = [
        (pool.paths[one].name, pool.paths[other].name, float(distance))
        for (one, other), distance in zip(own.pairs, own.distances, strict=True)
        if not is_known(pool.paths[one].name, pool.paths[other].name)
    ]
    false = {file for one, other, _ in alarms for file in (one, other)}
    print(
        f"{name}: {count} images, {len(own.pairs)} pairs as they are, {len(alarms)} of them no "
        f"copies, threshold {own.threshold:.3f}; images with a false neighbour "
        f"{1000 * len(false) / count:.2f} in 1,000, pairs {1000 * len(alarms) / count:.2f}"
    )
    for one, other, distance in alarms:
        print(f"    {one} and {other}: {distance:.3f}")
    for kind, alter in ALTERED.items():
        others = [alter(one) for one in pictures]
        again = [sketches.draw(np.asarray(one)) for one in others]
        found, thresholds = 0, []
        for tenth in range(TENTHS):
            rows = range(tenth, count, TENTHS)
            near = find(
                [*pictures, *(others[row] for row in rows)],
                [*drawn, *(again[row] for row in rows)],
                [*contents, *(f"altered {row}" for row in rows)],
            )
            thresholds.append(near.threshold)
            wanted = {(row, count + place) for place, row in enumerate(rows)}
            found += len(wanted & {(int(one), int(other)) for one, other in near.pairs})
        print(
            f"  {kind:22s} {found / count:.3f} found; thresholds {min(thresholds):.3f} to "
            f"{max(thresholds):.3f}",
            flush=True,
        )


def measure_libraries(name: str, folder: Path, root: Path) -> None:
    import imagehash
    import pdqhash

    hashes = {
        "ImageHash dHash, 64 bits": lambda one: imagehash.dhash(one).hash.ravel(),
        "ImageHash pHash, 64 bits": lambda one: imagehash.phash(one).hash.ravel(),
        "ImageHash pHash, 256 bits": lambda one: imagehash.phash(one, 16).hash.ravel(),
        "PDQ, 256 bits": lambda one: pdqhash.compute(np.asarray(one))[0].astype(bool),
    }
    pool = worth_sets.build(name, folder, root)
    pictures = [Image.fromarray(images.decode(path)) for path in pool.paths]
    names = [path.name for path in pool.paths]
    for title, hashed in hashes.items():
        began = time.process_time()
        own = np.stack([hashed(one) for one in pictures])
        took = 1e6 * (time.process_time() - began) / len(own)
        turned = np.stack([hashed(ALTERED["mirrored"](one)) for one in pictures])
        nearest = np.sort(
            [
                min(
                    int(distance)
                    for other, distance in enumerate(
                        np.minimum((own != row).sum(axis=1), (turned != row).sum(axis=1))
                    )
                    if other != number and not is_known(names[number], names[other])
                )
                for number, row in enumerate(own)
            ]
        )
        least = nearest[len(own) // 1000]
        shares = []
        for kind, alter in ALTERED.items():
            against = turned if kind == "mirrored" else own
            altered = np.stack([hashed(alter(one)) for one in pictures])
            shares.append(f"{kind} {((altered != against).sum(axis=1) < least).mean():.3f}")
        print(f"  {name}, {title}, {took:.0f} us, below {least} bits: {', '.join(shares)}")


def drawn_of(kind: str, count: int) -> sketches.Greys:
    """Return sketches of soft noise, of noise of 4 x 4 pixels, or of one image with a little."""
    draw = np.random.default_rng(0)
    side = 5 if kind == "soft" else 4
    if kind in ALIKE:
        middle = draw.integers(40, 216, (side, side))
        levels = ALIKE[kind]
        coarse = (middle + draw.integers(-levels, levels + 1, (count, side, side))).clip(0, 255)
    else:
        coarse = draw.integers(0, 256, (count, side, side), np.uint8)
    greys = (Image.fromarray(one.astype(np.uint8)).resize((16, 16), LANCZOS) for one in coarse)
    return as_greys(one.tobytes() for one in greys)


def measure_search(kind: str, count: int) -> None:
    greys = drawn_of(kind, count)
    sizes, contents = np.full((count, 2), 64), [f"{number:032x}" for number in range(count)]
    began, busy = time.perf_counter(), time.process_time()
    found = near_copies.find(greys, sizes, contents)
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count:,} sketches, {kind}: {wall:.1f} s, {busy:.1f} s of processor time, "
        f"{len(found.pairs):,} pairs within {found.threshold:.3f}; at most {peak:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--sets", nargs="+", default=["digits", "clothes", "cut-outs", "surfaces"])
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("--search", type=int)
    parser.add_argument("--of", choices=["soft", "tiny", *ALIKE], default="soft")
    parser.add_argument("--folder", type=Path, help="Where images are written and kept.")
    chosen = parser.parse_args()
    if chosen.search:
        measure_search(chosen.of, chosen.search)
        return
    with tempfile.TemporaryDirectory() as temporary:
        for name in chosen.sets:
            action = measure_libraries if chosen.libraries else measure
            action(name, chosen.folder or Path(temporary), chosen.root)


if __name__ == "__main__":
    main()
