"""The rim of an object that a mask of the user's misses."""

import cv2
import numpy as np

from cleanplate.ops import expand_box, rasterize_within
from cleanplate.types import FloatArray, Instance, Mask, RGBImage

# Lengths are in units of 1 px, or more in large photos.
_RIM_UNITS = 1200  # in the photo's long side
_RIM_INSIDE = 4  # so deep inside, the colours are the object's
_RIM_OUTSIDE, _RIM_REACH = 7, 11  # so far outside, they are the background's
_RIM_BLUR = 3.0  # deviation of the window in which they are averaged
_RIM_LEVELS = 24.0  # difference of the two from which on they tell anything ...
_RIM_TELLING = 0.66  # ... on so much of the mask's border
_RIM_OWN = 0.6  # of the first ring has to be the object's
_RIM_WIDEST = 5  # rings
_RIM_SOFT = 2  # rings over which an edge fades out
_RIM_DROP = 0.25  # of that share across the edge


def missed_rim_px(image: RGBImage, part: Instance) -> int:
    """Return by how many px a mask of the user's is too small for its object; 0 if it is not.

    It is where the pixels beside it, nearly all round, are more like what is inside it than like
    what is a few px farther away, and that ends at an edge.

    Args:
        image: (H, W, 3) uint8, RGB.
        part: one connected part of the mask.
    """
    unit = max(1, round(max(image.shape) / _RIM_UNITS))
    box = expand_box(part.box_xyxy, _RIM_REACH * unit, image.shape)
    rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
    mask = rasterize_within([part], box)
    if mask.all():
        return 0
    colours = image[rows, columns].astype(np.float32)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) / unit
    # What lies beyond the photo is not an edge of the mask.
    framed = np.pad(mask, 1, mode="edge").astype(np.uint8)
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] / unit

    def mean_near(chosen: Mask) -> tuple[FloatArray, Mask]:
        sigma_px = _RIM_BLUR * unit
        weight = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), sigma_px)
        total = cv2.GaussianBlur(colours * chosen[..., None], (0, 0), sigma_px)
        mean = total / np.maximum(weight, 1e-6)[..., None]
        return np.asarray(mean, np.float32), np.asarray(weight > 1e-3)

    own, has_own = mean_near((inside > 0) & (inside <= _RIM_INSIDE))
    off, has_off = mean_near((outside > _RIM_OUTSIDE) & (outside <= _RIM_REACH))
    telling = (np.abs(own - off).max(axis=2) >= _RIM_LEVELS) & has_own & has_off
    like_own = np.abs(colours - own).max(axis=2) < np.abs(colours - off).max(axis=2)
    rings = [(outside > step) & (outside <= step + 1) for step in range(_RIM_WIDEST + 2)]
    if not rings[0].any() or telling[rings[0]].mean() < _RIM_TELLING:
        return 0
    clear = (ring & telling for ring in rings)
    shares = [float(like_own[ring].mean()) if ring.any() else 0.0 for ring in clear]
    width = next((step for step, share in enumerate(shares) if share < 0.5), len(shares))
    if not 0 < width <= _RIM_WIDEST or shares[0] < _RIM_OWN:
        return 0
    is_edge = shares[width - 1] - shares[width + 1] >= _RIM_DROP
    return (width + _RIM_SOFT) * unit if is_edge else 0
