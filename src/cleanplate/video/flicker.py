"""Flicker of filled holes: the motion-compensated change between consecutive frames."""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.ops import Luma, Transform, dilate, invert, warp
from cleanplate.types import Mask, RGBImage

_AROUND_PX = 24  # of a hole, where the flicker of the background itself is measured
_RIM = 2  # px at a warped frame's border that are ignored


def flicker(before: Luma, after: Luma, to_before: Transform, mask: Mask) -> tuple[float, int]:
    """Return the mean absolute change of brightness in a region, and the number of px compared.

    The earlier frame is first warped onto the later one. With the true background in both holes,
    only noise, compression and interpolation remain; compare it with the value outside the holes.

    Args:
        before: (H, W) uint8, the earlier frame.
        after: (H, W) uint8.
        to_before: from the later frame's px to the earlier one's.
        mask: (H, W) bool, the region, in the later frame.

    Returns:
        Grey levels, NaN if no px can be compared; and the number of px.

    Raises:
        InputError, ShapeMismatchError: the sizes differ.
    """
    if before.shape != after.shape or before.ndim != 2:
        raise InputError(f"frames must be (H, W) of one size, got {before.shape}, {after.shape}")
    if mask.shape != after.shape:
        raise ShapeMismatchError(after.shape, mask.shape)
    there = np.zeros(after.shape, np.uint8)
    there[_RIM : after.shape[0] - _RIM, _RIM : after.shape[1] - _RIM] = 1
    if np.array_equal(to_before, np.eye(3)):
        moved, seen = before, there
    else:
        from_before = invert(to_before)
        moved, seen = (warp(x, from_before, after.shape) for x in (before, there))
    compared = mask & (seen > 0)
    count = int(np.count_nonzero(compared))
    if not count:
        return float("nan"), 0
    change: npt.NDArray[np.int16] = np.abs(after[compared].astype(np.int16) - moved[compared])
    return float(change.mean()), count


class FlickerMeter:
    """Accumulates the flicker of a clip's filled frames, added in order."""

    def __init__(self) -> None:
        self._before: tuple[Luma, Mask, Transform] | None = None
        self._sums = [0.0, 0.0]
        self._counts = [0, 0]

    def restart(self) -> None:
        """Forget the last frame; the next one is not compared with it."""
        self._before = None

    def add(self, image: RGBImage, mask: Mask, to_key: Transform) -> None:
        """Compare a frame with the one before.

        Args:
            image: (H, W, 3) uint8, filled.
            mask: (H, W) bool, the filled hole.
            to_key: from its px to those of the shared key frame.
        """
        luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._before is not None and mask.any():
            before, hole, key = self._before
            to_before = invert(key) @ to_key
            around = dilate(mask, _AROUND_PX) & ~mask & ~hole
            for number, region in enumerate((mask, around)):
                change, count = flicker(before, luma, to_before, region)
                if count:
                    self._sums[number] += change * count
                    self._counts[number] += count
        self._before = luma, mask, to_key

    def means(self) -> tuple[float | None, float | None]:
        """Return the mean change in and around the holes, in grey levels; None without any px."""
        inside, around = (
            total / count if count else None
            for total, count in zip(self._sums, self._counts, strict=True)
        )
        return inside, around
