"""Mask pictures."""

import cv2
import numpy as np
import pytest
from images_builders import exif_block, opened, saved, with_png_chunks
from PIL import Image
from test_io_webp_bmp import bmp

from cleanplate.errors import PhotoError
from cleanplate.io.mask_files import read_mask, write_mask

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
    black = written(tmp_path, Image.new("L", (14, 9), 1), "JPEG")
    assert not read_mask(black, (9, 14)).any()


def test_the_threshold(tmp_path):
    values = np.array([[0, 127, 128, 255]], np.uint8)
    mask = read_mask(written(tmp_path, Image.fromarray(values)), (1, 4))
    np.testing.assert_array_equal(mask, [[False, False, True, True]])


def test_only_alpha_says_something(tmp_path):
    array = np.zeros((9, 14, 4), np.uint8)  # black strokes on nothing
    array[..., 3] = TRUTH * 255
    mask = read_mask(written(tmp_path, Image.fromarray(array)), (9, 14))
    np.testing.assert_array_equal(mask, TRUTH)


def test_transparent_pixels_of_a_coloured_mask_count_as_black(tmp_path):
    array = np.full((1, 3, 4), 255, np.uint8)
    array[0, 1, 3] = 0
    array[0, 2, :3] = 0
    mask = read_mask(written(tmp_path, Image.fromarray(array)), (1, 3))
    np.testing.assert_array_equal(mask, [[True, False, False]])


def test_palette_transparency_counts(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette(bytes([255] * 6 + [0] * 3))
    path = written(tmp_path, image, transparency=b"\x00\xff\xff")
    np.testing.assert_array_equal(read_mask(path, (1, 3)), [[False, True, False]])


def test_sixteen_bit_alpha_counts(tmp_path):
    array = np.full((1, 2, 4), 65535, np.uint16)
    array[0, 1, 3] = 0
    path = tmp_path / "deep.png"
    path.write_bytes(cv2.imencode(".png", array)[1].tobytes())
    np.testing.assert_array_equal(read_mask(path, (1, 2)), [[True, False]])


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


def test_masks_of_zero_and_one_are_refused(tmp_path):
    path = written(tmp_path, Image.fromarray(TRUTH.astype(np.uint8)))
    message = r"no white: its brightest value is 1, not above 127; paint what is to be removed"
    with pytest.raises(PhotoError, match=message):
        read_mask(path, (9, 14))


def test_a_missing_mask_is_refused(tmp_path):
    with pytest.raises(PhotoError, match="no such file"):
        read_mask(tmp_path / "no.png", (1, 1))
