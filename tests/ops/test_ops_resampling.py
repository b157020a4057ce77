"""`resample`: positions, steps and borders. `coverage`: what a mask leaves of small pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.ops.filters import coverage, resample


def ramp(height, width):
    """A field whose value is its own position: row * 100 + column, at the centres."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    return down * 100 + across


@given(h=st.integers(1, 12), w=st.integers(1, 12))
def test_own_pitch_gives_the_field_itself(h, w):
    field = ramp(h, w)
    same = resample(field, start_yx=(0, 0), step_yx=(1, 1), size_hw=(h, w))
    np.testing.assert_allclose(same, field, atol=1e-3)


def test_a_whole_shift_gives_a_part():
    part = resample(ramp(8, 9), start_yx=(2, 3), step_yx=(1, 1), size_hw=(4, 5))
    np.testing.assert_allclose(part, ramp(8, 9)[2:6, 3:8], atol=1e-3)


def test_finer_pixels_lie_between_the_centres():
    finer = resample(ramp(4, 4), start_yx=(1, 1), step_yx=(0.5, 0.25), size_hw=(2, 4))
    # Centres at y = 1.25, 1.75 and x = 1.125, 1.375, ... where the first element's is at 0.5.
    rows = np.array([0.75, 1.25])[:, None] * 100
    np.testing.assert_allclose(finer, rows + np.array([0.625, 0.875, 1.125, 1.375]), atol=100 / 32)


def test_beyond_the_field_its_border_goes_on():
    wide = resample(np.float32([[1, 2]]), start_yx=(-2, -2), step_yx=(1, 1), size_hw=(5, 6))
    np.testing.assert_array_equal(wide, np.tile(np.float32([1, 1, 1, 2, 2, 2]), (5, 1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_keeps_dtype_and_channels(dtype):
    field = np.zeros((3, 4, 3), dtype)
    out = resample(field, start_yx=(0, 0), step_yx=(0.5, 0.5), size_hw=(6, 8))
    assert (out.shape, out.dtype) == ((6, 8, 3), dtype)


def test_the_covered_share_counts_pixels():
    mask = np.zeros((4, 6), np.bool_)
    mask[:2, :3] = mask[3, 5] = True
    np.testing.assert_allclose(coverage(mask, (2, 2)), [[1, 0], [0, 1 / 6]], atol=1e-6)
    np.testing.assert_array_equal(coverage(mask, (6, 4)), mask)
