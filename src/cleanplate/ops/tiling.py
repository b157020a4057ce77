"""Windows of a photo: squares around holes and objects for networks, tiles for the segmenter."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops.masks import bounding_box, expand_box
from cleanplate.types import Box, FloatArray, Mask

_CALLS_AT_ONCE = 2  # each needs its own memory


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

    Each hole lies completely in exactly one window. A window is cut at the photo's border and moved
    inwards as far as it goes, so it is square unless the photo is narrower.

    Args:
        mask: (H, W) bool, True = hole.
        context: >= 0, width of the surroundings on each side as a share of the group's mean side
            (the geometric mean of its width and height).
        min_size: px, > 0; side of the smallest window.
        join: >= 0; holes nearer to each other than this share of the larger one's long side are
            filled together, if their common window is not much larger than their own ones. So are
            specks, such as dust, if the largest of their own windows holds all of them, with
            `min_size` / 8 around.

    Returns:
        Windows whose masks add up to `mask`; none for an empty mask.
    """
    if not mask.any():
        return []
    edge = bounding_box(mask)  # labels take four bytes a pixel: not for the whole photo
    near = np.ascontiguousarray(mask[edge[1] : edge[3], edge[0] : edge[2]]).view(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    boxes = [
        (edge[0] + x, edge[1] + y, edge[0] + x + w, edge[1] + y + h)
        for x, y, w, h, _ in stats[1:count].tolist()
    ]
    short_side = int(min(mask.shape))

    speck_px = min_size / _SPECKS_ACROSS

    def sides_of(
        holes: npt.NDArray[np.int64], *, all_specks: bool = False
    ) -> npt.NDArray[np.int64]:
        width, height = (holes[:, 2:] - holes[:, :2]).T
        longer = np.maximum(width, height)
        # The mean of both sides: around a standing person less would do than their whole height.
        around = speck_px if all_specks else context * np.sqrt(width * height)
        # A square that fits into the photo is finer at the working size than the whole width of it.
        wanted = np.maximum(min_size, np.ceil(longer + 2 * around).astype(np.int64))
        return np.asarray(np.minimum(np.maximum(short_side, longer), wanted))

    windows = []
    for group in _join_near(boxes, sides_of, join, speck_px=speck_px):
        members = [boxes[index] for index in group]
        hole = box_around(members)
        all_specks = all(long_side(box) <= speck_px for box in members)
        side = int(sides_of(np.array([hole]), all_specks=all_specks)[0])
        left, top, right, bottom = square_around(hole, side, mask.shape)
        own = np.zeros((bottom - top, right - left), np.bool_)
        inside = parts[hole[1] - edge[1] : hole[3] - edge[1], hole[0] - edge[0] : hole[2] - edge[0]]
        chosen = np.zeros(count, np.bool_)
        chosen[[index + 1 for index in group]] = True
        own[hole[1] - top : hole[3] - top, hole[0] - left : hole[2] - left] = chosen[inside]
        windows.append(Window((left, top, right, bottom), own))
    return sorted(windows, key=lambda window: -int(np.count_nonzero(window.mask)))


def disjoint_rounds(windows: Sequence[Window]) -> list[list[Window]]:
    """Group windows into rounds of windows that can be filled in parallel.

    Windows of a round do not overlap, and of two overlapping windows the later one is in a later
    round: the result equals filling them sequentially.
    """
    rounds: list[list[Window]] = []
    boxes = np.array([window.box_xyxy for window in windows]).reshape(-1, 4)
    numbers = np.zeros(len(windows), np.int64)
    for index, window in enumerate(windows):
        earlier, own = boxes[:index], boxes[index]
        gap = np.maximum(earlier[:, :2] - own[2:], own[:2] - earlier[:, 2:]).max(axis=1)
        number = int(numbers[:index][gap < 0].max(initial=-1)) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(window)
        numbers[index] = number
    return rounds


def tile_spans(length: int, *, largest: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """Return starts and ends of the fewest equal tiles that cover `length` px.

    Args:
        length: px, a multiple of `multiple`.
        largest: px, a multiple of `multiple`, > overlap; no tile is longer.
        overlap: px, a multiple of `multiple`, >= 0; least overlap of neighbours.
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

    Boxes share a tile where that costs no more area than a tile for each. Boxes larger than a
    tile are ignored.
    """
    tiles: list[Box] = []
    placed = np.zeros((len(boxes), 4), np.int64)  # the same
    waiting = sorted((expand_box(box, margin, size_hw) for box in boxes), reverse=True)
    while waiting:
        group = waiting.pop()
        if long_side(group) > tile:
            continue
        there = placed[: len(tiles)]
        low, high = np.minimum(there[:, :2], group[:2]), np.maximum(there[:, 2:], group[2:])
        areas = (there[:, 2:] - there[:, :2]).prod(axis=1) + box_area(group)
        joins = ((high - low).max(axis=1) <= tile) & ((high - low).prod(axis=1) <= areas)
        if not joins.any():
            placed[len(tiles)] = group
            tiles.append(group)
            continue
        position = int(joins.argmax())
        waiting.append(box_around([group, tiles.pop(position)]))
        placed[position : len(tiles)] = placed[position + 1 : len(tiles) + 1]
    return tiles


def box_area(box: Box) -> int:
    """Return a box's area in px."""
    return (box[2] - box[0]) * (box[3] - box[1])


def box_around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds some boxes, at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def long_side(box: Box) -> int:
    """Return the longer of a box's sides in px."""
    return max(box[2] - box[0], box[3] - box[1])


def box_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the intersection over union of two boxes (left, top, right, bottom), in [0, 1]."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / (areas - across * down)


def _join_near(
    boxes: list[Box],
    sides_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]],
    join: float,
    *,
    speck_px: float,
) -> list[list[int]]:
    """Group the boxes that one window should fill, by repeated joining of pairs."""
    alone = sides_of(np.array(boxes)).tolist()
    waiting = [
        _Group([index], box, side, is_speck=long_side(box) <= speck_px)
        for index, (box, side) in enumerate(zip(boxes, alone, strict=True))
    ]
    groups: list[_Group] = []
    placed = np.zeros((6, len(boxes)), np.int64)  # box, alone_px and is_speck of the groups
    while waiting:
        group = waiting.pop()
        there, own = placed[:, : len(groups)], np.array(group.box)[:, None]
        both = np.vstack([np.minimum(there[:2], own[:2]), np.maximum(there[2:4], own[2:])])
        alone_px = np.maximum(there[4], group.alone_px)
        # A window is at least as long as the holes that it is for.
        longest = (both[2:] - both[:2]).max(axis=0)
        near = np.flatnonzero(longest <= _JOIN_GROWTH * alone_px)
        there, both, alone_px = there[:, near], both[:, near], alone_px[near]
        gap = np.maximum(there[:2] - own[2:], own[:2] - there[2:4]).max(axis=0, initial=-1)
        longer = np.maximum((there[2:4] - there[:2]).max(axis=0), long_side(group.box))
        side = sides_of(both.T)
        joins = (gap <= join * longer) & (side <= _JOIN_GROWTH * alone_px)
        if group.is_speck:
            joins |= (there[5] > 0) & (longest[near] + 2 * speck_px <= alone_px)
        if not joins.any():
            placed[:, len(groups)] = *group.box, group.alone_px, group.is_speck
            groups.append(group)
            continue
        position = int(near[joins.argmax()])
        other = groups.pop(position)
        placed[:, position : len(groups)] = placed[:, position + 1 : len(groups) + 1]
        both_box = box_around([group.box, other.box])
        largest_px = max(group.alone_px, other.alone_px)
        is_speck = group.is_speck and other.is_speck
        waiting.append(_Group(group.members + other.members, both_box, largest_px, is_speck))
    return [sorted(group.members) for group in groups]


@dataclass(frozen=True, slots=True)
class _Group:
    """Holes that share a window."""

    members: list[int]
    box: Box
    alone_px: int  # the largest window that one of them would have alone
    is_speck: bool  # all of them are specks


# A common window may be at most this much larger than the largest one alone: four pedestrians in a
# row, filled together at 256 px, come out four times as coarse as one by one.
_JOIN_GROWTH = 1.35
_SPECKS_ACROSS = 8  # of the smallest window: a hole no larger than such a share of it is a speck


def square_around(hole: Box, side: int, size_hw: tuple[int, ...]) -> Box:
    """Return the square of `side` px around a box, moved and clipped to lie inside the photo."""
    left, top, right, bottom = hole
    spans = []
    for low, high, length in ((left, right, size_hw[1]), (top, bottom, size_hw[0])):
        span = min(side, length)
        start = min(max((low + high - span) // 2, 0), length - span)
        spans.append((start, start + span))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


class SquareView:
    """A square around an object at a network's size; it may reach beyond the picture.

    Args:
        box_xyxy: of the object.
        context: what to show on each side of it, as a share of its longer side.
        size_hw: of the picture, H and W first.
        size_px: of the network's input, a square.
    """

    def __init__(
        self,
        box_xyxy: tuple[float, float, float, float],
        context: float,
        size_hw: tuple[int, ...],
        size_px: int,
    ) -> None:
        left, top, right, bottom = box_xyxy
        side = max(right - left, bottom - top) * (1 + 2 * context)
        spans = [
            _spans((top + bottom - side) / 2, side, size_hw[0], size_px),
            _spans((left + right - side) / 2, side, size_hw[1], size_px),
        ]
        self.slices = spans[0][0], spans[1][0]  # what of the picture is in the square
        self._grid = spans[0][1], spans[1][1]  # where that is in the network's input
        self._size_px = size_px
        self._method = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR

    def see(self, picture: npt.NDArray[np.uint8], beyond: float) -> FloatArray:
        """Return a picture as the network sees it.

        Args:
            picture: (H, W, 3), colours; or (H, W), 0 or 1. Only what is in the square is read.
            beyond: what the network sees beyond its border.

        Returns:
            (S, S, 3) float32, colours in the same range; or (S, S), the share of 1.
        """
        seen = np.full((self._size_px, self._size_px, *picture.shape[2:]), beyond, np.float32)
        part = picture[self.slices]
        exact = part if part.ndim == 3 else part.astype(np.float32)
        seen[self._grid] = cv2.resize(exact, _size_wh(self._grid), interpolation=self._method)
        return seen

    def within_picture(self, output: FloatArray) -> FloatArray:
        """Return an (S, S) output of the network with 0 beyond the picture."""
        kept = np.zeros_like(output)
        kept[self._grid] = output[self._grid]
        return kept

    def at_full_size(self, output: FloatArray) -> FloatArray:
        """Return an (s, s) or (s, s, C) output for each pixel of the picture in the square."""
        whole = cv2.resize(output, (self._size_px, self._size_px), interpolation=cv2.INTER_LINEAR)
        size_wh = _size_wh(self.slices)
        scaled = cv2.resize(whole[self._grid], size_wh, interpolation=cv2.INTER_LINEAR)
        return np.asarray(scaled, np.float32)


def _size_wh(place: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = place
    return columns.stop - columns.start, rows.stop - rows.start


def _spans(start: float, side: float, length: int, size_px: int) -> tuple[slice, slice]:
    """Return what of a side of the picture a square covers, and where in the network's input."""
    first, last = max(0, round(start)), min(length, round(start + side))
    scale = size_px / side
    low = max(0, min(round((first - start) * scale), size_px - 1))
    high = max(round((last - start) * scale), low + 1)
    return slice(first, last), slice(low, min(high, size_px))


_ItemT = TypeVar("_ItemT")
_ResultT = TypeVar("_ResultT")


def parallel_map(
    function: Callable[[_ItemT], _ResultT], items: Iterable[_ItemT], max_concurrency: int
) -> Iterator[_ResultT]:
    """Yield `function(item)` for each of `items`, in their order.

    Args:
        function: thread-safe.
        items: consumed at once, except with a `max_concurrency` of 1.
        max_concurrency: >= 1, the number of threads; 1 uses the caller's thread and is lazy.

    Raises:
        Exception: whatever `function` raises, at that item's turn; calls not begun are cancelled.
    """
    if max_concurrency == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(max_concurrency) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return the results of some calls, made two at a time where OpenCV may use several cores.

    For what keeps one core busy and leaves the interpreter alone, such as scaling a large array
    down.
    """
    return list(parallel_map(lambda call: call(), calls, min(_CALLS_AT_ONCE, cv2.getNumThreads())))
