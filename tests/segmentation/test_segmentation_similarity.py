"""How grey levels agree under a transform, and how it is mended."""

import cv2
import numpy as np
import pytest

from cleanplate.ops.geometry import convex_outline, scaling, transform_points, translation
from cleanplate.segmentation.by_example.similarity import (
    Template,
    agreement,
    align,
    colour_similarity,
    visible_fraction,
)


@pytest.fixture
def face(cat):
    part = np.ascontiguousarray(cat[50:270, 120:340])
    mask = np.zeros(part.shape[:2], np.bool_)
    cv2.ellipse(mask.view(np.uint8), (110, 110), (90, 100), 0, 0, 360, 1, -1)
    return Template(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), part, mask, convex_outline(mask))


@pytest.fixture
def photo(cat):
    return cv2.cvtColor(cat, cv2.COLOR_RGB2GRAY)


HERE = translation(120, 50)


def test_the_thing_itself_agrees_and_another_place_does_not(face, photo):
    assert agreement(face, photo, HERE) > 0.9
    assert agreement(face, photo, translation(20, 10)) < 0.25


@pytest.mark.parametrize(("gain", "shift"), [(0.5, 0), (0.7, 60), (1.0, -20)])
def test_brightness_and_contrast_do_not_matter(face, photo, gain, shift):
    changed = np.clip(photo * gain + shift, 0, 255).astype(np.uint8)
    assert agreement(face, changed, HERE) > 0.8


def test_a_negative_does_not_agree(face, photo):
    assert agreement(face, 255 - photo, HERE) < 0.05


def test_what_is_hidden_is_missing_and_no_more(face, photo, rng):
    photo[50:160] = rng.integers(0, 256, (110, photo.shape[1]))  # the upper half
    assert 0.35 < agreement(face, photo, HERE) < 0.65


def test_a_flat_photo_or_none_at_all_does_not_agree(face, photo):
    assert agreement(face, np.full_like(photo, 128), HERE) < 0.05
    assert agreement(face, photo, translation(5000, 0)) == 0


def test_a_transform_is_mended_to_less_than_a_pixel(face, photo):
    rough = np.array([[1.01, 0.01, 122.0], [-0.01, 0.99, 49.0], [0, 0, 1]])
    for perspective in (False, True):
        fine = align(face, photo, rough, perspective=perspective)
        apart = transform_points(fine, face.outline) - transform_points(HERE, face.outline)
        assert np.hypot(*apart.T).max() < 1
        assert agreement(face, photo, fine) > agreement(face, photo, rough)


def test_alignment_holds_where_the_thing_is_smaller(face, photo):
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    truth = scaling(0.5) @ HERE
    fine = align(face, small, translation(1.5, -1) @ truth, perspective=False)
    assert (
        np.hypot(
            *(transform_points(fine, face.outline) - transform_points(truth, face.outline)).T
        ).max()
        < 0.7
    )


def test_alignment_outside_of_the_photo_changes_nothing(face, photo):
    away = translation(5000, 0)
    np.testing.assert_array_equal(align(face, photo, away, perspective=True), away)


def test_the_visible_share_counts_the_outline(face, photo):
    assert visible_fraction(face, photo.shape, HERE) == pytest.approx(1)
    left, top = face.outline.min(axis=0)
    width = np.ptp(face.outline[:, 0])
    half = translation(-left - width / 2 - 0.5, -top)
    assert visible_fraction(face, photo.shape, half) == pytest.approx(0.5, abs=0.02)
    assert visible_fraction(face, photo.shape, translation(5000, 0)) == 0


def plain(ground, colour, centre=(230, 150)):
    """Return a photo with a disc, and the disc as a thing with its place."""
    image = ground.copy()
    cv2.circle(image, centre, 40, colour, -1, cv2.LINE_AA)
    left, top = centre[0] - 50, centre[1] - 50
    part = np.ascontiguousarray(image[top : top + 100, left : left + 100])
    mask = np.zeros(part.shape[:2], np.bool_)
    cv2.circle(mask.view(np.uint8), (50, 50), 40, 1, -1)
    thing = Template(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), part, mask, convex_outline(mask))
    return image, thing, translation(left, top)


def test_a_plain_thing_matches_by_its_colour_and_no_other_does(cat, coffee):
    _, thing, onto = plain(cat, (200, 30, 30))
    same, _, _ = plain(coffee, (200, 30, 30))
    other, _, _ = plain(coffee, (30, 120, 200))
    assert colour_similarity(thing, same, onto) > 0.9
    assert colour_similarity(thing, (same * 0.8).astype(np.uint8), onto) > 0.8
    assert colour_similarity(thing, other, onto) < 0.05
    assert colour_similarity(thing, coffee, onto) < 0.05
    assert colour_similarity(thing, same, translation(5000, 0)) == 0


def test_a_wall_of_the_same_colour_is_no_plain_thing(cat):
    _, thing, onto = plain(cat, (200, 30, 30))
    wall = np.full_like(cat, (200, 30, 30))
    assert colour_similarity(thing, wall, onto) < 0.2
