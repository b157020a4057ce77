"""Camera motion: where each frame's pixels lie in a key frame of the same shot.

Corners of a nearby frame are tracked by optical flow, starting from the last frame's motion, and a
plane's motion is fitted to them: none, a similarity, or a homography, whichever is the simplest
that explains them. What moves on its own is an outlier.

References:
    Shi and Tomasi, Good Features to Track, CVPR 1994. Lucas and Kanade, IJCAI 1981, in pyramids.
    Barath et al., MAGSAC++, CVPR 2020, as OpenCV's USAC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import Luma, Transform, dilate, is_plausible, scaling, transform_points
from cleanplate.types import Mask, RGBImage

_SIDE_PX = 720  # long side at which corners are tracked
_MAX_CORNERS = 500
_CORNER_QUALITY, _CORNER_APART = 0.01, 0.012  # the second: of the long side
_WINDOW_PX, _LEVELS = 21, 3  # of the flow
_ROUND_TRIP_PX = 0.6
_INLIER_PX = 1.0  # reprojection error of an inlier, at that size
_MIN_CORNERS = 12
_MIN_SHARE = 0.4  # of the tracked corners that must be inliers
_MIN_FOUND = 0.3  # of the corners in view that must be found again
_STILL_PX = (0.12, 0.35)  # median and 80 % of the shifts of a still camera
_RENEW = 0.6  # share of the corners in view below which new ones are detected
_RENEW_SCALE = 1.25
_MASK_MARGIN = 0.006  # of the long side: corners so near to an object may move with it
_MAX_CANVAS = 4.0  # area of one key frame's surroundings, in frames
_CUT_CORRELATION = 0.75  # correlation of thumbnails
_CUT_DIFFERENCE = 12.0  # grey levels
_THUMB_WH = (32, 18)
_STATIC_DIFFERENCE = 2.0  # grey levels, where there are no corners to track


@dataclass(frozen=True, slots=True, eq=False)
class FramePlacement:
    """Where a frame lies."""

    segment: int  # 0, 1, ...: frames of one segment share a key frame, its first
    to_key: Transform  # from the frame's px to the key frame's
    cut: bool  # the shot begins here


@dataclass(slots=True, eq=False)
class _Anchor:
    """A frame whose corners are tracked."""

    luma: Luma
    corners: npt.NDArray[np.float32]  # (N, 2)
    to_key: Transform  # at working size


class CameraTracker:
    """Places frames, one after another, in key frames; holds three small frames."""

    def __init__(self) -> None:
        self._segment = -1
        self._anchor: _Anchor | None = None
        self._last: tuple[Luma, Mask] | None = None
        self._move = np.eye(3)  # from the anchor to the last frame
        self._extent = np.zeros((0, 2))

    def add(self, image: RGBImage, mask: Mask) -> FramePlacement:
        """Return where the next frame lies.

        Args:
            image: (H, W, 3) uint8, of the same size as those before.
            mask: (H, W) bool, True on what moves on its own.
        """
        height, width = mask.shape
        scale = min(1.0, _SIDE_PX / max(height, width))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        luma = cast("Luma", cv2.resize(luma, size_wh, interpolation=cv2.INTER_AREA))
        near = cv2.resize(mask.view(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0
        unmasked = ~dilate(np.asarray(near), 2 + _MASK_MARGIN * max(size_wh))
        move = self._track(luma, unmasked)
        to_key = None
        if move is not None and self._anchor is not None:
            to_key = self._anchor.to_key @ np.linalg.inv(move)
            to_key = self._limit_extent(to_key / to_key[2, 2], size_wh)
        cut = False
        if to_key is None or move is None:
            cut = self._last is None or (move is None and _is_cut(self._last[0], luma))
            self._segment += 1
            to_key, move = np.eye(3), np.eye(3)
            self._extent = _corners_of(size_wh)
            self._anchor = _Anchor(luma, _find_corners(luma, unmasked), to_key)
        elif self._is_far(move, size_wh):
            self._anchor = _Anchor(luma, _find_corners(luma, unmasked), to_key)
            move = np.eye(3)
        self._move, self._last = move, (luma, unmasked)
        full = scaling(size_wh[0] / width, size_wh[1] / height)
        whole = np.linalg.inv(full) @ to_key @ full
        is_still = np.array_equal(to_key, np.eye(3))
        return FramePlacement(self._segment, np.eye(3) if is_still else whole / whole[2, 2], cut)

    def _track(self, luma: Luma, unmasked: Mask) -> Transform | None:
        """Return the move from the anchor to a frame, None if it cannot be determined."""
        anchor = self._anchor
        if anchor is None or self._last is None:
            return None
        if len(anchor.corners) < _MIN_CORNERS:
            return self._motion_without_corners(luma, unmasked)
        guess = transform_points(self._move, anchor.corners).astype(np.float32)
        found, source = _flow(anchor.luma, luma, anchor.corners, guess, unmasked)
        move = _fit(source, found)
        if move is None:  # from the last frame, with corners of its own
            before, clear = self._last
            corners = _find_corners(before, clear)
            if len(corners) < _MIN_CORNERS:
                return None
            found, source = _flow(before, luma, corners, corners.copy(), unmasked)
            step = _fit(source, found)
            move = None if step is None else step @ self._move
        return move

    def _motion_without_corners(self, luma: Luma, unmasked: Mask) -> Transform | None:
        """Return no motion if a frame without details has not changed."""
        if self._last is None:
            return None
        before, clear = self._last
        both = unmasked & clear
        if not both.any():
            return None
        difference = np.abs(luma[both].astype(np.int16) - before[both])
        return self._move if float(difference.mean()) < _STATIC_DIFFERENCE else None

    def _limit_extent(self, to_key: Transform, size_wh: tuple[int, int]) -> Transform | None:
        """Return a transform unless the key frame's surroundings would grow too large for it."""
        corners = _corners_of(size_wh)
        if not is_plausible(to_key, corners):
            return None
        extent = np.vstack([self._extent, transform_points(to_key, corners)])
        area = float(np.prod(np.ptp(extent, axis=0)))
        if area > _MAX_CANVAS * size_wh[0] * size_wh[1]:
            return None
        self._extent = np.vstack([extent.min(axis=0), extent.max(axis=0)])
        return to_key

    def _is_far(self, move: Transform, size_wh: tuple[int, int]) -> bool:
        anchor = cast("_Anchor", self._anchor)
        if not len(anchor.corners):
            return False
        inside = _inside(transform_points(move, anchor.corners), size_wh)
        scale = float(np.sqrt(abs(np.linalg.det(move[:2, :2]))))
        return bool(inside.mean() < _RENEW or not 1 / _RENEW_SCALE < scale < _RENEW_SCALE)


def _find_corners(luma: Luma, unmasked: Mask) -> npt.NDArray[np.float32]:
    corners = cv2.goodFeaturesToTrack(
        luma,
        _MAX_CORNERS,
        _CORNER_QUALITY,
        max(3.0, _CORNER_APART * max(luma.shape)),
        mask=unmasked.astype(np.uint8),
    )
    return (
        np.zeros((0, 2), np.float32)
        if corners is None
        else np.asarray(corners, np.float32).reshape(-1, 2)
    )


def _flow(
    before: Luma,
    luma: Luma,
    corners: npt.NDArray[np.float32],
    guess: npt.NDArray[np.float32],
    unmasked: Mask,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return where corners moved to, and where they were; none if too few in view are found.

    Args:
        before: (h, w) uint8.
        luma: (h, w) uint8, the later frame.
        corners: (N, 2), of the first.
        guess: (N, 2), where they may be in the second.
        unmasked: (h, w) bool, True where nothing moves on its own in the second.
    """
    none = np.zeros((0, 2), np.float32)
    size_wh = (luma.shape[1], luma.shape[0])
    seen = _inside(guess, size_wh)
    corners, guess = corners[seen], guess[seen]
    if len(corners) < _MIN_CORNERS:
        return none, none
    follow: Any = partial(  # its stub lacks None for what it makes itself
        cv2.calcOpticalFlowPyrLK,
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=_LEVELS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    found, status, _ = follow(before, luma, corners, guess.copy())
    back, back_status, _ = follow(luma, before, found, corners.copy())
    good = (status.ravel() > 0) & (back_status.ravel() > 0) & _inside(found, size_wh)
    good &= np.hypot(*(back - corners).T) < _ROUND_TRIP_PX
    at = np.clip(np.rint(found[good]).astype(int), 0, (size_wh[0] - 1, size_wh[1] - 1))
    masked = ~unmasked[at[:, 1], at[:, 0]]
    visible = len(corners) - int(masked.sum())
    good[np.flatnonzero(good)[masked]] = False
    if good.sum() < max(_MIN_CORNERS, _MIN_FOUND * visible):
        return none, none
    return found[good], corners[good]


def _fit(source: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> Transform | None:
    """Return the simplest transform of points with enough inliers."""
    if len(source) < _MIN_CORNERS:
        return None
    shift = np.hypot(*(found - source).T)
    if np.median(shift) < _STILL_PX[0] and np.quantile(shift, 0.8) < _STILL_PX[1]:
        return np.eye(3)
    similar, _ = cv2.estimateAffinePartial2D(
        source, found, method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX, refineIters=20
    )
    plane, _ = cv2.findHomography(source, found, cv2.USAC_MAGSAC, _INLIER_PX)
    best, best_error = None, np.inf
    candidates = [None if similar is None else np.vstack([similar, [0, 0, 1]]), plane]
    for transform in candidates:
        if transform is None or abs(transform[2, 2]) < 1e-9:
            continue
        error = np.minimum(
            np.hypot(*(transform_points(transform, source) - found).T), 2 * _INLIER_PX
        )
        agrees = error < _INLIER_PX
        if agrees.sum() < max(_MIN_CORNERS, _MIN_SHARE * len(source)):
            continue
        mean = float(error.mean())
        if mean < 0.85 * best_error:
            best, best_error = transform / transform[2, 2], mean
    return best


def _is_cut(before: Luma, luma: Luma) -> bool:
    """Return whether a cut lies between two consecutive frames."""
    one, two = (
        cv2.resize(x, _THUMB_WH, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        for x in (before, luma)
    )
    difference = float(np.abs(one - two).mean())
    deviation = float(one.std() * two.std())
    likeness = float(((one - one.mean()) * (two - two.mean())).mean()) / max(deviation, 1.0)
    return difference > _CUT_DIFFERENCE and likeness < _CUT_CORRELATION


def _corners_of(size_wh: tuple[int, int]) -> npt.NDArray[np.float64]:
    width, height = size_wh
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5


def _inside(xy: npt.NDArray[np.floating], size_wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(((xy >= 0) & (xy <= np.array(size_wh) - 1)).all(axis=1))


def extent_of(
    transforms: Sequence[Transform], boxes: Sequence[tuple[int, int, int, int]]
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of boxes that transforms take into the key frame."""
    points = []
    for transform, (left, top, right, bottom) in zip(transforms, boxes, strict=True):
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
        points.append(transform_points(transform, corners - 0.5))
    everything = np.vstack(points)
    low, high = everything.min(axis=0), everything.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
