"""What is padded is cut off again, and levels are rounded to the nearest."""

import cv2
import numpy as np
import pytest

from cleanplate.inpainting.base import composite, inpaint_scaled, pad_to, to_planes


@pytest.mark.parametrize(
    ("border", "mode"), [(cv2.BORDER_REFLECT, "symmetric"), (cv2.BORDER_REPLICATE, "edge")]
)
@pytest.mark.parametrize("size_hw", [(1, 1), (3, 2), (40, 61)])
def test_image_and_mask_are_continued_alike(rng, border, mode, size_hw):
    image = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    mask = rng.random(size_hw) < 0.5
    padded, hole = pad_to(image, mask, (64, 72), border=border)
    more = ((0, 64 - size_hw[0]), (0, 72 - size_hw[1]))
    np.testing.assert_array_equal(padded, np.pad(image, (*more, (0, 0)), mode=mode))
    np.testing.assert_array_equal(hole, np.pad(mask, more, mode=mode))
    assert hole.dtype == np.bool_


def test_only_the_hole_is_taken_and_rounded_to_the_nearest_level():
    image = np.full((2, 3, 3), 9, np.uint8)
    mask = np.array([[True, True, True], [True, True, False]])
    levels = np.array([[-3.0, 0.4, 0.6, 7], [254.6, 255.7, 100, 7], [7, 7, 7, 7]], np.float32)
    result = composite(image, mask, np.repeat(levels[..., None], 3, axis=2))
    np.testing.assert_array_equal(result[..., 0], [[0, 0, 1], [255, 255, 9]])
    assert (result.shape, result.dtype) == ((2, 3, 3), np.uint8)


def test_planes_are_contiguous_and_in_the_networks_order(rng):
    image = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    planes = to_planes(image)
    assert planes.shape == (1, 3, 5, 7)
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[0, 1], image[..., 1])


def test_nothing_of_a_hole_is_seen_at_a_smaller_size(fake_inpainter_class):
    image = np.full((90, 120, 3), 50, np.uint8)
    mask = np.zeros((90, 120), np.bool_)
    mask[31:50, 41:77] = True
    image[mask] = 255
    inpainter = fake_inpainter_class()
    filled = inpaint_scaled(inpainter.inpaint, image, mask, 40)
    ((small, hole),) = inpainter.given
    assert small.shape == (30, 40, 3)
    assert (small[~hole] == 50).all()
    np.testing.assert_array_equal(filled, np.full_like(image, 50))
