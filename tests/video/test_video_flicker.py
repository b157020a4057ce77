"""Flicker: what changes, with the motion taken out."""

import math

import cv2
import numpy as np
import pytest
from video_builders import view, world

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.ops.geometry import translation
from cleanplate.video import flicker


@pytest.fixture
def luma(rng):
    return cv2.cvtColor(world(rng), cv2.COLOR_RGB2GRAY)


def test_equal_frames_do_not_flicker(luma):
    change, count = flicker(luma, luma, np.eye(3), np.ones(luma.shape, bool))
    assert change == 0
    assert count == (luma.shape[0] - 4) * (luma.shape[1] - 4)


def test_a_step_of_brightness_is_its_size(luma):
    mask = np.zeros(luma.shape, bool)
    mask[50:90, 60:120] = True
    brighter = np.where(mask, luma + 7, luma).astype(np.uint8)
    assert flicker(luma, brighter, np.eye(3), mask) == (7.0, 40 * 60)


def test_motion_is_taken_out(rng):
    picture = world(rng)
    one, two = (
        cv2.cvtColor(view(picture, left, 0, (100, 140)), cv2.COLOR_RGB2GRAY) for left in (10, 15)
    )
    everywhere = np.ones((100, 140), bool)
    assert flicker(one, two, np.eye(3), everywhere)[0] > 5
    assert flicker(one, two, translation(5, 0), everywhere)[0] < 0.1


def test_nothing_to_compare_is_no_number(luma):
    change, count = flicker(luma, luma, np.eye(3), np.zeros(luma.shape, bool))
    assert math.isnan(change)
    assert count == 0


def test_sizes_that_differ_are_reported(luma):
    mask = np.ones(luma.shape, bool)
    with pytest.raises(InputError, match="of one size"):
        flicker(luma, luma[1:], np.eye(3), mask)
    with pytest.raises(ShapeMismatchError):
        flicker(luma, luma, np.eye(3), mask[1:])
