"""Feature matching: the poses of a template in a photo that explain many matches.

References:
    Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004: features, ratio
    test, and poses voted for by single matches. Arandjelovic and Zisserman, Three things everyone
    should know to improve object retrieval, CVPR 2012: RootSIFT. Barath et al., MAGSAC++, CVPR
    2020, as OpenCV's USAC.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import Luma, Transform, is_plausible, transform_points
from cleanplate.types import Mask

_MIN_IMAGE_PX = 8  # sides; smaller images have no features
_MAX_DISTANCE = 0.8  # between unit vectors; correct RootSIFT matches are mostly below 0.6
_RATIO = 0.88  # of the distances to the nearest and second nearest; poses reject the rest
_MAX_MATCHES = 1200  # the most distinctive ones; votes are counted between all pairs
_SAME_KEYPOINT_PX = 8.0  # nearer features do not compete in the ratio test
_CHUNK = 2048  # features compared at once

# A match votes for the pose that its two features' places, sizes and directions give. These are off
# by some 15 % and 10 degrees, so another match may miss by a share of its distance.
_VOTE_PX, _VOTE_SHARE = 4.0, 0.2
_VOTE_LOG_SCALE, _VOTE_ANGLE = 0.5, 0.5  # log ratio, rad
_MIN_SUPPORT = 3  # matches at distinct keypoints; the grey levels must agree as well
_FULL_SUPPORT = 12  # number from which perspective can be distinguished from noise
_MAX_TRIES = 40  # poses tried in one photo
_INLIER_SHARE = 0.02  # of the object's diagonal: largest error of an inlier
_INLIER_MIN_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """N local features of an image."""

    xy: npt.NDArray[np.float32]  # (N, 2), px
    size_px: npt.NDArray[np.float32]  # (N,), > 0
    angle: npt.NDArray[np.float32]  # (N,), rad
    vectors: npt.NDArray[np.float32]  # (N, 128), unit length

    def __len__(self) -> int:
        """Return N."""
        return len(self.xy)

    def chosen(self, which: npt.NDArray[np.bool_]) -> "Features":
        """Return those where `which`, (N,), is True."""
        return Features(self.xy[which], self.size_px[which], self.angle[which], self.vectors[which])


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """M matched features: `own` of the template, `seen` of the photo."""

    own: Features
    seen: Features


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Pose of the template in a photo."""

    transform: Transform  # from its own px to the photo's
    support: int  # features that agree


def find_features(luma: Luma, *, most: int, mask: Mask | None = None) -> Features:
    """Return the features of an image with the most contrast, at most `most`.

    Args:
        luma: (H, W) uint8.
        most: how many at most.
        mask: (H, W) bool, the region to search; None searches everywhere.
    """
    keypoints: Sequence[cv2.KeyPoint] = ()
    vectors = None
    if min(luma.shape) >= _MIN_IMAGE_PX:
        detector: Any = cv2.SIFT_create(nfeatures=most)  # type: ignore[attr-defined]  # a stub's gap
        where = None if mask is None else mask.astype(np.uint8)
        keypoints, vectors = detector.detectAndCompute(luma, where)
    if vectors is None or not len(keypoints):
        none = np.zeros(0, np.float32)
        return Features(none.reshape(0, 2), none, none, none.reshape(0, 128))
    sums = np.maximum(vectors.sum(axis=1, keepdims=True), 1e-6)
    return Features(
        np.array([keypoint.pt for keypoint in keypoints], np.float32),
        np.array([keypoint.size for keypoint in keypoints], np.float32),
        np.radians(np.array([keypoint.angle for keypoint in keypoints], np.float32)),
        np.sqrt(vectors / sums).astype(np.float32),
    )


def match_features(own: Features, others: Features, photo: Features) -> Matches:
    """Return the photo's features that match one of `own` unambiguously (ratio test).

    Each feature of the photo is matched separately, so that an object shown twice is matched twice.

    Args:
        own: of the template.
        others: of its surroundings in the example; features nearer to these are rejected.
        photo: of the photo.
    """
    rows: list[npt.NDArray[np.intp]] = []
    columns: list[npt.NDArray[np.intp]] = []
    ratios: list[npt.NDArray[np.float32]] = []
    if not len(own):
        return Matches(own, _take(photo, np.zeros(0, np.intp)))
    apart = own.xy[:, None] - own.xy[None]
    same = (apart**2).sum(axis=2) < _SAME_KEYPOINT_PX**2
    for start in range(0, len(photo), _CHUNK):
        vectors = photo.vectors[start : start + _CHUNK]
        similarity = vectors @ own.vectors.T
        best = similarity.argmax(axis=1)
        nearest = similarity[np.arange(len(best)), best]
        near = np.flatnonzero(nearest > 1 - _MAX_DISTANCE**2 / 2)
        if not near.size:
            continue
        best, nearest = best[near], nearest[near]
        second = np.where(same[best], -1.0, similarity[near]).max(axis=1)
        if len(others):
            second = np.maximum(second, (vectors[near] @ others.vectors.T).max(axis=1))
        ratio = np.sqrt(np.maximum(1 - nearest, 1e-6) / np.maximum(1 - second, 1e-6))
        distinctive = ratio < _RATIO
        rows.append(near[distinctive] + start)
        columns.append(best[distinctive])
        ratios.append(ratio[distinctive])
    if not rows:
        return Matches(_take(own, np.zeros(0, np.intp)), _take(photo, np.zeros(0, np.intp)))
    order = np.argsort(np.concatenate(ratios), kind="stable")[:_MAX_MATCHES]
    row, column = np.concatenate(rows)[order], np.concatenate(columns)[order]
    return Matches(_take(own, column), _take(photo, row))


def _take(features: Features, index: npt.NDArray[np.intp]) -> Features:
    return Features(
        features.xy[index], features.size_px[index], features.angle[index], features.vectors[index]
    )


def find_poses(matches: Matches, outline: npt.NDArray[np.float64]) -> Iterator[Pose]:
    """Yield plausible poses of a template, which may occur repeatedly, the best supported first.

    Args:
        matches: of its features.
        outline: (K, 2) corners of a convex polygon around it, in its own px.
    """
    if len(matches.own) < _MIN_SUPPORT:
        return
    votes = _votes(matches)
    free = np.ones(len(matches.own), np.bool_)
    diagonal = float(np.hypot(*np.ptp(outline, axis=0)))
    for _ in range(_MAX_TRIES):
        support = (votes & free).sum(axis=1) * free
        seed = int(support.argmax())
        if support[seed] < _MIN_SUPPORT:
            return
        chosen = votes[seed] & free
        pose = _fit(matches, chosen, free, diagonal)
        free &= ~chosen
        if pose is None or not is_plausible(pose.transform, outline):
            continue
        # Every match inside belongs to it, inlier or not.
        free &= ~_inside(transform_points(pose.transform, outline), matches.seen.xy)
        yield pose


def _inside(polygon: npt.NDArray[np.float64], xy: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return (N,): whether points are in a convex polygon."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    apart = xy[:, None] - polygon
    sides = edges[:, 0] * apart[..., 1] - edges[:, 1] * apart[..., 0]
    return np.asarray((sides >= 0).all(axis=1) | (sides <= 0).all(axis=1))


def _votes(matches: Matches) -> npt.NDArray[np.bool_]:
    """Return (M, M): whether the pose of match i explains match j."""
    own, seen = matches.own, matches.seen
    scale = seen.size_px / own.size_px
    rotation = seen.angle - own.angle
    cos, sin = scale * np.cos(rotation), scale * np.sin(rotation)
    across = own.xy[None, :, 0] - own.xy[:, None, 0]
    down = own.xy[None, :, 1] - own.xy[:, None, 1]
    x = cos[:, None] * across - sin[:, None] * down + seen.xy[:, None, 0] - seen.xy[None, :, 0]
    y = sin[:, None] * across + cos[:, None] * down + seen.xy[:, None, 1] - seen.xy[None, :, 1]
    reach = scale[:, None] * (_VOTE_PX + _VOTE_SHARE * np.hypot(across, down))
    log_scale = np.log(scale)
    rotation_error = np.abs((rotation[None] - rotation[:, None] + np.pi) % (2 * np.pi) - np.pi)
    return np.asarray(
        (x * x + y * y < reach * reach)
        & (np.abs(log_scale[None] - log_scale[:, None]) < _VOTE_LOG_SCALE)
        & (rotation_error < _VOTE_ANGLE)
    )


def _fit(
    matches: Matches, chosen: npt.NDArray[np.bool_], free: npt.NDArray[np.bool_], diagonal: float
) -> Pose | None:
    """Return the pose that fits some matches best, or None if too few agree with any."""
    own, seen = matches.own.xy, matches.seen.xy
    scale = float(np.median(matches.seen.size_px[chosen] / matches.own.size_px[chosen]))
    inlier_px = max(_INLIER_MIN_PX, _INLIER_SHARE * diagonal * scale)
    similar, _ = cv2.estimateAffinePartial2D(
        own[chosen], seen[chosen], method=cv2.RANSAC, ransacReprojThreshold=1.5 * inlier_px
    )
    if similar is None:
        return None
    transform = np.vstack([similar, [0, 0, 1]])
    agree = free & (_error(transform, own, seen) < 2.5 * inlier_px)
    if _distinct_keypoints(own[agree]) >= 6:
        affine, _ = cv2.estimateAffine2D(
            own[agree], seen[agree], method=cv2.USAC_MAGSAC, ransacReprojThreshold=inlier_px
        )
        if affine is not None:
            transform, agree = _best_of(
                np.vstack([affine, [0, 0, 1]]), transform, matches, free, inlier_px
            )
    if _distinct_keypoints(own[agree]) >= _FULL_SUPPORT:
        plane, _ = cv2.findHomography(own[agree], seen[agree], cv2.USAC_MAGSAC, inlier_px)
        if plane is not None and abs(plane[2, 2]) > 1e-9:
            transform, agree = _best_of(plane / plane[2, 2], transform, matches, free, inlier_px)
    agree = free & (_error(transform, own, seen) < inlier_px)
    support = _distinct_keypoints(own[agree])
    return Pose(np.asarray(transform, np.float64), support) if support >= _MIN_SUPPORT else None


def _best_of(
    new: Transform, old: Transform, matches: Matches, free: npt.NDArray[np.bool_], inlier_px: float
) -> tuple[Transform, npt.NDArray[np.bool_]]:
    """Return the transform with more inliers of two, and those inliers."""
    own, seen = matches.own.xy, matches.seen.xy
    errors = [_error(one, own, seen) for one in (new, old)]
    counts = [np.count_nonzero(free & (error < inlier_px)) for error in errors]
    best = 0 if counts[0] >= counts[1] else 1
    return (new, old)[best], free & (errors[best] < 2 * inlier_px)


def _error(
    transform: Transform, own: npt.NDArray[np.float32], seen: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    return np.asarray(np.hypot(*(transform_points(transform, own) - seen).T))


def _distinct_keypoints(xy: npt.NDArray[np.float32]) -> int:
    """Return the number of distinct keypoint positions: one may have several orientations."""
    return len(np.unique(np.round(xy / 2), axis=0))
