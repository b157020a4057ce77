"""Parts of objects that their outlines miss, in generated pictures."""

import numpy as np
import pytest

from cleanplate.ops import bounding_box
from cleanplate.segmentation import add_missed_parts
from cleanplate.types import Instance

SIZE_HW = (240, 320)
RED, DARK = (190, 60, 50), (40, 30, 30)


def instance_of(mask: np.ndarray, number: int = 1) -> Instance:
    left, top, right, bottom = bounding_box(mask)
    own = mask[top:bottom, left:right].copy()
    return Instance(number, "bird", 0.9, (left, top, right, bottom), own)


def on_photo(instance: Instance) -> np.ndarray:
    canvas = np.zeros(SIZE_HW, np.bool_)
    instance.paint_on(canvas)
    return canvas


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


BODY = box(120, 100, 200, 160)  # its side is 69 px
POLE = box(150, 60, 153, 100)
BLOB = box(60, 40, 100, 70)


def draw(*parts: np.ndarray, grain: float = 1.5) -> np.ndarray:
    """Return a sky, a red object, half of it dark, and dark parts, with grain."""
    rows = np.linspace((110, 150, 200), (160, 190, 220), SIZE_HW[0])
    photo = np.repeat(rows[:, None], SIZE_HW[1], axis=1)
    photo[BODY] = RED
    photo[140:160, 120:200] = DARK
    for part in parts:
        photo[part] = DARK
    noise = np.random.default_rng(0).normal(0, grain, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def test_a_thin_part_in_a_calm_sky_is_added_and_nothing_else():
    image, instance = draw(POLE), instance_of(BODY)
    before = image.copy()
    (found,) = add_missed_parts(image, [instance], [])
    added = on_photo(found) & ~BODY
    assert (added & POLE).sum() > 0.8 * POLE.sum()
    assert not (added & ~box(140, 55, 163, 100)).any()
    assert (found.id, found.label, found.score) == (1, "bird", 0.9)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(on_photo(instance), BODY)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(draw(), id="nothing beside it"),
        pytest.param(draw(POLE, grain=60), id="in noise"),
        pytest.param(draw(box(0, 120, 320, 123)), id="a wire through the picture"),
        pytest.param(draw(box(150, 40, 153, 90)), id="apart from the object"),
        pytest.param(draw(box(60, 96, 240, 99)), id="it passes by"),
        pytest.param(draw(box(100, 60, 220, 100)), id="a large thing"),
        pytest.param(
            draw(*(box(x, 60, x + 3, 100) for x in range(90, 240, 10))), id="one of a pattern"
        ),
    ],
)
def test_what_may_belong_to_the_surroundings_is_not_added(image):
    instance = instance_of(BODY)
    assert add_missed_parts(image, [instance], []) == (instance,)


def test_a_colour_that_the_object_does_not_have_is_not_its_part():
    image = draw()
    image[POLE] = (60, 220, 60)
    instance = instance_of(BODY)
    assert add_missed_parts(image, [instance], []) == (instance,)


def test_what_reaches_a_kept_object_stays():
    image, instance = draw(POLE, box(140, 30, 165, 60)), instance_of(BODY)
    kept = instance_of(box(140, 30, 165, 60), 2)
    assert add_missed_parts(image, [instance], [kept]) == (instance,)


def test_a_part_between_two_objects_becomes_the_part_of_one():
    other = box(120, 30, 200, 60)
    image = draw(POLE, other)
    instances = [instance_of(BODY), instance_of(other, 2)]
    found = add_missed_parts(image, instances, [])
    first, second = (on_photo(instance) for instance in found)
    assert not (first & second).any()
    assert ((first | second) & POLE).sum() > 0.8 * POLE.sum()


def test_lines_that_go_on_behind_two_objects_are_no_parts():
    other = box(30, 95, 90, 165)
    image = draw(*(box(0, y, 320, y + 3) for y in (105, 129, 153)))
    image[BODY] = draw()[BODY]
    image[95:165, 30:90] = RED
    image[135:165, 30:90] = DARK
    instances = (instance_of(BODY), instance_of(other, 2))
    assert add_missed_parts(image, instances, []) == instances


def test_what_goes_on_from_an_added_part_is_added_too():
    far = box(150, 10, 153, 38)
    (found,) = add_missed_parts(draw(box(150, 40, 153, 100), far), [instance_of(BODY)], [])
    assert (on_photo(found) & far).sum() > 0.8 * far.sum()


def between(*parts: np.ndarray, grain: float = 1.5) -> tuple[np.ndarray, list[Instance]]:
    """Return a photo of the object and of a smaller one, far on its left, and both."""
    other = box(20, 110, 70, 150)
    image = draw(*parts, grain=grain)
    image[BODY] = draw()[BODY]
    image[other], image[140:150, 20:70] = RED, DARK
    return image, [instance_of(BODY), instance_of(other, 2)]


def test_what_connects_two_objects_that_are_apart_is_added():
    leash = box(69, 128, 121, 131)
    image, instances = between(leash)
    first, second = (on_photo(it) for it in add_missed_parts(image, instances, []))
    assert ((first | second) & leash).sum() > 0.8 * leash.sum()
    assert first[129, 110]
    assert second[129, 80], "each gets what is nearer to it"


@pytest.mark.parametrize("line", [box(0, 128, 320, 131), box(69, 128, 320, 131)])
def test_a_line_that_goes_on_beyond_one_of_two_objects_is_no_part(line):
    image, instances = between(line)
    assert add_missed_parts(image, instances, []) == tuple(instances)


def test_only_what_is_parallel_is_like_a_line():
    waves = [box(x, y, x + 16, y + 4) for x in range(4, 300, 30) for y in range(10, 230, 12)]
    waves = [it for it in waves if not (it & box(100, 50, 220, 170)).any()]
    (found,) = add_missed_parts(draw(POLE, *waves), [instance_of(BODY)], [])
    assert (on_photo(found) & POLE).sum() > 0.8 * POLE.sum()


def test_small_objects_of_a_crowd_in_a_large_photo_are_no_error():
    instances = [instance_of(box(x, 100, x + 8, 110), x) for x in range(10, 300, 12)]
    assert add_missed_parts(draw(), instances, []) == tuple(instances)


def test_a_large_photo_gives_the_same_parts():
    image = draw(POLE).repeat(4, axis=0).repeat(4, axis=1)
    mask = BODY.repeat(4, axis=0).repeat(4, axis=1)
    (found,) = add_missed_parts(image, [instance_of(mask)], [])
    canvas = np.zeros(image.shape[:2], np.bool_)
    found.paint_on(canvas)
    pole = POLE.repeat(4, axis=0).repeat(4, axis=1)
    assert (canvas & pole).sum() > 0.8 * pole.sum()


@pytest.mark.parametrize("mask", [box(0, 0, 320, 240), box(0, 0, 8, 8), box(0, 0, 160, 240)])
def test_objects_that_fill_the_photo_or_are_tiny_are_unchanged(mask):
    image, instance = draw(), instance_of(mask)
    assert add_missed_parts(image, [instance], []) == (instance,)


def test_no_object_is_no_error():
    assert add_missed_parts(draw(), [], []) == ()
