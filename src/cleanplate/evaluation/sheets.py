"""Contact sheets: images side by side for visual inspection."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cleanplate.ops import bounding_box
from cleanplate.types import Mask, RGBImage

_TILE_PX = 360
_TITLE_PX = 22
_AROUND_SHARE = 0.35  # of the photo's long side, around the hole


def tiles_of(
    images: Mapping[str, RGBImage], mask: Mask, *, tile_px: int = _TILE_PX
) -> list[RGBImage]:
    """Return images of one size with their titles, cut to the surroundings of the hole.

    Args:
        images: title -> (H, W, 3) uint8, RGB.
        mask: (H, W) bool; if it is empty, the whole images are shown.
        tile_px: longer side of an image in its tile.

    Returns:
        (h, w, 3) uint8, RGB each, all of one size.
    """
    left, top, right, bottom = 0, 0, mask.shape[1], mask.shape[0]
    if mask.any():
        around_px = int(_AROUND_SHARE * max(mask.shape))
        left, top, right, bottom = bounding_box(mask, pad_px=around_px)
    scale = tile_px / max(bottom - top, right - left)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size_wh = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    tiles = []
    for title, image in images.items():
        tile = np.zeros((_TITLE_PX + size_wh[1] + 4, tile_px + 4, 3), np.uint8)
        shown = cv2.resize(image[top:bottom, left:right], size_wh, interpolation=method)
        tile[_TITLE_PX : _TITLE_PX + shown.shape[0], : shown.shape[1]] = shown
        place = (4, _TITLE_PX - 7)
        cv2.putText(tile, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1, cv2.LINE_AA)
        tiles.append(tile)
    return tiles


def sheet_of(rows: Sequence[Sequence[RGBImage]]) -> RGBImage:
    """Return rows of tiles, (h, w, 3) uint8 each, one row below the other."""
    joined = [np.hstack(row) for row in rows]
    width = max(row.shape[1] for row in joined)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in joined])


def with_hole(image: RGBImage, mask: Mask) -> RGBImage:
    """Return a copy of an image, (H, W, 3) uint8, with the hole, (H, W) bool, in white."""
    return np.where(mask[..., None], np.uint8(255), image)
