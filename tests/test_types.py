"""The records and checks that every layer shares."""

import dataclasses

import numpy as np
import pytest

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.types import Instance, Removal, check_image, check_image_and_mask


def test_area_counts_the_objects_pixels_not_its_box():
    mask = np.array([[True, False, True], [False, False, True]])
    assert Instance(1, "cat", 0.5, (4, 1, 7, 3), mask).area_px == 3


def test_paint_on_puts_the_mask_into_its_box_and_keeps_what_is_there():
    canvas = np.zeros((4, 8), np.bool_)
    canvas[1, 5] = canvas[3, 0] = True
    mask = np.array([[True, False, True], [False, False, True]])

    Instance(1, "cat", 0.5, (4, 1, 7, 3), mask).paint_on(canvas)

    expected = np.zeros((4, 8), np.bool_)
    expected[[1, 1, 1, 2, 3], [4, 5, 6, 6, 0]] = True
    np.testing.assert_array_equal(canvas, expected)


def test_records_are_frozen():
    instance = Instance(1, "cat", 0.5, (0, 0, 1, 1), np.ones((1, 1), np.bool_))
    removal = Removal(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.bool_))
    with pytest.raises(dataclasses.FrozenInstanceError):
        instance.label = "dog"
    with pytest.raises(dataclasses.FrozenInstanceError):
        removal.notes = ("changed",)


def test_a_removal_has_changed_something_if_its_mask_has_a_pixel():
    image, mask = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), np.bool_)
    assert not Removal(image, mask).changed
    mask[1, 2] = True
    assert Removal(image, mask).changed


def test_removals_do_not_share_their_timings():
    image, mask = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.bool_)
    assert Removal(image, mask).timings_s is not Removal(image, mask).timings_s


@pytest.mark.parametrize("hw", [(1, 1), (1, 7), (5, 3)])
def test_good_images_pass(hw):
    image = np.zeros((*hw, 3), np.uint8)
    check_image(image)
    check_image_and_mask(image, np.zeros(hw, np.bool_))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((4, 6, 3), np.float32), r"got \(4, 6, 3\) float32"),
        (np.zeros((4, 6), np.uint8), r"got \(4, 6\) uint8"),
        (np.zeros((4, 6, 4), np.uint8), r"got \(4, 6, 4\) uint8"),
        (np.zeros((3, 4, 6), np.uint8), r"got \(3, 4, 6\) uint8"),
        (np.zeros((0, 6, 3), np.uint8), r"H, W >= 1, got \(0, 6, 3\) uint8"),
        (np.zeros((4, 0, 3), np.uint8), r"H, W >= 1, got \(4, 0, 3\) uint8"),
        (np.zeros((1, 4, 6, 3), np.uint8), r"got \(1, 4, 6, 3\) uint8"),
    ],
    ids=lambda value: "x".join(map(str, value.shape)) if hasattr(value, "shape") else "",
)
def test_other_arrays_are_refused_with_shape_and_dtype(array, match):
    with pytest.raises(InputError, match=match):
        check_image(array)


def test_a_grey_mask_is_refused_with_the_way_out():
    with pytest.raises(InputError, match=r"bool.*got uint8; .*> 127"):
        check_image_and_mask(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8))


@pytest.mark.parametrize("shape", [(6, 4), (4, 5), (5, 6), (4, 6, 1), (24,)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeMismatchError, match=r"\(4, 6\) like the image, got"):
        check_image_and_mask(np.zeros((4, 6, 3), np.uint8), np.zeros(shape, np.bool_))
