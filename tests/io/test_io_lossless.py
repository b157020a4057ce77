"""Lossless files: decode(encode(photo)) is the original outside the mask, whatever the mode."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_builders import box_mask, opened, saved
from PIL import Image

from cleanplate.io.files import encode_photo, read_photo
from random_arrays import arrays

SIZES_HW = st.tuples(st.integers(1, 19), st.integers(1, 19))
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
}
CASES = [(fmt, mode) for fmt, modes in MODES.items() for mode in modes]
CHANNELS = {"1": (), "L": (), "P": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}


def make_image(mode, array):
    if mode == "1":
        return Image.fromarray(array > 127)
    if mode == "P":
        image = Image.fromarray(array % 60, "P")
        palette = np.random.default_rng(3).integers(0, 256, 180, dtype=np.uint8)
        image.putpalette(palette.tobytes())
        return image
    return Image.fromarray(array)


def save_options(fmt, draw):
    if fmt == "WEBP":
        return {"lossless": True, "exact": True, "quality": 0}
    if fmt == "TIFF":
        return {"compression": draw(st.sampled_from(["raw", "tiff_lzw", "packbits", "zstd"]))}
    return {}


@pytest.mark.parametrize(("fmt", "mode"), CASES)
@settings(max_examples=6)
@given(data=st.data(), hw=SIZES_HW)
def test_everything_outside_the_mask_comes_back(fmt, mode, data, hw):
    array = data.draw(arrays(np.uint8, (*hw, *CHANNELS[mode])))
    mask = data.draw(arrays(np.bool_, hw))
    filled = data.draw(arrays(np.uint8, (*hw, 3)))
    before = saved(make_image(mode, array), fmt, **save_options(fmt, data.draw))

    photo = read_photo(before)
    after = encode_photo(photo, filled, mask)

    first, second = opened(before), opened(after)
    assert (second.format, second.mode, second.size) == (first.format, first.mode, first.size)
    old, new = np.asarray(first), np.asarray(second)
    np.testing.assert_array_equal(new[~mask], old[~mask])
    if first.mode in ("LA", "RGBA"):  # WebP drops an alpha channel that is opaque throughout
        np.testing.assert_array_equal(new[..., -1], old[..., -1], err_msg="alpha changed")
    if mode == "P":
        assert second.getpalette()[:180] == first.getpalette()[:180]
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(new[mask][:, :3], filled[mask])
    assert read_photo(after).size_hw == hw


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@settings(max_examples=8)
@given(data=st.data(), hw=SIZES_HW)
def test_sixteen_bits_stay_sixteen_bits(channels, suffix, data, hw):
    array = data.draw(arrays(np.uint16, (*hw, channels)))
    mask = data.draw(arrays(np.bool_, hw))
    filled = data.draw(arrays(np.uint8, (*hw, 3)))
    _, before = cv2.imencode(suffix, array)

    photo = read_photo(before.tobytes())
    after = encode_photo(photo, filled, mask)

    decoded = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == np.uint16
    decoded = decoded.reshape(array.shape)
    np.testing.assert_array_equal(decoded[~mask], array[~mask])
    if channels == 4:
        np.testing.assert_array_equal(decoded[..., 3], array[..., 3])
    if channels >= 3:  # rounds to the fill in 8 bits, dither and all
        np.testing.assert_array_equal(read_photo(after).pixels[mask], filled[mask])
        bgr = decoded[mask][:, 2::-1].astype(int)
        assert np.abs(bgr - filled[mask].astype(int) * 257).max(initial=0) <= 128


def test_sixteen_bit_pixels_are_the_nearest_eight_bit_ones():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    _, data = cv2.imencode(".png", ramp)
    pixels = read_photo(data.tobytes()).pixels
    expected = np.rint(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(pixels[..., 1], expected)


def test_a_smooth_sixteen_bit_fill_is_dithered_and_the_same_every_time():
    _, data = cv2.imencode(".png", np.zeros((40, 40, 3), np.uint16))
    photo = read_photo(data.tobytes())
    filled, mask = np.full((40, 40, 3), 100, np.uint8), np.ones((40, 40), bool)
    first = encode_photo(photo, filled, mask)
    values = cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_UNCHANGED)
    assert len(np.unique(values)) > 100
    assert abs(values.mean() - 25700) < 3
    assert encode_photo(photo, filled, mask) == first


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP", "WEBP", "JPEG"])
def test_arrays_are_read_only_and_the_inputs_are_not_modified(fmt):
    image = Image.effect_noise((21, 13), 60).convert("RGB")
    photo = read_photo(saved(image, fmt))
    assert not photo.pixels.flags.writeable
    filled, mask = np.full((13, 21, 3), 9, np.uint8), box_mask((13, 21), 2, 5, 3, 9)
    before = photo.pixels.copy(), filled.copy(), mask.copy()
    encode_photo(photo, filled, mask)
    for now, then in zip((photo.pixels, filled, mask), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF"])
def test_plain_rgb_keeps_no_second_copy_of_the_picture(fmt):
    photo = read_photo(saved(Image.new("RGB", (400, 300), (1, 2, 3)), fmt))
    samples = photo.samples
    assert (samples.alpha, samples.samples16, samples.indices) == (None, None, None)
