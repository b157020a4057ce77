"""Who a photo is of."""

import cv2
import numpy as np
import pytest

from cleanplate.segmentation.main_subject import find_subjects
from cleanplate.types import Instance

SIZE_HW = (300, 600)


@pytest.fixture
def scene(rng):
    """Return a function that paints striped people and gives the photo and its objects."""

    def make(*people: tuple[int, int, int, float]):
        image = np.full((*SIZE_HW, 3), 180, np.uint8)
        found = []
        for number, (left, width, height, blur_px) in enumerate(people, start=1):
            top = 290 - height
            stripes = np.where(np.arange(height) // 24 % 2, 40, 220).astype(np.uint8)
            body = np.repeat(np.repeat(stripes[:, None], width, axis=1)[..., None], 3, axis=2)
            if blur_px:
                body = cv2.GaussianBlur(body, (0, 0), blur_px)
            image[top:290, left : left + width] = body
            mask = np.ones((height, width), np.bool_)
            found.append(Instance(number, "person", 0.9, (left, top, left + width, 290), mask))
        return image, found

    return make


def test_one_person_is_the_subject_wherever_they_are(scene):
    subjects = find_subjects(*scene((10, 40, 160, 0)))
    assert (subjects.main, subjects.together) == ({0}, True)


def test_the_large_one_is_the_subject_and_the_small_ones_are_not(scene):
    subjects = find_subjects(*scene((270, 80, 240, 0), (20, 16, 60, 0), (540, 20, 70, 0)))
    assert subjects.main == {0}


def test_of_two_of_a_size_the_sharp_one_is_the_subject(scene):
    subjects = find_subjects(*scene((100, 60, 200, 4), (400, 60, 200, 0)))
    assert subjects.main == {1}


def test_people_who_stand_with_the_subject_are_subjects_too_and_so_are_their_neighbours(scene):
    image, people = scene(
        (270, 80, 240, 0), (355, 40, 160, 0), (400, 40, 160, 0), (550, 40, 160, 0)
    )
    assert find_subjects(image, people).main == {0, 1, 2}  # the last one stands alone


def test_two_alike_far_from_each_other_are_both_subjects_but_not_together(scene):
    subjects = find_subjects(*scene((60, 60, 200, 0), (480, 60, 200, 0)))
    assert (subjects.main, subjects.together) == ({0, 1}, False)


def test_a_photo_of_a_place_has_no_subject(scene):
    subjects = find_subjects(*scene((270, 10, 30, 0), (20, 8, 24, 0)))
    assert (subjects.main, subjects.together) == (set(), False)


def test_the_order_does_not_matter_and_no_people_are_no_subjects(scene):
    image, people = scene((20, 16, 60, 0), (270, 80, 240, 0))
    assert find_subjects(image, people).main == {1}
    assert find_subjects(image, people[::-1]).main == {0}
    assert find_subjects(image, []).main == set()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (40, 1), (3000, 2000)])
def test_photos_of_any_size_will_do(size_hw):
    image = np.zeros((*size_hw, 3), np.uint8)
    person = Instance(1, "person", 0.9, (0, 0, 1, 1), np.ones((1, 1), np.bool_))
    assert len(find_subjects(image, [person]).main) == (max(size_hw) < 3000)
