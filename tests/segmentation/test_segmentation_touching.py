"""Touching objects: what the network says becomes objects; which components it is asked about."""

import numpy as np
import pytest

from cleanplate.hub import get_model
from cleanplate.ops import SquareView
from cleanplate.segmentation import Completed, refine_each
from cleanplate.segmentation.components import DIVIDING_MODEL, Divider, find_centres
from cleanplate.types import Instance

SIZE = get_model(DIVIDING_MODEL).preprocessing.square_px
GRID = SIZE // 4
PLACES = (np.arange(GRID) + 0.5) / GRID


class SeesColours:
    """A network that takes each colour in the component for an object."""

    def __init__(self):
        self.inputs = []

    def run(self, tensor):
        self.inputs.append(tensor)
        rgb, inside = tensor[0, :3, 2::4, 2::4], tensor[0, 3, 2::4, 2::4] > 0
        output = np.zeros((1, 3, GRID, GRID), np.float32)
        for colour in np.unique(rgb[:, inside].round(1), axis=1).T:
            own = inside & (rgb.round(1) == colour[:, None, None]).all(axis=0)
            rows, columns = np.nonzero(own)
            if len(rows) < 20:
                continue  # mixed at a border
            y, x = rows.mean(), columns.mean()
            output[0, 0, round(y), round(x)] = 0.9
            output[0, 1][own] = (x + 0.5) / GRID - PLACES[columns]
            output[0, 2][own] = (y + 0.5) / GRID - PLACES[rows]
        return output


@pytest.fixture
def network():
    return SeesColours()


@pytest.fixture
def divider(network):
    divider = Divider(device="cpu")
    divider.__dict__["_network"] = network
    return divider


def photo_of(size_hw, *boxes):
    """Return a grey photo with a box of another colour for each left, top, right, bottom."""
    photo = np.full((*size_hw, 3), 128, np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes):
        photo[top:bottom, left:right] = ((255, 0, 0), (0, 255, 0), (0, 0, 255))[number]
    return photo


@pytest.mark.parametrize("scale", [1, 2, 3.5])
@pytest.mark.parametrize("left", [0, 30])
def test_two_objects_come_apart_where_they_touch(divider, scale, left):
    boxes = [
        tuple(round(scale * side) for side in box)
        for box in ((left, 10, left + 20, 60), (left + 20, 20, left + 45, 60))
    ]
    photo = photo_of((round(80 * scale), round(100 * scale)), *boxes)
    cells = np.zeros((50, 45), np.bool_)
    cells[:, :20], cells[10:, 20:] = True, True
    parts = divider.divide(photo, cells, (left, 10, left + 45, 60), (80, 100), "cat")
    first, second = sorted(parts, key=lambda part: int(part.any(axis=0).argmax()))
    np.testing.assert_array_equal(first | second, cells)
    assert not (first & second).any()
    assert first[:, :19].all()
    assert second[10:, 21:].all()


def test_one_object_stays_as_it_is(divider):
    photo = photo_of((80, 100), (20, 10, 60, 70))
    cells = np.ones((60, 40), np.bool_)
    (part,) = divider.divide(photo, cells, (20, 10, 60, 70), (80, 100), "cat")
    assert part is cells


def test_the_network_is_not_asked_about_small_components(divider, network):
    cells = np.ones((10, 14), np.bool_)
    assert divider.divide(photo_of((80, 100)), cells, (5, 5, 19, 15), (80, 100), "cat") == [cells]
    assert network.inputs == []


def test_the_network_sees_the_component_alone_as_a_mask(divider, network):
    cells = np.zeros((40, 40), np.bool_)
    cells[:, :20] = True
    divider.divide(photo_of((80, 100), (30, 20, 70, 60)), cells, (30, 20, 70, 60), (80, 100), "cat")
    (tensor,) = network.inputs
    assert (tensor.shape, tensor.dtype) == ((1, 4, SIZE, SIZE), np.float32)
    assert tensor[0, 3].mean() == pytest.approx(0.5 / 1.2**2, abs=0.01)
    assert tensor[0, 0].max() == 1


def test_of_neighbouring_centres_the_most_probable_counts_and_small_parts_do_not():
    probability = np.zeros((GRID, GRID), np.float32)
    probability[20, 10], probability[20, 11] = 0.5, 0.6  # one centre
    probability[20, 30] = 0.31
    probability[5, 40] = 0.9  # of hardly any cell
    probability[40, 40] = 0.2  # not probable
    offsets = np.zeros((GRID, GRID, 2), np.float32)
    inside = np.zeros((SIZE, SIZE), np.bool_)
    inside[72:92, 20:150] = True
    votes, centres = find_centres(probability, offsets, inside, 0.3)
    np.testing.assert_allclose(centres[:, 0], PLACES[[11, 30]], atol=1e-6)
    np.testing.assert_allclose(votes[20, 30], PLACES[[30, 20]], atol=1e-6)


def test_the_built_in_network_is_loaded_at_the_first_use():
    divider = Divider(device="cpu", threads=1)
    assert "_network" not in vars(divider)
    photo = np.random.default_rng(0).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    cells = np.ones((40, 40), np.bool_)
    parts = divider.divide(photo, cells, (30, 20, 70, 60), (80, 100), "cat")
    np.testing.assert_array_equal(np.sum(parts, axis=0), cells)
    assert "_network" in vars(divider)


def test_a_window_may_reach_beyond_the_picture():
    picture = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    window = SquareView((0, 0, 20, 20), 0.5, picture.shape, 40)
    seen = window.see(picture, 77)
    assert (seen[:10] == 77).all()
    assert (seen[:, :10] == 77).all()
    np.testing.assert_array_equal(seen[10:30, 10:], picture)
    np.testing.assert_array_equal(window.at_full_size(seen), picture)
    assert (window.within_picture(seen)[:10] == 0).all()


def test_outlines_of_touching_objects_are_refined_without_a_gap_between_them():
    photo = np.full((120, 160, 3), (60, 120, 60), np.uint8)
    photo[30:90, 30:80], photo[30:90, 80:130] = (200, 60, 40), (180, 80, 40)
    found = [
        Instance(1, "person", 0.9, (33, 33, 80, 87), np.ones((54, 47), np.bool_)),
        Instance(2, "person", 0.9, (80, 33, 127, 87), np.ones((54, 47), np.bool_)),
    ]
    drawn = np.zeros((120, 160), np.int64)
    for instance in refine_each(photo, found, lambda _, instance: Completed(instance)):
        left, top, right, bottom = instance.box_xyxy
        drawn[top:bottom, left:right] += instance.mask
    truth = (photo[..., 0] > 100).astype(np.int64)
    np.testing.assert_array_equal(drawn[:, 60:100], truth[:, 60:100])
