"""Seams: nothing outside the hole changes, nothing inside shows what was there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.ops.blending import choose, paste, pull_push, put_levels
from random_arrays import arrays

SIZES_HW = st.tuples(st.integers(1, 33), st.integers(1, 33))


@st.composite
def photo_fill_mask(draw):
    size_hw = draw(SIZES_HW)
    image, fill = (draw(arrays(np.uint8, (*size_hw, 3))) for _ in range(2))
    return image, fill, draw(arrays(np.bool_, size_hw))


# --- choosing


@given(drawn=photo_fill_mask(), seed=st.integers(0, 99))
def test_chosen_and_put_pixels_are_those_of_the_mask(drawn, seed):
    image, fill, mask = drawn
    expected = np.where(mask[..., None], fill, image)
    np.testing.assert_array_equal(choose(mask, fill, image), expected)

    values = np.random.default_rng(seed).integers(-300, 1200, fill.shape).astype(np.float32) / 2
    larger = np.pad(image, ((2, 1), (1, 3), (0, 0)))
    target = larger[2:-1, 1:-3]
    put_levels(target, values, mask)
    levels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(target, np.where(mask[..., None], levels, image))
    assert not larger[:2].any()
    assert not larger[:, :1].any()


# --- paste


@given(drawn=photo_fill_mask())
def test_paste_changes_nothing_outside_the_mask_and_no_input(drawn):
    image, fill, mask = drawn
    before = [array.copy() for array in drawn]

    result = paste(image, fill, mask)

    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(result[~mask], image[~mask])
    for array, old in zip(drawn, before, strict=True):
        np.testing.assert_array_equal(array, old, err_msg="an input was modified")
    assert not np.shares_memory(result, image)


@given(drawn=photo_fill_mask(), seed=st.integers(0, 99))
def test_what_was_in_the_hole_has_no_influence(drawn, seed):
    image, fill, mask = drawn
    other = image.copy()
    other[mask] = np.random.default_rng(seed).integers(0, 256, (mask.sum(), 3))
    np.testing.assert_array_equal(paste(other, fill, mask)[mask], paste(image, fill, mask)[mask])


@pytest.mark.parametrize("offset", [-20, -1, 1, 7, 40])
def test_a_constant_offset_of_the_fill_is_fully_corrected(offset):
    image = np.full((61, 83, 3), (90, 120, 150), np.uint8)
    mask = np.zeros((61, 83), np.bool_)
    mask[13:45, 20:63] = True
    fill = (image.astype(int) + offset).astype(np.uint8)
    np.testing.assert_array_equal(paste(image, fill, mask), image)


@pytest.mark.parametrize("place", [np.s_[:20, :30], np.s_[41:, 50:], np.s_[:, 30:40], np.s_[5, 7]])
def test_an_offset_is_corrected_at_the_photos_border_too(place, rng):
    truth = rng.integers(60, 190, (61, 83, 3)).astype(np.uint8)
    mask = np.zeros((61, 83), np.bool_)
    mask[place] = True
    holed = np.where(mask[..., None], np.uint8(255), truth)
    result = paste(holed, truth - np.uint8(25), mask)
    np.testing.assert_array_equal(result, truth)


def test_an_offset_that_varies_is_corrected_all_along_the_border():
    image = np.full((60, 100, 3), 128, np.uint8)
    mask = np.zeros((60, 100), np.bool_)
    mask[15:45, 20:80] = True
    slope = np.linspace(-30, 30, 100)[None, :, None]
    fill = (image + slope).astype(np.uint8)

    error = np.abs(paste(image, fill, mask).astype(int) - image)

    assert error[15:45, 20:22].max() <= 2
    assert error[15:45, 78:80].max() <= 2
    assert error.max() <= 8


def test_an_outlier_on_the_rim_does_not_colour_the_fill():
    image = np.full((60, 100, 3), (120, 150, 210), np.uint8)  # a sky ...
    mask = np.zeros((60, 100), np.bool_)
    mask[15:45, 20:80] = True
    image[45:49, 44:50] = 20  # ... and a foot that the mask missed
    fill = np.full_like(image, (110, 140, 200))

    result = paste(image, fill, mask)

    away = mask.copy()
    away[38:, 38:56] = False  # a few px from the foot
    assert np.abs(result[away].astype(int) - (120, 150, 210)).max() <= 2


def test_a_fill_that_meets_the_photo_is_taken_as_it_is(rng):
    image = rng.integers(0, 256, (31, 47, 3)).astype(np.uint8)
    mask = np.zeros((31, 47), np.bool_)
    mask[8:20, 10:30] = True
    fill = np.where(mask[..., None], rng.integers(0, 256, image.shape), image).astype(np.uint8)
    np.testing.assert_array_equal(paste(image, fill, mask), fill)


def test_where_contrasts_meet_the_seam_has_no_colours_of_its_own():
    stripes = np.where(np.arange(60) % 2 == 0, 50, 200)[:, None, None]
    image = np.broadcast_to(stripes, (60, 80, 3)).astype(np.uint8)
    mask = np.zeros((60, 80), np.bool_)
    mask[15:45, 20:60] = True
    result = paste(image, 250 - image, mask)  # dark meets bright
    assert result.min() >= 40
    assert result.max() <= 210


def test_a_full_mask_takes_the_fill_an_empty_one_the_photo(rng):
    image, fill = rng.integers(0, 256, (2, 9, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(paste(image, fill, np.ones((9, 5), np.bool_)), fill)
    np.testing.assert_array_equal(paste(image, fill, np.zeros((9, 5), np.bool_)), image)


def test_a_corrected_fill_stays_in_range():
    image = np.full((20, 20, 3), 250, np.uint8)
    mask = np.zeros((20, 20), np.bool_)
    mask[6:14, 6:14] = True
    fill = np.full((20, 20, 3), 150, np.uint8)
    fill[8:12, 8:12] = 240  # 340 after the correction
    result = paste(image, fill, mask)
    assert result[6:14, 6:14].min() >= 249
    assert (result[8:12, 8:12] == 255).all()


# --- pull_push

fields = SIZES_HW.flatmap(
    lambda hw: st.tuples(
        arrays(np.int8, (*hw, 2)).map(lambda drawn: drawn.astype(np.float32) * 0.77),
        arrays(np.bool_, hw),
    )
)


@given(drawn=fields)
def test_membrane_keeps_known_values_and_stays_between_them(drawn):
    difference, known = drawn
    before = difference.copy()

    field = pull_push(difference, known)

    assert (field.shape, field.dtype) == (difference.shape, np.float32)
    np.testing.assert_array_equal(field[known], difference[known])
    if known.any():
        low, high = difference[known].min(axis=0), difference[known].max(axis=0)
        assert (field >= low - 0.01).all()
        assert (field <= high + 0.01).all()
    else:
        assert (field == 0).all()
    np.testing.assert_array_equal(difference, before, err_msg="the input was modified")


@given(drawn=fields, seed=st.integers(0, 99))
def test_membrane_does_not_look_at_unknown_values(drawn, seed):
    difference, known = drawn
    other = difference.copy()
    other[~known] = np.random.default_rng(seed).normal(0, 50, ((~known).sum(), 2))
    np.testing.assert_array_equal(pull_push(other, known), pull_push(difference, known))


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (37, 1), (64, 64), (33, 91)])
def test_membrane_continues_a_constant_from_a_single_pixel(size_hw):
    known = np.zeros(size_hw, np.bool_)
    known[size_hw[0] // 2, size_hw[1] // 3] = True
    difference = np.full((*size_hw, 3), (7, -11, 0.5), np.float32)
    np.testing.assert_allclose(pull_push(difference, known), difference, atol=1e-4)


def test_membrane_goes_smoothly_from_one_side_to_the_other():
    difference = np.zeros((40, 64, 1), np.float32)
    difference[:, -2:] = 60
    known = np.zeros((40, 64), np.bool_)
    known[:, :2] = known[:, -2:] = True

    middle = pull_push(difference, known)[20, :, 0]

    assert np.abs(np.diff(middle)).max() < 8
    assert middle[8] < 15
    assert middle[32] == pytest.approx(30, abs=6)
    assert middle[55] > 45
    np.testing.assert_allclose(middle + middle[::-1], 60, atol=2)


def test_a_large_fill_meets_the_photo_as_a_small_one_does():
    """Above the largest field the shift is worked out in cells: an offset must still vanish."""
    photo = np.full((1500, 1600, 3), 120, np.uint8)
    fill = np.full_like(photo, 133)
    mask = np.zeros((1500, 1600), np.bool_)
    mask[101:1400, 203:1500] = True
    result = paste(photo, fill, mask)
    assert np.abs(result.astype(int) - 120).max() <= 1
