"""A square around an object, as networks see it."""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import FloatArray


class SquareView:
    """A square around an object at a network's size; it may reach beyond the picture.

    Args:
        box_xyxy: of the object.
        context: what to show on each side of it, as a share of its longer side.
        size_hw: of the picture, H and W first.
        size_px: of the network's input, a square.
    """

    def __init__(
        self,
        box_xyxy: tuple[float, float, float, float],
        context: float,
        size_hw: tuple[int, ...],
        size_px: int,
    ) -> None:
        left, top, right, bottom = box_xyxy
        side = max(right - left, bottom - top) * (1 + 2 * context)
        spans = [
            _spans((top + bottom - side) / 2, side, size_hw[0], size_px),
            _spans((left + right - side) / 2, side, size_hw[1], size_px),
        ]
        self.slices = spans[0][0], spans[1][0]  # what of the picture is in the square
        self._grid = spans[0][1], spans[1][1]  # where that is in the network's input
        self._size_px = size_px
        self._method = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR

    def see(self, picture: npt.NDArray[np.uint8], beyond: float) -> FloatArray:
        """Return a picture as the network sees it.

        Args:
            picture: (H, W, 3), colours; or (H, W), 0 or 1. Only what is in the square is read.
            beyond: what the network sees beyond its border.

        Returns:
            (S, S, 3) float32, colours in the same range; or (S, S), the share of 1.
        """
        seen = np.full((self._size_px, self._size_px, *picture.shape[2:]), beyond, np.float32)
        part = picture[self.slices]
        exact = part if part.ndim == 3 else part.astype(np.float32)
        seen[self._grid] = cv2.resize(exact, _size_wh(self._grid), interpolation=self._method)
        return seen

    def within_picture(self, output: FloatArray) -> FloatArray:
        """Return an (S, S) output of the network with 0 beyond the picture."""
        kept = np.zeros_like(output)
        kept[self._grid] = output[self._grid]
        return kept

    def at_full_size(self, output: FloatArray) -> FloatArray:
        """Return an (s, s) or (s, s, C) output for each pixel of the picture in the square."""
        whole = cv2.resize(output, (self._size_px, self._size_px), interpolation=cv2.INTER_LINEAR)
        size_wh = _size_wh(self.slices)
        scaled = cv2.resize(whole[self._grid], size_wh, interpolation=cv2.INTER_LINEAR)
        return np.asarray(scaled, np.float32)


def _size_wh(place: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = place
    return columns.stop - columns.start, rows.stop - rows.start


def _spans(start: float, side: float, length: int, size_px: int) -> tuple[slice, slice]:
    """Return what of a side of the picture a square covers, and where in the network's input."""
    first, last = max(0, round(start)), min(length, round(start + side))
    scale = size_px / side
    low = max(0, min(round((first - start) * scale), size_px - 1))
    high = max(round((last - start) * scale), low + 1)
    return slice(first, last), slice(low, min(high, size_px))
