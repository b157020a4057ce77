"""Semantic evidence for a photo of any size: the whole at first, then closer and closer looks.

A network that was trained on objects of 100 to 400 px sees nothing in a person of 50 px, and loses
the edges of one of 2,000 px. So the photo is looked at in levels, each at twice the scale of the
one before: the whole of it up to its own size, and closer still where something was suspected. What
the looks say is merged per pixel by the stronger evidence.

A network that is too costly for that gives its first look at the whole photo itself. Then only
suspected parts of large photos are looked at again, within a budget, and nothing is enlarged.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import area_of, cover_boxes, parallel_map, sample, tile_spans
from cleanplate.types import Box, RGBImage

Evidence = npt.NDArray[np.float32]
"""(C, h, w) float32, probability in [0, 1] of each of C classes on a grid of cells."""

Look = Callable[[RGBImage], Evidence]
"""Probabilities of an image whose sides are multiples of `SIDE_MULTIPLE`, on a coarser grid."""

SIDE_MULTIPLE = 32  # px; output stride of the deepest layer of the usual encoders
WHOLE_SIDE = 512  # px; long side of the first look; the networks' papers use 513
_TILE = 768  # px; larger tiles overlap less, but a run's memory grows with its area
_OVERLAP = 64  # px; what a tile's edge cuts is seen whole one level before or after
_RIM = 16  # px; a tile's inner rim, which lacks context, is not used
_SCANNED_ABOVE = 1000  # px; in smaller photos the first look misses little, a costly one nothing
_LARGEST_LEVEL = 4096  # px; larger photos are searched at this long side (12 megapixels: 4000)
_FINEST_SCAN = 1.2  # scale up to which all of the photo is looked at; of costly networks, any part
_SLIGHTLY_ENLARGED = 2.4  # scale of what comes next; above it, evidence was seen enlarged before
# Largest scale, with room for rounded sides: people of 50 px are all found at 3 times their size,
# 0.75 of them at 2.
_CLOSEST = 4.04
_LARGEST_GRID = 2048  # cells along the long side
_LARGEST_EVIDENCE = 16_000_000  # values in all: 64 MB
_PIXELS_PER_CELL = 2  # of the photo, for small photos

# A part is looked at more closely where the evidence is above `_SUSPICION`. Measured on people
# scaled to 50 px: 0.94 of them are above 0.001 and 0.75 above 0.003; of scenes without any, 27 %
# and 17 % of the area. Once a part was seen larger than life, it takes more to look again.
_SUSPICION = 0.003
_SUSPICION_ENLARGED = 0.05
# What is larger at a level is not looked at again there: at up to 1,024 px the closer look mends
# edges and backlit figures; above that it is for what was too small to be seen.
_LARGEST_PART_PX = 640  # at levels up to `_EDGES_MENDED_UP_TO`
_LARGEST_SMALL_PART_PX = 224  # at the others
_EDGES_MENDED_UP_TO = 1024  # px
_LEAST_DETAIL = 5.0  # grey levels; a tile without a block of larger deviation is empty sky
_CONTEXT_PX = 64  # px around a suspected part, at the level's scale

# Closer looks cost at most this share of the area that was looked at anyway, the most suspicious
# parts first, so that a photo full of doubtful leaves takes no longer than another.
_CLOSER_SHARE = 0.5
_CLOSER_LEAST_PX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Level:
    """The photo at one scale; sides are multiples of `SIDE_MULTIPLE`."""

    size_hw: tuple[int, int]
    scan: bool  # look at all of it, not only where something is suspected
    shrinks: bool  # may be smaller than the photo: is made as a whole, by areas
    suspicion: float  # evidence above which a part that was seen smaller is looked at


def find_evidence(
    image: RGBImage,
    look: Look,
    *,
    seen: Evidence | None = None,
    seen_side: int = WHOLE_SIDE,
    max_concurrency: int = 1,
) -> Evidence:
    """Return the evidence for each class over the whole photo.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        look: the network, with the classes already chosen.
        seen: (C, h, w), what a costly network says of the whole photo, shown in its own way: of
            photos over 1,000 px it is then shown suspected parts. None shows the photo here, and
            all of a large one again.
        seen_side: px; the photo's long side as it was shown for `seen`.
        max_concurrency: how many looks at a time; the evidence does not depend on it.

    Returns:
        (C, h, w) float32 in [0, 1]; cell (i, j) covers H/h x W/w px of the photo.
    """
    height, width = image.shape[:2]
    costly = seen is not None
    levels = _plan_levels((height, width), seen_side, costly=costly)
    if seen is None:
        seen = look(_resized(image, levels[0].size_hw))
    merged = _onto_grid(seen, (0.0, 0.0, 1.0, 1.0), _grid_hw((height, width), len(seen)))
    latest = merged.max(axis=0)  # of any class, as the closest look so far saw it
    scanned_px = sum(math.prod(level.size_hw) for level in levels if level.scan)
    budget_px = max(_CLOSER_LEAST_PX, _CLOSER_SHARE * scanned_px)
    for level in levels[1:]:
        tiles = _scan_tiles(level) if level.scan else _closer_tiles(level, latest, budget_px)
        if not level.scan:
            budget_px -= sum(area_of(tile) for tile in tiles)
        scaled = _resized(image, level.size_hw) if level.shrinks and tiles else None
        looked = functools.partial(_look_at, image, scaled, level.size_hw, look)
        for tile, evidence in zip(tiles, parallel_map(looked, tiles, max_concurrency), strict=True):
            if evidence is not None:
                _merge(merged, latest, evidence, tile, level.size_hw)
    return merged


def _look_at(
    image: RGBImage, scaled: RGBImage | None, level_hw: tuple[int, int], look: Look, tile: Box
) -> Evidence | None:
    """Return the evidence in one tile of a level; None if there is nothing in it to look at.

    Args:
        image: the photo.
        scaled: all of the level, if it was made as a whole.
        level_hw: its size.
        look: the network.
        tile: in px of the level.
    """
    if scaled is None:
        return look(_enlarged(image, level_hw, tile))
    left, top, right, bottom = tile
    part = scaled[top:bottom, left:right]
    return look(part) if _has_detail(part) else None


def _grid_hw(size_hw: tuple[int, int], classes: int) -> tuple[int, int]:
    cells_hw = [length / _PIXELS_PER_CELL for length in size_hw]
    shrink = max(
        1.0,
        max(cells_hw) / _LARGEST_GRID,
        math.sqrt(cells_hw[0] * cells_hw[1] * classes / _LARGEST_EVIDENCE),
    )
    return max(1, round(cells_hw[0] / shrink)), max(1, round(cells_hw[1] / shrink))


def _plan_levels(size_hw: tuple[int, int], whole_side: int, *, costly: bool) -> list[_Level]:
    long_side = max(size_hw)
    largest_scan = min(long_side, _LARGEST_LEVEL)
    is_large = long_side > _SCANNED_ABOVE
    closest = _CLOSEST if not costly else _FINEST_SCAN if is_large else 0
    levels = []
    side = whole_side
    while side == whole_side or side <= closest * largest_scan:
        scale = side / long_side
        scan = side == whole_side or (
            is_large and not costly and side <= _FINEST_SCAN * largest_scan
        )
        levels.append(
            _Level(
                (_side(size_hw[0], scale), _side(size_hw[1], scale)),
                scan=scan,
                shrinks=scan or costly,
                suspicion=_SUSPICION
                if side <= _SLIGHTLY_ENLARGED * largest_scan
                else _SUSPICION_ENLARGED,
            )
        )
        side *= 2
    return levels


def _side(length: int, scale: float) -> int:
    return max(SIDE_MULTIPLE, round(length * scale / SIDE_MULTIPLE) * SIDE_MULTIPLE)


def _resized(image: RGBImage, size_hw: tuple[int, int]) -> RGBImage:
    shrinks = size_hw[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=method), np.uint8)


def _enlarged(image: RGBImage, level_hw: tuple[int, int], tile: Box) -> RGBImage:
    """Return one tile of the photo scaled to `level_hw`, without scaling all of it."""
    left, top, right, bottom = tile
    down, across = image.shape[0] / level_hw[0], image.shape[1] / level_hw[1]
    return sample(
        image,
        start_yx=(top * down, left * across),
        step_yx=(down, across),
        size_hw=(bottom - top, right - left),
    )


def _scan_tiles(level: _Level) -> list[Box]:
    height, width = level.size_hw
    return [
        (left, top, right, bottom)
        for top, bottom in _spans(height)
        for left, right in _spans(width)
    ]


def _closer_tiles(level: _Level, latest: npt.NDArray[np.float32], budget_px: float) -> list[Box]:
    """Return tiles around what is suspected, the most suspicious first, within the budget."""
    suspected = (latest > level.suspicion).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(suspected, connectivity=8)
    height, width = level.size_hw
    down, across = height / suspected.shape[0], width / suspected.shape[1]
    parts = [
        (int(x * across), int(y * down), int((x + w) * across), int((y + h) * down))
        for x, y, w, h, _ in stats[1:count].tolist()
    ]
    largest = (
        _LARGEST_PART_PX if max(level.size_hw) <= _EDGES_MENDED_UP_TO else _LARGEST_SMALL_PART_PX
    )
    small = [p for p in parts if max(p[2] - p[0], p[3] - p[1]) <= largest]
    tiles = cover_boxes(small, level.size_hw, _TILE - 2 * SIDE_MULTIPLE, _CONTEXT_PX)

    def suspicion(tile: Box) -> float:
        rows = slice(int(tile[1] / down), max(int(tile[3] / down), int(tile[1] / down) + 1))
        columns = slice(
            int(tile[0] / across), max(int(tile[2] / across), int(tile[0] / across) + 1)
        )
        return float(latest[rows, columns].max())

    chosen = []
    for tile in sorted(tiles, key=suspicion, reverse=True):
        snapped = _snapped(tile, level.size_hw)
        budget_px -= area_of(snapped)
        if budget_px < 0:
            break
        chosen.append(snapped)
    return chosen


def _spans(length: int) -> list[tuple[int, int]]:
    return tile_spans(length, largest=_TILE, overlap=_OVERLAP, multiple=SIDE_MULTIPLE)


def _snapped(tile: Box, size_hw: tuple[int, int]) -> Box:
    """Grow a tile to multiples of `SIDE_MULTIPLE` inside the level, whose sides are such."""
    left, top, right, bottom = tile
    return (
        left // SIDE_MULTIPLE * SIDE_MULTIPLE,
        top // SIDE_MULTIPLE * SIDE_MULTIPLE,
        min(size_hw[1], -(-right // SIDE_MULTIPLE) * SIDE_MULTIPLE),
        min(size_hw[0], -(-bottom // SIDE_MULTIPLE) * SIDE_MULTIPLE),
    )


def _has_detail(part: RGBImage) -> bool:
    """Whether any 16 px block of a tile varies: flat sky and dark corners need no look."""
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    blocks = (part.shape[1] // 16, part.shape[0] // 16)
    mean = cv2.resize(grey, blocks, interpolation=cv2.INTER_AREA)
    square = cv2.resize(grey * grey, blocks, interpolation=cv2.INTER_AREA)
    return bool((square - mean * mean).max() > _LEAST_DETAIL**2)


def _merge(
    merged: Evidence,
    latest: npt.NDArray[np.float32],
    seen: Evidence,
    tile: Box,
    level_hw: tuple[int, int],
) -> None:
    """Raise `merged` to `seen` and set `latest` inside `tile`, less its rim inside the photo."""
    height, width = level_hw
    left, top, right, bottom = tile
    inner = (
        (left + (_RIM if left > 0 else 0)) / width,
        (top + (_RIM if top > 0 else 0)) / height,
        (right - (_RIM if right < width else 0)) / width,
        (bottom - (_RIM if bottom < height else 0)) / height,
    )
    _, rows, columns = merged.shape
    x0, x1 = round(inner[0] * columns), round(inner[2] * columns)
    y0, y1 = round(inner[1] * rows), round(inner[3] * rows)
    if x1 <= x0 or y1 <= y0:
        return
    # Where the cells' part [x0, x1) x [y0, y1) lies in the tile, as shares of it.
    share = (
        (x0 / columns * width - left) / (right - left),
        (y0 / rows * height - top) / (bottom - top),
        (x1 / columns * width - left) / (right - left),
        (y1 / rows * height - top) / (bottom - top),
    )
    part = merged[:, y0:y1, x0:x1]
    seen = _onto_grid(seen, share, (y1 - y0, x1 - x0))
    np.maximum(part, seen, out=part)
    latest[y0:y1, x0:x1] = seen.max(axis=0)


def _onto_grid(
    seen: Evidence, share_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int]
) -> Evidence:
    """Resample the part `share_xyxy` (in shares of width and height) of (C, h, w) to `size_hw`."""
    _, rows, columns = seen.shape
    down = (share_xyxy[3] - share_xyxy[1]) * rows / size_hw[0]
    across = (share_xyxy[2] - share_xyxy[0]) * columns / size_hw[1]
    # Fewer output cells than input cells would skip some: smooth first.
    blur = round(max(across, down))
    resampled = np.empty((seen.shape[0], *size_hw), np.float32)
    for index, plane in enumerate(seen):
        smooth = np.asarray(cv2.blur(plane, (blur, blur)), np.float32) if blur >= 2 else plane
        resampled[index] = sample(
            smooth,
            start_yx=(share_xyxy[1] * rows, share_xyxy[0] * columns),
            step_yx=(down, across),
            size_hw=size_hw,
        )
    return resampled
