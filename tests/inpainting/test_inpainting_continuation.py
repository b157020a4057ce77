"""What the rim of a hole tells: lines go on, smooth surfaces stay smooth and keep their grain."""

import cv2
import numpy as np
import pytest

from cleanplate.inpainting import lines
from cleanplate.inpainting.continuation import continue_surroundings
from cleanplate.inpainting.lines import Line, find_lines

SIZE_HW = (200, 260)
DOWN, ACROSS = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32)


@pytest.fixture
def hole():
    """Return an ellipse in the middle."""
    return ((DOWN - 100) / 60) ** 2 + ((ACROSS - 130) / 50) ** 2 < 1


def with_grain(colours, rng, level=3.0):
    noise = cv2.GaussianBlur(rng.normal(0, 2 * level, SIZE_HW).astype(np.float32), (0, 0), 0.8)
    return np.clip(np.rint(colours + noise[..., None]), 0, 255).astype(np.uint8)


def two_surfaces(tilt, rng):
    """Return a dark surface below a bright one, and where the dark one should be."""
    below = 100 + tilt * (ACROSS - 130) < DOWN
    colours = np.where(below[..., None], (60, 70, 90), (180, 170, 150)).astype(np.float32)
    return with_grain(cv2.GaussianBlur(colours, (0, 0), 0.7), rng), below


def filled_with(photo, hole, colour):
    return np.where(hole[..., None], np.uint8(colour), photo)


@pytest.mark.parametrize("tilt", [0.0, 0.3, -0.7])
def test_a_straight_edge_goes_on_across_the_hole(hole, rng, tilt):
    photo, below = two_surfaces(tilt, rng)
    grey = filled_with(photo, hole, 120)
    result = continue_surroundings(grey, grey, hole).finish(grey)
    dark = cv2.GaussianBlur(result, (0, 0), 1)[..., 0] < 120
    wrong = (dark != below) & hole
    off_px = np.abs(DOWN - 100 - tilt * (ACROSS - 130)) / np.hypot(1, tilt)
    assert wrong.sum() < 100
    assert off_px[wrong].max(initial=0) <= 1.5  # the middle of a pixel beside the edge is 0.5 off
    np.testing.assert_array_equal(result[~hole], photo[~hole])


def test_a_wall_in_slanting_light_stays_smooth_and_keeps_its_grain(hole, rng):
    wall = 120 + 0.12 * ACROSS[..., None] + 0.05 * DOWN[..., None] + np.zeros(3, np.float32)
    photo = with_grain(wall, rng)
    plate = filled_with(photo, hole, 90)
    result = continue_surroundings(plate, plate, hole).finish(plate)
    inside = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
    even = cv2.GaussianBlur(result.astype(np.float32), (0, 0), 8)
    assert np.abs(even - wall)[inside].max() <= 3
    assert np.abs((result - wall)[inside].mean(axis=0)).max() <= 1
    grain = [
        (one - cv2.GaussianBlur(one, (0, 0), 2))[inside].std()
        for one in (result.astype(np.float32), photo.astype(np.float32))
    ]
    assert 0.7 < grain[0] / grain[1] < 1.3


def test_a_surface_that_is_rougher_than_the_photo_s_noise_is_left_to_texture(hole, rng):
    wall = np.full((*SIZE_HW, 3), 120, np.float32)
    rough = with_grain(wall, rng, level=2.0)
    photo = np.where((DOWN < 30)[..., None], with_grain(wall, rng, level=0.5), rough)
    plate = filled_with(photo, hole, 90)
    continued = continue_surroundings(plate, plate, hole)
    inside = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.abs(continued.guide(plate).astype(int) - 120)[inside].max() <= 4
    np.testing.assert_array_equal(continued.finish(rough), rough)


def test_a_branch_that_ends_at_a_hole_in_the_sky_leaves_no_haze(hole, rng):
    sky = np.full((*SIZE_HW, 3), (0, 110, 180), np.float32)
    photo = with_grain(sky, rng)
    photo[150:, 125:135] = 40
    blank = filled_with(photo, hole, (0, 110, 180))
    result = continue_surroundings(blank, blank, hole).finish(blank)
    even = cv2.GaussianBlur(result.astype(np.float32), (0, 0), 2)
    inside = hole & (DOWN < 140)
    assert np.abs(even - sky)[inside].max() < 8


def test_what_is_in_the_hole_has_no_influence(hole, rng):
    photo, _ = two_surfaces(0.3, rng)
    fill = filled_with(photo, hole, 120)
    first, second = (
        continue_surroundings(filled_with(photo, hole, colour), fill, hole).finish(fill)
        for colour in (0, 255)
    )
    np.testing.assert_array_equal(first, second)


def test_rough_surroundings_without_lines_are_left_to_others(hole, rng):
    blobs = cv2.GaussianBlur(rng.normal(0, 400, (*SIZE_HW, 3)).astype(np.float32), (0, 0), 4)
    photo = np.clip(128 + blobs, 0, 255).astype(np.uint8)
    assert continue_surroundings(photo, photo, hole) is None


@pytest.mark.parametrize("value", [False, True])
def test_without_a_hole_or_surroundings_nothing_is_continued(value):
    photo = np.zeros((*SIZE_HW, 3), np.uint8)
    assert continue_surroundings(photo, photo, np.full(SIZE_HW, value)) is None


def test_a_large_photo_is_continued_at_its_own_size(rng):
    photo, below = two_surfaces(0.0, rng)
    large = cv2.resize(photo, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    hole = np.zeros(large.shape[:2], np.bool_)
    hole[350:650, 500:800] = True
    grey = np.where(hole[..., None], np.uint8(120), large)
    result = continue_surroundings(grey, grey, hole).finish(grey)
    dark = cv2.GaussianBlur(result, (0, 0), 3)[..., 0] < 120
    expected = cv2.resize(below.view(np.uint8), None, fx=5, fy=5) > 0
    wrong_rows = ((dark != expected) & hole).any(axis=1)
    assert wrong_rows.sum() <= 5  # one row at the size at which lines are found
    np.testing.assert_array_equal(result[~hole], large[~hole])


def test_edges_of_other_colours_or_beside_each_other_are_not_joined(hole, rng):
    photo, _ = two_surfaces(0.0, rng)
    photo[:, 130:] = 255 - photo[:, 130:]  # what is dark on the left is bright on the right
    assert find_lines(np.where(hole[..., None], np.uint8(120), photo), hole) == []
    photo, _ = two_surfaces(0.0, rng)
    photo[:, 130:] = np.roll(photo[:, 130:], 20, axis=0)
    assert find_lines(np.where(hole[..., None], np.uint8(120), photo), hole) == []


def standing_on_a_floor(left, right, rng):
    """Return a floor, a wall, and something dark between two columns that stands on the floor."""
    photo, below = two_surfaces(0.0, rng)
    dark = (left <= ACROSS) & (right > ACROSS) & ~below
    photo[dark] = with_grain(np.full((*SIZE_HW, 3), (60, 30, 30), np.float32), rng)[dark]
    return photo, dark


def test_a_door_stands_on_the_line_that_goes_on(hole, rng):
    photo, door = standing_on_a_floor(95, 165, rng)
    grey = filled_with(photo, hole, 120)
    result = continue_surroundings(grey, grey, hole).finish(grey)
    beside_its_edges = hole & (np.minimum(abs(ACROSS - 95), abs(ACROSS - 165)) < 3) & (DOWN < 97)
    dark = cv2.GaussianBlur(result, (0, 0), 1)[..., 0] < 120
    assert (dark == door)[beside_its_edges].mean() > 0.9
    assert len(find_lines(grey, hole)) == 3


def test_a_pole_that_may_end_anywhere_is_not_continued(hole, rng):
    photo, _ = standing_on_a_floor(127, 133, rng)
    assert len(find_lines(filled_with(photo, hole, 120), hole)) == 1


def test_an_edge_between_two_walls_does_not_reach_a_kerb_of_one_colour(hole, rng):
    colours = np.where(ACROSS[..., None] < 130, (150, 140, 125), (166, 156, 141))
    colours = np.where(DOWN[..., None] < 55, colours, (158, 148, 133))  # gravel before them
    colours = np.where(DOWN[..., None] < 75, colours, (60, 60, 60)).astype(np.float32)
    photo = with_grain(cv2.GaussianBlur(colours, (0, 0), 0.7), rng, level=1.0)
    assert len(find_lines(filled_with(photo, hole, 120), hole)) == 1


def test_three_edges_of_a_room_meet_in_its_corner(hole, rng):
    floor = 0.3 * np.abs(ACROSS - 125) < DOWN - 110
    colours = np.where(ACROSS[..., None] < 125, (120, 110, 90), (90, 120, 190))
    colours = np.where(floor[..., None], (220, 215, 205), colours).astype(np.float32)
    grey = filled_with(with_grain(cv2.GaussianBlur(colours, (0, 0), 0.7), rng), hole, 120)
    lines = find_lines(grey, hole)
    assert len(lines) == 3
    for line in lines:
        np.testing.assert_allclose(line.end, (125, 110), atol=3)
    result = continue_surroundings(grey, grey, hole).finish(grey)
    assert (np.abs(result - colours).max(axis=2)[hole] < 40).mean() > 0.9


def test_lines_are_followed_in_pictures_wider_than_opencv_samples():
    image = np.full((80, 33_000, 3), 200, np.uint8)
    image[40:] = 60
    line = Line(np.array([32_800.0, 39.5]), np.array([32_900.0, 39.5]), (0.0, 0.0), (40.0, 40.0))
    strip = line.strip(image, np.zeros(image.shape[:2], np.bool_), at_end=True, scale=1.0)
    assert (strip[:, 0] == 200).all()
    assert (strip[:, -1] == 60).all()


def test_only_rays_that_face_each_other_are_compared(monkeypatch):
    photo = np.full((200, 200, 3), 128, np.uint8)
    photo[:, ::10] = photo[:, 1::10] = photo[:, 2::10] = 250
    mesh = np.zeros(photo.shape[:2], np.bool_)
    mesh[::40] = mesh[1::40] = mesh[2::40] = True
    compared, cost = [], lines._joining_cost
    monkeypatch.setattr(lines, "_joining_cost", lambda *rays: compared.append(rays) or cost(*rays))
    found = find_lines(photo, mesh)
    assert len(found) > 60
    assert len(compared) < 20 * len(found)
