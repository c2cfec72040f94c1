import threading
import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from automl_cv.data import images

HEIGHT, WIDTH = 6, 9
GREY = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 4
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def encoded(image, image_format="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(side):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_colour_survives_every_lossless_format(image_format, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.fromarray(COLOUR), image_format))
    decoded = images.decode(path)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, COLOUR)
    assert images.read(path).format == image_format


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "JPEG2000", "MPO"])
def test_lossy_formats_come_close(image_format):
    smooth = np.broadcast_to(np.arange(0, 128, 2, dtype=np.uint8)[:, None, None], (64, 64, 3))
    decoded = images.decode(encoded(Image.fromarray(smooth.copy()), image_format))
    assert np.abs(decoded.astype(int) - smooth).max() <= 8


def test_grey_gives_three_equal_channels():
    decoded = images.decode(encoded(Image.fromarray(GREY)))
    assert np.array_equal(decoded, np.stack([GREY] * 3, axis=-1))


def test_bilevel_is_black_and_white():
    decoded = images.decode(encoded(Image.fromarray(GREY > 100)))
    assert np.array_equal(decoded[..., 0], np.where(GREY > 100, 255, 0))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(image_format):
    deep = np.array([[0, 255, 257 * 100], [32768, 257 * 200 + 128, 65535]], dtype=np.uint16)
    decoded = images.decode(encoded(Image.fromarray(deep), image_format))
    assert decoded[..., 1].tolist() == [[0, 1, 100], [128, 200, 255]]


@pytest.mark.parametrize(
    "values",
    [np.array([[0.0, 0.5]], np.float32), np.array([[0, 70000]], np.int32)],
    ids=["floats", "32-bit integers"],
)
def test_values_without_a_range_are_refused(values):
    with pytest.raises(images.DamagedImage, match="32-bit pixel values without a defined range"):
        images.decode(encoded(Image.fromarray(values), "TIFF"))


def test_transparent_pixels_are_laid_on_white():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 0] = 200  # red, clear to opaque
    pixels[0, :, 3] = (0, 128, 255)
    decoded = images.decode(encoded(Image.fromarray(pixels)))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 2].tolist() == [200, 0, 0]
    assert np.abs(decoded[0, 1].astype(int) - [227, 127, 127]).max() <= 1


def test_grey_with_alpha_is_laid_on_white():
    pixels = np.array([[[50, 0], [50, 255]]], np.uint8)
    decoded = images.decode(encoded(Image.fromarray(pixels, "LA")))
    assert decoded[0].tolist() == [[255] * 3, [50] * 3]


def test_palettes_with_and_without_transparency():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 0])
    palette.putdata([0, 1])
    assert images.decode(encoded(palette))[0].tolist() == [[10, 20, 30], [200, 100, 0]]
    # One transparent colour; a table of opacities, which Pillow's RGB would drop with a warning.
    for transparency in (0, bytes([0, 255])):
        decoded = images.decode(encoded(palette, transparency=transparency))
        assert decoded[0].tolist() == [[255, 255, 255], [200, 100, 0]]


def test_cmyk_becomes_rgb():
    content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert images.decode(content)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    picture = Image.fromarray(COLOUR)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = images.decode(encoded(picture, "PNG", exif=exif))
    stored = Image.open(BytesIO(encoded(picture, "PNG", exif=exif)))
    assert np.array_equal(decoded, np.asarray(ImageOps.exif_transpose(stored)))
    assert decoded.shape == ((WIDTH, HEIGHT, 3) if orientation >= 5 else (HEIGHT, WIDTH, 3))


def the_long_way(content):
    """Decode with each step of Pillow's, whether the image needs it or not."""
    with Image.open(BytesIO(content)) as stored:
        upright = ImageOps.exif_transpose(stored)
    clear = upright.convert("RGBA")
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    laid = Image.alpha_composite(white, clear) if upright.has_transparency_data else upright
    return np.array(laid.convert("RGB"), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "MPO"])
def test_leaving_steps_out_changes_no_pixel(image_format, mode):
    """Content hashes, splits and cached features depend on it."""
    n_decoded = 0
    for height, width in ((1, 1), (5, 7), (64, 48)):
        draw = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
        for orientation in (None, 1, 6, 9):
            exif = Image.Exif()
            if orientation is not None:
                exif[0x0112] = orientation
            try:
                content = encoded(Image.fromarray(draw).convert(mode), image_format, exif=exif)
            except (OSError, ValueError):  # a format that can't hold this mode
                continue
            n_decoded += 1
            decoded = images.decode(content)
            assert np.array_equal(decoded, the_long_way(content))
            assert decoded.flags.c_contiguous
    assert n_decoded in (0, 12)


def test_broken_exif_does_not_cost_the_picture():
    content = encoded(Image.fromarray(noise(16)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert images.decode(content).shape == (16, 16, 3)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation(image_format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encoded(
        frames[0], image_format, save_all=True, append_images=frames[1:], lossless=True
    )
    assert images.decode(content)[0, 0].tolist() == [255, 0, 0]


def test_an_empty_file():
    with pytest.raises(images.DamagedImage, match="^empty file$"):
        images.decode(b"")


def test_text_is_no_image(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("path,label\n")
    with pytest.raises(images.DamagedImage, match="^not an image$"):
        images.decode(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(images.DamagedImage, match="^can't be read: No such file or directory$"):
        images.decode(tmp_path / "nowhere.png")


def test_postscript_is_not_run():
    with pytest.raises(images.DamagedImage, match="^not an image$"):
        images.decode(encoded(Image.fromarray(COLOUR), "EPS"))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_wherever_a_file_is_cut_no_pixel_is_made_up(image_format):
    content = encoded(Image.fromarray(noise(20)), image_format)
    whole = images.decode(content)
    n_damaged = 0
    for length in range(len(content)):
        try:
            # The marks that end a file may be missing without harm to the image.
            assert np.array_equal(images.decode(content[:length]), whole)
        except images.DamagedImage as error:
            assert str(error) and "\n" not in str(error)
            n_damaged += 1
    assert n_damaged > 0.9 * len(content)


def test_a_truncated_photograph_says_so():
    content = encoded(Image.fromarray(noise(40)), "JPEG")[:1000]
    with pytest.raises(images.DamagedImage, match="^truncated after 1000 bytes$"):
        images.decode(content)


def test_a_decompression_bomb_is_refused_without_a_warning(monkeypatch):
    content = encoded(Image.fromarray(noise(40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns from here
    assert images.decode(content).shape == (40, 40, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # and refuses from twice that
    with pytest.raises(images.DamagedImage, match=r"^decompression bomb: 40.*|.*1600 pixels"):
        images.decode(content)


def test_threads_leave_the_warning_filters_as_they_were():
    palette = Image.new("P", (64, 64))
    palette.putpalette([10, 20, 30, 200, 100, 0])
    content = encoded(palette, transparency=bytes([0, 255]))
    before = list(warnings.filters)

    def work():
        for _ in range(50):
            images.decode(content)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_content_hash_follows_the_pixels_and_not_the_file():
    picture = Image.fromarray(COLOUR)
    hashes = {
        images.content_hash(images.decode(encoded(picture, image_format)))
        for image_format in ("PNG", "BMP", "TIFF")
    }
    assert len(hashes) == 1
    assert len(hashes.pop()) == 32
    changed = COLOUR.copy()
    changed[0, 0, 0] += 1
    assert images.content_hash(changed) != images.content_hash(COLOUR)
    # The same bytes in another shape are another image.
    assert images.content_hash(COLOUR.reshape(WIDTH, HEIGHT, 3)) != images.content_hash(COLOUR)


def test_content_hash_of_a_view_is_that_of_its_copy():
    view = COLOUR[:, ::2]
    assert images.content_hash(view) == images.content_hash(view.copy())
