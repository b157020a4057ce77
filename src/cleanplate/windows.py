"""Windows of a photo: squares around holes for the inpainter, tiles for the segmenter."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cleanplate.types import Box, Mask


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a photo, and the holes that are to be filled from it."""

    box_xyxy: Box
    mask: Mask  # (bottom - top, right - left) bool: only the holes this window is for

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the window, to index a photo-sized array."""
        left, top, right, bottom = self.box_xyxy
        return slice(top, bottom), slice(left, right)


def plan_windows(mask: Mask, *, context: float, min_size: int, join: float) -> list[Window]:
    """Return one square window for every group of near holes, largest group first.

    Each hole is in exactly one window, whole. A window is cut at the photo's border and moved
    inwards as far as it goes, so it is square unless the photo is narrower.

    Args:
        mask: (H, W) bool, True = hole.
        context: >= 0, width of the surroundings on each side as a share of the group's mean side
            (the geometric mean of its width and height).
        min_size: px, > 0; side of the smallest window.
        join: >= 0; holes nearer to each other than this share of the larger one's long side are
            filled together, if their common window is not much larger than their own ones.

    Returns:
        Windows whose masks add up to `mask`; none for an empty mask.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    boxes = [_box_of(stats[index]) for index in range(1, count)]
    short_side = int(min(mask.shape))

    def side_of(hole: Box) -> int:
        width, height = hole[2] - hole[0], hole[3] - hole[1]
        # The mean of both sides: around a standing person less would do than their whole height.
        around = context * math.sqrt(width * height)
        # A square that fits into the photo is finer at the working size than the whole width of it.
        fitting = max(short_side, width, height)
        return min(fitting, max(min_size, math.ceil(max(width, height) + 2 * around)))

    windows = []
    for group in _join_near(boxes, side_of, join):
        hole = _around(boxes[index] for index in group)
        side = side_of(hole)
        left, top, right, bottom = _square_around(hole, side, mask.shape)
        own = np.isin(parts[top:bottom, left:right], [index + 1 for index in group])
        windows.append(Window((left, top, right, bottom), own))
    return sorted(windows, key=lambda window: -int(np.count_nonzero(window.mask)))


def tile_spans(length: int, *, largest: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """Return starts and ends of the fewest equal tiles that cover `length` px.

    Args:
        length: px, a multiple of `multiple`.
        largest: px, > overlap; no tile is longer.
        overlap: px, >= 0; least overlap of neighbours.
        multiple: px; starts and ends are multiples of it.
    """
    if length <= largest:
        return [(0, length)]
    count = -(-(length - overlap) // (largest - overlap))
    tile = -(-(length + (count - 1) * overlap) // (count * multiple)) * multiple
    step = (length - tile) / (count - 1)
    starts = [round(index * step / multiple) * multiple for index in range(count)]
    return [(start, start + tile) for start in starts]


def cover_boxes(
    boxes: Sequence[Box], size_hw: tuple[int, int], tile: int, margin: int
) -> list[Box]:
    """Return tiles of at most `tile` px that hold every box with `margin` px around it.

    A tile stands around the first box that no earlier tile holds, widened over the following ones
    as long as they fit. Boxes that do not fit into a tile are left out.
    """
    tiles: list[Box] = []
    waiting = sorted((_grown(box, margin, size_hw) for box in boxes), key=lambda b: (b[1], b[0]))
    while waiting:
        group, rest = waiting[0], []
        for box in waiting[1:]:
            both = _around([group, box])
            if _long_side(both) <= tile:
                group = both
            else:
                rest.append(box)
        if _long_side(group) <= tile:
            tiles.append(group)
        waiting = rest
    return tiles


def _join_near(boxes: list[Box], side_of: Callable[[Box], int], join: float) -> list[list[int]]:
    """Group the boxes that one window should fill, by repeated joining of pairs."""
    groups = [([index], box) for index, box in enumerate(boxes)]
    waiting = groups
    groups = []
    while waiting:
        members, around = waiting.pop()
        for position, (others, box) in enumerate(groups):
            if _belong_together(around, box, side_of, join):
                del groups[position]
                waiting.append((members + others, _around([around, box])))
                break
        else:
            groups.append((members, around))
    return [sorted(members) for members, _ in groups]


def _belong_together(first: Box, second: Box, side_of: Callable[[Box], int], join: float) -> bool:
    gap = max(
        first[0] - second[2], second[0] - first[2], first[1] - second[3], second[1] - first[3]
    )
    if gap > join * max(_long_side(first), _long_side(second)):
        return False
    both = _around([first, second])
    return side_of(both) <= _JOIN_GROWTH * max(side_of(first), side_of(second))


# One window for both may be at most this much larger than the larger of their own windows: four
# pedestrians in a row, filled together at 256 px, come out four times as coarse as one by one.
_JOIN_GROWTH = 1.35


def _square_around(hole: Box, side: int, size_hw: tuple[int, ...]) -> Box:
    left, top, right, bottom = hole
    spans = []
    for low, high, length in ((left, right, size_hw[1]), (top, bottom, size_hw[0])):
        span = min(side, length)
        start = min(max((low + high - span) // 2, 0), length - span)
        spans.append((start, start + span))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _box_of(stats: Sequence[int]) -> Box:
    left, top, width, height = (int(value) for value in stats[:4])
    return left, top, left + width, top + height


def _around(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _long_side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _grown(box: Box, margin: int, size_hw: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(size_hw[1], right + margin),
        min(size_hw[0], bottom + margin),
    )
