"""The choices among boxes that a two-stage detector makes between its networks, as torchvision's.

Boxes are (K, 4) float32: left, top, right, bottom in px of the image that the network sees.

References:
    Ren et al., Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks,
    NeurIPS 2015, arXiv:1506.01497. torchvision.models.detection: rpn, roi_heads, anchor_utils.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Boxes = Floats
Indices = npt.NDArray[np.intp]

# torchvision.models.detection.faster_rcnn: anchors, and the defaults of FasterRCNN.
_ANCHOR_SIDES_PX = (32, 64, 128, 256, 512)  # one a level
_ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
_PROPOSALS_A_LEVEL = 1000  # the surest, before those that overlap are left out
_PROPOSALS = 1000
_PROPOSAL_OVERLAP = 0.7
_PROPOSAL_LEAST_PX = 1e-3
_LARGEST_LOG_SCALE = float(np.log(1000 / 16))  # by how much a delta may enlarge a box


def propose(
    objectness: Floats,
    deltas: Floats,
    grids_hw: Sequence[tuple[int, int]],
    padded_hw: tuple[int, int],
    size_hw: tuple[int, int],
) -> Boxes:
    """Return the boxes that most likely hold an object, the surest first, at most 1,000.

    Args:
        objectness: (A,) logits of all anchors, level by level, row by row.
        deltas: (A, 4), how each anchor is to be moved and scaled.
        grids_hw: cells of each level, the finest first.
        padded_hw: px of the image that the network saw.
        size_hw: px of the part of it that is the photo.
    """
    boxes, scores, start = [], [], 0
    for side, grid_hw in zip(_ANCHOR_SIDES_PX, grids_hw, strict=True):
        anchors = _anchors(side, grid_hw, padded_hw)
        level = objectness[start : start + len(anchors)]
        best = np.argsort(-level, kind="stable")[:_PROPOSALS_A_LEVEL]
        found = clipped(moved(anchors[best], deltas[start + best]), size_hw)
        sure = _probability(level[best])
        large = np.flatnonzero(is_larger(found, _PROPOSAL_LEAST_PX))
        kept = large[without_overlaps(found[large], sure[large], _PROPOSAL_OVERLAP)]
        boxes.append(found[kept])
        scores.append(sure[kept])
        start += len(anchors)
    order = np.argsort(-np.concatenate(scores), kind="stable")[:_PROPOSALS]
    return np.asarray(np.concatenate(boxes)[order], np.float32)


def _probability(logits: Floats) -> Floats:
    small = np.exp(-np.abs(logits))  # never overflows
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float32)


def _anchors(side: int, grid_hw: tuple[int, int], padded_hw: tuple[int, int]) -> Boxes:
    """Return (h * w * 3, 4): the anchors of one level, those of one cell side by side."""
    heights = np.sqrt(np.array(_ANCHOR_RATIOS, np.float32))
    widths = 1 / heights
    cell = np.rint(np.stack([-widths, -heights, widths, heights], axis=1) * side / 2)
    # Whole px, so a level whose last cell is cut has a smaller pitch than its stride.
    down, across = padded_hw[0] // grid_hw[0], padded_hw[1] // grid_hw[1]
    y, x = np.mgrid[: grid_hw[0], : grid_hw[1]]
    shifts = np.stack([x * across, y * down] * 2, axis=-1).reshape(-1, 1, 4)
    return np.asarray((shifts + cell).reshape(-1, 4), np.float32)


def moved(boxes: Boxes, deltas: Floats, weights: tuple[float, float] = (1.0, 1.0)) -> Boxes:
    """Return boxes moved and scaled by what a network says.

    Args:
        boxes: (K, 4).
        deltas: (K, 4) shift in x and y as a share of the box, logarithm of its scale in x and y.
        weights: by which the shifts and the logarithms were multiplied in training.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + np.float32(0.5) * sides
    centres = deltas[:, :2] / np.float32(weights[0]) * sides + centres
    scales = np.minimum(deltas[:, 2:] / np.float32(weights[1]), np.float32(_LARGEST_LOG_SCALE))
    half = np.float32(0.5) * np.exp(scales) * sides
    return np.concatenate([centres - half, centres + half], axis=1)


def clipped(boxes: Boxes, size_hw: tuple[int, int]) -> Boxes:
    """Return boxes cut to an image of `size_hw` px."""
    height, width = size_hw
    return np.asarray(np.clip(boxes, 0, (width, height, width, height)), np.float32)


def is_larger(boxes: Boxes, least_px: float) -> npt.NDArray[np.bool_]:
    """Return (K,) bool: whether both sides are at least `least_px`."""
    return np.asarray(((boxes[:, 2:] - boxes[:, :2]) >= least_px).all(axis=1), np.bool_)


def without_overlaps(boxes: Boxes, scores: Floats, overlap: float) -> Indices:
    """Return which boxes are left when each takes away the less sure ones that it overlaps.

    Args:
        boxes: (K, 4).
        scores: (K,); of equal ones the earlier is the surer.
        overlap: the share of what two boxes cover together, above which they overlap too much.

    Returns:
        (k,) indices, the surest first.
    """
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order.size:
        first, rest = order[0], order[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        common = np.maximum(high - low, 0).prod(axis=1)
        together = areas[first] + areas[rest] - common
        order = rest[common <= overlap * together]
    return np.array(kept, np.intp)
