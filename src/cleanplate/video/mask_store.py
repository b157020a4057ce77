"""The masks of a clip, compressed in a temporary file: memory does not grow with their number."""

import tempfile
import zlib
from array import array
from types import TracebackType
from typing import Self

import numpy as np

from cleanplate.ops import bounding_box
from cleanplate.types import Box, Mask


class MaskStore:
    """Keeps masks in the order they come; 24 bytes each in memory.

    Args:
        size_hw: H and W of all of them.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._file = tempfile.TemporaryFile(prefix="cleanplate-masks-")  # noqa: SIM115  # see __exit__
        self._starts = array("Q", [0])
        self._boxes = array("i")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the file away."""
        self._file.close()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._starts) - 1

    def append(self, mask: Mask) -> None:
        """Keep one more, (H, W)."""
        data, box = b"", (0, 0, 0, 0)
        if mask.any():
            box = bounding_box(mask)
            left, top, right, bottom = box
            data = zlib.compress(np.packbits(mask[top:bottom, left:right]).tobytes(), 1)
        self._file.seek(self._starts[-1])
        self._file.write(data)
        self._starts.append(self._starts[-1] + len(data))
        self._boxes.extend(box)

    def box(self, index: int) -> Box | None:
        """Return the tight box of a mask; None if it is empty."""
        left, top, right, bottom = self._boxes[4 * index : 4 * index + 4]
        return (left, top, right, bottom) if right else None

    def read(self, index: int) -> Mask:
        """Return a mask, (H, W)."""
        mask = np.zeros(self._size_hw, np.bool_)
        box = self.box(index)
        if box is not None:
            left, top, right, bottom = box
            start = self._starts[index]
            self._file.seek(start)
            data = zlib.decompress(self._file.read(self._starts[index + 1] - start))
            count = (bottom - top) * (right - left)
            bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
            mask[top:bottom, left:right] = bits.reshape(bottom - top, right - left) > 0
        return mask
