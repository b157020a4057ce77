"""Multiscale inference: semantic probabilities for a photo of any size.

A network trained on objects of 100 to 400 px misses a person of 50 px, and the edges of one of
2,000 px. So it runs on a pyramid of scales: on the complete photo at about 512 px; then up to its
own size or 2,048 px where an object is possible; and at larger scales on candidate regions only.

The first pass sees objects whole, and decides; it is the mean of three, at sizes near the one that
networks are trained at. Later ones are averaged into it at and near what it saw, as long as that
fits into their view. A part that stands out of an object, a hand or a shoe, counts by the finest
pass alone. What else only a later pass saw is mostly a part of something else: on 148 photos of
VOC2012 val, none of 90 such detections was right. It may count if it is small, see
`small_objects`.

A costly network makes the first pass itself. Then only candidate regions of large photos are
processed again, within a budget, and nothing is enlarged.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import (
    bounding_box,
    box_area,
    cover_boxes,
    dilate,
    dilation_px,
    parallel_map,
    resample,
    tile_spans,
)
from cleanplate.types import Box, RGBImage

Probabilities = npt.NDArray[np.float32]
"""(C, h, w) float32 in [0, 1] on a grid of cells: of C - 1 classes, and of whatever else there is.

The last is the background, or the strongest of what else the network knows: all of it competes.
"""

Predict = Callable[[RGBImage], Probabilities]
"""Runs a network on an image whose sides are multiples of `SIDE_MULTIPLE`."""

SIDE_MULTIPLE = 32  # px; output stride of the deepest layer of the usual encoders
FIRST_PASS_SIDE = 512  # px; long side of the first pass; the networks' papers use 513
# The first pass also takes these sides, mirrored. On 295 photos of VOC2012 val, that turns a mean
# IoU of 0.707 into 0.728, and 42 classes falsely seen into 31; 384 px alone into 0.717, 36.
_MIRRORED_SIDES = (384, 768)  # px
_MIRRORED_SCALE = 2.0  # at most, of these: small crops are processed again after each fill
_TILE = 768  # px; larger tiles overlap less, but a run's memory grows with its area
_OVERLAP = 64  # px; what a tile's edge cuts is complete one level before or after
_RIM = 16  # px; a tile's inner rim, which lacks context, is not used
_SCANNED_ABOVE = 1000  # px; in smaller photos the first pass misses little, a costly one nothing
_LARGEST_LEVEL = 4096  # px; larger photos are searched at this long side (12 megapixels: 4000)
_FINEST_SCAN = 1.2  # largest scale of a complete scan; with costly networks, of any tile
# Of 12 megapixels a scan at 4,096 px was three quarters of the work. Of 33 objects of 70 to 220 px
# pasted into such photos that the network can name at any scale, 31 are candidates at 2,048 px.
_LARGEST_SCAN = 2048  # px
# Largest scale, with room for rounded sides: people of 50 px are all found at 3 times their size,
# 0.75 of them at 2.
_LARGEST_SCALE = 4.04
_LARGEST_GRID = 2048  # cells along the long side
_MOST_VALUES = 16_000_000  # of the grid: 64 MB
_PIXELS_PER_CELL = 2  # of the photo, for small photos

# A region is a candidate where the probability is above this threshold. Measured on people scaled
# to 50 px: 0.94 of them are above 0.001 and 0.75 above 0.003; of scenes without any, 27 % and 17 %
# of the area. After a pass on candidates the threshold is higher: of 67 small objects in photos of
# 12 megapixels that are certain at twice the photo's size, 65 are above it at the photo's own.
CANDIDATE = 0.003
_CANDIDATE_AGAIN = 0.05
# A scan leaves out what is below. One class asked for: at ten times as much, a third of the objects
# of 45 to 80 px in photos of 2,048 px is left out with it.
_POSSIBLE = 0.0001
# Larger regions are not processed again at a level: at up to 1,024 px the next pass improves edges
# and backlit figures; above that it is for objects that were too small to be detected.
_LARGEST_REGION_PX = 640  # at levels up to `_EDGES_IMPROVE_UP_TO`
_LARGEST_SMALL_REGION_PX = 224  # at the others
_EDGES_IMPROVE_UP_TO = 1024  # px
# With what then remains of the budget, parts of such regions above these are processed again, too,
# where no larger object was seen. In 145 photos of COCO of 640 px, 105 people and cars of 12 to 40
# px are missed; 17 of them are seen without this, 33 with it, 40 if all is scanned at 1,024 px.
_PARTS_ABOVE = (0.01, 0.03, 0.1, 0.3)
# In place of a scan, so are smaller parts of such regions that are more probable, and what was
# seen: people in a crowd, and the edges of a bird of 600 px.
_IN_PLACE_OF_SCAN = ((0.03, _LARGEST_SMALL_REGION_PX), (0.3, _LARGEST_REGION_PX))
_LEAST_DETAIL = 5.0  # grey levels; no block of a tile deviates more: flat sky
# Around a candidate region, at the level's scale. Of larger photos more candidates fit into the
# budget with less; small ones have more false detections with it (29 instead of 19 in 32 photos).
_CONTEXT_PX = 64
_CONTEXT_OF_LARGE_PX = 32  # of photos whose scan is not at their own size
_CONTEXT_OF_SCAN_PX = 192  # with less, a strip of a bridge at dusk becomes two buses

# What the first pass saw, and where later passes are averaged into it. Half the weight for each
# gives a mean IoU of 0.823 on 55 photos of VOC2012 val; a third 0.822, none 0.819.
_SEEN = 0.3  # probability
_NEAR_SHARE = 0.02  # of the photo's long side
_WEIGHT = 0.5
_FITS_PX = 640  # long side of an object at the pass's scale
# A part that only the finest pass is sure of counts if it stands out of what was seen: nearer, the
# mask's margin holds it, and passes differ by a cell anyway. From 0.65 on, masks miss less, but
# take more beside the object than they gain in half of the classes.
_SURE_PART = 0.8  # probability of the part, and of the object's most certain cell
_PART_REACH = 1.5  # margins of the mask
_PART_SHARE = 0.15  # of the object's area, at most

# Candidate passes cost at most this, the most probable regions first, so that a photo full of
# doubtful leaves takes no longer than another; in place of a scan, a share of that scan's area.
_BUDGET_PX = 1024 * 1024
_BUDGET_SHARE_OF_SCAN = 0.125


@dataclass(frozen=True, slots=True)
class _Level:
    """The photo at one scale; sides are multiples of `SIDE_MULTIPLE`."""

    size_hw: tuple[int, int]
    scan: bool  # process all of it where an object is possible, not only candidate regions
    in_place_of_scan: bool  # not larger than the photo, but too large to process all of it
    shrinks: bool  # may be smaller than the photo: resized as one image, by area averaging
    # A region is a candidate if its probability is above the first, and its long side in px of
    # this level at most the second, of one of these pairs.
    candidates: tuple[tuple[float, int], ...]
    context_px: int  # around a candidate region


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """What all passes saw, on one grid."""

    merged: Probabilities  # of the first pass, with later ones averaged into what it saw
    closest: Probabilities  # of the pass of the largest scale; 0 where there is only the first
    seen: npt.NDArray[np.bool_]  # (C - 1, h, w), where the first pass saw each class


def run_passes(
    image: RGBImage,
    predict: Predict,
    *,
    first_pass: Probabilities | None = None,
    first_pass_side: int = FIRST_PASS_SIDE,
    max_concurrency: int = 1,
) -> Passes:
    """Look at a photo at several scales.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        predict: runs the network, with the classes already chosen.
        first_pass: (C, h, w) float32, a costly network's result on the complete photo;
            then only candidate regions of photos over 1,000 px follow. None makes the first pass
            here, and scans large photos at 1,024 or 2,048 px.
        first_pass_side: px; the photo's long side in `first_pass`.
        max_concurrency: simultaneous calls of `predict`; the result does not depend on it.
    """
    height, width = image.shape[:2]
    costly = first_pass is not None
    levels = _plan_levels((height, width), first_pass_side, costly=costly)
    finest = None  # of a costly network's parts nothing is measured
    if first_pass is None:
        whole = predict(resized(image, levels[0].size_hw))
        first_pass, finest = _with_mirrored(whole, image, predict, max_concurrency)
    grid_hw = _grid_hw((height, width), len(first_pass))
    merged = _onto_grid(first_pass, (0.0, 0.0, 1.0, 1.0), grid_hw)
    closest = np.zeros_like(merged)  # by the pass of the largest scale so far
    latest = merged[:-1].max(axis=0)  # of any class, likewise, or by the first pass
    seen = seen_classes(merged)
    sides = _sides_of_objects(seen)
    budget_px: float = _BUDGET_PX

    def look(
        level: _Level, tiles: list[Box], wanted: npt.NDArray[np.bool_]
    ) -> list[tuple[slice, slice]]:
        """Process tiles; what they show counts in `wanted` cells. Return the places seen."""
        scaled = resized(image, level.size_hw) if level.shrinks and tiles else None
        run = functools.partial(_predict_tile, image, scaled, level.size_hw, predict)
        places = []
        for tile, cells in zip(tiles, parallel_map(run, tiles, max_concurrency), strict=True):
            if cells is not None:
                place, found = placed(cells, tile, level.size_hw, grid_hw)
                near, here = sides[place], wanted[place]
                fits = here & (near > 0) & (near * max(level.size_hw) <= _FITS_PX)
                if fits.any():
                    merged[:, *place] += _WEIGHT * (fits * (found - merged[:, *place]))
                np.copyto(closest[:, *place], found, where=here)
                np.copyto(latest[place], found[:-1].max(axis=0), where=here)
                places.append(place)
        return places

    everywhere = np.ones(grid_hw, np.bool_)
    enlarged = []  # levels at which only candidates are looked at, and where that was done
    for level in levels[1:]:
        if level.scan:
            look(level, _scan_tiles(level, latest), everywhere)
        elif level.in_place_of_scan:
            own_budget_px = _BUDGET_SHARE_OF_SCAN * math.prod(level.size_hw)
            look(level, _candidate_tiles(level, latest, own_budget_px), everywhere)
        else:
            tiles = _candidate_tiles(level, latest, budget_px)
            budget_px -= sum(box_area(tile) for tile in tiles)
            enlarged.append((level, look(level, tiles, everywhere)))
    if not costly:
        for level, places in enlarged:
            apart = sides * max(level.size_hw) <= _LARGEST_SMALL_REGION_PX
            for place in places:
                apart[place] = False
            tiles = _candidate_tiles(_for_parts(level), np.where(apart, latest, 0), budget_px)
            budget_px -= sum(box_area(tile) for tile in tiles)
            look(level, tiles, apart)
    if finest is not None:
        _add_parts(merged, finest, closest, width / grid_hw[1])
    return Passes(merged, closest, seen)


def _add_parts(
    merged: Probabilities, finest: Probabilities, closest: Probabilities, px_per_cell: float
) -> None:
    """Add to what was seen the parts that stand out of it and that the finest pass is sure of.

    Args:
        merged: (C, h, w), changed in place.
        finest: (C, h', w'), of the passes on the complete photo the one with the most cells.
        closest: (C, h, w); it counts where it is not 0, `finest` elsewhere.
        px_per_cell: of the photo, of `merged`.
    """
    looked = closest.max(axis=0) > 0
    for index, numbers, stats in components_of(seen_classes(merged)):
        whole = _onto_grid(finest[index : index + 1], (0.0, 0.0, 1.0, 1.0), looked.shape)[0]
        fine = np.where(looked, closest[index], whole)
        own = numbers > 0
        away = cv2.distanceTransform((~own).view(np.uint8), cv2.DIST_L2, 5)
        for place, inside in _pieces(own | (fine > _SURE_PART)):
            inner = own[place] & inside
            if not inner.any() or merged[index][place][inner].max() < _SURE_PART:
                continue  # a part makes no object of what is none
            area = int(stats[numbers[place][inner], cv2.CC_STAT_AREA].max())
            reach = _PART_REACH * dilation_px(area * px_per_cell**2) / px_per_cell
            far = inside & (away[place] > reach)
            if not far.any():
                continue
            for within, part in _pieces(inside & ~inner & dilate(far, reach + 1.5)):
                stands_out = (part & far[within]).any()
                if stands_out and np.count_nonzero(part) <= _PART_SHARE * area:
                    cells, sure = merged[:, *place][:, *within], fine[place][within][part]
                    cells[:, part] = np.minimum(cells[:, part], 1 - sure)
                    cells[index, part] = sure


def _pieces(
    mask: npt.NDArray[np.bool_],
) -> Iterator[tuple[tuple[slice, slice], npt.NDArray[np.bool_]]]:
    """Yield the box of each connected piece of an (h, w) mask, and the piece in it."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    for number, (x, y, w, h, _) in enumerate(stats[1:].tolist(), start=1):
        place = (slice(y, y + h), slice(x, x + w))
        yield place, np.asarray(numbers[place] == number)


def _with_mirrored(
    whole: Probabilities, image: RGBImage, predict: Predict, max_concurrency: int
) -> tuple[Probabilities, Probabilities]:
    """Return (C, h, w), the mean of `whole` and of the mirrored photo's at up to two sizes.

    And the one with the most cells.
    """
    height, width = image.shape[:2]
    most = _MIRRORED_SCALE * max(height, width)

    def run(side: int) -> Probabilities:
        scale = side / max(height, width)
        scaled = resized(image, network_size((height, width), scale))
        mirrored = predict(np.ascontiguousarray(scaled[:, ::-1]))
        return np.ascontiguousarray(mirrored[..., ::-1])

    sides = [side for side in _MIRRORED_SIDES if side <= most]
    cells = [whole, *parallel_map(run, sides, max_concurrency)]
    finest = max(cells, key=np.size)
    on_finest = [_onto_grid(found, (0.0, 0.0, 1.0, 1.0), finest.shape[1:]) for found in cells]
    return np.asarray(np.mean(on_finest, axis=0), np.float32), finest


def seen_classes(probabilities: Probabilities) -> npt.NDArray[np.bool_]:
    """Return (C - 1, h, w), where each class is seen: above `_SEEN`, and the strongest."""
    classes = probabilities[:-1]
    return np.asarray((classes > _SEEN) & (classes >= probabilities.max(axis=0)))


def components_of(
    seen: npt.NDArray[np.bool_],
) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Yield for each class its index, (h, w) component numbers and (n, 5) OpenCV's facts."""
    for index, own in enumerate(seen):
        if own.any():
            found = cv2.connectedComponentsWithStats(own.view(np.uint8), connectivity=8)
            yield index, np.asarray(found[1], np.int32), np.asarray(found[2], np.int32)


def _sides_of_objects(seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return (h, w), at and near what the first pass saw, its long side as a share of the photo's.

    0 elsewhere.
    """
    sides = np.zeros(seen.shape[1:], np.float32)
    for _, parts, stats in components_of(seen):
        longest = stats[:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
        longest[0] = 0
        np.maximum(sides, (longest / max(sides.shape)).astype(np.float32)[parts], out=sides)
    reach = 2 * round(_NEAR_SHARE * max(sides.shape)) + 1
    return np.asarray(cv2.dilate(sides, np.ones((reach, reach), np.uint8)), np.float32)


def _predict_tile(
    image: RGBImage,
    scaled: RGBImage | None,
    level_hw: tuple[int, int],
    predict: Predict,
    tile: Box,
) -> Probabilities | None:
    """Return (C, h, w) for one tile, in px of its level; None if the tile is flat.

    Args:
        image: (H, W, 3) uint8, the photo.
        scaled: (*level_hw, 3) uint8, the complete level; None scales the tile alone.
        level_hw: H and W of the level.
        predict: runs the network.
        tile: in px of the level.
    """
    if scaled is None:
        return predict(_enlarged(image, level_hw, tile))
    left, top, right, bottom = tile
    part = scaled[top:bottom, left:right]
    return predict(part) if _has_detail(part) else None


def _grid_hw(size_hw: tuple[int, int], classes: int) -> tuple[int, int]:
    cells_hw = [length / _PIXELS_PER_CELL for length in size_hw]
    shrink = max(
        1.0,
        max(cells_hw) / _LARGEST_GRID,
        math.sqrt(cells_hw[0] * cells_hw[1] * classes / _MOST_VALUES),
    )
    return max(1, round(cells_hw[0] / shrink)), max(1, round(cells_hw[1] / shrink))


def _plan_levels(size_hw: tuple[int, int], whole_side: int, *, costly: bool) -> list[_Level]:
    long_side = max(size_hw)
    largest_scan = min(long_side, _LARGEST_LEVEL)
    is_large = long_side > _SCANNED_ABOVE
    largest_scale = _LARGEST_SCALE if not costly else _FINEST_SCAN if is_large else 0
    finest_scan = _FINEST_SCAN * largest_scan if is_large and not costly else 0
    levels = []
    is_scanned = True  # by the level before
    side = whole_side
    while side == whole_side or side <= largest_scale * largest_scan:
        scale = side / long_side
        largest_px = _LARGEST_SMALL_REGION_PX if side > _EDGES_IMPROVE_UP_TO else _LARGEST_REGION_PX
        fits = side <= finest_scan
        scan = side == whole_side or (fits and side <= _LARGEST_SCAN)
        levels.append(
            _Level(
                network_size(size_hw, scale),
                scan=scan,
                in_place_of_scan=fits and not scan,
                shrinks=scan or fits or costly,
                candidates=(
                    (CANDIDATE if costly or is_scanned else _CANDIDATE_AGAIN, largest_px),
                    *(_IN_PLACE_OF_SCAN if fits and not scan else ()),
                ),
                context_px=_CONTEXT_OF_LARGE_PX if finest_scan > 2 * _LARGEST_SCAN else _CONTEXT_PX,
            )
        )
        is_scanned = scan
        side *= 2
        if 2 * side <= min(finest_scan, _LARGEST_SCAN):
            side *= 2  # the first pass's 768 px are near the scan that is left out
    return levels


def _for_parts(level: _Level) -> _Level:
    """Return a level with the parts of its too large candidate regions as candidates, too."""
    ((least, largest_px),) = level.candidates
    thresholds = (least, *(above for above in _PARTS_ABOVE if above > least))
    return replace(level, candidates=tuple((above, largest_px) for above in thresholds))


def network_size(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the height and width nearest to a photo's, scaled, that a network takes; in px."""
    height, width = (
        max(1, round(side * scale / SIDE_MULTIPLE)) * SIDE_MULTIPLE for side in size_hw
    )
    return height, width


def resized(image: RGBImage, size_hw: tuple[int, int]) -> RGBImage:
    """Return an image at a size in px, by area averaging where that is smaller."""
    shrinks = size_hw[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=method), np.uint8)


def _enlarged(image: RGBImage, level_hw: tuple[int, int], tile: Box) -> RGBImage:
    """Return one tile of the photo scaled to `level_hw`, without scaling all of it."""
    left, top, right, bottom = tile
    down, across = image.shape[0] / level_hw[0], image.shape[1] / level_hw[1]
    return resample(
        image,
        start_yx=(top * down, left * across),
        step_yx=(down, across),
        size_hw=(bottom - top, right - left),
    )


def _scan_tiles(level: _Level, latest: npt.NDArray[np.float32]) -> list[Box]:
    """Return the tiles of a scan, each without its sides on which no object is possible."""
    height, width = level.size_hw
    down, across = height / latest.shape[0], width / latest.shape[1]
    tiles = []
    for (top, bottom), (left, right) in itertools.product(_spans(height), _spans(width)):
        y, x = int(top / down), int(left / across)
        possible = latest[y : math.ceil(bottom / down), x : math.ceil(right / across)] > _POSSIBLE
        if possible.any():
            x0, y0, x1, y1 = bounding_box(possible)
            cut = (
                max(left, int((x + x0) * across) - _CONTEXT_OF_SCAN_PX),
                max(top, int((y + y0) * down) - _CONTEXT_OF_SCAN_PX),
                min(right, int((x + x1) * across) + _CONTEXT_OF_SCAN_PX),
                min(bottom, int((y + y1) * down) + _CONTEXT_OF_SCAN_PX),
            )
            tiles.append(_snapped(cut, level.size_hw))
    return tiles


def _candidate_tiles(level: _Level, latest: npt.NDArray[np.float32], budget_px: float) -> list[Box]:
    """Return tiles around candidate regions, the most probable first, within the budget."""
    height, width = level.size_hw
    down, across = height / latest.shape[0], width / latest.shape[1]
    small = []
    for threshold, largest_px in level.candidates:
        suspected = (latest > threshold).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(suspected, connectivity=8)
        for x, y, w, h, _ in stats[1:count].tolist():
            if max(w * across, h * down) <= largest_px:
                right, bottom = int((x + w) * across), int((y + h) * down)
                small.append((int(x * across), int(y * down), right, bottom))
    tiles = cover_boxes(small, level.size_hw, _TILE - 2 * SIDE_MULTIPLE, level.context_px)

    def strongest(tile: Box) -> float:
        rows = slice(int(tile[1] / down), max(int(tile[3] / down), int(tile[1] / down) + 1))
        columns = slice(
            int(tile[0] / across), max(int(tile[2] / across), int(tile[0] / across) + 1)
        )
        return float(latest[rows, columns].max())

    chosen = []
    for tile in sorted(tiles, key=strongest, reverse=True):
        snapped = _snapped(tile, level.size_hw)
        budget_px -= box_area(snapped)
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
    """Return whether any 16 px block of a tile varies: flat sky and dark corners are skipped."""
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    blocks = (part.shape[1] // 16, part.shape[0] // 16)
    mean = cv2.resize(grey, blocks, interpolation=cv2.INTER_AREA)
    square = cv2.resize(grey * grey, blocks, interpolation=cv2.INTER_AREA)
    return bool((square - mean * mean).max() > _LEAST_DETAIL**2)


def placed(
    found: Probabilities, tile: Box, level_hw: tuple[int, int], grid_hw: tuple[int, int]
) -> tuple[tuple[slice, slice], Probabilities]:
    """Return the rows and columns of a tile, less its rim inside the photo, and it on these."""
    height, width = level_hw
    left, top, right, bottom = tile
    inner = (
        (left + (_RIM if left > 0 else 0)) / width,
        (top + (_RIM if top > 0 else 0)) / height,
        (right - (_RIM if right < width else 0)) / width,
        (bottom - (_RIM if bottom < height else 0)) / height,
    )
    rows, columns = grid_hw
    x0, x1 = round(inner[0] * columns), round(inner[2] * columns)
    y0, y1 = round(inner[1] * rows), round(inner[3] * rows)
    if x1 <= x0 or y1 <= y0:
        return (slice(0), slice(0)), found[:, :0, :0]
    # Where the cells' part [x0, x1) x [y0, y1) lies in the tile, as shares of it.
    share = (
        (x0 / columns * width - left) / (right - left),
        (y0 / rows * height - top) / (bottom - top),
        (x1 / columns * width - left) / (right - left),
        (y1 / rows * height - top) / (bottom - top),
    )
    return (slice(y0, y1), slice(x0, x1)), _onto_grid(found, share, (y1 - y0, x1 - x0))


def _onto_grid(
    found: Probabilities, share_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int]
) -> Probabilities:
    """Resample the part `share_xyxy` (in shares of width and height) of (C, h, w) to `size_hw`."""
    _, rows, columns = found.shape
    down = (share_xyxy[3] - share_xyxy[1]) * rows / size_hw[0]
    across = (share_xyxy[2] - share_xyxy[0]) * columns / size_hw[1]
    # Fewer output cells than input cells would skip some: smooth first.
    blur = round(max(across, down))
    resampled = np.empty((found.shape[0], *size_hw), np.float32)
    for index, plane in enumerate(found):
        smooth = np.asarray(cv2.blur(plane, (blur, blur)), np.float32) if blur >= 2 else plane
        resampled[index] = resample(
            smooth,
            start_yx=(share_xyxy[1] * rows, share_xyxy[0] * columns),
            step_yx=(down, across),
            size_hw=size_hw,
        )
    return resampled
