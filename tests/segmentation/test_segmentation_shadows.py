"""Shadows and mirror images: taken where they are evident, and only there."""

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cleanplate.ops.masks import bounding_box
from cleanplate.segmentation.effects.shadows import find_effects
from cleanplate.types import Instance

SIZES_HW = st.tuples(st.integers(24, 80), st.integers(24, 80))


def ground(size_hw=(400, 500), seed=0):
    """Sand: a slope of brightness with a little grain."""
    slope = np.linspace(150, 190, size_hw[0])[:, None, None] * np.array([1.0, 0.93, 0.8])
    grain = np.random.default_rng(seed).normal(0, 3, (*size_hw, 1))
    return np.clip(slope + grain, 0, 255)


def standing(size_hw=(400, 500)):
    """A slim upright thing in the middle."""
    mask = np.zeros(size_hw, np.bool_)
    mask[120:240, 230:270] = True
    return mask


def instance_of(mask):
    left, top, right, bottom = bounding_box(mask)
    return Instance(1, "person", 0.9, (left, top, right, bottom), mask[top:bottom, left:right])


def traces_of(image, mask, objects=None):
    found = find_effects(
        np.clip(image, 0, 255).astype(np.uint8),
        instance_of(mask),
        mask if objects is None else objects,
    )
    canvas = np.zeros(mask.shape, np.bool_)
    if found is not None:
        (left, top, right, bottom), part = found
        canvas[top:bottom, left:right] = part
    return canvas


def cast_shadow(image, darkness=0.55):
    """A soft-edged ellipse on the ground at the thing's right foot."""
    shape = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(shape, (310, 236), (60, 10), 0, 0, 360, 1, -1)
    soft = cv2.GaussianBlur(shape, (0, 0), 1.5)[..., None]
    return image * (1 - soft * (1 - darkness)), shape > 0


def test_a_shadow_at_the_foot_is_taken():
    image, shadow = cast_shadow(ground())
    mask = standing()
    image[mask] = (40, 60, 160)
    found = traces_of(image, mask)
    shadow &= ~mask
    assert found[shadow].mean() > 0.9
    near = cv2.dilate(shadow.astype(np.uint8), np.ones((15, 15))) > 0
    assert not found[~near].any()
    assert not found[mask].any()


def test_plain_ground_gives_nothing():
    image, mask = ground(), standing()
    image[mask] = (40, 60, 160)
    assert not traces_of(image, mask).any()


def test_a_dark_band_that_goes_on_is_no_shadow():
    image, mask = ground(), standing()
    image[228:250] *= 0.5
    image[mask] = (40, 60, 160)
    assert not traces_of(image, mask).any()


def test_a_stain_of_another_colour_is_no_shadow():
    image, shadow = cast_shadow(ground())
    mask = standing()
    image[shadow] = (150, 30, 30)
    image[mask] = (40, 60, 160)
    assert not traces_of(image, mask).any()


def test_stripes_are_no_shadows():
    image, mask = ground(), standing()
    for row in range(100, 400, 40):
        image[row : row + 18, 20:480] *= 0.5
    image[mask] = (40, 60, 160)
    assert not traces_of(image, mask).any()


def test_a_shadow_away_from_the_foot_is_anothers():
    image, shadow = cast_shadow(ground())
    mask = standing()
    image, shadow = np.roll(image, 60, axis=1), np.roll(shadow, 60, axis=1)
    image[mask] = (40, 60, 160)
    assert not traces_of(image, mask).any()


def test_a_mirror_image_on_wet_ground_is_taken():
    image, mask = ground(), standing()
    mirrored = np.zeros_like(mask)
    mirrored[240:360, 230:270] = True
    image[mirrored] = 0.5 * image[mirrored] + 0.5 * np.array([40, 60, 160])
    image[mask] = (40, 60, 160)
    found = traces_of(image, mask)
    assert found[mirrored].mean() > 0.9
    assert found.sum() < 1.6 * mirrored.sum()


def test_other_objects_are_never_taken():
    image, mask = ground(), standing()
    other = np.zeros_like(mask)
    other[225:260, 272:330] = True
    image[mask] = (40, 60, 160)
    image[other] *= 0.4
    assert not traces_of(image, mask, mask | other)[other].any()


@pytest.mark.parametrize("scale", [1, 3])
def test_it_works_at_any_scale(scale):
    image, shadow = cast_shadow(ground())
    mask = standing()
    image[mask] = (40, 60, 160)
    large = [array.repeat(scale, 0).repeat(scale, 1) for array in (image, mask, shadow & ~mask)]
    assert traces_of(large[0], large[1])[large[2]].mean() > 0.85


@settings(max_examples=40)
@given(data=st.data(), hw=SIZES_HW)
def test_it_leaves_its_inputs_and_stays_in_the_photo(data, hw):
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        0, 256, (*hw, 3), np.uint8
    )
    mask = data.draw(hnp.arrays(np.bool_, hw)) | (np.indices(hw)[0] < hw[0] // 2)
    assume(mask.any())
    before = image.copy(), mask.copy()
    found = find_effects(image, instance_of(mask), mask)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])
    if found is not None:
        (left, top, right, bottom), part = found
        assert 0 <= left < right <= hw[1]
        assert 0 <= top < bottom <= hw[0]
        assert part.shape == (bottom - top, right - left)
        assert not (part & mask[top:bottom, left:right]).any()
