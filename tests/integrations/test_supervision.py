"""Detections in, those that remain out."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from cleanplate.errors import InputError
from cleanplate.integrations.supervision import remove_detections
from cleanplate.remover import Remover
from dataset_builders import SCENES, draw


@dataclass(frozen=True)
class Detections:
    """What supervision's class has that is used; the test below takes the real one."""

    xyxy: np.ndarray
    mask: np.ndarray | None
    class_id: np.ndarray

    def __len__(self):
        return len(self.xyxy)

    def __getitem__(self, index):
        mask = None if self.mask is None else self.mask[index]
        return Detections(self.xyxy[index], mask, self.class_id[index])


def detections_of(name):
    things = SCENES[name]
    masks = np.zeros((len(things), 64, 96), np.bool_)
    for mask, thing in zip(masks, things, strict=True):
        left, top, right, bottom = thing.box
        mask[top:bottom, left:right] = True
    boxes = np.array([thing.box for thing in things], np.float32)
    return Detections(boxes, masks, np.arange(len(things)))


@pytest.fixture
def remover(fake_segmenter, fake_inpainter):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_others_stay_in_the_image_and_among_the_detections(remover, real):
    image, found = draw(SCENES["c"]), detections_of("c")
    if real:
        sv = pytest.importorskip("supervision")
        found = sv.Detections(xyxy=found.xyxy, mask=found.mask, class_id=found.class_id)
    plate, left = remove_detections(image, found, found.class_id == 0, remover=remover)
    assert left.class_id.tolist() == [1]
    assert not (plate[8:56, 40:54] == image[8:56, 40:54]).all()
    np.testing.assert_array_equal(plate[30:50, 54:84], image[30:50, 54:84])


def test_boxes_alone_and_wrong_lengths_are_refused(remover):
    found = detections_of("a")
    with pytest.raises(InputError, match="segments"):
        remove_detections(draw([]), replace(found, mask=None), found.class_id == 0)
    with pytest.raises(InputError, match=r"\(2,\).*\(3,\)"):
        remove_detections(draw([]), found, np.ones(3, np.bool_))
