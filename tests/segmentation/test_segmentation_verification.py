"""Looking again at filled holes: what counts as still there, and where it lies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanplate.ops.masks import bounding_box
from cleanplate.segmentation.verification import detect_remaining
from cleanplate.types import Instance

RED, SKY = (250, 0, 0), (120, 150, 190)


def scene(size_hw=(300, 400), hole=(100, 80, 180, 200), *blots):
    """A plain photo with red boxes, and a mask; boxes are left, top, right, bottom."""
    image = np.full((*size_hw, 3), SKY, np.uint8)
    for left, top, right, bottom in blots:
        image[top:bottom, left:right] = RED
    mask = np.zeros(size_hw, np.bool_)
    mask[hole[1] : hole[3], hole[0] : hole[2]] = True
    return image, mask


def look(segmenter, image, mask, *, removed=None, kept=(), min_score=0.5, min_area=0):
    if removed is None:
        removed = [person_at(mask)]
    return detect_remaining(
        image,
        mask,
        removed=removed,
        kept=kept,
        segmenter=segmenter,
        labels=["person"],
        min_score=min_score,
        min_area=min_area,
    )


def person_at(mask):
    left, top, right, bottom = bounding_box(mask)
    return Instance(1, "person", 0.9, (left, top, right, bottom), mask[top:bottom, left:right])


def test_a_clean_hole_shows_nothing(fake_segmenter):
    assert look(fake_segmenter, *scene()) == []


def test_what_shows_in_the_hole_is_found_where_it_is(fake_segmenter):
    box = (120, 100, 150, 140)
    (found,) = look(fake_segmenter, *scene((300, 400), (100, 80, 180, 200), box))
    assert (found.id, found.label) == (1, "person")
    assert np.abs(np.subtract(found.box_xyxy, box)).max() <= 2  # it was seen scaled down
    assert found.mask.mean() > 0.9


def test_what_sticks_out_counts_and_what_is_elsewhere_does_not(fake_segmenter):
    foot, other = (130, 190, 150, 230), (195, 100, 215, 160)
    (found,) = look(fake_segmenter, *scene((300, 400), (100, 80, 180, 200), foot, other))
    assert np.abs(np.subtract(found.box_xyxy, foot)).max() <= 2


def test_another_kind_of_thing_outside_the_hole_is_no_rest(fake_segmenter):
    image, mask = scene((300, 400), (100, 80, 180, 200), (130, 190, 150, 230))
    dog = replace(person_at(mask), label="dog")
    assert look(fake_segmenter, image, mask, removed=[dog]) == []


def test_something_as_large_as_the_hole_is_no_rest(fake_segmenter):
    assert look(fake_segmenter, *scene((300, 400), (100, 80, 180, 200), (140, 100, 260, 220))) == []


def test_what_was_left_knowingly_is_not_reported_again(fake_segmenter):
    box = (170, 100, 230, 160)
    kept = Instance(1, "person", 0.4, box, np.ones((60, 60), np.bool_))
    assert look(fake_segmenter, *scene((300, 400), (100, 80, 180, 200), box), kept=[kept]) == []


@pytest.mark.parametrize("limits", [{"min_score": 0.99}, {"min_area": 1201}])
def test_the_users_limits_hold(fake_segmenter, limits):
    image, mask = scene((300, 400), (100, 80, 180, 200), (120, 100, 150, 140))
    assert look(fake_segmenter, image, mask, **limits) == []


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scale=st.integers(1, 6),
    corner_xy=st.tuples(st.integers(90, 150), st.integers(70, 110)),
    size_wh=st.tuples(st.integers(12, 60), st.integers(12, 60)),
)
def test_boxes_hold_at_any_size(fake_segmenter, scale, corner_xy, size_wh):
    (left, top), (width, height) = corner_xy, size_wh
    box = tuple(scale * edge for edge in (left, top, left + width, top + height))
    hole = tuple(scale * edge for edge in (80, 60, 220, 180))
    (found,) = look(fake_segmenter, *scene((260 * scale, 330 * scale), hole, box))
    # Large crops are looked at scaled down, where px at the edges are lost.
    assert np.abs(np.subtract(found.box_xyxy, box)).max() <= 2 * scale + 1
    assert found.mask.shape == (
        found.box_xyxy[3] - found.box_xyxy[1],
        found.box_xyxy[2] - found.box_xyxy[0],
    )


@pytest.mark.parametrize("long_side", [260, 330, 400, 600])
def test_a_single_pixel_of_a_scaled_crop_is_no_failure(long_side):
    class OnePixel:
        def segment(self, image, labels):
            return [Instance(1, "person", 0.9, (90, 70, 91, 71), np.ones((1, 1), np.bool_))]

    hole = (60, 40, long_side - 60, long_side - 40)
    found = look(OnePixel(), *scene((long_side, long_side), hole))
    assert len(found) <= 1
    assert all(instance.area_px > 0 for instance in found)
