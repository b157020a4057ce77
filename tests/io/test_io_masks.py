"""Mask pictures."""

import cv2
import numpy as np
import pytest
from images_builders import exif_block, opened, saved, with_png_chunks
from PIL import Image
from skimage import data as photos
from test_io_webp_bmp import bmp

from cleanplate.errors import PhotoError
from cleanplate.io.mask_files import MaskReading, read_mask, write_mask

TRUTH = np.random.default_rng(0).random((9, 14)) > 0.6


def written(tmp_path, image, fmt="PNG", **options):
    path = tmp_path / f"mask.{fmt.lower()}"
    path.write_bytes(saved(image, fmt, **options))
    return path


@pytest.mark.parametrize("truth", [TRUTH, np.zeros((3, 2), bool), np.ones((1, 1), bool)])
def test_masks_come_back(tmp_path, truth):
    path = tmp_path / "new" / "mask.png"
    write_mask(path, truth)
    image = opened(path.read_bytes())
    assert (image.mode, image.format) == ("L", "PNG")
    np.testing.assert_array_equal(np.asarray(image), truth * 255)
    np.testing.assert_array_equal(read_mask(path, truth.shape), truth)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_any_mode_white_is_remove(tmp_path, mode, fmt):
    image = Image.fromarray(TRUTH.astype(np.uint8) * np.uint8(255)).convert(mode)
    np.testing.assert_array_equal(read_mask(written(tmp_path, image, fmt), (9, 14)), TRUTH)


def test_sixteen_bits_and_jpeg(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(cv2.imencode(".png", TRUTH.astype(np.uint16) * np.uint16(65535))[1].tobytes())
    np.testing.assert_array_equal(read_mask(path, (9, 14)), TRUTH)
    big = np.kron(TRUTH, np.ones((16, 16), np.uint8)) * np.uint8(255)
    read = read_mask(written(tmp_path, Image.fromarray(big), "JPEG", quality=60), big.shape)
    np.testing.assert_array_equal(read, big > 0)


def test_the_threshold(tmp_path):
    values = np.array([[0, 127, 128, 255]], np.uint8)
    mask = read_mask(written(tmp_path, Image.fromarray(values)), (1, 4))
    np.testing.assert_array_equal(mask, [[False, False, True, True]])


def rgba(alpha, colour=(255, 255, 255)):
    array = np.empty((*alpha.shape, 4), np.uint8)
    array[..., :3], array[..., 3] = colour, alpha
    return Image.fromarray(array)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_transparency_needs_a_word(tmp_path, colour):
    path = written(tmp_path, rgba(np.uint8(255) * ~TRUTH, colour))  # TRUTH was erased
    with pytest.raises(PhotoError, match=r"transparent.*--mask-alpha.*--invert-mask"):
        read_mask(path, TRUTH.shape)
    erased = read_mask(path, TRUTH.shape, MaskReading(alpha=True))
    np.testing.assert_array_equal(erased, TRUTH)
    painted = read_mask(path, TRUTH.shape, MaskReading(alpha=True, invert=True))
    np.testing.assert_array_equal(painted, ~TRUTH)


def test_transparency_of_palettes_and_of_sixteen_bits_counts(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette(bytes([255] * 6 + [0] * 3))
    path = written(tmp_path, image, transparency=b"\x00\xff\xff")
    array = np.full((1, 3, 4), 65535, np.uint16)
    array[0, 0, 3] = 0
    deep = tmp_path / "deep.png"
    deep.write_bytes(cv2.imencode(".png", array)[1].tobytes())
    for mask in (path, deep):
        read = read_mask(mask, (1, 3), MaskReading(alpha=True))
        np.testing.assert_array_equal(read, [[True, False, False]])
    opaque = written(tmp_path, Image.new("L", (3, 1)))
    with pytest.raises(PhotoError, match="no transparency; omit --mask-alpha"):
        read_mask(opaque, (1, 3), MaskReading(alpha=True))


def test_padding_of_a_bmp_is_no_alpha(tmp_path):
    path = tmp_path / "mask.bmp"
    path.write_bytes(bmp([b"\xff\xff\xff\0\0\0\0\0"], 32))
    np.testing.assert_array_equal(read_mask(path, (1, 2)), [[True, False]])


def test_exif_orientation_is_applied(tmp_path):
    path = tmp_path / "mask.png"
    image = Image.fromarray(TRUTH.astype(np.uint8) * np.uint8(255))
    path.write_bytes(with_png_chunks(saved(image, "PNG"), (b"eXIf", exif_block(orientation=6))))
    np.testing.assert_array_equal(read_mask(path, (14, 9)), np.rot90(TRUTH, -1))


def test_another_size_is_refused_with_both_sizes(tmp_path):
    path = written(tmp_path, Image.new("L", (14, 9)))
    message = r"mask\.png: the mask is 14 x 9 px but its photo is 28 x 18 px; make it from the"
    with pytest.raises(PhotoError, match=message):
        read_mask(path, (18, 28))


PALETTE = bytes([0, 0, 0, 128, 0, 0, 0, 128, 0, 192, 128, 128, 255, 255, 255])


def squares(*values):
    """Return (32, 32 n) with a square of each value, side by side on 0."""
    squared = np.zeros((32, 32 * len(values)), np.uint16)
    for place, value in enumerate(values):
        squared[8:24, 32 * place + 8 : 32 * place + 24] = value
    return squared


def in_palette(values):
    image = Image.fromarray(values.astype(np.uint8), "P")
    image.putpalette(PALETTE)
    return image


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("value", [1, 40, 255])
def test_two_values_are_a_mask_whatever_they_are(tmp_path, fmt, value):
    image = Image.fromarray(squares(value).astype(np.uint8))
    options = {"lossless": True} if fmt == "WEBP" else {}
    read = read_mask(written(tmp_path, image, fmt, **options), (32, 32))
    np.testing.assert_array_equal(read, squares(1) == 1)


def test_two_colours_and_two_deep_values_are_a_mask(tmp_path):
    path = written(tmp_path, in_palette(squares(3)))
    np.testing.assert_array_equal(read_mask(path, (32, 32)), squares(1) == 1)
    path.write_bytes(cv2.imencode(".png", squares(7))[1].tobytes())
    np.testing.assert_array_equal(read_mask(path, (32, 32)), squares(1) == 1)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(squares(3, 90, 130, 200).astype(np.uint8)),
        Image.fromarray(squares(3, 90, 255).astype(np.uint8)),
        Image.fromarray(squares(1, 2, 3)),  # 16 bits
        in_palette(squares(1, 2, 3)),
        in_palette(squares(3, 4)).convert("RGB"),
        Image.fromarray(photos.astronaut()[:64, :64]),
        Image.fromarray(photos.camera()[:64, :64]),
    ],
    ids=["ids", "ids-and-white", "ids16", "palette", "colours", "photo", "grey-photo"],
)
def test_what_is_no_mask_is_refused(tmp_path, image):
    with pytest.raises(PhotoError, match=r"mask\.png: .*--mask-label.*black and white"):
        read_mask(written(tmp_path, image), image.size[::-1])


@pytest.mark.parametrize("value", [1, 100])
def test_a_lossy_mask_without_white_is_refused(tmp_path, value):
    path = written(tmp_path, Image.fromarray(squares(value).astype(np.uint8)), "JPEG")
    with pytest.raises(PhotoError, match="no white"):
        read_mask(path, (32, 32))


def test_soft_brushes_are_masks(tmp_path):
    hard = np.zeros((200, 300), np.float32)
    hard[60:140, 90:210] = 255
    for sigma in (0.7, 4, 12):
        soft = cv2.GaussianBlur(hard, None, sigma)
        read = read_mask(
            written(tmp_path, Image.fromarray(soft.round().astype(np.uint8))), (200, 300)
        )
        np.testing.assert_array_equal(read, soft.round() > 127)


@pytest.mark.parametrize(
    "image",
    [
        in_palette(squares(1, 2, 3)),
        Image.fromarray(squares(1, 2, 3).astype(np.uint8)),
        Image.fromarray(squares(1, 2, 3)),
        Image.fromarray(squares(1, 2, 3).astype(np.uint8)).convert("RGB"),
    ],
    ids=["palette", "grey", "grey16", "rgb"],
)
def test_labels_choose_what_is_removed(tmp_path, image):
    path = written(tmp_path, image)
    truth = np.isin(squares(1, 2, 3), (1, 3))
    read = read_mask(path, truth.shape, MaskReading(labels=(1, 3)))
    np.testing.assert_array_equal(read, truth)
    rest = read_mask(path, truth.shape, MaskReading(labels=(1, 3), invert=True))
    np.testing.assert_array_equal(rest, ~truth)


def test_labels_of_few_bits_are_not_spread(tmp_path):
    values = squares(2, 3).astype(np.uint8)
    path = written(tmp_path, Image.fromarray(values * np.uint8(85)), bits=2)
    read = read_mask(path, values.shape, MaskReading(labels=(2,)))
    np.testing.assert_array_equal(read, values == 2)


def test_labels_need_values(tmp_path):
    jpeg = written(tmp_path, Image.fromarray(squares(1, 2).astype(np.uint8)), "JPEG")
    with pytest.raises(PhotoError, match=r"lossy JPEG; .*PNG"):
        read_mask(jpeg, (32, 64), MaskReading(labels=(1,)))
    colours = written(tmp_path, in_palette(squares(3, 4)).convert("RGB"))
    with pytest.raises(PhotoError, match="colours"):
        read_mask(colours, (32, 64), MaskReading(labels=(1,)))


def test_a_missing_mask_is_refused(tmp_path):
    with pytest.raises(PhotoError, match="no such file"):
        read_mask(tmp_path / "no.png", (1, 1))
