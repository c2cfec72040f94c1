"""The pages: what stands where, nothing cut off."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.pictures import canvas, pages
from automl_cv.pictures.canvas import MARGIN, SMALL, TEXT, Lettering, Sheet
from automl_cv.pictures.colours import INFERNO, Scale, scale_of
from automl_cv.pictures.maps import ClassMap, FeatureMaps

DRAW = np.random.default_rng(0)
GIVEN = pages.Input(
    pixels=DRAW.integers(0, 256, (8, 8, 3), np.uint8),
    original=(30, 20),
    name="cat.jpg",
    network="compact",
)
LONG = "a_layer_with_a_name_that_is_much_longer_than_any_panel_of_the_overview_is_wide" * 2


def layer(name: str = "relu", channels: int = 12, side: int = 6) -> FeatureMaps:
    return FeatureMaps(name, DRAW.uniform(0, 1, (side, side, channels)).astype("f4"))


def class_map(values: np.ndarray, **given) -> ClassMap:
    facts = {
        **{"method": "Grad-CAM", "layer": "relu", "class_name": "cat"},
        **{"probability": 0.75, "predicted": "cat", **given},
    }
    return ClassMap(values=values.astype("f4"), **facts)


def drawn(sheet: Sheet, folder: Path) -> np.ndarray:
    return np.asarray(Image.open(sheet.save(folder / "page.png")))


def tiles(page: np.ndarray, tile: np.ndarray) -> list[tuple[int, int]]:
    """Return the places (row, column) of a page at which a tile stands."""
    height, width = tile.shape[:2]
    rows, columns = np.nonzero((page[: 1 - height, : 1 - width] == tile[0, 0]).all(axis=-1))
    return [
        (row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if np.array_equal(page[row : row + height, column : column + width], tile)
    ]


def assert_nothing_is_cut_off(page: np.ndarray) -> None:
    inner = MARGIN - 2  # frames are one pixel wide
    for edge in (page[:inner], page[-inner:], page[:, :inner], page[:, -inner:]):
        assert (edge == 255).all()


def test_a_layers_page_shows_the_strongest_channels_in_order(tmp_path):
    maps = layer(channels=12)
    page = drawn(pages.layer_page(GIVEN, maps, 4), tmp_path)
    chosen = maps.strongest(4)
    scale = scale_of(maps.values[..., chosen])
    places = []
    for channel in chosen:
        tile = scale.paint(canvas.resampled(maps.values[..., channel], pages.TILE))
        (place,) = tiles(page, tile)
        places.append(place)
    assert places == sorted(places), "row by row"
    assert len({row for row, _ in places}) == 2
    for channel in set(range(12)) - {*chosen}:
        tile = scale.paint(canvas.resampled(maps.values[..., channel], pages.TILE))
        assert not tiles(page, tile)
    assert tiles(page, canvas.enlarged(GIVEN.pixels, pages.INPUT_SIDE))


@pytest.mark.parametrize("channels", [1, 2, 7, 64, 300])
@pytest.mark.parametrize("name", ["relu", LONG])
@pytest.mark.parametrize("low", [0, -5])
def test_nothing_of_a_layers_page_is_cut_off(tmp_path, channels, name, low):
    maps = FeatureMaps(name, layer(channels=channels).values * 1e-5 + low)
    assert_nothing_is_cut_off(drawn(pages.layer_page(GIVEN, maps, 64), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("n_layers", [1, 2, 5, 9])
def test_the_overview_shows_input_and_layers(tmp_path, n_layers):
    shown = [layer(f"{LONG}{number}") for number in range(n_layers)]
    page = drawn(pages.overview(GIVEN, shown), tmp_path)
    assert_nothing_is_cut_off(page)
    side = 4 * (pages.SMALL_TILE + pages.SMALL_GAP) - pages.SMALL_GAP
    places = tiles(page, canvas.enlarged(GIVEN.pixels, side))
    for maps in shown:
        chosen = maps.strongest(16)
        scale = scale_of(maps.values[..., chosen])
        tile = scale.paint(canvas.resampled(maps.values[..., chosen[0]], pages.SMALL_TILE))
        places += tiles(page, tile)
    assert len(places) == n_layers + 1
    assert places == sorted(places)


@pytest.mark.slow
def test_the_overlay_is_brightest_where_the_map_is(tmp_path):
    values = np.zeros((4, 4))
    values[1, 2] = 3.0
    black = pages.Input(np.zeros((8, 8, 3), np.uint8), (8, 8), "black.png", "mine")
    page = drawn(pages.class_page(black, class_map(values)), tmp_path)
    assert_nothing_is_cut_off(page)
    alone = Scale(0.0, 1.0, INFERNO).paint(canvas.resampled(values / 3, pages.INPUT_SIDE))
    ((row, column),) = tiles(page, alone)
    left = column + pages.INPUT_SIDE + 2 * MARGIN
    overlay = page[row : row + pages.INPUT_SIDE, left : left + pages.INPUT_SIDE].sum(axis=-1)
    y, x = np.unravel_index(overlay.argmax(), overlay.shape)
    quarter = pages.INPUT_SIDE // 4
    assert (y // quarter, x // quarter) == (1, 2)
    assert overlay[-quarter:].max() <= 3, "all but black"


def test_a_map_of_nothing_is_drawn(tmp_path):
    empty = class_map(np.zeros((2, 2)), class_name=LONG, predicted=LONG, probability=1e-9)
    assert_nothing_is_cut_off(drawn(pages.class_page(GIVEN, empty), tmp_path))


def test_names_of_the_files(tmp_path):
    shown = [layer("right/conv1#2"), layer("relu")]
    mapped = [class_map(np.ones((2, 2))), class_map(np.ones((2, 2)), method="Score-CAM")]
    written = pages.write_all(tmp_path, GIVEN, shown, mapped, 4)
    assert [path.name for path in written] == [
        "overview.png",
        "01-right-conv1-2.png",
        "02-relu.png",
        "grad-cam.png",
        "score-cam.png",
    ]
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in pages.write_all(tmp_path, GIVEN, shown, mapped, 4)] == (
        before
    )


def test_what_is_said_of_the_input():
    assert GIVEN.size == "30 x 20 pixels, resized to 8 x 8"
    assert pages.Input(GIVEN.pixels, (8, 8), "a", "b").size == "8 x 8 pixels"


@pytest.mark.parametrize("within", [12, 60, 200])
def test_long_lines_lose_their_middle(within):
    lettering = Lettering([LONG])
    line = lettering.shortened(LONG, TEXT, within)
    assert lettering.width(line, TEXT) <= within
    assert re.fullmatch(f"({LONG[0]}.*)?…(.*{LONG[-1]})?", line)
    assert lettering.shortened("short", TEXT, 200) == "short"


@pytest.mark.parametrize("text", ["Müller", "ЖЖ", "猫 cat", "", "\U0001f431"])
def test_letters_that_the_font_lacks_do_not_stop_it(tmp_path, text):
    sheet = Sheet(120, 30, Lettering([text]))
    sheet.write(5, 5, text, SMALL)
    page = drawn(sheet, tmp_path)
    assert bool((page < 255).any()) == bool(text)


def test_without_fonts_of_the_machine_accents_fall_off(monkeypatch):
    monkeypatch.setattr(canvas, "FONTS", (None, "no-such-font.ttf"))
    assert Lettering(["Grüße 猫"]).writable("Grüße 猫") == "Gru?e ?"


def test_words_of_small_text_stand_apart(tmp_path):
    lettering = Lettering([])
    sheet = Sheet(200, 30, lettering)
    sheet.write(5, 5, "strongest place", SMALL)
    dark = (drawn(sheet, tmp_path) < 200).any(axis=(0, 2))
    columns = np.flatnonzero(dark)
    gaps = np.diff(columns)
    assert gaps.max() >= 4 and np.sort(gaps)[-2] <= 3, "one gap is wider than any within a word"
    assert columns.max() <= 5 + lettering.width("strongest place", SMALL)


def test_a_name_decides_on_the_font_of_the_whole_picture(monkeypatch):
    has = canvas._has
    fallback = canvas._font("DejaVuSans.ttf", TEXT)
    if fallback is None:
        pytest.skip("no DejaVu Sans here")
    monkeypatch.setattr(canvas, "FONTS", (None, "DejaVuSans.ttf"))
    assert not has(canvas._font(None, TEXT), "ü") and has(fallback, "ü")
    plain, named = Lettering(["cat"]), Lettering(["cat", "Müller"])
    assert named.width("cat", TEXT) == round(fallback.getlength("cat")) != plain.width("cat", TEXT)
    assert named.writable("Müller 猫") == "Müller ?", "it lacks fewer letters than Pillow's own"
