"""torchvision's Mask R-CNN: objects of 80 COCO classes, each for itself.

Reference:
    He et al., Mask R-CNN, ICCV 2017, arXiv:1703.06870; torchvision.models.detection.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.labels import COCO_IDS
from cleanplate.runtime import IMAGENET_DEVIATION, IMAGENET_MEAN
from cleanplate.segmentation.instances import Candidate, separate_instances
from cleanplate.segmentation.models.maskrcnn_regions import (
    Boxes,
    Floats,
    clipped,
    is_larger,
    moved,
    propose,
    without_overlaps,
)
from cleanplate.segmentation.network_segmenter import NetworkSegmenter
from cleanplate.types import Instance, RGBImage

# torchvision.models.detection.faster_rcnn.FasterRCNN: its defaults.
_SHORT_SIDE, _LONGEST_SIDE = 800, 1333  # px
_SIDE_MULTIPLE = 32  # px
_LEAST_SCORE = 0.05
_LEAST_PX = 1e-2
_OVERLAP = 0.5
_MOST_OBJECTS = 100
_DELTA_WEIGHTS = (10.0, 5.0)

_INSIDE = 0.5  # probability from which a pixel is the object's; torchvision's documentation


class MaskRCNNSegmenter(NetworkSegmenter):
    """Finds the objects of 80 COCO classes; those that touch stay apart.

    The photo is shown at a short side of 800 px, or a long one of 1,333 px if that is less, as its
    publisher does it. Objects of a score above 0.05 are returned, the 100 surest.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        tensor, shown_hw = prepared(image)
        *features, objectness, deltas = self._networks["propose"].run_all(tensor)
        grids_hw = [plane.shape[2:] for plane in features]
        # The coarsest level is every second cell of the one before.
        grids_hw.append(((grids_hw[-1][0] + 1) // 2, (grids_hw[-1][1] + 1) // 2))
        proposals = propose(objectness, deltas, grids_hw, tensor.shape[2:], shown_hw)
        if not len(proposals):
            return []
        logits, deltas = self._networks["classify"].run_all(*features, proposals)
        classes = [COCO_IDS[label] for label in asked]
        boxes, scores, chosen = _detect(proposals, logits, deltas, classes, shown_hw)
        if not len(boxes):
            return []
        cells = self._networks["outline"].run(*features, boxes, np.array(classes, np.int64)[chosen])
        height, width = image.shape[:2]
        back = np.array((width / shown_hw[1], height / shown_hw[0]) * 2, np.float32)
        return separate_instances(
            [
                _pasted(asked[index], float(score), box, probability)
                for index, score, box, probability in zip(
                    chosen, scores, boxes * back, cells, strict=True
                )
            ],
            (height, width),
        )


def prepared(image: RGBImage) -> tuple[Floats, tuple[int, int]]:
    """Return a photo as the network takes it, and the px of it that are the photo.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.

    Returns:
        (1, 3, h, w) float32, normalised; h and w are multiples of 32, zeros below and to the right.
    """
    height, width = image.shape[:2]
    scale = min(_SHORT_SIDE / min(height, width), _LONGEST_SIDE / max(height, width))
    # At least 1 px: torchvision refuses photos narrower than 1:1333.
    shown_hw = max(1, math.floor(height * scale)), max(1, math.floor(width * scale))
    shown = (_resized(image, shown_hw) / np.float32(255) - IMAGENET_MEAN) / IMAGENET_DEVIATION
    padded_hw = [-(-side // _SIDE_MULTIPLE) * _SIDE_MULTIPLE for side in shown_hw]
    tensor = np.zeros((1, 3, *padded_hw), np.float32)
    tensor[0, :, : shown_hw[0], : shown_hw[1]] = shown.transpose(2, 0, 1)
    return tensor, shown_hw


def _resized(image: RGBImage, size_hw: tuple[int, int]) -> Floats:
    """Return (h, w, 3) float32 in [0, 255]: linear between pixels, and, as published, not smoothed.

    Only the pixels that count are converted, so that a large photo takes little memory.
    """
    (top, bottom, down), (left, right, across) = (
        _neighbours(there, here) for there, here in zip(image.shape[:2], size_hw, strict=True)
    )
    down, across = down[:, None, None], across[:, None]
    upper = image[top][:, left] * (1 - across) + image[top][:, right] * across
    lower = image[bottom][:, left] * (1 - across) + image[bottom][:, right] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _neighbours(there: int, here: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Return, for each of `here` pixels, the two of `there` it lies between, and how far along."""
    step = np.float32(there / here)
    place = np.maximum((np.arange(here, dtype=np.float32) + np.float32(0.5)) * step - 0.5, 0)
    before = np.minimum(place.astype(np.intp), there - 1)
    after = np.minimum(before + 1, there - 1)
    return before, after, np.asarray(place - before, np.float32)


def _detect(
    proposals: Boxes,
    logits: Floats,
    deltas: Floats,
    classes: list[int],
    size_hw: tuple[int, int],
) -> tuple[Boxes, Floats, npt.NDArray[np.intp]]:
    """Return boxes, scores and indices into `classes` of the surest objects."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = odds / odds.sum(axis=1, keepdims=True)
    boxes, scores, chosen = [], [], []
    for index, number in enumerate(classes):
        sure = np.flatnonzero(probability[:, number] > _LEAST_SCORE)
        found = clipped(moved(proposals[sure], deltas[sure, number], _DELTA_WEIGHTS), size_hw)
        large = is_larger(found, _LEAST_PX)
        found, score = found[large], probability[sure[large], number]
        kept = without_overlaps(found, score, _OVERLAP)
        boxes.append(found[kept])
        scores.append(score[kept])
        chosen.append(np.full(len(kept), index, np.intp))
    best = np.argsort(-np.concatenate(scores), kind="stable")[:_MOST_OBJECTS]
    return (
        np.concatenate(boxes)[best],
        np.concatenate(scores)[best],
        np.concatenate(chosen)[best],
    )


def _pasted(label: str, score: float, box: Floats, probability: Floats) -> Candidate:
    """Return an object whose 28 x 28 cells are brought to its box in the photo.

    A ring of zeros is put around the cells and the box grown by as much, so that the outline may
    lie at the box's edge (`paste_masks_in_image` of torchvision).
    """
    padded = np.pad(probability, 1)
    grown = np.float32(padded.shape[0] / probability.shape[0])
    half = (box[2:] - box[:2]) * np.float32(0.5) * grown
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    left, top = (centre - half).astype(np.int64).tolist()
    right, bottom = (centre + half).astype(np.int64).tolist()
    size_wh = max(right - left + 1, 1), max(bottom - top + 1, 1)
    full = cv2.resize(padded, size_wh, interpolation=cv2.INTER_LINEAR)
    placed = (left, top, left + size_wh[0], top + size_wh[1])
    return Candidate(label, score, placed, np.asarray(full >= _INSIDE, np.bool_))
