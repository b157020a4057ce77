"""Small objects: what only closer passes see, looked at twice more, each time larger.

What the first pass did not see, and a later one did, is mostly a part of something else. It may
count if it is small, such that the first pass could not see it. Two more looks at it say whether it
is likely, and what it is: an object is found again when it is centred and of another size; a false
detection mostly is not. With each look it grows to what is connected to it; what the last one's
border cuts is a part of something larger. A network that recognizes it as a whole has a say, too:
see `SemanticSegmenter.small_features`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleanplate.ops import bounding_box, components_touching, parallel_map
from cleanplate.segmentation.multiscale import (
    CANDIDATE,
    Passes,
    Predict,
    Probabilities,
    components_of,
    network_size,
    placed,
    resized,
    seen_classes,
)
from cleanplate.types import Box, RGBImage

# What only later passes saw is looked at again from this probability on.
_DOUBTFUL = 0.5
# The looks, mirrored and with the object in the middle: its long side and the crop's, px. Of 69
# animals of 45 to 80 px, pasted, the network names 27 at 112 px and 46 at 200 px. There is a second
# look where the first sees any class so probable: half of the time. 1 % of what counts is lost.
_LOOKS = ((112, 256), (240, 320))
_LOOK_AGAIN = 0.27
# With each look, an object grows by what is connected and more probable than this. What then is cut
# by so much of the last crop's border is a part of something larger: of such, half are wrong.
_GROWS = 0.5
_CUT = 0.1
_LARGEST_LOOK = 6.0  # scale
_MOST_LOOKED_AT = 12  # objects in a photo, the most certain
_LARGEST_SHARE = 0.01  # of the photo's area
_MOST_CERTAIN = 0.9999  # beyond, a probability says no more


@dataclass(frozen=True, slots=True, eq=False)
class SmallObject:
    """What may be an object that only later passes saw."""

    index: int  # its class's
    place: tuple[slice, slice]  # rows and columns of its box on the grid
    inside: npt.NDArray[np.bool_]  # its cells in that box
    closest: npt.NDArray[np.float32]  # (C,) logits of their mean probabilities in that pass
    again: npt.NDArray[np.float32]  # (C,) likewise in the looks, their mean


def find_small_objects(
    image: RGBImage,
    predict: Predict,
    passes: Passes,
    *,
    asked: int,
    max_concurrency: int = 1,
) -> list[SmallObject]:
    """Return what later passes saw and the first did not, looked at again.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        predict: runs the network, as for the passes.
        passes: over the photo.
        asked: those are looked at that may be of the first so many classes.
        max_concurrency: simultaneous calls of `predict`; the result does not depend on it.
    """
    closest, seen = passes.closest, passes.seen
    found = []
    for index, parts, stats in components_of(seen_classes(closest)):
        for part, (x, y, w, h, area) in enumerate(stats.tolist()):
            if part == 0 or area > _LARGEST_SHARE * parts.size:
                continue
            place = (slice(y, y + h), slice(x, x + w))
            inside = parts[place] == part
            most = float(closest[index, *place][inside].max())
            wanted = closest[:-1, *place][:asked, inside].mean(axis=1).max() >= CANDIDATE
            if wanted and most >= _DOUBTFUL and not seen[index, *place][inside].any():
                found.append((most, index, place, inside))
    found = sorted(found, key=lambda item: -item[0])[:_MOST_LOOKED_AT]

    grid_hw = (closest.shape[1], closest.shape[2])
    free = np.asarray(~seen.any(axis=0))

    def look(
        item: tuple[float, int, tuple[slice, slice], npt.NDArray[np.bool_]],
    ) -> SmallObject | None:
        _, index, place, inside = item
        cells = np.zeros(grid_hw, np.bool_)
        cells[place] = inside
        looks: list[npt.NDArray[np.float32]] = []
        for sides in _LOOKS:
            view, found = _look(image, predict, bounding_box(cells), grid_hw, sides)
            own = cells[view]
            if not own.any():
                return None  # a view of a photo of few px
            mean = found[:, own].mean(axis=1)
            if not looks and mean[:-1].max() < _LOOK_AGAIN:
                return None
            looks.append(logit(mean))
            grown = own | ((found[mean[:-1].argmax()] > _GROWS) & free[view])
            cells[view] |= components_touching(grown, own)
        if _cut_share(cells, view) > _CUT:
            return None
        before = logit(closest[:, *place][:, inside].mean(axis=1))
        left, top, right, bottom = bounding_box(cells)
        place = (slice(top, bottom), slice(left, right))
        return SmallObject(index, place, cells[place], before, np.mean(looks, axis=0))

    return [item for item in parallel_map(look, found, max_concurrency) if item is not None]


def add_small(passes: Passes, likely: Iterable[tuple[SmallObject, float]]) -> Probabilities:
    """Return the probability of each class, with the small objects that are likely right.

    Args:
        passes: its `merged` is changed in place.
        likely: small objects, perhaps with another class, each with its probability.

    Returns:
        (C, h, w) float32; cell (i, j) covers H/h x W/w px of the photo.
    """
    for item, probability in likely:
        own = passes.merged[:, *item.place]
        own[:, item.inside] = 0
        own[item.index, item.inside] = probability
        own[-1, item.inside] = 1 - probability
    return passes.merged


def _look(
    image: RGBImage,
    predict: Predict,
    box: Box,
    grid_hw: tuple[int, int],
    sides_px: tuple[int, int],
) -> tuple[tuple[slice, slice], Probabilities]:
    """Look at a box of cells, mirrored and at another scale.

    Args:
        image: (H, W, 3) uint8, the photo.
        predict: runs the network.
        box: in cells.
        grid_hw: cells of the complete grid.
        sides_px: one of `_LOOKS`.

    Returns:
        The rows and columns of what is seen, and (C, h, w) there.
    """
    down, across = image.shape[0] / grid_hw[0], image.shape[1] / grid_hw[1]
    left, top, right, bottom = box[0] * across, box[1] * down, box[2] * across, box[3] * down
    long_side, crop = sides_px
    scale = min(_LARGEST_LOOK, long_side / max(bottom - top, right - left))
    height, width = (min(round(crop / scale), length) for length in image.shape[:2])
    y = min(max(0, round((top + bottom - height) / 2)), image.shape[0] - height)
    x = min(max(0, round((left + right - width) / 2)), image.shape[1] - width)
    size_hw = network_size((height, width), scale)
    part = resized(image[y : y + height, x : x + width], size_hw)
    found = predict(np.ascontiguousarray(part[:, ::-1]))[..., ::-1]
    down, across = size_hw[0] / height, size_hw[1] / width
    level_hw = (round(image.shape[0] * down), round(image.shape[1] * across))
    left, top = round(x * across), round(y * down)
    return placed(found, (left, top, left + size_hw[1], top + size_hw[0]), level_hw, grid_hw)


def _cut_share(cells: npt.NDArray[np.bool_], view: tuple[slice, slice]) -> float:
    """Return the share of a view's border that cells reach where the photo goes on."""
    here = cells[view]
    rows, columns = view
    cut = 0
    for line, goes_on in (
        (here[0], rows.start > 0),
        (here[-1], rows.stop < cells.shape[0]),
        (here[:, 0], columns.start > 0),
        (here[:, -1], columns.stop < cells.shape[1]),
    ):
        cut += np.count_nonzero(line) * goes_on
    return cut / (2 * sum(here.shape))


def logit(probabilities: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the logits of probabilities in [0, 1], bounded."""
    certain = np.clip(np.asarray(probabilities, np.float32), 1 - _MOST_CERTAIN, _MOST_CERTAIN)
    return np.asarray(np.log(certain / (1 - certain)), np.float32)
