"""What repeats around a hole goes on in it; nothing else changes."""

import cv2
import numpy as np
import pytest

from cleanplate.inpainting.repetition import repeat_surroundings

SIZE_HW = (240, 320)
DOWN, ACROSS = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32)


@pytest.fixture
def hole():
    """Return an ellipse in the middle."""
    return ((DOWN - 120) / 55) ** 2 + ((ACROSS - 160) / 30) ** 2 < 1


def facade(rng, scale=1):
    """Return a wall in slanting light, with a window every 40 px across and every 48 px down."""
    height, width = (side * scale for side in SIZE_HW)
    down, across = np.mgrid[:height, :width] / scale
    wall = 150 + 0.1 * across[..., None] + np.array([20, 0, -20])
    in_window = (down % 48 > 16) & (across % 40 > 20)
    frame = in_window & ((across % 40 < 23) | (down % 48 < 19))
    colours = np.where(in_window[..., None], (50, 60, 80), wall)
    colours = np.where(frame[..., None], (230, 230, 225), colours)
    noisy = colours + rng.normal(0, 3, (height, width, 1))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def plate(photo, hole):
    return np.where(hole[..., None], np.uint8(110), photo)


def error(result, photo, hole):
    return float(np.abs(result.astype(np.float32) - photo)[hole].mean())


def from_the_front(photo):
    return photo


def at_a_slant(photo):
    """Return a facade that leads away to the right."""
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    aside = np.array(
        [[-30, -60], [width + 10, 60], [width + 10, height - 40], [-30, height + 60]], np.float32
    )
    matrix = cv2.getPerspectiveTransform(corners, aside)
    return cv2.warpPerspective(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(("seen", "most"), [(from_the_front, 10), (at_a_slant, 20)])
def test_windows_of_a_facade_go_on(hole, rng, seen, most, scale):
    photo = seen(facade(rng, scale))
    hole = cv2.resize(hole.view(np.uint8), photo.shape[1::-1]) > 0
    fill = plate(photo, hole)
    result = repeat_surroundings(fill, hole, ~hole)
    assert result is not None
    assert error(fill, photo, hole) > 40
    assert error(result.fill, photo, hole) < most
    assert not (result.rest & ~hole).any()
    assert result.rest.sum() < 0.1 * hole.sum()
    np.testing.assert_array_equal(result.fill[~hole], photo[~hole])


def test_nothing_is_copied_from_what_is_no_source(hole, rng):
    photo = facade(rng)
    kept = (ACROSS > 75) & (ACROSS < 125)
    photo[kept] = (255, 0, 0)
    fill = plate(photo, hole)
    result = repeat_surroundings(fill, hole, ~hole & ~kept)
    assert result is not None
    red = (result.fill[..., 0] > 240) & (result.fill[..., 1] < 40)
    assert not (red & hole & ~kept).any()


def no_structure(rng):
    return np.full((*SIZE_HW, 3), 140.0) + rng.normal(0, 3, (*SIZE_HW, 1))


def gravel(rng):
    return 128 + 300 * cv2.GaussianBlur(rng.normal(0, 1, (*SIZE_HW, 3)), (0, 0), 3)


def one_edge(rng):
    return np.where((DOWN < 100 + 0.2 * ACROSS)[..., None], 200.0, 60.0) + no_structure(rng) - 140


@pytest.mark.parametrize("make", [no_structure, gravel, one_edge])
def test_nothing_is_repeated_where_nothing_repeats(hole, rng, make):
    photo = np.clip(make(rng), 0, 255).astype(np.uint8)
    fill = plate(photo, hole)
    assert repeat_surroundings(fill, hole, ~hole) is None


@pytest.mark.parametrize("sources", [np.zeros(SIZE_HW, np.bool_), np.ones(SIZE_HW, np.bool_)])
def test_without_a_hole_or_a_source_nothing_is_repeated(hole, rng, sources):
    photo = facade(rng)
    assert repeat_surroundings(photo, hole & ~sources, sources) is None


def test_a_hole_that_is_most_of_a_photo_is_no_problem(rng):
    photo = cv2.resize(facade(rng), (480, 480))
    hole = np.ones((480, 480), np.bool_)
    hole[:, :150] = False
    result = repeat_surroundings(plate(photo, hole), hole, ~hole)
    assert result is None or not (result.rest & ~hole).any()
