"""Plane transforms and warping."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask

Luma = npt.NDArray[np.uint8]
"""(H, W) uint8, grey."""

Transform = npt.NDArray[np.float64]
"""(3, 3), maps (x, y, 1) of pixel centres; its last element is 1."""

# Limits of a plausible pose.
_SCALES = (1 / 8, 8.0)
_MAX_STRETCH = 3.0  # ratio of the two directions' scales
_MAX_TAPER = 3.0  # ratio of the scales at the outline's corners


def transform_points(transform: Transform, xy: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return (K, 2) points, x and y in px, mapped by a transform: (K, 2) float64."""
    mapped = np.column_stack([xy, np.ones(len(xy))]) @ transform.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def is_plausible(transform: Transform, outline: npt.NDArray[np.float64]) -> bool:
    """Return whether a pose is plausible: not mirrored, no extreme scale or perspective.

    Args:
        transform: from the object's px to the photo's.
        outline: (K, 2) corners of a convex polygon around it.
    """
    points = np.vstack([outline, outline.mean(axis=0)])
    depth = np.column_stack([points, np.ones(len(points))]) @ transform[2]
    if not np.isfinite(transform).all() or depth.min() <= 1e-6:
        return False
    mapped = transform_points(transform, points)
    areas = []
    for w, xy in zip(depth, mapped, strict=True):
        # The derivative of the mapping at a point that it takes to `xy`.
        jacobian = (transform[:2, :2] - np.outer(xy, transform[2, :2])) / w
        determinant = float(np.linalg.det(jacobian))
        if determinant <= 0:
            return False
        stretch = np.linalg.svd(jacobian, compute_uv=False)
        if stretch[0] > _MAX_STRETCH * stretch[1]:
            return False
        areas.append(determinant)
    scales = np.sqrt(areas)
    return bool(
        scales.max() <= _MAX_TAPER * scales.min() and _SCALES[0] <= scales[-1] <= _SCALES[1]
    )


def scale_of(transform: Transform, outline: npt.NDArray[np.float64]) -> float:
    """Return the mean scale of a transform inside an outline, (K, 2): photo px per object px."""
    area = abs(cv2.contourArea(outline.astype(np.float32)))
    mapped = abs(cv2.contourArea(transform_points(transform, outline).astype(np.float32)))
    return float(np.sqrt(mapped / max(area, 1e-9)))


def scaling(scale_x: float, scale_y: float | None = None) -> Transform:
    """Return the (3, 3) transform that scales an image; its outer corners stay corners."""
    scale_y = scale_x if scale_y is None else scale_y
    return np.array(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]],
        np.float64,
    )


def translation(across: float, down: float) -> Transform:
    """Return the (3, 3) transform that translates by some px, to the right and down."""
    return np.array([[1, 0, across], [0, 1, down], [0, 0, 1]], np.float64)


def convex_outline(mask: Mask) -> npt.NDArray[np.float64]:
    """Return (K, 2) corners, at least 3, of the convex hull of a mask that is not empty, in px."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = np.vstack([contour[:, 0] for contour in contours]).astype(np.float64)
    # Pixels have a width: a line of them is not a degenerate polygon.
    corners = (
        points[:, None] + np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    ).reshape(-1, 2)
    hull = cv2.convexHull(corners.astype(np.float32))[:, 0]
    return np.asarray(hull, np.float64)


def invert(transform: Transform) -> Transform:
    """Return the inverse of a (3, 3) transform."""
    return np.asarray(np.linalg.inv(transform), np.float64)


def warp(
    image: npt.NDArray[Any],
    transform: Transform,
    size_hw: tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
) -> npt.NDArray[Any]:
    """Return an image warped by a transform; 0 beyond its border.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or float32.
        transform: from px of the image to px of the result.
        size_hw: H and W of the result.
        interpolation: an OpenCV flag.

    Returns:
        (h, w) or (h, w, C) of `size_hw`, the image's dtype.
    """
    moved = cv2.warpPerspective(image, transform, size_hw[::-1], flags=interpolation)
    return np.asarray(moved)


def seen_part(
    size_hw: tuple[int, ...], onto: Transform, view_wh: tuple[int, int]
) -> tuple[tuple[slice, slice], Transform]:
    """Return the rows and columns of a picture that a view shows; OpenCV warps no wide ones whole.

    Args:
        size_hw: of the picture, H and W first.
        onto: from px of the view to those of the picture.
        view_wh: width and height of the view.

    Returns:
        At least one row and column; and the transform from px of the view to those of that part.
    """
    width, height = view_wh
    corners = np.array([[-1, -1], [width, -1], [width, height], [-1, height]], np.float64)
    at = transform_points(onto, corners)
    low, high = np.floor(at.min(axis=0)) - 1, np.ceil(at.max(axis=0)) + 2
    most = np.array(size_hw[1::-1])
    left, top = (int(it) for it in low.clip(0, most - 1))
    right, bottom = (int(it) for it in high.clip((left + 1, top + 1), most))
    return (slice(top, bottom), slice(left, right)), translation(-left, -top) @ onto


def remap(
    image: npt.NDArray[Any], xy: npt.NDArray[np.float32], interpolation: int
) -> npt.NDArray[Any]:
    """Return the values of an image at (h, w, 2) float32 positions in px, x first; 0 outside."""
    function: Any = cv2.remap  # its stub requires two maps
    values = function(image, xy, None, interpolation, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(values)
