"""Candidates of an instance network become objects that share no pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.segmentation.instances import Candidate, separate_instances

SIZE_HW = (30, 40)


def full(label, score, box):
    """Return a candidate that fills its box."""
    left, top, right, bottom = box
    return Candidate(label, score, box, np.ones((bottom - top, right - left), np.bool_))


def records(found):
    return [(x.id, x.label, x.score, x.box_xyxy, x.area_px) for x in found]


def test_what_stands_apart_comes_back_as_it_was_by_falling_area():
    small, large = full("dog", 0.9, (1, 2, 6, 7)), full("person", 0.6, (10, 5, 30, 25))
    assert records(separate_instances([small, large], SIZE_HW)) == [
        (1, "person", 0.6, (10, 5, 30, 25), 400),
        (2, "dog", 0.9, (1, 2, 6, 7), 25),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_two_people_who_touch_stay_two_and_the_surer_has_what_both_claim(turned):
    pair = [full("person", 0.9, (5, 5, 15, 25)), full("person", 0.8, (12, 5, 24, 25))]
    found = separate_instances(pair[::-1] if turned else pair, SIZE_HW)
    assert records(found) == [
        (1, "person", 0.9, (5, 5, 15, 25), 200),
        (2, "person", 0.8, (15, 5, 24, 25), 180),
    ]


def test_of_equally_sure_ones_the_earlier_wins():
    pair = [full("person", 0.5, (0, 0, 10, 10)), full("person", 0.5, (5, 0, 15, 10))]
    assert [x.box_xyxy for x in separate_instances(pair, SIZE_HW)] == [
        (0, 0, 10, 10),
        (10, 0, 15, 10),
    ]


@pytest.mark.parametrize("label", ["car", "truck"])
@pytest.mark.parametrize(("left", "count"), [(10, 1), (12, 1), (13, 2), (20, 2)])
def test_what_was_found_twice_is_one_whatever_its_class(left, count, label):
    first, second = full("car", 0.9, (10, 5, 20, 15)), full(label, 0.7, (left, 5, left + 10, 15))
    found = separate_instances([second, first], SIZE_HW)
    assert len(found) == count  # 3 of 10 columns are left from the fourth case on
    assert found[0].score == 0.9


def test_what_reaches_beyond_the_photo_is_cut_and_what_lies_outside_dropped():
    mask = np.zeros((20, 20), np.bool_)
    mask[12:, 11:] = True
    found = separate_instances(
        [
            Candidate("cat", 0.9, (-10, -10, 10, 10), mask),
            full("dog", 0.8, (35, 25, 60, 70)),
            full("cow", 0.8, (-9, 3, 0, 9)),
            full("cow", 0.8, (3, 30, 9, 39)),
            full("cow", 0.8, (5, 5, 5, 9)),
        ],
        SIZE_HW,
    )
    assert records(found) == [
        (1, "cat", 0.9, (1, 2, 10, 10), 72),
        (2, "dog", 0.8, (35, 25, 40, 30), 25),
    ]


def test_the_share_that_must_be_left_is_of_what_lies_inside_the_photo():
    outside = full("cat", 0.6, (-90, 0, 10, 10))
    assert len(separate_instances([outside, full("cat", 0.9, (0, 0, 5, 10))], SIZE_HW)) == 2


@pytest.mark.parametrize(
    "candidates", [[], [Candidate("cat", 1.0, (0, 0, 2, 2), np.zeros((2, 2), bool))]]
)
def test_nothing_gives_nothing(candidates):
    assert separate_instances(candidates, SIZE_HW) == []


@given(seed=st.integers(0, 9999), size_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_objects_are_tight_inside_the_photo_and_apart(seed, size_hw):
    rng = np.random.default_rng(seed)
    candidates = []
    for _ in range(rng.integers(0, 9)):
        left, top = rng.integers(-10, 40, 2).tolist()
        width, height = rng.integers(0, 25, 2).tolist()
        mask = rng.random((height, width)) < rng.choice([0.0, 0.1, 0.6, 1.0])
        box = (left, top, left + width, top + height)
        candidates.append(Candidate("cat", float(rng.uniform(0.05, 1)), box, mask))
    before = [candidate.mask.copy() for candidate in candidates]

    found = separate_instances(candidates, size_hw)

    times, claimed = np.zeros(size_hw, int), np.zeros((120, 120), np.bool_)
    for candidate, mask in zip(candidates, before, strict=True):
        np.testing.assert_array_equal(candidate.mask, mask, err_msg="the input was modified")
        left, top, right, bottom = (side + 30 for side in candidate.box_xyxy)
        claimed[top:bottom, left:right] |= mask
    for instance in found:
        left, top, right, bottom = instance.box_xyxy
        assert 0 <= left < right <= size_hw[1]
        assert 0 <= top < bottom <= size_hw[0]
        assert instance.mask.shape == (bottom - top, right - left)
        sides = (instance.mask[0], instance.mask[-1], instance.mask[:, 0], instance.mask[:, -1])
        assert all(side.any() for side in sides)
        times[top:bottom, left:right] += instance.mask
    assert times.max(initial=0) <= 1
    assert not (times.astype(bool) & ~claimed[30 : 30 + size_hw[0], 30 : 30 + size_hw[1]]).any()
    assert [x.id for x in found] == list(range(1, len(found) + 1))
    areas = [x.area_px for x in found]
    assert areas == sorted(areas, reverse=True)
