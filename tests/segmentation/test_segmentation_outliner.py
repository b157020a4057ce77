"""All of an object: what the network says of the pixels around it becomes its mask."""

import numpy as np
import pytest

from cleanplate.ops import rasterize
from cleanplate.segmentation import Outliner
from cleanplate.types import Instance

SIZE = Outliner.size_px


class SeesRed:
    """A network that takes red pixels for the object's, and doubts what is blue."""

    def __init__(self):
        self.inputs = []

    def run(self, tensor):
        self.inputs.append(tensor)
        red, blue = tensor[:, :1, ::2, ::2], tensor[:, 2:3, ::2, ::2]
        return np.where(red > 0.7, 0.9, np.where(blue > 0.7, 0.3, 0.05)).astype(np.float32)


@pytest.fixture
def network():
    return SeesRed()


@pytest.fixture
def outliner(network):
    outliner = Outliner(device="cpu")
    outliner.__dict__["_network"] = network
    return outliner


def found(box, label="cat"):
    left, top, right, bottom = box
    return Instance(3, label, 0.8, box, np.ones((bottom - top, right - left), np.bool_))


def photo_of(size_hw, *boxes, colour=(255, 0, 0)):
    photo = np.full((*size_hw, 3), 60, np.uint8)
    for left, top, right, bottom in boxes:
        photo[top:bottom, left:right] = colour
    return photo


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("at", [(0, 0), (70, 40), (160, 120)])
def test_what_was_missed_is_added_and_a_rim_that_is_denied_goes(outliner, scale, at):
    size_hw, (x, y) = (200 * scale, 260 * scale), (at[0] * scale, at[1] * scale)
    truth = (x, y, x + 100 * scale, y + 80 * scale)
    photo = photo_of(size_hw, truth)
    part = (x + 20 * scale, y, x + 100 * scale, y + 80 * scale)  # a fifth is missed
    whole = outliner.complete(photo, found(part)).instance
    assert (whole.id, whole.label, whole.score) == (3, "cat", 0.8)
    true = rasterize([found(truth)], size_hw)
    own = rasterize([whole], size_hw)
    assert (own & true).sum() > 0.96 * (own | true).sum()
    more = (x, y, min(x + 107 * scale, size_hw[1]), y + 80 * scale)
    own = rasterize([outliner.complete(photo, found(more)).instance], size_hw)
    assert (own & true).sum() > 0.96 * (own | true).sum()


def test_another_object_beside_it_is_not_its_own(outliner):
    photo = photo_of((200, 260), (60, 60, 120, 140), (150, 60, 200, 140))
    own = rasterize([outliner.complete(photo, found((60, 60, 120, 140))).instance], (200, 260))
    assert own[100, 100]
    assert not own[:, 140:].any()


@pytest.mark.parametrize("box", [(60, 60, 120, 140), (0, 0, 60, 80), (200, 120, 260, 200)])
def test_what_the_network_says_is_returned_where_it_looked(outliner, box):
    completed = outliner.complete(photo_of((200, 260), box), found(box))
    left, top, right, bottom = completed.box_xyxy
    assert completed.probability.shape == (bottom - top, right - left)
    assert (left, top) <= box[:2]
    assert (right, bottom) >= box[2:]
    everywhere = completed.probability_in((0, 0, 260, 200))
    own = rasterize([found(box)], (200, 260))
    assert everywhere[own].mean() > 0.85
    assert everywhere[top:bottom, left:right][~own[top:bottom, left:right]].mean() < 0.15
    part = completed.probability_in((50, 90, 130, 150))
    assert (part == everywhere[90:150, 50:130]).all()


def test_what_the_network_only_doubts_stays(outliner):
    photo = photo_of((200, 260), (60, 60, 120, 140))
    photo[100:140, 60:120] = (0, 0, 255)
    own = rasterize([outliner.complete(photo, found((60, 60, 120, 140))).instance], (200, 260))
    assert own[62:138, 62:118].all()


def test_a_thick_part_that_the_network_denies_stays(outliner):
    photo = photo_of((200, 260), (60, 60, 120, 140))
    photo[60:90, 60:80] = 60
    own = rasterize([outliner.complete(photo, found((60, 60, 120, 140))).instance], (200, 260))
    assert own[62:138, 62:118].all()


@pytest.mark.parametrize("width", [2, 60])
def test_an_object_that_the_network_does_not_see_stays(outliner, width):
    instance = found((60, 60, 60 + width, 140))
    own = outliner.complete(photo_of((200, 260)), instance).instance
    assert own.box_xyxy == instance.box_xyxy
    assert own.mask.all()


@pytest.mark.parametrize(
    ("box", "label"), [((60, 60, 80, 70), "cat"), ((60, 60, 120, 140), "object")]
)
def test_the_network_is_not_asked_about_small_objects_and_other_things(
    outliner, network, box, label
):
    instance = found(box, label)
    completed = outliner.complete(photo_of((200, 260), box), instance)
    assert completed.instance is instance
    assert completed.probability is None
    assert network.inputs == []


def test_the_network_sees_the_object_with_its_surroundings(outliner, network):
    outliner.complete(photo_of((200, 260), (80, 60, 160, 140)), found((80, 60, 160, 140)))
    (tensor,) = network.inputs
    assert (tensor.shape, tensor.dtype) == ((1, 4, SIZE, SIZE), np.float32)
    assert tensor[0, 3].mean() == pytest.approx(1 / 1.8**2, abs=0.02)
    assert tensor[0, 0].max() == 1


def test_the_built_in_network_is_loaded_at_the_first_use():
    outliner = Outliner(device="cpu", threads=1)
    assert "_network" not in vars(outliner)
    photo = np.random.default_rng(0).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    assert outliner.complete(photo, found((30, 20, 70, 60))).instance.mask.any()
    assert "_network" in vars(outliner)
