"""Similarity of a template and a photo at a given pose.

Both are scaled to one small size and compared by normalized correlation in windows, which does not
depend on brightness and contrast; occlusion affects the windows it covers only.

Reference:
    Evangelidis and Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient
    Maximization, PAMI 2008: the last fraction of a pixel, as OpenCV's findTransformECC.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import (
    Luma,
    Transform,
    is_plausible,
    scale_of,
    scaling,
    seen_part,
    transform_points,
    translation,
)
from cleanplate.types import Mask, RGBImage

_SIDE_PX = 160.0  # long side at which to compare; the photo's own if it is smaller there
_MIN_SIDE_PX = 20.0
_WINDOW_SHARE = 0.06  # of that side: half a window's
_NOISE = 5.0  # grey levels; weaker contrast hardly counts
_FULL_CONTRAST = 20.0  # grey levels of deviation from which a window counts fully

# Of the colours of a plain template.
_MAX_GAIN = 1.4  # of brightness between two photos of it
_SAME_COLOUR = 14.0  # in CIELAB
_RING_PX = (2.0, 5.0)  # around it
_MIN_AREA_PX = 40

_STEPS = 40  # of the alignment
_MIN_GAIN = 1e-4  # of the correlation; smaller steps end the alignment


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The object to search for: a crop of the example photo."""

    luma: Luma  # (h, w), with some px of its surroundings
    colour: RGBImage  # (h, w, 3), the same in colour
    mask: Mask  # (h, w), True on the template
    outline: npt.NDArray[np.float64]  # (K, 2) corners of its convex hull, in px of the cut-out

    @property
    def side_px(self) -> float:
        """Long side of the box around it."""
        return float(np.ptp(self.outline, axis=0).max())


def visible_fraction(template: Template, size_hw: tuple[int, ...], transform: Transform) -> float:
    """Return [0, 1]: how much of a template, by its outline, is inside a photo of H and W."""
    corners = transform_points(transform, template.outline).astype(np.float32)
    area = abs(cv2.contourArea(corners))
    height, width = size_hw[0], size_hw[1]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    inside, _ = cv2.intersectConvexConvex(corners, frame)
    return float(inside / max(area, 1e-6))


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Both at one size."""

    template: npt.NDArray[np.float32]  # (h, w)
    mask: Mask  # on the template, where the photo has pixels
    photo: npt.NDArray[np.float32]  # (h, w), the photo warped onto the template
    radius: int  # of a window


def agreement(template: Template, photo: Luma, transform: Transform) -> float:
    """Return the similarity of a template and a photo, [0, 1]; near 0.2 by chance.

    Args:
        template: the object to search for.
        photo: (H, W) uint8.
        transform: from the template's px to the photo's.
    """
    pair = _pair(template, photo, transform)
    if pair is None:
        return 0.0
    weight = pair.mask.astype(np.float32)
    size = (2 * pair.radius + 1,) * 2

    def mean(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        blurred = cv2.boxFilter(field * weight, -1, size, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred / np.maximum(share, 1e-6), np.float32)

    share = cv2.boxFilter(weight, -1, size, borderType=cv2.BORDER_CONSTANT)
    own, seen = pair.template, pair.photo
    own_mean, seen_mean = mean(own), mean(seen)
    own_var = np.maximum(mean(own * own) - own_mean**2, 0)
    seen_var = np.maximum(mean(seen * seen) - seen_mean**2, 0)
    both = mean(own * seen) - own_mean * seen_mean
    noise = _NOISE * _NOISE
    correlation = both / np.sqrt((own_var + noise) * (seen_var + noise))
    # A window where the template is flat and the photo is not disagrees as well.
    contrast = np.sqrt(np.maximum(own_var, seen_var))
    counts = np.clip(contrast / _FULL_CONTRAST, 0, 1) * weight
    total = float(counts.sum())
    if total < 1:
        return 0.0
    return float((np.clip(correlation, 0, 1) * counts).sum() / total)


def colour_similarity(template: Template, photo: RGBImage, transform: Transform) -> float:
    """Return the share of a template whose colours match and whose surroundings differ, [0, 1].

    It identifies plain objects, which have no pattern to compare.

    Args:
        template: the object to search for.
        photo: (H, W, 3) uint8, RGB.
        transform: from the template's px to the photo's.
    """
    shrink = min(1.0, _SIDE_PX / template.side_px)
    size_wh = _scaled_wh(template, shrink)
    onto = transform @ np.linalg.inv(_shrunk(template, size_wh))
    there, onto = seen_part(photo.shape, onto, size_wh)
    part = photo[there]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    white = np.full(part.shape[:2], 255, np.uint8)
    is_inside = cv2.warpPerspective(white, onto, size_wh, flags=flags) == 255
    seen = cv2.warpPerspective(part, onto, size_wh, flags=flags)
    own = cv2.resize(template.colour, size_wh, interpolation=cv2.INTER_AREA)
    covered = cv2.resize(template.mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    away, nearest = cv2.distanceTransformWithLabels(
        (covered < 1).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = (away == 0) & is_inside
    outside = (away >= _RING_PX[0]) & (away <= _RING_PX[1]) & is_inside
    if np.count_nonzero(inside) < _MIN_AREA_PX or not outside.any():
        return 0.0
    own_colours, seen_colours = (
        np.asarray(cv2.GaussianBlur(one, (0, 0), 1.0), np.float32) / 255 for one in (own, seen)
    )
    gain = float(own_colours[inside].mean() / max(float(seen_colours[inside].mean()), 0.01))
    seen_colours = np.minimum(seen_colours * min(max(gain, 1 / _MAX_GAIN), _MAX_GAIN), 1)
    lab = cv2.cvtColor(own_colours, cv2.COLOR_RGB2LAB)
    seen_lab = cv2.cvtColor(seen_colours.astype(np.float32), cv2.COLOR_RGB2LAB)
    # Around it, the photo is compared with the template's colour at the nearest position.
    colours = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    colours[nearest[away == 0]] = lab[away == 0]
    colour_distances = np.linalg.norm(seen_lab - colours[nearest], axis=2)
    same = float((colour_distances[inside] < _SAME_COLOUR).mean())
    other = float((colour_distances[outside] > _SAME_COLOUR).mean())
    return same * other


def align(template: Template, photo: Luma, transform: Transform, *, perspective: bool) -> Transform:
    """Return a transform refined by image alignment, or the given one if that fails.

    Args:
        template: the object to search for.
        photo: (H, W) uint8.
        transform: from the template's px to the photo's, some px off at most.
        perspective: whether to change that too, or the affine part only.
    """
    near = _crop_photo(template, photo, transform)
    if near is None:
        return transform
    part, onto_part, scale = near  # photo px -> part px
    size_wh = _scaled_wh(template, scale)
    shrink = _shrunk(template, size_wh)
    start = onto_part @ transform @ np.linalg.inv(shrink)
    start /= start[2, 2]
    own = cv2.resize(template.luma, size_wh, interpolation=cv2.INTER_AREA)
    mask = cv2.warpPerspective(
        cv2.resize(template.mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_AREA),
        start,
        (part.shape[1], part.shape[0]),
        flags=cv2.INTER_NEAREST,
    )
    motion = cv2.MOTION_HOMOGRAPHY if perspective else cv2.MOTION_AFFINE
    start_warp = (start if perspective else start[:2]).astype(np.float32)
    if not perspective and np.abs(start[2, :2]).max() > 1e-9:
        return transform
    try:
        _, warp = cv2.findTransformECC(
            own,
            part,
            start_warp,
            motion,
            (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _MIN_GAIN),
            mask,
            5,
        )
    except cv2.error:  # it diverged
        return transform
    found = np.vstack([warp, [0, 0, 1]]) if not perspective else warp
    aligned = np.linalg.inv(onto_part) @ found.astype(np.float64) @ shrink
    aligned /= aligned[2, 2]
    return aligned if is_plausible(aligned, template.outline) else transform


def _pair(template: Template, photo: Luma, transform: Transform) -> _Pair | None:
    near = _crop_photo(template, photo, transform)
    if near is None:
        return None
    part, onto_part, scale = near
    size_wh = _scaled_wh(template, scale)
    onto = onto_part @ transform @ np.linalg.inv(_shrunk(template, size_wh))
    seen = cv2.warpPerspective(part, onto, size_wh, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    is_inside = cv2.warpPerspective(
        np.full(part.shape, 255, np.uint8),
        onto,
        size_wh,
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    own = cv2.resize(template.luma, size_wh, interpolation=cv2.INTER_AREA)
    mask = (
        cv2.resize(template.mask.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA)
        > 127
    )
    radius = max(2, round(_WINDOW_SHARE * template.side_px * scale))
    blurred = (cv2.GaussianBlur(one, (0, 0), 0.8).astype(np.float32) for one in (own, seen))
    return _Pair(next(blurred), mask & (is_inside > 0), next(blurred), radius)


def _crop_photo(
    template: Template, photo: Luma, transform: Transform
) -> tuple[Luma, Transform, float] | None:
    """Return the part of the photo covered by a template, at about the size at which to compare.

    Returns:
        That part; the transform from the photo's px to its px; and the scale of the template.
        None if it is outside the photo.
    """
    corners = transform_points(transform, template.outline)
    margin = 4 + 0.05 * float(np.ptp(corners, axis=0).max())
    height, width = photo.shape
    left, top = (max(0, math.floor(edge - margin)) for edge in corners.min(axis=0))
    right, bottom = (math.ceil(edge + margin) + 1 for edge in corners.max(axis=0))
    right, bottom = min(right, width), min(bottom, height)
    if right - left < 4 or bottom - top < 4:
        return None
    size = scale_of(transform, template.outline)  # photo px per px of the template
    side_px = min(_SIDE_PX, template.side_px, max(template.side_px * size, _MIN_SIDE_PX))
    scale = side_px / template.side_px
    part = photo[top:bottom, left:right]
    onto_part = translation(-left, -top)
    shrink = scale / size  # of the photo
    if shrink < 0.8:
        size_wh = (max(4, round(part.shape[1] * shrink)), max(4, round(part.shape[0] * shrink)))
        onto_part = scaling(size_wh[0] / part.shape[1], size_wh[1] / part.shape[0]) @ onto_part
        part = np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return part, onto_part, scale


def _scaled_wh(template: Template, scale: float) -> tuple[int, int]:
    height, width = template.luma.shape
    return max(4, round(width * scale)), max(4, round(height * scale))


def _shrunk(template: Template, size_wh: tuple[int, int]) -> Transform:
    return scaling(size_wh[0] / template.luma.shape[1], size_wh[1] / template.luma.shape[0])
