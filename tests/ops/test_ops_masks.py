"""Operations on masks: small arrays worked out by hand, and what holds for any mask."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.ops.masks import (
    bounding_box,
    clearest_column,
    components_touching,
    default_dilation_px,
    dilate,
    dilate_instance,
    drop_specks,
    fill_holes,
    subtract,
    union,
)
from cleanplate.types import Instance

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))
radii = st.floats(0, 9, allow_nan=False)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def distances_to(mask: np.ndarray) -> np.ndarray:
    """Return the distance of every pixel to the nearest True one, by trying them all."""
    down, across = np.indices(mask.shape)
    ys, xs = np.nonzero(mask)
    return np.sqrt((down[..., None] - ys) ** 2 + (across[..., None] - xs) ** 2).min(axis=-1)


# --- fill_holes


def test_fill_holes_closes_what_is_enclosed_and_leaves_bays_and_borders_open():
    mask = drawn(
        "####...",
        "#..#.##",
        "####.#.",  # the gap at the right border is open
        ".....##",
        "###....",
        "#.#....",
        "#.#....",  # a bay that opens downwards
    )
    expected = mask.copy()
    expected[1, 1:3] = True
    np.testing.assert_array_equal(fill_holes(mask), expected)


def test_a_gap_that_leaks_only_over_a_corner_is_closed():
    # The mask is 8-connected, so its gaps are 4-connected.
    mask = drawn("..#..", ".#.#.", "..#..")
    expected = mask.copy()
    expected[1, 2] = True
    np.testing.assert_array_equal(fill_holes(mask), expected)


@pytest.mark.parametrize(("largest_px", "closed"), [(0, 0), (1, 1), (3, 1), (4, 5), (None, 5)])
def test_larger_gaps_stay_open(largest_px, closed):
    mask = drawn("#######", "#.#..##", "###..##", "#######")
    filled = fill_holes(mask, largest_px=largest_px)
    assert np.count_nonzero(filled & ~mask) == closed


@given(mask=masks)
def test_fill_holes_only_adds_and_is_done_after_one_go(mask):
    before = mask.copy()
    filled = fill_holes(mask)
    assert (filled.shape, filled.dtype) == (mask.shape, np.bool_)
    assert (filled | mask == filled).all()
    np.testing.assert_array_equal(fill_holes(filled), filled)
    np.testing.assert_array_equal(mask, before, err_msg="the input was modified")
    assert not np.shares_memory(filled, mask)


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_stay_as_they_are(value):
    mask = np.full((3, 5), value)
    np.testing.assert_array_equal(fill_holes(mask), mask)
    np.testing.assert_array_equal(drop_specks(mask, least_px=2), mask)
    np.testing.assert_array_equal(dilate(mask, 2), mask)


# --- drop_specks


@pytest.mark.parametrize(
    ("least_px", "kept"), [(0, "abc"), (1, "abc"), (2, "bc"), (3, "bc"), (4, "c"), (7, "")]
)
def test_drop_specks_keeps_parts_of_at_least_so_many_pixels(least_px, kept):
    parts = {
        "a": drawn("#.......", "........", "........"),
        "b": drawn("........", ".#......", "#.#....."),  # connected over corners
        "c": drawn(".....###", ".....###", "........"),
    }
    mask = parts["a"] | parts["c"]
    mask[1:] |= parts["b"][1:]
    mask[0, 0] = False
    mask[0, 3] = True  # "a" apart from "b"
    parts["a"] = drawn("...#....", "........", "........")

    expected = np.zeros_like(mask)
    for name in kept:
        expected |= parts[name]

    np.testing.assert_array_equal(drop_specks(mask, least_px=least_px), expected)


@given(mask=masks, least_px=st.integers(0, 30))
def test_drop_specks_only_takes_away(mask, least_px):
    before = mask.copy()
    kept = drop_specks(mask, least_px=least_px)
    assert (kept.shape, kept.dtype) == (mask.shape, np.bool_)
    assert (kept & mask == kept).all()
    np.testing.assert_array_equal(mask, before, err_msg="the input was modified")
    assert not np.shares_memory(kept, mask)


# --- grow


def test_grow_draws_a_disc_not_a_square():
    mask = np.zeros((7, 7), np.bool_)
    mask[3, 3] = True
    expected = drawn(
        ".......",
        "...#...",
        "..###..",
        ".#####.",
        "..###..",
        "...#...",
        ".......",
    )
    np.testing.assert_array_equal(dilate(mask, 2), expected)
    assert np.count_nonzero(dilate(mask, 1)) == 5
    assert np.count_nonzero(dilate(mask, math.sqrt(2))) == 9
    assert np.count_nonzero(dilate(mask, 0.99)) == 1


@given(mask=masks, radius_px=radii)
def test_grow_takes_what_is_within_the_euclidean_radius(mask, radius_px):
    assume(mask.any())
    distance = distances_to(mask)
    assume(np.abs(distance - radius_px).min() > 1e-3 or radius_px == 0)
    before = mask.copy()

    grown = dilate(mask, radius_px)

    np.testing.assert_array_equal(grown, distance <= radius_px)
    np.testing.assert_array_equal(mask, before, err_msg="the input was modified")
    assert not np.shares_memory(grown, mask)


@given(mask=masks, radius_px=st.integers(0, 9))
def test_grow_takes_what_is_exactly_at_a_whole_radius(mask, radius_px):
    assume(mask.any())
    np.testing.assert_array_equal(dilate(mask, radius_px), distances_to(mask) <= radius_px)


@given(mask=masks, smaller=radii, larger=radii)
def test_grow_contains_the_mask_and_rises_with_the_radius(mask, smaller, larger):
    smaller, larger = sorted((smaller, larger))
    less, more = dilate(mask, smaller), dilate(mask, larger)
    assert (mask <= less).all()
    assert (less <= more).all()


@given(mask=masks, other=st.data(), radius_px=radii)
def test_grow_of_a_larger_mask_is_larger(mask, other, radius_px):
    added = mask | other.draw(hnp.arrays(np.bool_, mask.shape))
    assert (dilate(mask, radius_px) <= dilate(added, radius_px)).all()


@pytest.mark.parametrize("radius_px", [-1, -0.001])
def test_a_negative_radius_is_refused(radius_px):
    with pytest.raises(InputError, match=f"radius_px must be at least 0, got {radius_px}"):
        dilate(np.ones((2, 2), np.bool_), radius_px)


# --- union, bounding_box


def test_merge_puts_every_mask_into_its_box():
    first = ((0, 0, 2, 2), drawn("##", "#."))
    second = ((1, 0, 4, 2), drawn("..#", "#.."))
    np.testing.assert_array_equal(union([first, second], (3, 5)), drawn("##.#.", "##...", "....."))
    np.testing.assert_array_equal(union([], (3, 5)), np.zeros((3, 5), np.bool_))


def test_box_of_is_tight_and_exclusive_at_right_and_bottom():
    mask = drawn(".....", "..#..", ".#...", ".....")
    assert bounding_box(mask) == (1, 1, 3, 3)
    assert bounding_box(mask, pad_px=1) == (0, 0, 4, 4)
    assert bounding_box(mask, pad_px=9) == (0, 0, 5, 4)
    assert bounding_box(np.ones((1, 1), np.bool_)) == (0, 0, 1, 1)


def test_an_empty_mask_has_no_box():
    with pytest.raises(InputError, match="the mask is empty: it has no box"):
        bounding_box(np.zeros((3, 4), np.bool_))


# --- dilate_instance


def test_the_margin_scales_with_the_object_and_has_a_least():
    tiny = Instance(1, "cat", 1.0, (0, 0, 1, 1), np.ones((1, 1), np.bool_))
    large = Instance(1, "cat", 1.0, (0, 0, 400, 400), np.ones((400, 400), np.bool_))
    huge = Instance(1, "cat", 1.0, (0, 0, 800, 800), np.ones((800, 800), np.bool_))
    assert 2 <= default_dilation_px(tiny) < 3
    assert 6 < default_dilation_px(large) < 30
    assert default_dilation_px(huge) - 2 == pytest.approx(2 * (default_dilation_px(large) - 2))


def test_cut_off_takes_away_what_is_kept_and_tightens_the_box():
    kept = np.zeros((20, 30), np.bool_)
    kept[:, 8:] = True
    thing = Instance(1, "cat", 1.0, (4, 5, 14, 10), np.ones((5, 10), np.bool_))
    cut = subtract(thing, kept)
    assert (cut.box_xyxy, cut.mask.shape, cut.area_px) == ((4, 5, 8, 10), (5, 4), 20)
    assert subtract(thing, np.ones((20, 30), np.bool_)) is thing


def test_touching_keeps_whole_parts():
    mask = np.zeros((20, 30), np.bool_)
    mask[2:6, 2:6] = mask[10:15, 20:28] = True
    seeds = np.zeros_like(mask)
    seeds[5, 5] = seeds[0, 29] = True
    held = components_touching(mask, seeds)
    np.testing.assert_array_equal(np.argwhere(held).max(axis=0), (5, 5))
    assert held.sum() == 16
    assert not components_touching(np.zeros_like(mask), seeds).any()


def test_shape_mask_fills_small_holes_drops_specks_and_grows():
    mask = np.zeros((40, 60), np.bool_)
    mask[:, :40] = True
    mask[10:12, 10:12] = False  # 4 px of 1,600: a flaw of the mask
    mask[20:32, 20:32] = False  # 144 px: true background
    mask[5, 55] = True  # one stray pixel
    instance = Instance(1, "cat", 1.0, (20, 30, 80, 70), mask)

    (left, top, right, bottom), shaped = dilate_instance(instance, (100, 120), 3)

    whole = np.zeros((100, 120), np.bool_)
    whole[top:bottom, left:right] = shaped
    expected = np.zeros((100, 120), np.bool_)
    expected[30:70, 20:60] = True
    expected[50:62, 40:52] = False
    np.testing.assert_array_equal(whole, distances_to(expected) <= 3)


@pytest.mark.parametrize("margin", [0, 2, 50])
def test_shape_mask_stays_in_the_photo(margin):
    instance = Instance(1, "cat", 1.0, (0, 8, 12, 10), np.ones((2, 12), np.bool_))
    (left, top, right, bottom), shaped = dilate_instance(instance, (10, 12), margin)
    assert 0 <= left < right <= 12
    assert 0 <= top < bottom <= 10
    assert shaped.shape == (bottom - top, right - left)
    assert shaped.sum() == min(10, 2 + margin) * 12


@given(data=st.data(), mask=masks, margin=st.floats(0, 12))
def test_shape_mask_keeps_small_objects_whole_and_stays_near(data, mask, margin):
    assume(mask.any())
    height, width = mask.shape
    room_hw = data.draw(st.tuples(st.integers(height, height + 9), st.integers(width, width + 9)))
    top = data.draw(st.integers(0, room_hw[0] - height))
    left = data.draw(st.integers(0, room_hw[1] - width))
    instance = Instance(1, "cat", 1.0, (left, top, left + width, top + height), mask)
    before = mask.copy()

    box, shaped = dilate_instance(instance, room_hw, margin)

    whole = union([(box, shaped)], room_hw)
    painted = np.zeros(room_hw, np.bool_)
    instance.paint_on(painted)
    # Below 500 px no part is small enough to be a speck.
    assert instance.area_px > 999 or (whole >= painted).all()
    assert (whole <= (distances_to(fill_holes(painted)) <= margin + 1e-3)).all()
    np.testing.assert_array_equal(mask, before, err_msg="the input was modified")


@pytest.mark.parametrize(
    ("columns", "clearest"), [((2, 3), 7), ((0, 9), 4), ((5,), 0), (range(10), 4)]
)
def test_the_clearest_column_of_a_panorama_is_farthest_from_a_mask(columns, clearest):
    mask = np.zeros((6, 10), np.bool_)
    mask[0, list(columns)] = True
    mask[1:, :4] = mask[1:, 5:] = len(columns) == 10
    assert clearest_column(mask) == clearest
