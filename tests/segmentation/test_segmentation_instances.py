"""From evidence on a grid to objects, on grids made by hand."""

import numpy as np
import pytest

from cleanplate.ops import rasterize
from cleanplate.segmentation.instances import find_instances, join_across_border
from cleanplate.types import Instance


def evidence_with(size_hw, *planes):
    """Return one plane for each list of (left, top, right, bottom, probability), in cells."""
    evidence = np.zeros((len(planes), *size_hw), np.float32)
    for plane, boxes in zip(evidence, planes, strict=True):
        for left, top, right, bottom, probability in boxes:
            plane[top:bottom, left:right] = probability
    return evidence


def test_a_rectangle_comes_back_in_place_at_two_px_a_cell():
    evidence = evidence_with((30, 40), [(10, 5, 20, 15, 0.9)])
    (found,) = find_instances(evidence, ("cat",), (60, 80))
    assert (found.id, found.label, found.box_xyxy) == (1, "cat", (20, 10, 40, 30))
    assert found.mask.all()
    assert found.score == pytest.approx(0.9)


def test_the_outline_lies_where_the_evidence_between_cells_falls_to_what_is_likely():
    # 0.9 falls to 0.3 two thirds of the way to the next cell's centre: 0.67 px beyond the cell.
    evidence = evidence_with((30, 40), [(10, 5, 20, 15, 0.9)])
    (found,) = find_instances(evidence, ("cat",), (120, 160))
    assert found.box_xyxy == (39, 19, 81, 61)


@pytest.mark.parametrize("size_hw", [(60, 80), (15, 20), (7, 9), (91, 133), (1, 1), (300, 40)])
def test_evidence_everywhere_is_the_whole_photo(size_hw):
    evidence = evidence_with((30, 40), [(0, 0, 40, 30, 0.8)])
    (found,) = find_instances(evidence, ("cat",), size_hw)
    assert found.box_xyxy == (0, 0, size_hw[1], size_hw[0])
    assert found.mask.all()


@pytest.mark.parametrize(
    ("cells", "box"),
    [
        ((0, 0, 20, 15), (0, 0, 40, 30)),
        ((20, 15, 40, 30), (40, 30, 80, 60)),
        ((0, 10, 40, 20), (0, 20, 80, 40)),
        ((30, 0, 40, 30), (60, 0, 80, 60)),
    ],
)
def test_objects_that_are_cut_by_the_photo_reach_its_border(cells, box):
    evidence = evidence_with((30, 40), [(*cells, 0.9)])
    (found,) = find_instances(evidence, ("cat",), (60, 80))
    assert found.box_xyxy == box


@pytest.mark.parametrize(("cells", "count"), [(5, 0), (6, 1)])
def test_blots_of_a_few_cells_are_noise(cells, count):
    evidence = evidence_with((30, 40), [(10, 5, 10 + cells, 6, 0.9)])
    assert len(find_instances(evidence, ("cat",), (60, 80))) == count


@pytest.mark.parametrize(("best", "count"), [(0.49, 0), (0.51, 1)])
def test_an_object_needs_a_cell_that_is_sure(best, count):
    evidence = evidence_with((30, 40), [(10, 5, 20, 15, 0.4), (14, 9, 15, 10, best)])
    found = find_instances(evidence, ("cat",), (60, 80))
    assert len(found) == count
    assert all(x.score == pytest.approx((99 * 0.4 + best) / 100) for x in found)


def test_what_is_only_likely_comes_along_with_what_is_sure():
    evidence = evidence_with((30, 40), [(10, 5, 20, 15, 0.9), (20, 8, 30, 12, 0.4)])
    (found,) = find_instances(evidence, ("cat",), (60, 80))
    assert found.box_xyxy[2] > 56
    faint = evidence_with((30, 40), [(10, 5, 20, 15, 0.9), (20, 8, 30, 12, 0.25)])
    (found,) = find_instances(faint, ("cat",), (60, 80))
    assert found.box_xyxy[2] < 46


def test_parts_are_numbered_by_falling_area_whatever_their_class():
    evidence = evidence_with(
        (30, 40), [(2, 2, 6, 6, 0.9), (25, 20, 33, 28, 0.9)], [(10, 5, 20, 15, 0.7)]
    )
    found = find_instances(evidence, ("cat", "dog"), (60, 80))
    assert [(x.id, x.label, x.area_px) for x in found] == [
        (1, "dog", 400),
        (2, "cat", 256),
        (3, "cat", 64),
    ]
    assert [round(x.score, 2) for x in found] == [0.7, 0.9, 0.9]


def test_parts_that_touch_at_a_corner_are_one():
    evidence = evidence_with((30, 40), [(2, 2, 6, 6, 0.9), (6, 6, 10, 10, 0.9)])
    assert len(find_instances(evidence, ("cat",), (60, 80))) == 1


def test_a_cell_goes_to_the_class_with_the_stronger_evidence():
    evidence = evidence_with((30, 40), [(5, 5, 20, 15, 0.6)], [(15, 5, 30, 15, 0.8)])
    found = find_instances(evidence, ("cat", "dog"), (60, 80))
    masks = {x.label: rasterize([x], (60, 80)) for x in found}
    assert masks["dog"][10:30, 30:60].mean() > 0.9
    assert masks["cat"][10:30, 10:29].all()
    assert not (masks["cat"] & masks["dog"]).any()


def test_outlines_of_neighbours_that_grow_over_each_other_do_not_overlap():
    evidence = evidence_with((30, 40), [(5, 5, 20, 15, 0.9)], [(20, 5, 30, 15, 0.9)])
    found = find_instances(evidence, ("cat", "dog"), (300, 400))  # 10 px a cell
    cat, dog = (rasterize([x], (300, 400)) for x in found)
    assert not (cat & dog).any()
    assert (cat | dog)[60:140, 60:290].all()  # and no gap between them


def test_no_evidence_no_object():
    assert find_instances(evidence_with((30, 40), [], []), ("cat", "dog"), (60, 80)) == []


def test_the_evidence_is_not_modified():
    evidence = evidence_with((30, 40), [(5, 5, 20, 15, 0.6)], [(15, 5, 30, 15, 0.8)])
    before = evidence.copy()
    find_instances(evidence, ("cat", "dog"), (60, 80))
    np.testing.assert_array_equal(evidence, before)


def test_what_is_not_asked_for_competes_as_a_last_plane():
    # A rider of 0.45 on a horse: the right half is more of the rest.
    evidence = evidence_with(
        (30, 40), [(10, 5, 30, 25, 0.45), (12, 10, 14, 12, 0.6)], [(20, 5, 30, 25, 0.5)]
    )
    (found,) = find_instances(evidence, ("horse",), (60, 80))
    assert found.box_xyxy[0] == 20
    assert found.box_xyxy[2] == pytest.approx(40, abs=2)


def part(number, label, score, box):
    return Instance(
        number, label, score, box, np.ones((box[3] - box[1], box[2] - box[0]), np.bool_)
    )


def test_what_a_panoramas_border_cuts_in_two_is_one_object():
    left, right = part(3, "car", 0.6, (0, 10, 4, 20)), part(1, "car", 0.9, (90, 12, 100, 22))
    others = (
        part(2, "dog", 0.9, (92, 12, 100, 22)),  # another label
        part(4, "car", 0.9, (90, 30, 100, 40)),  # other rows
        part(5, "car", 0.9, (1, 12, 5, 22)),  # ends before the border
    )
    found = join_across_border([right, others[0], left, *others[1:]], (50, 100))
    assert [it.id for it in found] == [1, 2, 4, 5]
    one = found[0]
    assert (one.label, one.score, one.box_xyxy) == ("car", 0.9, (0, 10, 100, 22))
    np.testing.assert_array_equal(rasterize([one], (50, 100)), rasterize([left, right], (50, 100)))
    assert all(it in found for it in others)


def test_an_object_of_three_parts_around_a_panorama_is_one():
    top = part(1, "wall", 0.5, (0, 0, 9, 5)), part(2, "wall", 0.7, (70, 4, 100, 30))
    found = join_across_border([*top, part(3, "wall", 0.6, (0, 20, 9, 30))], (50, 100))
    assert [(it.id, it.score, it.area_px) for it in found] == [(1, 0.7, 9 * 5 + 30 * 26 + 9 * 10)]
    ring = part(1, "wall", 0.5, (0, 0, 100, 5))
    assert join_across_border([ring], (50, 100)) == [ring]
