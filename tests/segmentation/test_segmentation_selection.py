"""Which of the found objects go, and why the others stay."""

import math

import numpy as np
import pytest

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.options import Rules, area_px, region_box
from cleanplate.segmentation.selection import (
    NO_MAIN_SUBJECT,
    requested_labels,
    select,
    selection_notes,
)
from cleanplate.types import Instance

KNOWN = ("car", "dog", "person")
IMAGE = np.full((100, 200, 3), 90, np.uint8)


def thing(number, label, box, score=0.9):
    left, top, right, bottom = box
    return Instance(number, label, score, box, np.ones((bottom - top, right - left), np.bool_))


LARGE = thing(1, "person", (80, 20, 120, 90))  # 2800 px
SIDE = thing(2, "person", (150, 40, 170, 90))  # 1000 px
CAR = thing(3, "car", (10, 60, 40, 80))  # 600 px
DOG = thing(4, "dog", (122, 70, 142, 90))  # 400 px
BLUR = thing(5, "person", (2, 2, 12, 12), 0.4)  # 100 px
ALL = [LARGE, SIDE, CAR, DOG, BLUR]


def parted(rules=None, *, found=ALL, min_score=0.5, min_area=0, protected=(), image=IMAGE):
    selection = select(
        image,
        found,
        min_score=min_score,
        min_area=min_area,
        rules=rules or Rules(),
        protected_labels=protected,
    )
    return [x.id for x in selection.chosen], {x.id: x.reason for x in selection.kept}


def test_without_rules_all_go_that_are_above_the_limits():
    assert parted() == ([1, 2, 3, 4], {5: "score below 0.5"})
    assert parted(min_score=0, min_area=400) == ([1, 2, 3, 4], {5: "area below 400 px"})
    assert parted(min_area="5%")[0] == [1, 2]  # 1,000 of 20,000 px


def test_the_largest_stay():
    assert parted(Rules(keep=1)) == ([2, 3, 4], {1: "kept: largest", 5: "score below 0.5"})
    assert parted(Rules(keep=2))[1][2] == "kept: one of the 2 largest"
    assert parted(Rules(keep=99))[0] == []


def test_an_object_below_a_limit_is_not_the_largest():
    doubtful = thing(1, "person", (0, 0, 100, 100), 0.3)
    found = [doubtful, thing(2, "person", (110, 0, 150, 50))]
    assert parted(Rules(keep=1), found=found) == (
        [],
        {1: "score below 0.5", 2: "kept: largest"},
    )


def test_large_objects_stay():
    assert parted(Rules(max_area=999))[1] == {
        1: "area above 999 px",
        2: "area above 999 px",
        5: "score below 0.5",
    }
    assert parted(Rules(max_area="5%"))[0] == [2, 3, 4]  # 1,000 px is no more than 5 %


def test_protected_objects_stay_whatever_their_score():
    dog = thing(1, "dog", (0, 0, 9, 9), 0.2)
    assert parted(found=[dog], protected=("dog",)) == ([], {1: "protected"})


def test_only_the_numbers_given_go():
    chosen, left = parted(Rules(only=(1, 3)))
    assert (chosen, left[2]) == ([1, 3], "not among the given numbers")
    assert parted(Rules(only=(5,)))[1][5] == "score below 0.5"
    with pytest.raises(InputError, match="only: no such object: 6"):
        parted(Rules(only=(6,)))


def test_objects_mostly_outside_the_region_stay():
    assert parted(Rules(region=("50%", 0, "50%", "100%")))[0] == [1, 2, 4]  # 1 lies half in it
    assert parted(Rules(region=(101, 0, 99, 100)))[0] == [2, 4]
    assert parted(Rules(region=(0, 0, 50, 100)))[1][2] == "outside the region"


def test_background_people_go_and_the_main_subject_stays():
    chosen, left = parted(Rules(background_people=True))
    assert chosen == [2, 3, 4]
    assert left[1] == "kept: main subject"


def test_if_nobody_stands_out_all_people_stay_and_that_is_said():
    crowd = [thing(k, "person", (20 * k, 80, 20 * k + 4, 90)) for k in (1, 3, 5)]
    chosen, left = parted(
        Rules(background_people=True), found=[*crowd, thing(6, "car", CAR.box_xyxy)]
    )
    assert chosen == [6]
    assert set(left.values()) == {NO_MAIN_SUBJECT}
    selection = select(IMAGE, crowd, min_score=0, min_area=0, rules=Rules(background_people=True))
    (note,) = selection_notes(selection.kept)
    assert note.startswith("of 3 people none is the evident main subject, so no one was taken for")
    assert selection_notes(selection.kept[:1])[0].startswith(
        "the one person found is no evident main"
    )
    assert selection_notes([]) == ()


def test_every_rule_has_its_say_and_the_order_does_not_matter():
    rules = Rules(background_people=True, keep=1, region=(100, 0, 100, 100), max_area=700)
    chosen, left = parted(rules, protected=("dog",))
    assert chosen == []
    assert left == {
        1: "area above 700 px",
        2: "area above 700 px",
        3: "outside the region",
        4: "protected",
        5: "score below 0.5",
    }
    # The main subject is the photo's, not the region's.
    assert parted(Rules(background_people=True, region=(140, 0, 60, 100)))[0] == [2]


def test_what_stays_on_purpose_is_guarded_and_what_is_below_a_limit_is_not():
    selection = select(
        IMAGE, ALL, min_score=0.5, min_area=500, rules=Rules(keep=1), protected_labels=("dog",)
    )
    assert selection.protected == {1, 4}
    assert {x.id for x in selection.kept} == {1, 4, 5}


# --- labels


def test_background_people_are_people_asked_for():
    assert requested_labels((), Rules(background_people=True), KNOWN) == (("person",), ())
    assert requested_labels("cars", Rules(background_people=True), KNOWN)[0] == ("car", "person")
    with pytest.raises(InputError, match="no label given"):
        requested_labels((), Rules(keep=1), KNOWN)


def test_what_is_protected_is_not_removed():
    assert requested_labels("all", Rules(protect="puppies"), KNOWN) == (("car", "person"), ("dog",))
    with pytest.raises(InputError, match=r"dog: .*protected"):
        requested_labels(["dog"], Rules(protect=("dog",)), KNOWN)
    with pytest.raises(UnknownNameError, match="unknown label 'unicorn'"):
        requested_labels(["dog"], Rules(protect=("unicorn",)), KNOWN)


# --- values


@pytest.mark.parametrize(
    ("area", "px"), [(0, 0), ("0", 0), (7.2, 8), ("12", 12), ("1%", 200), (" 0.001 % ", 1)]
)
def test_areas_are_pixels_or_shares(area, px):
    assert area_px("min_area", area, (100, 200)) == px


@pytest.mark.parametrize("area", [-1, "-1%", "101%", "5px", "", "%", math.nan, "inf", None])
def test_areas_that_cannot_be_understood_are_refused(area):
    with pytest.raises(InputError, match="max_area must be"):
        area_px("max_area", area, (1, 1))


def test_regions_are_cut_at_the_photo_and_hold_something():
    assert region_box(("25%", "10%", "50%", "100%"), (100, 200)) == (50, 10, 150, 100)
    assert region_box((190, 0, 99, 5), (100, 200)) == (190, 0, 200, 5)
    with pytest.raises(InputError, match=r"region 200,0,9,9 .*200 x 100"):
        region_box((200, 0, 9, 9), (100, 200))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep": -1}, "keep .*-1"),
        ({"only": (2, 0)}, "only .*1 on, got 0"),
        ({"max_area": "x"}, "max_area must be at least 0 px, .*, got x"),
        ({"region": (1, 2, 3)}, r"region must be left, top, width, height, got \(1, 2, 3\)"),
        ({"region": "1,2,3,4"}, "region must be left, top, width, height, got '1,2,3,4'"),
        ({"region": (0, 0, 0, 4)}, r"region must be wider and higher than 0, got \(0, 0, 0, 4\)"),
        ({"region": ("x", 0, 1, 4)}, "region must be at least 0 px, .*, got x"),
    ],
)
def test_rules_out_of_range_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Rules(**values)
