"""Where windows and tiles lie: worked out by hand, and what holds for any mask."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label as connected_parts

from cleanplate.ops.tiling import Window, cover_boxes, disjoint_rounds, plan_windows, tile_spans


@st.composite
def holed(draw, longest: int = 90, most: int = 6) -> np.ndarray:
    """Draw a mask of some rectangles with bitten corners; they may touch, overlap or be 1 px."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    mask = np.zeros((height, width), np.bool_)
    for _ in range(draw(st.integers(0, most))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom = draw(st.integers(top + 1, min(height, top + 30)))
        right = draw(st.integers(left + 1, min(width, left + 30)))
        mask[top:bottom, left:right] = True
        if bottom - top > 2 and right - left > 2:
            mask[top, left] = False
    return mask


plans = {
    "mask": holed(),
    "context": st.floats(0, 2),
    "min_size": st.integers(1, 64),
    "join": st.floats(0, 1),
}


def mask_with(size_hw, *boxes) -> np.ndarray:
    mask = np.zeros(size_hw, np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


# --- plan_windows


@given(**plans)
def test_every_hole_is_whole_in_exactly_one_window(mask, context, min_size, join):
    before = mask.copy()
    windows = plan_windows(mask, context=context, min_size=min_size, join=join)

    times = np.zeros(mask.shape, int)
    for window in windows:
        assert window.mask.any()
        times[window.slices] += window.mask
    np.testing.assert_array_equal(times, mask.astype(int))
    parts = connected_parts(mask, connectivity=2)
    for number in range(1, parts.max() + 1):
        holders = [w for w in windows if (w.mask & (parts[w.slices] == number)).any()]
        assert len(holders) == 1
        assert (holders[0].mask & (parts[holders[0].slices] == number)).sum() == np.count_nonzero(
            parts == number
        )
    np.testing.assert_array_equal(mask, before, err_msg="the input was modified")


@given(**plans)
def test_windows_lie_in_the_photo_and_are_square_where_it_allows(mask, context, min_size, join):
    height, width = mask.shape
    for window in plan_windows(mask, context=context, min_size=min_size, join=join):
        left, top, right, bottom = window.box_xyxy
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        across, down = right - left, bottom - top
        assert window.mask.shape == (down, across)
        assert across == down or (across < down and across == width) or (down < across)
        if down < across:
            assert down == height
        assert max(across, down) >= min(min_size, height, width)


@given(**plans)
def test_windows_have_their_context_where_the_photo_allows(mask, context, min_size, join):
    short_side = min(mask.shape)
    for window in plan_windows(mask, context=context, min_size=min_size, join=join):
        rows, columns = np.nonzero(window.mask)
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        speck_px = min_size / 8
        longest = cv2.connectedComponentsWithStats(window.mask.view(np.uint8))[2][1:, 2:4].max()
        around = speck_px if longest <= speck_px else context * np.sqrt(tall * wide)
        wanted = max(tall, wide) + 2 * around
        assert max(window.mask.shape) >= min(wanted, short_side)


@given(**plans)
def test_larger_groups_come_first(mask, context, min_size, join):
    windows = plan_windows(mask, context=context, min_size=min_size, join=join)
    areas = [int(window.mask.sum()) for window in windows]
    assert areas == sorted(areas, reverse=True)


def test_no_hole_no_window():
    assert plan_windows(np.zeros((5, 7), np.bool_), context=1, min_size=8, join=0.5) == []


def test_a_hole_in_the_middle_has_its_context_on_each_side():
    mask = mask_with((200, 300), (140, 90, 160, 110))
    (window,) = plan_windows(mask, context=1, min_size=8, join=0.5)
    assert window.box_xyxy == (120, 70, 180, 130)
    assert window.slices == (slice(70, 130), slice(120, 180))


def test_context_is_a_share_of_the_mean_side():
    mask = mask_with((400, 400), (195, 160, 205, 250))  # 10 x 90: mean side 30
    (window,) = plan_windows(mask, context=1, min_size=8, join=0.5)
    assert window.box_xyxy == (125, 130, 275, 280)


def test_a_window_is_never_smaller_than_the_least():
    (window,) = plan_windows(
        mask_with((200, 300), (150, 100, 151, 101)), context=1, min_size=64, join=0.5
    )
    left, top, right, bottom = window.box_xyxy
    assert (right - left, bottom - top) == (64, 64)
    assert abs(left + 32 - 150) <= 1
    assert abs(top + 32 - 100) <= 1


def test_a_window_at_the_border_moves_inwards():
    mask = mask_with((200, 300), (280, 0, 300, 20))
    (window,) = plan_windows(mask, context=1, min_size=8, join=0.5)
    assert window.box_xyxy == (240, 0, 300, 60)


def test_a_window_larger_than_the_photo_is_cut_to_it():
    (wide,) = plan_windows(mask_with((20, 500), (200, 0, 300, 20)), context=1, min_size=8, join=0.5)
    assert wide.box_xyxy[1::2] == (0, 20)
    assert wide.box_xyxy[0] <= 200
    assert wide.box_xyxy[2] >= 300
    (whole,) = plan_windows(np.ones((7, 3), np.bool_), context=1, min_size=64, join=0.5)
    assert whole.box_xyxy == (0, 0, 3, 7)


def test_far_holes_have_windows_of_their_own():
    mask = mask_with((400, 900), (50, 50, 90, 90), (700, 300, 720, 320))
    windows = plan_windows(mask, context=1, min_size=8, join=0.15)
    assert [window.box_xyxy for window in windows] == [(10, 10, 130, 130), (680, 280, 740, 340)]


def test_near_holes_share_a_window():
    mask = mask_with((400, 900), (400, 100, 440, 140), (443, 100, 450, 140))
    (window,) = plan_windows(mask, context=1, min_size=8, join=0.15)
    np.testing.assert_array_equal(window.mask, mask[window.slices])


def test_nearness_is_measured_by_the_larger_holes_side():
    apart = {"context": 1, "min_size": 8}
    six_px = mask_with((400, 900), (400, 100, 440, 140), (446, 100, 450, 140))
    assert len(plan_windows(six_px, join=0.15, **apart)) == 1
    seven_px = mask_with((400, 900), (400, 100, 440, 140), (447, 100, 450, 140))
    assert len(plan_windows(seven_px, join=0.15, **apart)) == 2


def test_near_holes_whose_common_window_would_be_coarse_stay_apart():
    boxes = [(left, 900, left + 200, 1100) for left in range(300, 1500, 210)]
    windows = plan_windows(mask_with((2000, 3000), *boxes), context=1, min_size=8, join=0.15)
    assert len(windows) == len(boxes)
    assert {window.mask.shape for window in windows} == {(600, 600)}


def test_a_long_row_of_near_holes_is_not_filled_in_one_coarse_window():
    alone = mask_with((2000, 3000), (300, 900, 360, 1100))
    row = mask_with((2000, 3000), *((x, 900, x + 60, 1100) for x in range(300, 1700, 70)))
    plans = [plan_windows(mask, context=1, min_size=8, join=0.15) for mask in (alone, row)]
    own, together = (max(window.mask.shape[0] for window in plan) for plan in plans)
    assert together < 2 * own


def test_specks_share_windows_that_are_not_larger_for_it(rng):
    mask = np.zeros((1200, 1600), np.bool_)
    mask.ravel()[rng.choice(mask.size, 2000, replace=False)] = True
    windows = plan_windows(mask, context=0.7, min_size=256, join=0.15)
    assert len(windows) < 100
    assert max(max(window.mask.shape) for window in windows) <= 1.35 * 256
    apart = [(100, 100, 132, 132), (200, 100, 232, 132), (300, 100, 333, 132)]
    windows = plan_windows(mask_with((600, 600), *apart), context=0.7, min_size=256, join=0.15)
    assert sorted(np.count_nonzero(it.mask) for it in windows) == [33 * 32, 2 * 32 * 32]


def test_a_row_of_near_specks_has_photo_around_it():
    row = mask_with((1200, 1600), *((x, 600, x + 32, 612) for x in range(300, 530, 35)))
    (window,) = plan_windows(row, context=0.7, min_size=256, join=0.15)
    columns = np.flatnonzero(window.mask.any(axis=0))
    assert min(columns[0], window.mask.shape[1] - 1 - columns[-1]) >= 31


def test_a_neighbours_hole_is_not_the_windows_own():
    mask = mask_with((300, 300), (100, 100, 140, 140), (160, 100, 165, 105))
    large, small = plan_windows(mask, context=1, min_size=100, join=0.15)
    assert large.mask.sum() == 1600
    assert small.mask.sum() == 25
    assert mask[large.slices].sum() == 1625


# --- tile_spans


@given(
    cells=st.integers(1, 200),
    largest=st.integers(2, 30),
    overlap=st.integers(0, 29),
    multiple=st.sampled_from([1, 8, 32]),
)
def test_tiles_cover_are_equal_overlap_and_lie_on_multiples(cells, largest, overlap, multiple):
    overlap = min(overlap, largest - 1)
    length, largest_px, overlap_px = cells * multiple, largest * multiple, overlap * multiple

    spans = tile_spans(length, largest=largest_px, overlap=overlap_px, multiple=multiple)

    assert (spans[0][0], spans[-1][1]) == (0, length)
    assert len({end - start for start, end in spans}) == 1
    assert spans[0][1] <= max(largest_px, min(length, largest_px))
    assert all(edge % multiple == 0 for span in spans for edge in span)
    for (start, end), (next_start, _) in itertools.pairwise(spans):
        assert start < next_start
        assert end - next_start >= overlap_px
    # One tile less could not do it.
    assert len(spans) == 1 or (
        length > (len(spans) - 1) * largest_px - (len(spans) - 2) * overlap_px
    )


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (32, [(0, 32)]),
        (768, [(0, 768)]),
        (800, [(0, 480), (320, 800)]),
        (1024, [(0, 576), (448, 1024)]),
        (2048, [(0, 768), (640, 1408), (1280, 2048)]),
    ],
)
def test_tiles_worked_out_by_hand(length, spans):
    assert tile_spans(length, largest=768, overlap=128, multiple=32) == spans


# --- cover_boxes


@st.composite
def boxed(draw):
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    boxes = []
    for _ in range(draw(st.integers(0, 8))):
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        right = draw(st.integers(left + 1, width))
        bottom = draw(st.integers(top + 1, height))
        boxes.append((left, top, right, bottom))
    return (height, width), boxes


@given(photo=boxed(), tile=st.integers(1, 120), margin=st.integers(0, 20))
def test_tiles_hold_every_box_that_fits_with_its_margin(photo, tile, margin):
    size_hw, boxes = photo
    tiles = cover_boxes(boxes, size_hw, tile, margin)

    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= size_hw[1]
        assert 0 <= top < bottom <= size_hw[0]
        assert max(right - left, bottom - top) <= tile
    for left, top, right, bottom in boxes:
        near = (
            max(0, left - margin),
            max(0, top - margin),
            min(size_hw[1], right + margin),
            min(size_hw[0], bottom + margin),
        )
        fits = max(near[2] - near[0], near[3] - near[1]) <= tile
        held = any(
            t[0] <= near[0] and t[1] <= near[1] and near[2] <= t[2] and near[3] <= t[3]
            for t in tiles
        )
        assert held or not fits


@given(photo=boxed(), margin=st.integers(0, 20))
def test_sharing_tiles_costs_no_more_area_than_a_tile_for_each(photo, margin):
    size_hw, boxes = photo
    alone = [cover_boxes([box], size_hw, 120, margin) for box in boxes]
    together = cover_boxes(boxes, size_hw, 120, margin)
    assert total_area(together) <= sum(total_area(tiles) for tiles in alone)


def total_area(boxes) -> int:
    return sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)


def test_near_boxes_share_a_tile():
    boxes = [(300, 300, 310, 310), (10, 10, 40, 40), (20, 15, 50, 45)]
    assert sorted(cover_boxes(boxes, (400, 400), 100, 5)) == [
        (5, 5, 55, 50),
        (295, 295, 315, 315),
    ]


def test_a_box_that_is_too_large_is_left_out():
    assert cover_boxes([(0, 0, 101, 5), (0, 0, 5, 5)], (400, 400), 100, 0) == [(0, 0, 5, 5)]
    assert cover_boxes([], (400, 400), 100, 0) == []


# --- disjoint_rounds


def overlap(first, second):
    canvas = np.zeros((90, 90), np.int64)
    for window in (first, second):
        canvas[window.slices] += 1
    return canvas.max() == 2


@given(
    corners=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 30), st.integers(1, 30)),
        max_size=12,
    )
)
def test_rounds_change_nothing_but_who_is_filled_together(corners):
    windows = [
        Window((left, top, left + width, top + height), np.ones((height, width), np.bool_))
        for left, top, width, height in corners
    ]
    rounds = disjoint_rounds(windows)
    assert sorted(map(id, itertools.chain(*rounds))) == sorted(map(id, windows))
    for together in rounds:
        assert together
        assert not any(overlap(*pair) for pair in itertools.combinations(together, 2))
    number = {id(window): n for n, together in enumerate(rounds) for window in together}
    for earlier, later in itertools.combinations(windows, 2):
        if overlap(earlier, later):
            assert number[id(earlier)] < number[id(later)]
    # None waits for nothing: each has one before it that it had to wait for.
    for n, together in enumerate(rounds[1:]):
        assert all(any(overlap(window, other) for other in rounds[n]) for window in together)


def test_windows_that_only_touch_are_filled_together():
    windows = [Window((left, 0, left + 10, 10), np.ones((10, 10), np.bool_)) for left in (0, 10, 5)]
    assert disjoint_rounds(windows) == [windows[:2], windows[2:]]
