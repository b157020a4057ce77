"""What becomes of labels, by hand-computed masks."""

from dataclasses import replace

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.datasets import Annotation, DatasetOptions, decide
from cleanplate.datasets.annotations import (
    CroppedMask,
    Rle,
    fill_polygons,
    join_polygons,
    polygons_of,
    region_of,
)
from cleanplate.errors import InputError
from cleanplate.ops import encode_rle, pack_counts, unpack_counts

SIZE_HW = (20, 40)
PEOPLE = DatasetOptions(classes=("person",))
CLIP = DatasetOptions(classes=("person",), neighbours="clip")


def mask_of(left, top, right, bottom):
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def square(label, left=10, *, outline=True, **more):
    """Return an annotation of 10 x 10 px."""
    right, top, bottom = left + 10, 5, 15
    polygon = (left, top, right, top, right, bottom, left, bottom)
    return Annotation(
        key=f"{label} {left}",
        label=label,
        box=(left, top, right, bottom),
        outline=(polygon,) if outline else None,
        **more,
    )


@pytest.mark.parametrize(
    ("filled_columns", "outcome"),
    [(10, "removed"), (9, "partial"), (0, "partial")],
)
def test_an_object_that_was_asked_for_goes_if_it_was_filled(filled_columns, outcome):
    mask = mask_of(10, 0, 10 + filled_columns, 20)
    [decision] = decide([square("person")], mask, {0}, PEOPLE)
    assert decision.outcome == outcome
    assert decision.share == pytest.approx(filled_columns / 10)
    assert decision.is_dropped == (outcome == "removed")


def test_an_object_that_was_not_found_keeps_its_label():
    [decision] = decide([square("person", outline=False)], mask_of(0, 0, 0, 0), (), PEOPLE)
    assert decision.outcome == "missed"
    assert not decision.is_change


@pytest.mark.parametrize(
    ("filled_columns", "outcome"),
    [(0, "kept"), (2, "kept"), (3, "clipped"), (7, "clipped"), (8, "covered"), (10, "covered")],
)
def test_a_neighbour_is_kept_clipped_or_dropped_by_what_is_visible(filled_columns, outcome):
    mask = mask_of(10, 0, 10 + filled_columns, 20)
    [decision] = decide([square("dog")], mask, (), CLIP)
    assert decision.outcome == outcome
    if outcome == "clipped":
        assert decision.visible[0] == (10 + filled_columns, 5, 20, 15)
        assert decision.visible[1].all()


def test_thresholds_are_adjustable():
    mask = mask_of(10, 0, 15, 20)
    lax = DatasetOptions(classes=("person",), min_removed=0.5, min_whole=0.5)
    decisions = decide([square("person"), square("dog")], mask, {0}, lax)
    assert [decision.outcome for decision in decisions] == ["removed", "kept"]
    with pytest.raises(InputError, match=r"0\.9 is above"):
        DatasetOptions(classes=(), min_visible=0.9)
    with pytest.raises(InputError, match=r"min_removed.*1\.5"):
        DatasetOptions(classes=(), min_removed=1.5)


def test_a_neighbour_known_by_its_box_alone_is_never_clipped():
    half = decide([square("dog", outline=False)], mask_of(10, 0, 15, 20), (), CLIP)
    whole = decide([square("dog", outline=False)], mask_of(0, 0, 40, 20), (), CLIP)
    assert [half[0].outcome, whole[0].outcome] == ["kept", "covered"]


def test_visible_keypoints_that_were_filled_become_hidden():
    points = ((12.0, 6.0, 2), (18.0, 6.0, 2), (12.0, 6.0, 1), (0.0, 0.0, 0))
    [decision] = decide([square("dog", keypoints=points)], mask_of(10, 0, 12, 20), (), CLIP)
    assert (decision.outcome, decision.hidden) == ("kept", ())
    [decision] = decide([square("dog", keypoints=points)], mask_of(10, 0, 13, 20), (), CLIP)
    assert decision.hidden == (0,)


def test_an_outline_without_a_pixel_changes_nothing():
    outside = Annotation(
        key="x", label="person", box=(50, 0, 60, 5), outline=((50.0, 0, 60, 0, 60, 5),)
    )
    flat = Annotation(key="y", label="dog", box=(5, 5, 9, 5), outline=((5.0, 5, 9, 5, 7, 5),))
    everything = np.ones(SIZE_HW, np.bool_)
    decisions = decide([outside, flat], everything, (), PEOPLE)
    assert [(it.outcome, it.share) for it in decisions] == [("missed", None), ("kept", None)]


def test_an_outline_of_another_size_is_named():
    placed = Annotation(key="annotation 7", label="dog", box=(0, 0, 1, 1))
    wrong = replace(placed, outline=Rle((5, 5), (5, 2)))
    with pytest.raises(InputError, match=r"annotation 7.*2 x 5"):
        decide([wrong], mask_of(0, 0, 1, 1), (), PEOPLE)


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_polygons_of_pixels_are_those_pixels_and_the_holes_in_them(mask):
    if not mask.any():
        return
    (left, top, right, bottom), inside = fill_polygons(polygons_of(((3, 2, 0, 0), mask)), SIZE_HW)
    canvas = np.zeros(SIZE_HW, np.bool_)
    canvas[top:bottom, left:right] = inside
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(mask.astype(np.uint8), contours, -1, 1, cv2.FILLED).astype(np.bool_)
    height, width = mask.shape
    np.testing.assert_array_equal(canvas[2 : 2 + height, 3 : 3 + width], filled)
    assert canvas.sum() == filled.sum()


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30))
def test_packed_run_lengths_come_back(counts):
    assert unpack_counts(pack_counts(counts)) == counts


def test_packed_run_lengths_are_those_of_the_reference():
    mask_api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    for share in (0.02, 0.5, 0.9):
        mask = rng.random((23, 31)) < share
        theirs = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert pack_counts(encode_rle((0, 0, 31, 23), mask, (23, 31))) == theirs


def test_text_that_is_no_run_length_is_refused():
    with pytest.raises(InputError, match="end in the middle"):
        unpack_counts("0P")
    with pytest.raises(InputError, match="run lengths"):
        unpack_counts("\n")


def test_joined_polygons_keep_all_pixels():
    canvas = np.zeros(SIZE_HW, np.bool_)
    canvas[2:6, 3:9] = canvas[10:15, 20:30] = True
    placed = CroppedMask((0, 0, 40, 20), canvas)
    region = region_of(Annotation(key="x", label="x", box=(0, 0, 1, 1), outline=placed), SIZE_HW)
    one = join_polygons(polygons_of(region))
    (left, top, right, bottom), inside = fill_polygons((tuple(one),), SIZE_HW)
    again = np.zeros(SIZE_HW, np.bool_)
    again[top:bottom, left:right] = inside
    assert (again >= canvas).all()
    assert again.sum() < canvas.sum() + 60  # the line between them
