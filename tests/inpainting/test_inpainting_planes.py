"""Planes in perspective are seen from the front: what is regular on them has one size."""

import cv2
import numpy as np
import pytest

from cleanplate.inpainting.planes import find_views
from cleanplate.ops import scaling, transform_points, translation, warp

SIZE_HW = (360, 480)
PERIOD_PX = 40
HOLE = np.zeros(SIZE_HW, np.bool_)
HOLE[100:260, 160:330] = True


def grid(size_hw=(900, 1200)):
    """Return a wall with a line every `PERIOD_PX`, both ways."""
    down, across = np.mgrid[: size_hw[0], : size_hw[1]]
    dark = (down % PERIOD_PX < 6) | (across % PERIOD_PX < 6)
    return np.where(dark[..., None], np.uint8(60), np.full(3, 190, np.uint8))


def seen_at_a_slant(lean):
    """Return a picture of the wall, (H, W, 3), and the transform from the wall to it."""
    width, height = SIZE_HW[1], SIZE_HW[0]
    wall = np.array([[300, 200], [900, 200], [900, 650], [300, 650]], np.float32)
    near = np.array(
        [[-40, -60], [width + 40, lean], [width + 40, height - lean], [-40, height + 60]],
        np.float32,
    )
    transform = cv2.getPerspectiveTransform(wall, near)
    return warp(grid(), transform, SIZE_HW), transform


@pytest.mark.parametrize("lean", [90, 110])
def test_the_lines_of_a_wall_are_straight_and_evenly_spaced_from_the_front(lean):
    picture, to_picture = seen_at_a_slant(lean)
    picture[HOLE] = 127
    views = find_views(picture, HOLE)
    assert views
    # Corners of the wall's squares that lie around the hole, in the view.
    step = np.arange(480, 721, PERIOD_PX)
    corners = np.stack(np.meshgrid(step, step - 150, indexing="ij"), axis=-1).reshape(-1, 2)
    at = transform_points(views[0].transform @ to_picture, corners).reshape(len(step), -1, 2)
    for axis in (0, 1):
        sides = np.linalg.norm(np.diff(at, axis=axis), axis=2)
        assert sides.std() < 0.03 * sides.mean()


def test_the_middle_of_the_hole_keeps_its_scale():
    picture, _ = seen_at_a_slant(110)
    view = find_views(picture, HOLE)[0]
    middle = np.argwhere(HOLE).mean(axis=0)[::-1]
    square = middle + np.array([[0, 0], [1, 0], [0, 1]])
    at = transform_points(view.transform, square)
    lengths = np.linalg.norm(at[1:] - at[0], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=0.25)
    assert (at[0] > 0).all()
    assert (at[0] < view.size_hw[::-1]).all()


def test_a_view_of_a_larger_picture_is_as_much_larger():
    picture, _ = seen_at_a_slant(110)
    view = find_views(picture, HOLE)[0]
    twice = view.scaled(2)
    point = np.array([[100.0, 90.0]])
    there = transform_points(scaling(2), transform_points(view.transform, point))
    np.testing.assert_allclose(
        transform_points(twice.transform, transform_points(scaling(2), point)), there, atol=1e-6
    )
    assert twice.size_hw == (2 * view.size_hw[0], 2 * view.size_hw[1])


def test_what_lies_beyond_the_horizon_is_not_in_front():
    # Paving: its rows are level, and everything that leads away meets on the horizon, 100 px down.
    to_picture = np.array([[1.0, 240 / 200, 0.0], [0.0, 100 / 200, 200.0], [0.0, 1 / 200, 1.0]])
    picture = warp(grid(), to_picture @ translation(-600, 0), SIZE_HW)
    picture[:105] = (120, 160, 220)
    hole = np.zeros(SIZE_HW, np.bool_)
    hole[150:190, 200:280] = True
    views = find_views(picture, hole)
    assert views
    points = np.array([[240.0, 170], [240, 300], [240, 40], [20, 90]])
    for view in views:
        assert view.in_front(points).tolist() == [True, True, False, False]


def no_edges(rng):
    return rng.integers(100, 140, (*SIZE_HW, 3))


def from_the_front(rng):
    return grid()[: SIZE_HW[0], : SIZE_HW[1]]


def one_direction(rng):
    return np.where((np.mgrid[: SIZE_HW[0], : SIZE_HW[1]][0] % 30 < 5)[..., None], 60, 190)


@pytest.mark.parametrize("make", [no_edges, from_the_front, one_direction])
def test_there_is_no_view_without_perspective(make, rng):
    picture = np.broadcast_to(make(rng), (*SIZE_HW, 3)).astype(np.uint8)
    assert find_views(picture, HOLE) == []


def test_a_hole_that_reaches_the_horizon_of_a_plane_has_no_view_of_it():
    picture, _ = seen_at_a_slant(172)
    everywhere = np.zeros(SIZE_HW, np.bool_)
    everywhere[20:340, 20:475] = True
    assert find_views(picture, everywhere) == []
