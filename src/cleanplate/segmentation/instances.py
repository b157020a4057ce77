"""Instances with full-size masks, from class probabilities or from an instance network."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import clearest_column, rasterize, resample, with_mask
from cleanplate.segmentation.multiscale import Probabilities
from cleanplate.types import Box, Instance, Mask, RGBImage

PERSON = "person"
COUNTED = frozenset(
    (PERSON, "car", "bus", "motorbike", "bird", "cat", "cow", "dog", "horse", "sheep")
)
"""Labels of compact objects: chairs and plants have necks of their own, walls are not counted."""

# Hysteresis: a cell belongs to an object where the probability is above `_LIKELY`, and an object
# must have a cell above `_SURE`. Uncertain limbs and edges are included, faint blots are not.
_SURE = 0.5
_LIKELY = 0.3
_MIN_CELLS = 6  # smaller components are noise of the grid

# Share of a candidate's pixels that candidates of a higher score must leave to it. Two detections
# of one object differ at their outlines by less; of two touching objects, each keeps more.
_MIN_SHARE_LEFT = 0.25

Divide = Callable[[Mask, Box, tuple[int, int], str], list[Mask]]
"""Divides a component of a grid into objects: its cells, its box, the grid's size, its label."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A detection of an instance network; it may overlap others and extend beyond the photo."""

    label: str
    score: float  # (0, 1]
    box_xyxy: Box
    mask: Mask  # (bottom - top, right - left), True = of the object


def find_instances(
    probabilities: Probabilities,
    labels: tuple[str, ...],
    size_hw: tuple[int, int],
    divide: Divide | None = None,
) -> list[Instance]:
    """Return the connected components of each class as objects, by falling area.

    Args:
        probabilities: (C, h, w) float32 in [0, 1], one plane for each of `labels`; more, if
            there are, are of everything else.
        labels: C names.
        size_hw: H and W of the photo.
        divide: divides components of the classes `COUNTED`; None leaves them whole.
    """
    strongest = probabilities.max(axis=0)
    taken = np.zeros(size_hw, np.bool_)
    found: list[tuple[str, float, Box, Mask]] = []
    for index, label in enumerate(labels):
        plane = probabilities[index]
        likely = ((plane > _LIKELY) & (plane >= strongest)).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
        for part in range(1, count):
            x, y, w, h, cells = stats[part].tolist()
            inside = parts[y : y + h, x : x + w] == part
            near = plane[y : y + h, x : x + w]
            if cells < _MIN_CELLS or near[inside].max() < _SURE:
                continue
            wholes = [inside]
            if divide is not None and label in COUNTED:
                grid_hw = (plane.shape[0], plane.shape[1])
                wholes = divide(inside, (x, y, x + w, y + h), grid_hw, label)
            for whole in wholes:
                box, mask = _at_full_size(np.where(whole, near, 0), (x, y), plane.shape, size_hw)
                region = taken[box[1] : box[3], box[0] : box[2]]
                mask &= ~region
                if not mask.any():
                    continue
                region |= mask
                found.append((label, float(near[whole].mean()), *_tightened(box, mask)))
    return _numbered(found)


def separate_instances(candidates: Sequence[Candidate], size_hw: tuple[int, int]) -> list[Instance]:
    """Return candidates as objects that meet the contract of `Segmenter.segment`.

    An overlap belongs to the candidate of the highest score, the earlier of equal ones: touching
    people stay separate, and two detections of one object become one.

    Args:
        candidates: of the requested classes only, in any order. Not modified.
        size_hw: H and W of the photo.
    """
    taken = np.zeros(size_hw, np.bool_)
    found: list[tuple[str, float, Box, Mask]] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        left, top, right, bottom = candidate.box_xyxy
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(right, size_hw[1]), min(bottom, size_hw[0])
        if x1 <= x0 or y1 <= y0:
            continue
        claimed = candidate.mask[y0 - top : y1 - top, x0 - left : x1 - left]
        region = taken[y0:y1, x0:x1]
        mask = claimed & ~region
        area = np.count_nonzero(mask)
        if area == 0 or area < _MIN_SHARE_LEFT * np.count_nonzero(claimed):
            continue
        region |= mask
        found.append((candidate.label, candidate.score, *_tightened((x0, y0, x1, y1), mask)))
    return _numbered(found)


def _numbered(found: list[tuple[str, float, Box, Mask]]) -> list[Instance]:
    found.sort(key=lambda entry: -int(np.count_nonzero(entry[3])))
    return [Instance(number, *entry) for number, entry in enumerate(found, start=1)]


def _at_full_size(
    cells: npt.NDArray[np.float32],
    start_xy: tuple[int, int],
    grid_hw: tuple[int, ...],
    size_hw: tuple[int, int],
) -> tuple[Box, Mask]:
    """Scale one component to the photo's size.

    Args:
        cells: (h, w) float32, probabilities of the component inside its box, 0 elsewhere.
        start_xy: left and top of that box on the grid, in cells.
        grid_hw: cells of the complete grid.
        size_hw: H and W of the photo.

    Returns:
        A box in px, one cell wider than the component on each side, and the mask inside it.
    """
    height, width = size_hw
    across, down = grid_hw[1] / width, grid_hw[0] / height  # cells per px
    left = max(0, int((start_xy[0] - 1) / across))
    top = max(0, int((start_xy[1] - 1) / down))
    right = min(width, int(np.ceil((start_xy[0] + cells.shape[1] + 1) / across)))
    bottom = min(height, int(np.ceil((start_xy[1] + cells.shape[0] + 1) / down)))
    # The component touches the photo's border where its cells do; elsewhere it is zero-padded.
    pad_x = (int(start_xy[0] > 0), int(start_xy[0] + cells.shape[1] < grid_hw[1]))
    pad_y = (int(start_xy[1] > 0), int(start_xy[1] + cells.shape[0] < grid_hw[0]))
    padded = np.pad(cells, (pad_y, pad_x))
    full = resample(
        padded.astype(np.float32),
        start_yx=(top * down - start_xy[1] + pad_y[0], left * across - start_xy[0] + pad_x[0]),
        step_yx=(down, across),
        size_hw=(bottom - top, right - left),
    )
    return (left, top, right, bottom), full > _LIKELY


def _tightened(box: Box, mask: Mask) -> tuple[Box, Mask]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    tight = (box[0] + x0, box[1] + y0, box[0] + x1, box[1] + y1)
    return tight, mask[y0:y1, x0:x1].copy()


def nearest_number(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return (h, w), for each pixel the number above 0 that is nearest to it; there is one."""
    free = (numbers == 0).astype(np.uint8)
    _, places = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(places.max()) + 1, np.int32)
    values[places[free == 0]] = numbers[free == 0]
    return np.asarray(values[places], np.int32)


def join_across_border(instances: Sequence[Instance], size_hw: tuple[int, ...]) -> list[Instance]:
    """Return a panorama's objects, those in one piece that its border cuts in two.

    Parts of a label that touch the left and the right border in the same rows become one object,
    whose box is as wide as the photo, with the higher score of the two.

    Args:
        instances: as the segmenter found them.
        size_hw: H and W of the photo first.
    """
    height, width = size_hw[:2]
    groups = {it.id: [it] for it in instances}
    right_parts = [(it, _rows_at(it, -1, height)) for it in instances if it.box_xyxy[2] == width]
    for left in (it for it in instances if it.box_xyxy[0] == 0):
        rows = _rows_at(left, 0, height)
        for right, others in right_parts:
            apart = groups[left.id] is not groups[right.id]
            if apart and left.label == right.label and (rows & others).any():
                groups[left.id] += groups[right.id]
                for part in groups[right.id]:
                    groups[part.id] = groups[left.id]
    joined = []
    for first in instances:
        parts = groups[first.id]
        if first.id == min(it.id for it in parts):
            joined.append(first if len(parts) == 1 else _in_one(parts, (height, width)))
    return joined


@dataclass(frozen=True, slots=True)
class Turn:
    """Turns a panorama such that its border cuts none of some objects, and back."""

    by_px: int  # to the left; 0: nothing is turned
    size_hw: tuple[int, int]

    @classmethod
    def of(
        cls, instances: Collection[Instance], size_hw: tuple[int, ...], *, wraps: bool
    ) -> "Turn":
        """Return the turn for some objects, none of which touches the border afterwards, if any do.

        Args:
            instances: the objects.
            size_hw: H and W of the photo first.
            wraps: whether it is a panorama; else nothing is turned.
        """
        height, width = size_hw[:2]
        at_border = wraps and any(
            it.box_xyxy[0] == 0 or it.box_xyxy[2] == width for it in instances
        )
        by_px = clearest_column(rasterize(instances, size_hw)) if at_border else 0
        return cls(by_px, (height, width))

    def image(self, image: RGBImage) -> RGBImage:
        """Return the panorama, (H, W, 3), turned."""
        return np.roll(image, -self.by_px, axis=1) if self.by_px else image

    def there(self, instances: Iterable[Instance]) -> tuple[Instance, ...]:
        """Return objects of the panorama where they are in the turned one."""
        return tuple(self._moved(it, -self.by_px) for it in instances)

    def back(self, instances: Iterable[Instance]) -> tuple[Instance, ...]:
        """Return objects of the turned panorama where they are in the panorama."""
        return tuple(self._moved(it, self.by_px) for it in instances)

    def _moved(self, instance: Instance, across: int) -> Instance:
        if across == 0:
            return instance
        left, top, right, bottom = instance.box_xyxy
        width, start = self.size_hw[1], (left + across) % self.size_hw[1]
        if start + right - left <= width:
            return replace(instance, box_xyxy=(start, top, start + right - left, bottom))
        return with_mask(instance, np.roll(rasterize([instance], self.size_hw), across, axis=1))


def _rows_at(instance: Instance, column: int, height: int) -> Mask:
    """Return in which of the photo's rows an object has a pixel in a column of its mask."""
    rows = np.zeros(height, np.bool_)
    rows[instance.box_xyxy[1] : instance.box_xyxy[3]] = instance.mask[:, column]
    return rows


def _in_one(parts: Sequence[Instance], size_hw: tuple[int, int]) -> Instance:
    best = max(parts, key=lambda it: it.score)
    return replace(with_mask(best, rasterize(parts, size_hw)), id=min(it.id for it in parts))
