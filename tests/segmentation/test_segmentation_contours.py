"""Plain things, found by their edges."""

import cv2
import numpy as np
import pytest

from cleanplate.ops.geometry import convex_outline, scaling, transform_points, translation
from cleanplate.segmentation.by_example.contours import (
    directions,
    edge_length,
    edge_similarity,
    match_edges,
)
from cleanplate.segmentation.by_example.similarity import Template


def draw(image, centre, scale=1.0, strength=1.0):
    """Return a photo with a no-entry sign of 120 px times `scale`."""
    over = image.copy()
    cv2.circle(over, centre, round(60 * scale), (200, 30, 30), -1, cv2.LINE_AA)
    bar = np.array([40, 10]) * scale
    corners = np.array([np.array(centre) - bar, np.array(centre) + bar]).round().astype(int)
    cv2.rectangle(over, corners[0].tolist(), corners[1].tolist(), (255, 255, 255), -1)
    return cv2.addWeighted(over, strength, image, 1 - strength, 0)


@pytest.fixture
def sign(coffee):
    image = draw(coffee, (300, 200))[130:270, 230:370].copy()
    mask = np.zeros(image.shape[:2], np.bool_)
    cv2.circle(mask.view(np.uint8), (70, 70), 60, 1, -1)
    return Template(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), image, mask, convex_outline(mask))


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.6])
def test_a_plain_sign_is_among_the_places(sign, rocket, scale):
    photo = grey(draw(rocket, (420, 250), scale))
    truth = np.array([[scale, 0, 420 - 70 * scale], [0, scale, 250 - 70 * scale], [0, 0, 1]])
    places = match_edges(sign, photo, size=1.0)
    corners = transform_points(truth, sign.outline)
    apart = [
        np.hypot(*(transform_points(pose.transform, sign.outline) - corners).T).mean()
        for pose in places
    ]
    assert min(apart) < 8 * scale


def test_nothing_is_like_it_in_a_flat_photo(sign):
    assert match_edges(sign, np.full((300, 400), 90, np.uint8), size=1.0) == []


@pytest.mark.parametrize("size_hw", [(1, 1), (20, 400), (50, 50)])
def test_photos_smaller_than_the_sign_will_do(sign, size_hw):
    photo = np.full(size_hw, 90, np.uint8)
    photo[:, size_hw[1] // 2 :] = 200
    assert match_edges(sign, photo, size=1.0) == []


def test_a_half_transparent_sign_at_its_place_is_steady(sign, rocket):
    there = translation(250, 180)
    assert edge_similarity(sign, grey(draw(rocket, (320, 250), 1.0, 0.4)), there) > 0.4
    assert edge_similarity(sign, grey(rocket), there) < 0.3


def test_steadiness_holds_in_another_size_of_the_photo(sign, rocket):
    photo = draw(rocket, (320, 250))
    small = cv2.resize(photo, (480, 320), interpolation=cv2.INTER_AREA)
    onto = scaling(480 / 640, 320 / 427) @ translation(250, 180)
    same = edge_similarity(sign, grey(photo), translation(250, 180))
    assert edge_similarity(sign, grey(small), onto) == pytest.approx(same, abs=0.03)
    assert same > 0.3


def test_waves_that_run_alike_are_not_steady(rng):
    def waves(phase):
        rows = 128 + 60 * np.sin(np.arange(300)[:, None] / 5 + phase)
        return np.clip(rows + rng.normal(0, 6, (300, 400)), 0, 255).astype(np.uint8)

    part = np.ascontiguousarray(waves(0)[100:200, 150:250])
    mask = np.ones(part.shape, np.bool_)
    thing = Template(part, np.dstack([part] * 3), mask, convex_outline(mask))
    assert edge_similarity(thing, waves(0), translation(150, 100)) < 0.3


def test_a_blank_thing_has_no_slopes_and_is_nowhere(sign, rocket):
    flat = np.full_like(sign.luma, 100)
    blank = Template(flat, np.dstack([flat] * 3), sign.mask, sign.outline)
    assert edge_length(blank) < 1 < edge_length(sign)
    assert edge_similarity(blank, grey(rocket), translation(0, 0)) == 0
    assert match_edges(blank, grey(rocket), size=1.0) == []


def test_directions_know_neither_brightness_nor_contrast(rocket):
    luma = grey(rocket)
    one, other = directions(luma), directions((luma * 0.5 + 60).astype(np.uint8))
    strong = np.hypot(*np.moveaxis(one, 2, 0)) > 0.95
    assert strong.any()
    assert (one * other).sum(axis=2)[strong].mean() > 0.85
