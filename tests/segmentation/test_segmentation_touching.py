"""Touching objects come apart; single ones stay whole."""

import numpy as np
import pytest

from cleanplate.segmentation import refine_each
from cleanplate.segmentation.instances import separate_touching
from cleanplate.types import Instance


def discs(*centres_xy, radius=20, size_hw=(60, 160)):
    down, across = np.indices(size_hw)
    return np.any([np.hypot(across - x, down - y) <= radius for x, y in centres_xy], axis=0)


def person(height=100):
    mask = np.zeros((height, 40), np.bool_)
    mask[:16, 13:27] = True
    mask[16:] = True
    return mask


def test_touching_discs_come_apart_in_the_middle():
    mask = discs((30, 30), (66, 30))
    left, right = sorted(
        separate_touching(mask, upright=False), key=lambda part: int(part.argmax(axis=1).max())
    )
    for part, centre in ((left, (30, 30)), (right, (66, 30))):
        alone = discs(centre)
        assert np.count_nonzero(part & alone) > 0.95 * np.count_nonzero(part | alone)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_people_side_by_side_come_apart_by_their_heads(count):
    parts = separate_touching(np.hstack([person()] * count), upright=True)
    assert sorted(np.count_nonzero(part) for part in parts) == [np.count_nonzero(person())] * count


def test_people_are_not_looked_for_in_other_things():
    assert len(separate_touching(np.hstack([person()] * 2), upright=False)) == 1


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    "mask",
    [
        person(),
        person(400),
        discs((50, 30)),
        np.ones((30, 90), np.bool_),
        np.ones((3, 3), np.bool_),
    ],
)
def test_a_single_object_stays_whole(mask, upright):
    (whole,) = separate_touching(mask, upright=upright)
    np.testing.assert_array_equal(whole, mask)


@pytest.mark.parametrize("seed", range(8))
def test_objects_are_disjoint_and_together_the_mask(seed):
    rng = np.random.default_rng(seed)
    centres = [(rng.integers(20, 380), rng.integers(20, 280)) for _ in range(12)]
    mask = discs(*centres, radius=30, size_hw=(300, 400))
    parts = separate_touching(mask, upright=bool(seed % 2))
    np.testing.assert_array_equal(np.sum(parts, axis=0), mask)
    assert all(part.any() for part in parts)


def test_outlines_of_touching_objects_are_refined_without_a_gap_between_them():
    photo = np.full((120, 160, 3), (60, 120, 60), np.uint8)
    photo[30:90, 30:80], photo[30:90, 80:130] = (200, 60, 40), (180, 80, 40)
    found = [
        Instance(1, "person", 0.9, (33, 33, 80, 87), np.ones((54, 47), np.bool_)),
        Instance(2, "person", 0.9, (80, 33, 127, 87), np.ones((54, 47), np.bool_)),
    ]
    drawn = np.zeros((120, 160), np.int64)
    for instance in refine_each(photo, found):
        left, top, right, bottom = instance.box_xyxy
        drawn[top:bottom, left:right] += instance.mask
    truth = (photo[..., 0] > 100).astype(np.int64)
    np.testing.assert_array_equal(drawn[:, 60:100], truth[:, 60:100])
