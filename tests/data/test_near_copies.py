from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import dataset, grouped, images, near_copies, sketches
from automl_cv.errors import UserError
from automl_cv.study.studyfile import Split

WIDTH, HEIGHT = 61, 48


def photo(number):
    """Return an image of soft shapes with some grain."""
    draw = np.random.default_rng(number)
    shapes = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
    soft = np.asarray(shapes.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray((soft + draw.integers(-9, 10, soft.shape)).clip(0, 255).astype(np.uint8))


def as_jpeg(picture):
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return Image.open(buffer).convert("RGB")


ALTERED = {
    "jpeg": as_jpeg,
    "half": lambda one: one.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS),
    "crop": lambda one: one.crop((0, 0, WIDTH - 1, HEIGHT)),
    "both sides": lambda one: one.crop((1, 1, WIDTH - 1, HEIGHT - 1)),
    "mirrored": lambda one: one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored jpeg": lambda one: as_jpeg(one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


def find(pictures):
    pixels = [np.asarray(one) for one in pictures]
    return near_copies.find(
        np.frombuffer(b"".join(map(sketches.draw, pixels)), np.uint8).reshape(-1, 16, 16),
        np.array([one.size for one in pictures], np.int32).reshape(-1, 2),
        [images.content_hash(one) for one in pixels],
    )


@pytest.fixture(scope="module")
def photos():
    return [photo(number) for number in range(80)]


@pytest.mark.slow
@pytest.mark.parametrize("many_alike", [False, True], ids=["few", "more than are looked at"])
def test_a_tree_finds_what_comparing_each_with_each_does(photos, many_alike, monkeypatch):
    """Which of equally near ones are looked at may differ, so these are apart by grain."""
    altered = [alter(one) for one in photos[:3] for alter in ALTERED.values()]
    noise = np.random.default_rng(0).integers(-2, 3, (2 * near_copies.NEIGHBOURS, HEIGHT, WIDTH, 3))
    pictures = [*photos[:20], *altered]
    if many_alike:
        grains = (np.asarray(photos[0], np.int16) + noise).clip(0, 255).astype(np.uint8)
        pictures += map(Image.fromarray, grains)
    compared = find(pictures)
    monkeypatch.setattr(near_copies, "COMPARED", 0)
    by_tree = find(pictures)
    assert len(compared.pairs) >= len(altered)
    np.testing.assert_array_equal(compared.pairs, by_tree.pairs)
    np.testing.assert_array_equal(compared.distances, by_tree.distances)


@pytest.mark.parametrize("kind", ALTERED)
def test_each_kind_of_copy_is_found_and_nothing_else(photos, kind):
    found = find([*photos, *map(ALTERED[kind], photos[:20])])
    assert found.pairs.tolist() == [[number, 80 + number] for number in range(20)]
    assert (found.distances <= found.threshold).all()


def test_identical_pictures_and_flat_ones_are_no_near_copies(photos):
    flat = [Image.new("RGB", (30, 30), (grey, grey, grey)) for grey in (200, 201)]
    assert find([*photos[:5], *photos[:5], *flat]).pairs.tolist() == []
    assert find([]).pairs.tolist() == []


def test_where_pictures_are_dense_only_nearer_ones_count():
    # Small changes of one image, far enough from one another to be no copies.
    draw = np.random.default_rng(0)
    middle, sizes = draw.normal(0, 60, (6, 6)), np.full((400, 2), 28)
    dense = (middle + draw.normal(0, 5, (400, 6, 6))).astype(np.float32)
    assert near_copies.NEAREST <= near_copies._threshold(dense, sizes) < 0.05
    sparse = (middle + draw.normal(0, 20, (400, 6, 6))).astype(np.float32)
    assert near_copies._threshold(sparse, sizes) == near_copies.FURTHEST


def test_copies_of_copies_are_one_group_with_the_groups_that_are_there():
    pairs = np.array([(0, 1), (1, 3)])
    contents = ["a", "b", "c", "d", "a", "e", "f"]
    assert near_copies.groups(pairs, contents) == [0, 0, None, 0, 0, None, None]
    names = [None, None, "g", "g", None, None, "h"]
    assert near_copies.groups(pairs, contents, names) == [0, 0, 0, 0, 0, None, 1]


def load(path, tmp_path):
    return dataset.load(str(path), split=Split(), seed=0, cache_dir=tmp_path / "cache")


def test_a_table_of_groups_keeps_near_copies_in_one_split(tmp_path, photos):
    for number, one in enumerate(photos[:40]):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        one.save(folder / f"{number}.png")
        if number < 16:
            one.save(folder / f"{number} again.jpg", quality=75)
    parted = load(tmp_path / "photos", tmp_path)
    assert any(one.about == "overlap" for one in parted.ledger.findings)
    out = tmp_path / "photos" / "together.csv"
    grouped.check_target(out, str(tmp_path / "photos"))
    assert grouped.write(out, parted.images.assign(split=None), parted.near.pairs).summary() == (
        "56 images, 16 groups of near copies"
    )
    together = load(out, tmp_path)
    assert len(together.images) == 56
    assert [one.harm for one in together.ledger.findings] == ["note"]
    with pytest.raises(UserError, match="is the source itself"):
        grouped.check_target(out, str(out))


def test_of_near_copies_in_two_ready_splits_the_later_stays(tmp_path, photos):
    for split, numbers in (("train", range(10)), ("test", range(10, 16))):
        for number in numbers:
            folder = tmp_path / "photos" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            photos[number].save(folder / f"{number}.png")
    photos[11].save(tmp_path / "photos/train/b/again.jpg", quality=75)
    source, out = str(tmp_path / "photos"), tmp_path / "out.csv"
    found = load(source, tmp_path)
    own = dataset.load_undivided(source, cache_dir=tmp_path / "cache")
    assert own.images["path"].tolist() == found.images["path"].tolist()
    written = grouped.write(out, own.images, found.near.pairs)
    assert (written.n_images, written.n_left_out) == (16, 1)
    lines = out.read_text().splitlines()
    assert lines[0] == "path,label,split,group"
    assert "photos/test/b/11.png,b,test,near 1" in lines
    assert not any("again.jpg" in line for line in lines)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_crops_are_found_whatever_their_number(photos, lost):
    crops = [one.crop((0, 0, WIDTH - 1, HEIGHT)) for one in photos[: 20 - lost]]
    found = find([*photos[:20], *crops])
    assert found.pairs.tolist() == [[number, 20 + number] for number in range(20 - lost)]


def test_blocks_do_not_change_what_is_found(photos, monkeypatch):
    altered = [alter(photos[number]) for number, alter in enumerate(ALTERED.values())]
    pictures = [*photos[:30], *altered]
    whole = find(pictures)
    assert len(whole.pairs) == len(ALTERED)
    monkeypatch.setattr(near_copies, "ASKED", 7)
    monkeypatch.setattr(near_copies, "OTHERS", 5)
    parts = find(pictures)
    assert parts.pairs.tolist() == whole.pairs.tolist()
    assert parts.threshold == whole.threshold
