"""Template matching by gradient directions, for objects with too few features.

A plain logo, a printed date or the outline of a plain sign has edges only. Their
directions do not depend on brightness and contrast, even where the object is half transparent.
They are compared at every position of a photo and at several scales, upright only.

Reference:
    Fitch, Kadyrov, Christmas and Kittler, Orientation Correlation, BMVC 2002.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import Luma, Transform, scaling, seen_part, translation
from cleanplate.segmentation.by_example.matching import Pose
from cleanplate.segmentation.by_example.similarity import Template
from cleanplate.types import Mask

_SIDE_PX = 56.0  # long side of the template as it is searched for
_MIN_SIDE_PX = 20.0
_PHOTO_SIDE = 720.0  # px; the photo's, at most, when the template is small in it
_SIZES = tuple(1.1**step for step in range(-7, 8))  # 0.51 to 1.95
_NOISE = 12.0  # grey levels per px; weaker gradients hardly count
_BLUR_PX = 1.0
_MAX_PLACES = 6
_MIN_CORRELATION = 0.25  # the best of a photo's places reaches this by chance
_SEARCH_PX = 3  # search radius of a template at the same place in all photos
_EDGE_SIDE_PX = 96.0
_EDGE_DEVIATIONS = 3.3  # standard deviations above the similarity by chance
_EDGE_AXES = 1.5  # largest ratio of the overall similarity to that of the worse direction
_MIN_EDGE_PX = 8.0  # px of edges; with fewer, there is no match
_PRODUCT = cv2.TM_CCORR

Directions = npt.NDArray[np.float32]
"""(h, w, 2), gradient directions, shorter than 1 where the gradient is faint."""


def match_edges(template: Template, photo: Luma, *, size: float) -> list[Pose]:
    """Return the poses at which a photo's edges are most similar to a template's, the best first.

    Args:
        template: the object to search for.
        photo: (H, W) uint8.
        size: px of the photo that one px of the template probably is; half and twice are tried too.
    """
    places: list[tuple[float, Transform, npt.NDArray[np.float64], float]] = []
    for factor in _SIZES:
        long_side = template.side_px * size * factor  # in the photo
        side = min(_SIDE_PX, template.side_px, long_side * _PHOTO_SIDE / max(photo.shape))
        shrink = side / long_side
        height, width = (round(edge * shrink) for edge in photo.shape)
        if side < _MIN_SIDE_PX or shrink > 1.5:
            continue
        own, own_scale = _scaled(template.luma, side / template.side_px)
        mask = _resized_mask(template.mask, own.shape)
        if own.shape[0] > height or own.shape[1] > width:
            continue
        seen, seen_scale = _scaled(photo, shrink)
        template_gradients = _doubled_angles(directions(own)) * mask[..., None]
        energy = float((template_gradients**2).sum())
        if energy < _MIN_EDGE_PX:
            continue
        photo_gradients = _doubled_angles(directions(seen))
        both = cv2.matchTemplate(photo_gradients, template_gradients, _PRODUCT)
        there = cv2.matchTemplate((photo_gradients**2).sum(axis=2), mask, _PRODUCT)
        likeness = both / np.sqrt(energy * np.maximum(there, 0.25 * energy))
        for _ in range(_MAX_PLACES):
            _, best, _, (x, y) = cv2.minMaxLoc(likeness)
            if best < _MIN_CORRELATION:
                break
            near = max(2, round(0.25 * side))
            likeness[max(0, y - near) : y + near, max(0, x - near) : x + near] = -1
            transform = np.linalg.inv(seen_scale) @ translation(x, y) @ own_scale
            centre = np.array([x + own.shape[1] / 2, y + own.shape[0] / 2]) / shrink
            places.append((float(best), transform, centre, long_side))
    places.sort(key=lambda place: -place[0])
    found: list[tuple[Transform, npt.NDArray[np.float64], float]] = []
    for _, transform, centre, long_side in places:
        if all(math.dist(centre, other) > 0.25 * max(long_side, side) for _, other, side in found):
            found.append((transform, centre, long_side))
    return [Pose(transform, 0) for transform, _, _ in found[:_MAX_PLACES]]


def edge_similarity(template: Template, photo: Luma, transform: Transform) -> float:
    """Return the similarity of a photo's and a template's edges at a known pose, [0, 1].

    They may be faint, and others may cross them: a half transparent mark does not hide what it
    lies on.

    Args:
        template: the object to search for.
        photo: (H, W) uint8.
        transform: upright, from the template's px to the photo's.
    """
    size = float(transform[0, 0])
    side = min(_EDGE_SIDE_PX, template.side_px, template.side_px * size)
    own, onto_own = _scaled(template.luma, side / template.side_px)
    template_gradients = directions(own) * _resized_mask(template.mask, own.shape)[..., None]
    energy = float((directions(own) * template_gradients).sum())
    if energy < _MIN_EDGE_PX:
        return 0.0
    shrink = min(1.0, side / (template.side_px * size))
    small, onto_small = _scaled(photo, shrink)
    height, width = own.shape
    around = 2 * max(height, width)  # measures the similarity by chance
    place = onto_small @ transform @ np.linalg.inv(onto_own) @ translation(-around, -around)
    view_wh = (width + 2 * around, height + 2 * around)
    there, place = seen_part(small.shape, place, view_wh)
    seen = cv2.warpPerspective(
        small[there],
        place,
        view_wh,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    photo_gradients = directions(np.asarray(seen, np.uint8))
    likeness = cv2.matchTemplate(photo_gradients, template_gradients, _PRODUCT) / energy
    near = slice(around - _SEARCH_PX, around + _SEARCH_PX + 1)
    best = np.unravel_index(int(likeness[near, near].argmax()), likeness[near, near].shape)
    down, across = (around - _SEARCH_PX + int(step) for step in best)
    here = float(likeness[down, across])
    rows = slice(around - height // 2, around + height // 2 + 1)
    columns = slice(around - width // 2, around + width // 2 + 1)
    likeness[rows, columns] = 0
    if here < _EDGE_DEVIATIONS * float(likeness.std()):
        return 0.0
    # Waves and horizons look similar in many photos: both directions must match.
    part = photo_gradients[down : down + height, across : across + width]
    energies = (directions(own) * template_gradients).sum(axis=(0, 1))
    axes = (part * template_gradients).sum(axis=(0, 1)) / np.maximum(energies, 1e-6)
    return max(0.0, min(here, _EDGE_AXES * float(axes.min()), 1.0))


def edge_length(template: Template) -> float:
    """Return the number of edge px of a template at its search size."""
    own, _ = _scaled(template.luma, min(1.0, _SIDE_PX / template.side_px))
    squares = directions(own) ** 2 * _resized_mask(template.mask, own.shape)[..., None]
    return float(squares.sum())


def directions(luma: Luma) -> Directions:
    """Return (h, w, 2) gradient directions, with a length below 1 where the gradient is faint."""
    blurred = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), _BLUR_PX)
    across = cv2.Sobel(blurred, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(blurred, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    length = np.sqrt(across**2 + down**2 + (_NOISE / 4) ** 2)
    return np.dstack([across / length, down / length])


def _doubled_angles(gradients: Directions) -> Directions:
    """Return directions with doubled angles: opposite gradients are equal."""
    across, down = gradients[..., 0], gradients[..., 1]
    length = np.maximum(np.hypot(across, down), 1e-6)
    return np.dstack([(across**2 - down**2) / length, 2 * across * down / length])


def _scaled(luma: Luma, scale: float) -> tuple[Luma, Transform]:
    """Return a scaled image, and the transform to its px."""
    height, width = luma.shape
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(luma, size_wh, interpolation=method), np.uint8)
    return scaled, scaling(size_wh[0] / width, size_wh[1] / height)


def _resized_mask(mask: Mask, size_hw: tuple[int, ...]) -> npt.NDArray[np.float32]:
    shares = cv2.resize(mask.astype(np.float32), size_hw[1::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(shares, np.float32)
