"""What is going to be filled, and what a person may change about it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.ops import dilate
from cleanplate.options import RemovalOptions, Rules
from cleanplate.plan import dilate_instances, drop_effects, edit_plan, refine_outlines
from cleanplate.remover import Remover
from cleanplate.segmentation import Completed, Selection
from cleanplate.types import Instance

RED, DIM_RED, GREEN, SKY = (250, 0, 0), (110, 0, 0), (0, 250, 0), (120, 150, 190)
PERSON, SIDE, DOG = (60, 40, 140, 160), (200, 60, 240, 140), (144, 100, 180, 160)


@pytest.fixture
def remover(fake_segmenter, fake_inpainter):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)


@pytest.fixture
def image():
    photo = np.full((200, 300, 3), SKY, np.uint8)
    for (left, top, right, bottom), colour in ((PERSON, RED), (SIDE, RED), (DOG, GREEN)):
        photo[top:bottom, left:right] = colour
    return photo


def edit(image, plan, **changes):
    return edit_plan(
        image, plan, **changes, complete=lambda _, found: Completed(found), detector=nothing_cast
    )


def nothing_cast():
    return SimpleNamespace(find=lambda image, mask, strong: np.zeros_like(mask))


def area(box, size_hw=(200, 300)):
    mask = np.zeros(size_hw, np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def test_a_draft_filled_is_what_remove_gives(remover, image):
    rules = Rules(protect=("dog",), keep=1)
    whole = remover(image, "person", RemovalOptions(dilation=4, rules=rules))
    parts = remover.fill(
        image, remover.plan(image, "person", RemovalOptions(dilation=4, rules=rules))
    )
    np.testing.assert_array_equal(parts.image, whole.image)
    np.testing.assert_array_equal(parts.mask, whole.mask)
    assert [x.id for x in parts.instances] == [x.id for x in whole.instances]
    assert [x.reason for x in parts.kept] == [x.reason for x in whole.kept]
    assert set(whole.timings_s) == {"find", "mask", "fill", "verify", "total"}


def test_margins_are_cut_at_what_is_protected_but_not_at_doubtful_finds(remover, image):
    protected = remover.plan(
        image, "person", RemovalOptions(dilation=9, rules=Rules(protect="dog"))
    )
    assert not (protected.mask & area(DOG)).any()
    assert protected.mask[50, 145]
    assert not (remover.fill(image, protected).mask & area(DOG)).any()
    image[DOG[1] : DOG[3], DOG[0] : DOG[2]] = DIM_RED
    doubtful = remover.plan(image, "person", RemovalOptions(dilation=9))
    assert [x.reason for x in doubtful.kept] == ["score below 0.5"]
    assert (doubtful.mask & area(DOG)).any()


def test_what_stays_on_purpose_is_hidden_from_the_inpainter_and_not_copied_from(
    remover, image, fake_inpainter
):
    remover(image, "person", RemovalOptions(dilation=0, verify=False))
    assert sum(np.count_nonzero(mask) for _, mask in fake_inpainter.given) == 80 * 120 + 40 * 80
    fake_inpainter.given.clear()
    removal = remover(
        image, "person", RemovalOptions(dilation=0, verify=False, rules=Rules(protect="dog"))
    )
    near = [mask for _, mask in fake_inpainter.given if np.count_nonzero(mask) > 80 * 120]
    assert near
    assert (removal.image[area(PERSON)] == SKY).all()  # not a mean of sky and dog
    np.testing.assert_array_equal(removal.image[~removal.mask], image[~removal.mask])


def test_where_all_else_is_kept_the_hole_is_filled_from_that(remover):
    image = np.full((100, 100, 3), GREEN, np.uint8)
    image[30:60, 30:60] = RED
    removal = remover(image, "person", RemovalOptions(dilation=2, rules=Rules(protect="dog")))
    assert removal.mask.sum() == 900
    assert (removal.image == GREEN).all()


def test_what_was_protected_is_not_asked_for_again(remover, image, fake_segmenter):
    plan = remover.plan(image, "person", RemovalOptions(rules=Rules(protect="dog")))
    assert plan.options.classes == ("person",)
    assert fake_segmenter.asked == [("person", "dog")]
    assert [(x.label, x.reason) for x in plan.kept] == [("dog", "protected")]


def test_nothing_changed_is_the_same_draft(remover, image):
    plan = remover.plan(image, "person", RemovalOptions(rules=Rules(keep=1)))
    edited = edit(image, plan, remove={1: False, 2: True}, mask=plan.mask)
    assert edited.instances is plan.instances
    np.testing.assert_array_equal(edited.mask, plan.mask)


def test_paint_is_added_and_what_is_erased_stays(remover, image):
    plan = remover.plan(image, "person", RemovalOptions(dilation=0))
    mask = plan.mask.copy()
    mask[10:20, 10:20], mask[40:60] = True, False
    edited = edit(image, plan, remove={}, mask=mask)
    np.testing.assert_array_equal(edited.mask, mask)
    assert edited.instances == plan.instances


def test_objects_are_switched_on_and_off(remover, image):
    plan = remover.plan(image, "person", RemovalOptions(dilation=5, rules=Rules(keep=1)))
    assert [x.id for x in plan.instances] == [2]
    edited = edit(image, plan, remove={1: True, 2: False}, mask=plan.mask)
    assert [(x.id, x.reason) for x in edited.instances] == [(1, "")]
    assert [(x.id, x.reason) for x in edited.kept] == [(2, "kept by hand")]
    assert edited.protected == {2}
    np.testing.assert_array_equal(edited.mask, dilate(area(PERSON), 5))


def test_paint_comes_on_top_of_the_switches(remover, image):
    plan = remover.plan(image, "person", RemovalOptions(dilation=0))
    mask = plan.mask.copy()
    mask[10:20, 10:20], mask[40:60] = True, False
    edited = edit(image, plan, remove={2: False}, mask=mask)
    expected = area(PERSON)
    expected[10:20, 10:20], expected[40:60] = True, False
    np.testing.assert_array_equal(edited.mask, expected)


def test_an_object_switched_off_is_not_eaten_by_its_neighbours_margin(remover, image):
    plan = remover.plan(image, ["person", "dog"], RemovalOptions(dilation=9))
    edited = edit(image, plan, remove={3: False}, mask=plan.mask)
    assert not (edited.mask & area(DOG)).any()
    assert (remover.fill(image, edited).image[area(DOG)] == GREEN).all()


def test_what_is_switched_on_is_looked_for_again(remover, image, fake_segmenter):
    plan = remover.plan(image, "person", RemovalOptions(rules=Rules(protect="dog")))
    edited = edit(image, plan, remove={3: True}, mask=plan.mask)
    assert edited.options.classes == ("person", "dog")
    removal = remover.fill(image, edited)
    assert fake_segmenter.asked[-1] == ("person", "dog")
    assert (removal.image[area(DOG)] != GREEN).any(axis=1).all()


def test_what_does_not_fit_is_refused(remover, image):
    plan = remover.plan(image, "person")
    with pytest.raises(InputError, match="no such object: 9"):
        edit(image, plan, remove={9: True}, mask=plan.mask)
    with pytest.raises(ShapeMismatchError, match=r"\(200, 300\).*got \(300, 200\)"):
        edit(image, plan, remove={}, mask=plan.mask.T)


def test_margins_go_across_the_border_of_a_panorama():
    mask = area((0, 50, 20, 70))
    instance = Instance(1, "person", 0.9, (0, 50, 20, 70), mask[50:70, :20])
    across = dilate_instances([instance], (200, 300), 9, wraps=True)
    np.testing.assert_array_equal(across, dilate(mask, 9, wraps=True))
    turned = dilate(np.roll(mask, 150, axis=1), 9)
    np.testing.assert_array_equal(across, np.roll(turned, -150, axis=1))
    assert across[60, -9]
    assert not dilate_instances([instance], (200, 300), 9)[60, -9]


@pytest.mark.parametrize("change", ["object", "effects"])
def test_what_an_inpainter_found_beside_an_object_stays_with_it(remover, image, change):
    plan = remover.plan(image, "person", RemovalOptions(dilation=4, effects="off"))
    second = max(plan.instances, key=lambda it: it.box_xyxy)
    beside_first, beside_second = area((20, 150, 60, 160)), area((240, 130, 280, 140))
    found = beside_first | beside_second
    plan = replace(plan, mask=plan.mask | found, effects=found)
    if change == "object":
        after = edit(image, plan, remove={second.id: False}, mask=plan.mask)
    else:
        after = drop_effects(plan, {second.id})
    assert after.mask[155, 30]
    assert after.effects is not None
    assert after.effects[155, 30]
    assert not after.mask[135, 270]
    assert after.mask[100, 100]
    assert after.mask[100, 220] == (change == "effects")


def test_a_doubtful_part_of_what_goes_goes_too(image):
    def instance(number, box, score):
        mask = np.ones((box[3] - box[1], box[2] - box[0]), np.bool_)
        return Instance(number, "person", score, box, mask)

    left, top, right, bottom = PERSON
    middle = (top + bottom) // 2
    upper, lower = (left, top, right, middle), (left, middle, right, bottom)
    beside = instance(3, SIDE, 0.3)
    doubtful = instance(2, lower, 0.3)
    selection = Selection((instance(1, upper, 0.9),), (doubtful, beside))

    def complete(_, found):
        return Completed(instance(found.id, PERSON, found.score))

    outlined = refine_outlines(image, selection, complete)
    assert [it.id for it in outlined.kept] == [3]
    assert outlined.chosen[0].box_xyxy == PERSON
    outlined = refine_outlines(image, selection, lambda _, found: Completed(found))
    assert [it.id for it in outlined.kept] == [2, 3]
    protected = replace(selection, protected=frozenset({2}))
    outlined = refine_outlines(image, protected, complete)
    assert [it.id for it in outlined.kept] == [2, 3]
    assert outlined.chosen[0].box_xyxy[3] <= middle
