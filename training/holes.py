"""Holes to train on: silhouettes of objects, brush strokes, boxes."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.config import Holes

Mask = npt.NDArray[np.bool_]
"""(S, S) bool, True = hole."""

_BASE_PX = 256  # the sizes below are for crops of this size and scale with them
_TRIES = 50


def make_hole(
    rng: np.random.Generator,
    size_px: int,
    settings: Holes,
    silhouettes: Sequence[Mask],
    *,
    most_share: float | None = None,
    foreground: npt.NDArray[np.float32] | None = None,
) -> Mask:
    """Return one hole.

    Args:
        rng: decides everything: equal generators give equal holes.
        size_px: side of the crop.
        settings: see `Holes`.
        silhouettes: (s, s) bool each, outlines of objects; none: strokes and boxes only.
        most_share: instead of `settings.most_share`.
        foreground: (S, S) float32 in [0, 1], what would be hidden behind a hole that nobody wants
            there: of several candidates the one with least of it is taken, mostly.
    """
    most = settings.most_share if most_share is None else most_share
    count = 1
    if foreground is not None and rng.random() < settings.least_foreground:
        count = settings.candidates
    candidates = [_one(rng, size_px, settings, silhouettes, most) for _ in range(count)]
    if foreground is None or count == 1:
        return candidates[0]
    return min(candidates, key=lambda hole: float(foreground[hole].mean()))


def _one(
    rng: np.random.Generator,
    size_px: int,
    settings: Holes,
    silhouettes: Sequence[Mask],
    most_share: float,
) -> Mask:
    hole = np.zeros((size_px, size_px), np.uint8)
    for _ in range(_TRIES):
        kind = rng.random() * (settings.silhouettes + settings.strokes + settings.boxes)
        hole[:] = 0
        if kind < settings.silhouettes and len(silhouettes):
            _add_silhouettes(hole, rng, silhouettes)
        elif kind < settings.silhouettes + settings.strokes:
            _add_strokes(hole, rng)
        else:
            _add_boxes(hole, rng)
        if settings.least_share <= hole.mean() <= most_share:
            return hole > 0
    side = max(1, int(size_px * math.sqrt((settings.least_share + most_share) / 2)))
    start = int(rng.integers(0, size_px - side + 1))
    hole[:] = 0
    hole[start : start + side, start : start + side] = 1
    return hole > 0


def _add_silhouettes(
    hole: npt.NDArray[np.uint8], rng: np.random.Generator, silhouettes: Sequence[Mask]
) -> None:
    size = len(hole)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        shape = silhouettes[int(rng.integers(len(silhouettes)))].astype(np.uint8)
        if rng.random() < 0.5:
            shape = np.ascontiguousarray(shape[:, ::-1])
        scale = rng.uniform(0.5, 1.4) * size / max(shape.shape)
        middle = (shape.shape[1] / 2, shape.shape[0] / 2)
        turn = np.array(cv2.getRotationMatrix2D(middle, rng.uniform(-15, 15), scale), np.float64)
        reach = 0.32 * size
        turn[:, 2] += size / 2 - np.array(middle) + rng.uniform(-reach, reach, 2)
        moved = cv2.warpAffine(shape, turn, (size, size), flags=cv2.INTER_NEAREST)
        hole |= np.asarray(moved, np.uint8)
    grown = max(1, round(int(rng.integers(3, 14)) * size / _BASE_PX))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown))
    cv2.dilate(hole, kernel, dst=hole)


def _add_strokes(hole: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    size = len(hole)
    unit = size / _BASE_PX
    for _ in range(int(rng.integers(1, 6))):
        place = rng.uniform(0, size, 2)
        angle = rng.uniform(0, 2 * math.pi)
        width = max(1, round(rng.uniform(10, 48) * unit))
        for _ in range(int(rng.integers(1, 9))):
            angle += rng.normal(0, 0.8)
            length = rng.uniform(10, 70) * unit
            following = place + length * np.array([math.cos(angle), math.sin(angle)])
            start, end = ((int(x), int(y)) for x, y in (place, following))
            cv2.line(hole, start, end, (1,), width)
            cv2.circle(hole, end, width // 2, (1,), -1)
            place = following


def _add_boxes(hole: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    size = len(hole)
    for _ in range(int(rng.integers(1, 3))):
        height, width = (rng.uniform(0.12, 0.5, 2) * size).astype(int)
        top, left = int(rng.integers(0, size - height + 1)), int(rng.integers(0, size - width + 1))
        hole[top : top + height, left : left + width] = 1
