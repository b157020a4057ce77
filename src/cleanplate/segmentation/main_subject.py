"""The main subjects of a photo: large, sharp people near its middle, and those beside them.

A heuristic without a network: photographers approach their subject, focus on it and place it away
from the edges; passers-by are smaller, often out of focus, and anywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cleanplate.ops import coverage
from cleanplate.types import Box, FloatArray, Instance, RGBImage

_SIDE_PX = 1024  # long side at which sharpness is measured, which removes noise
_MIN_HEIGHT = 0.15  # of the photo's: a person smaller than this and ...
_MIN_AREA = 0.01  # ... covering less of the photo than this is not a main subject
_MAIN_SHARE = 0.6  # of the greatest prominence: a main subject wherever it is
_COMPANION_SHARE = 0.35  # of it: a main subject if it stands with one
_MAX_GAP = 0.25  # of the taller one's height: people nearer to each other stand together
_EDGE_WEIGHT = 0.4  # by which a place at the photo's edge lowers the prominence
_MIN_SHARPNESS = 0.25  # lower bound, relative to the sharpest: dark clothes have little contrast


@dataclass(frozen=True, slots=True)
class Subjects:
    """Main subjects and others, as positions in the sequence that was given."""

    main: frozenset[int]  # empty where nobody is large enough
    together: bool  # whether the main subjects stand together, or it is one alone


def find_subjects(image: RGBImage, people: Sequence[Instance]) -> Subjects:
    """Return the main subjects among some people.

    Prominence is the square root of a person's area, times their sharpness, times their nearness to
    the vertical middle line, each relative to the photo's best. The main subjects are the most
    prominent person, all who come up to 0.6 of that, and all who come up to 0.35 and stand with a
    main subject: no farther from their box than a quarter of the taller one's height.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        people: objects of the photo, in any order.
    """
    weights = _prominences(image, people)
    size_hw = (image.shape[0], image.shape[1])
    large = [place for place, person in enumerate(people) if _is_large(person, size_hw)]
    if not large:
        return Subjects(frozenset(), together=False)
    best = max(weights[place] for place in large)
    main = {place for place in large if weights[place] >= _MAIN_SHARE * best}
    beside = {
        place for place, weight in enumerate(weights) if weight >= _COMPANION_SHARE * best
    } - main
    while joining := {
        place for place in beside if any(_stand_together(people[place], people[m]) for m in main)
    }:
        main |= joining
        beside -= joining
    return Subjects(frozenset(main), together=_is_one_group([people[place] for place in main]))


def _prominences(image: RGBImage, people: Sequence[Instance]) -> list[float]:
    if not people:
        return []
    sharpnesses = _sharpnesses(image, people)
    largest = math.sqrt(max(person.area_px for person in people))
    sharpest = max(*sharpnesses, 1e-6)
    weights = []
    for person, sharpness in zip(people, sharpnesses, strict=True):
        left, _, right, _ = person.box_xyxy
        off_centre = abs((left + right) / image.shape[1] - 1)  # 0 in the middle, 1 at the edge
        weights.append(
            math.sqrt(person.area_px)
            / largest
            * max(sharpness / sharpest, _MIN_SHARPNESS)
            * (1 - _EDGE_WEIGHT * off_centre)
        )
    return weights


def _is_large(person: Instance, size_hw: tuple[int, int]) -> bool:
    height = person.box_xyxy[3] - person.box_xyxy[1]
    area = person.area_px / (size_hw[0] * size_hw[1])
    return height >= _MIN_HEIGHT * size_hw[0] or area >= _MIN_AREA


def _sharpnesses(image: RGBImage, people: Sequence[Instance]) -> list[float]:
    """Return the sharpness of each person: the steepest gradients relative to the contrast.

    An edge that a lens blurs with a deviation of s px has 1/sqrt(1 + s^2) of the gradient of a
    sharp one, whatever its contrast.
    """
    height, width = image.shape[:2]
    shrink = max(1.0, max(height, width) / _SIDE_PX)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light: FloatArray = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1), np.float32)
    down, across = (cv2.Sobel(light, cv2.CV_32F, x, y, ksize=1) / 2 for x, y in ((0, 1), (1, 0)))
    slope: FloatArray = np.asarray(np.hypot(down, across), np.float32)
    return [_steepness(light, slope, person, shrink) for person in people]


def _steepness(
    light: FloatArray,
    slope: FloatArray,
    person: Instance,
    shrink: float,
) -> float:
    left, top, right, bottom = (round(edge / shrink) for edge in person.box_xyxy)
    left, top = min(left, light.shape[1] - 1), min(top, light.shape[0] - 1)
    right, bottom = (
        min(max(right, left + 1), light.shape[1]),
        min(max(bottom, top + 1), light.shape[0]),
    )
    inside = coverage(person.mask, (right - left, bottom - top)) > 0.5
    if not inside.any():
        inside[:] = True
    near = slice(top, bottom), slice(left, right)
    dark, bright = np.quantile(light[near][inside], (0.02, 0.98))
    return float(np.quantile(slope[near][inside], 0.98) / (bright - dark + 8))


def _stand_together(one: Instance, other: Instance) -> bool:
    a, b = one.box_xyxy, other.box_xyxy
    reach_px = _MAX_GAP * max(a[3] - a[1], b[3] - b[1])
    return max(_gap(a, b, 0), _gap(a, b, 1)) <= reach_px


def _gap(a: Box, b: Box, axis: int) -> int:
    return max(a[axis], b[axis]) - min(a[axis + 2], b[axis + 2])


def _is_one_group(people: Sequence[Instance]) -> bool:
    reached, waiting = [people[0]], list(people[1:])
    while joining := [p for p in waiting if any(_stand_together(p, r) for r in reached)]:
        reached += joining
        waiting = [p for p in waiting if p not in joining]
    return not waiting
