"""Masks that hold together over time: what one frame was not seen in comes from its neighbours.

A segmenter looks at each frame alone. It misses an object now and then, and its outlines tremble.
Here, what was found in the frames just before and just after is carried into each frame along the
optical flow, with the object's own motion; where both sides agree, it belongs to the frame too.
What a frame shows by itself always stays: too much mask costs little, as the background is known.

Reference:
    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, as OpenCV's DIS.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask, RGBImage

REACH = 3
"""Frames on either side that count: an object missed in so many in a row is still filled in."""

_SIDE_PX = 360  # long side at which the flow is found
_LEAST_SIDE_PX = 16  # below which there is no flow to find
_MISSED_SHARE = 0.3  # of a mask: so much carried into it counts as steadied


@dataclass(slots=True, eq=False)
class _Seen:
    """A frame in the window."""

    mask: Mask  # (H, W), as it was found
    kept: Mask | None  # (H, W), what may not be filled; None if nothing
    luma: npt.NDArray[np.uint8]  # (h, w)
    small: npt.NDArray[np.float32]  # (h, w), the mask
    from_before: npt.NDArray[np.float32] | None = None  # (h, w, 2): each px's place one earlier
    from_after: npt.NDArray[np.float32] | None = None  # the same, one later


@dataclass(frozen=True, slots=True, eq=False)
class Steadied:
    """What to fill in one frame."""

    mask: Mask  # (H, W)
    carried: bool  # a good part of it was found in neighbouring frames only


class MaskSteadier:
    """Takes the masks of frames as they come, gives them back steadied, `REACH` frames later.

    It holds `2 * REACH + 1` masks and small frames.
    """

    def __init__(self) -> None:
        self._window: deque[_Seen] = deque()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._at = 0  # of the next frame to give back, in the window

    def add(
        self, image: RGBImage, mask: Mask, *, kept: Mask | None = None, cut: bool = False
    ) -> Iterator[Steadied]:
        """Take a frame; yield the frames that are settled by it.

        Args:
            image: (H, W, 3) uint8.
            mask: (H, W) bool, what was found in it.
            kept: (H, W) bool, what must not be filled.
            cut: a shot begins here: nothing is carried across.
        """
        height, width = mask.shape
        scale = min(1.0, _SIDE_PX / max(height, width))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size_wh, interpolation=cv2.INTER_AREA
        )
        small = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
        seen = _Seen(mask, kept, cast("npt.NDArray[np.uint8]", luma), np.asarray(small, np.float32))
        if cut:
            yield from self.finish()
        if self._window:
            self._link(self._window[-1], seen)
        self._window.append(seen)
        if self._at + REACH < len(self._window):
            yield self._settle()

    def finish(self) -> Iterator[Steadied]:
        """Yield what is still held: no more frames of this shot come."""
        while self._at < len(self._window):
            yield self._settle()
        self._window.clear()
        self._at = 0

    def _link(self, before: _Seen, after: _Seen) -> None:
        """Find the flow between two frames."""
        if min(before.luma.shape) < _LEAST_SIDE_PX:
            return
        after.from_before = _places(self._flow.calc(after.luma, before.luma, None))
        before.from_after = _places(self._flow.calc(before.luma, after.luma, None))

    def _settle(self) -> Steadied:
        own = self._window[self._at]
        before, full_before = self._carried(-1)
        after, full_after = self._carried(+1)
        mask = own.mask
        carried = False
        if full_before and full_after:
            both = np.minimum(before[0], after[0])
        else:  # near the ends of a shot one side is cut short: two frames anywhere have to agree
            both = np.sort(np.stack([*before, *after]), axis=0)[-2]
            both = np.maximum(both, np.minimum(before[0], after[0]))
        if float(both.max(initial=0)) > 0.5:
            large = cv2.resize(both, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)
            more = np.asarray(large > 0.5) & ~mask
            carried = np.count_nonzero(more) > _MISSED_SHARE * max(np.count_nonzero(mask), 1)
            mask = mask | more
        if own.kept is not None:
            mask = mask & ~own.kept
        self._at += 1
        while self._at > REACH:  # no frame to come looks back so far
            self._window.popleft()
            self._at -= 1
        return Steadied(mask, bool(carried))

    def _carried(self, step: int) -> tuple[npt.NDArray[np.float32], bool]:
        """Return what the frames on one side show, carried here, and whether all are there.

        The first is (2, h, w): the largest and the second largest of them at each px.

        Args:
            step: -1 for those before, +1 for those after.
        """
        own = self._window[self._at].small
        most = np.zeros((2, *own.shape), np.float32)
        at = self._at
        flows: list[npt.NDArray[np.float32]] = []
        for _ in range(REACH):
            frame = self._window[at]
            flow = frame.from_before if step < 0 else frame.from_after
            at += step
            if not 0 <= at < len(self._window) or flow is None:
                return most, False
            flows.append(flow)
            field = self._window[at].small
            if not field.any():
                continue
            for places in reversed(flows):
                field = cv2.remap(
                    field, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
                )
            most[1] = np.maximum(most[1], np.minimum(most[0], field))
            np.maximum(most[0], field, out=most[0])
        return most, True


def _places(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (h, w, 2): where each pixel comes from, in px."""
    height, width = flow.shape[:2]
    places = np.empty((height, width, 2), np.float32)
    places[..., 0] = np.arange(width, dtype=np.float32) + flow[..., 0]
    places[..., 1] = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return places
