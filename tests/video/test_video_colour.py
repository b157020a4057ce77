"""Samples to colours and back: only the hole is written, and nothing drifts."""

import numpy as np
import pytest

from cleanplate.video.colour import LUMA_COEFFICIENTS, SampleFormat, to_uint8
from cleanplate.video.colour import UINT16_UNIT as UNIT

CODINGS = [
    SampleFormat(bits=bits, sub_xy=sub_xy, matrix=matrix, full_range=full)
    for bits in (8, 10)
    for sub_xy in ((2, 2), (2, 1), (1, 1))
    for matrix in (1, 6, 9)
    for full in (False, True)
]


def planes_of(coding, rgb, size_hw):
    """Return planes of one colour."""
    height, width = size_hw
    sub_x, sub_y = coding.sub_xy
    sample = np.uint8 if coding.bits == 8 else np.uint16
    small = (-(-height // sub_y), -(-width // sub_x))
    empty = (np.zeros(size_hw, sample), np.zeros(small, sample), np.zeros(small, sample))
    picture = np.broadcast_to(np.array(rgb) * coding.unit, (*size_hw, 3)).astype(coding.dtype)
    return coding.write_hole(empty, picture, np.ones(size_hw, bool))


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_a_colour_comes_back(coding):
    for rgb in [(0, 0, 0), (255, 255, 255), (200, 30, 90), (10, 220, 130)]:
        back = coding.to_rgb(planes_of(coding, rgb, (7, 9)))
        assert back.shape == (7, 9, 3)
        assert back.dtype == coding.dtype
        step = 2.0 if coding.bits == 8 else 0.6
        assert np.abs(back / coding.unit - rgb).max() <= step


@pytest.mark.parametrize("bits", [8, 10])
def test_black_and_white_have_the_published_values(bits):
    limited = SampleFormat(bits=bits, sub_xy=(2, 2), matrix=1, full_range=False)
    one = 1 << (bits - 8)
    assert [int(p[0, 0]) for p in planes_of(limited, (0, 0, 0), (4, 4))] == [16 * one] + 2 * [
        128 * one
    ]
    assert int(planes_of(limited, (255, 255, 255), (4, 4))[0][0, 0]) == 235 * one


@pytest.mark.parametrize("size_hw", [(11, 13), (8, 8), (1, 1)])
def test_outside_the_hole_every_sample_stays(size_hw, rng):
    for coding in CODINGS:
        check_outside_the_hole(coding, size_hw, rng)


def check_outside_the_hole(coding, size_hw, rng):
    height, width = size_hw
    sub_x, sub_y = coding.sub_xy
    sample = np.uint8 if coding.bits == 8 else np.uint16
    small = (-(-height // sub_y), -(-width // sub_x))
    highest = 1 << coding.bits
    planes = tuple(
        rng.integers(0, highest, shape).astype(sample) for shape in (size_hw, small, small)
    )
    before = tuple(plane.copy() for plane in planes)
    mask = rng.random(size_hw) < 0.2
    mask[-1, -1] = True
    picture = rng.integers(0, 255 * coding.unit, (*size_hw, 3)).astype(coding.dtype)

    written = coding.write_hole(planes, picture, mask)

    padded = np.pad(mask, ((0, -height % sub_y), (0, -width % sub_x)))
    touched = padded.reshape(small[0], sub_y, small[1], sub_x).any(axis=(1, 3))
    np.testing.assert_array_equal(written[0][~mask], planes[0][~mask])
    for plane, new in zip(planes[1:], written[1:], strict=True):
        np.testing.assert_array_equal(new[~touched], plane[~touched])
    for plane, old in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, old, err_msg="the input was modified")


def test_the_coefficients_are_those_of_the_standards():
    assert LUMA_COEFFICIENTS[1] == (0.2126, 0.0722)
    for red, blue in LUMA_COEFFICIENTS.values():
        assert 0 < red < 1 - blue < 1


def test_deep_pictures_are_rounded_to_eight_bits():
    deep = np.array([[[0, 127, 128], [255 * UNIT, 254 * UNIT + 200, 40000]]], np.uint16)
    assert to_uint8(deep).tolist() == [[[0, 0, 1], [255, 255, 156]]]
