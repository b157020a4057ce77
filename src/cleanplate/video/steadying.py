"""Masks that hold together over time: what one frame was not seen in comes from its neighbours.

A segmenter looks at each frame alone. It misses an object now and then, and its outlines tremble.
Here, what was found in the frames just before and just after is carried into each frame along the
optical flow, with the object's own motion; where both sides agree, it belongs to the frame too.
What was found with too low a score counts where a neighbour shows the object. What a frame shows by
itself always stays: too much mask costs little, as the background is known.

Reference:
    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, as OpenCV's DIS.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import dilate
from cleanplate.types import Mask, RGBImage
from cleanplate.video.warping import resampled

REACH = 5
"""Frames on either side that count: an object missed in so many in a row is still filled in."""

_SIDE_PX = 360  # long side at which the flow is found
_LEAST_SIDE_PX = 16  # below which there is no flow to find
_NEAR = 2  # frames on either side that decide where one side is cut short
_OUTLINE_SHARE = 0.008  # of the long side: what outlines tremble by
_AGREED_SHARE = 0.3  # of a missing part
_LINKED_SHARE = 0.5  # of what was found with a low score: so much has to be carried there
_CARRIED_MARGIN = 0.005  # of the long side, around what is carried into a frame
_MISSED_SHARE = 0.3  # of a mask: so much carried into it counts as steadied


@dataclass(slots=True, eq=False)
class _Seen:
    """A frame in the window."""

    mask: Mask  # (H, W), as it was found
    weak: Mask | None  # (H, W), what was found with too low a score; None if nothing
    kept: Mask | None  # (H, W), what may not be filled; None if nothing
    luma: npt.NDArray[np.uint8]  # (h, w)
    small: npt.NDArray[np.float32]  # (h, w), the mask, and what was added to it since
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
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._at = 0  # of the next frame to give back, in the window

    def add(
        self,
        image: RGBImage,
        mask: Mask,
        *,
        weak: Mask | None = None,
        kept: Mask | None = None,
        cut: bool = False,
    ) -> Iterator[Steadied]:
        """Take a frame; yield the frames that are settled by it.

        Args:
            image: (H, W, 3) uint8.
            mask: (H, W) bool, what was found in it.
            weak: (H, W) bool, what was found with too low a score.
            kept: (H, W) bool, what must not be filled.
            cut: a shot begins here: nothing is carried across.
        """
        height, width = mask.shape
        scale = min(1.0, _SIDE_PX / max(height, width))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size_wh, interpolation=cv2.INTER_AREA
        )
        seen = _Seen(
            mask,
            weak,
            kept,
            cast("npt.NDArray[np.uint8]", luma),
            _shrunk(mask, size_wh[::-1]),
        )
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
        after.from_before = self._places(after.luma, before.luma)
        before.from_after = self._places(before.luma, after.luma)

    def _settle(self) -> Steadied:
        own = self._window[self._at]
        before, full_before = self._carried(-1)
        after, full_after = self._carried(+1)
        mask = own.mask
        carried = False
        nothing = np.zeros_like(own.small)
        either = np.maximum.reduce([nothing, *before[:1], *after[:1]])
        linked = _linked(own.weak, either > 0.5)
        if linked is not None:
            mask = mask | linked
            own.small = np.maximum(own.small, _shrunk(linked, own.small.shape))
            carried = True
        if full_before and full_after:
            both = np.minimum(
                np.maximum.reduce([nothing, *before]), np.maximum.reduce([nothing, *after])
            )
        else:  # near the ends of a shot, where one side is cut short, two near frames have to agree
            near = [*before[:_NEAR], *after[:_NEAR]]
            both = np.sort(np.stack([nothing, nothing, *near]), axis=0)[-2]
            either = both
        more = _belonging(own.small > 0.5, either > 0.5, both > 0.5)
        if more.any():
            field = more.astype(np.float32)
            large = cv2.resize(
                field, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR
            )
            added = np.asarray(large > 0.5) & ~mask
            carried |= int(added.sum()) > _MISSED_SHARE * max(int(mask.sum()), 1)
            if carried:  # its outline is not as exact as one that was seen
                added = dilate(added, _CARRIED_MARGIN * max(mask.shape))
            mask = mask | added
        if carried:  # from here on it is as good as found: the frames to come build on it
            own.small = np.maximum(own.small, _shrunk(mask, own.small.shape))
        if own.kept is not None:
            mask = mask & ~own.kept
        self._at += 1
        while self._at > REACH:  # no frame to come looks back so far
            self._window.popleft()
            self._at -= 1
        return Steadied(mask, bool(carried))

    def _carried(self, step: int) -> tuple[list[npt.NDArray[np.float32]], bool]:
        """Return what the frames of one side show that show anything, carried here.

        Args:
            step: -1 for those before, +1 for those after.

        Returns:
            (h, w) fields, the nearest first; and whether that side is not cut short.
        """
        at = self._at
        flows: list[npt.NDArray[np.float32]] = []
        shown: list[npt.NDArray[np.float32]] = []
        for _ in range(REACH):
            frame = self._window[at]
            flow = frame.from_before if step < 0 else frame.from_after
            at += step
            if not 0 <= at < len(self._window) or flow is None:
                return shown, False
            flows.append(flow)
            field = self._window[at].small
            if field.any():
                for places in reversed(flows):
                    field = resampled(field, places, cv2.INTER_LINEAR)
                shown.append(field)
        return shown, True

    def _places(
        self, here: npt.NDArray[np.uint8], there: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Return (h, w, 2): where each pixel of one frame lies in another, in px."""
        height, width = here.shape
        flow: Any = self._flow
        places: npt.NDArray[np.float32] = flow.calc(here, there, None)
        places[..., 0] += np.arange(width, dtype=np.float32)
        places[..., 1] += np.arange(height, dtype=np.float32)[:, None]
        return places


def _linked(weak: Mask | None, carried: Mask) -> Mask | None:
    """Return the parts of `weak`, (H, W), that lie where something is carried, (h, w)."""
    if weak is None or not carried.any():
        return None
    count, parts = cv2.connectedComponents(weak.view(np.uint8), connectivity=8)
    size_wh = (weak.shape[1], weak.shape[0])
    there = cv2.resize(carried.view(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0
    covered = np.bincount(parts[there], minlength=count) / np.bincount(parts.ravel())
    chosen = covered >= _LINKED_SHARE
    chosen[0] = False
    return np.asarray(chosen[parts]) if chosen.any() else None


def _shrunk(mask: Mask, size_hw: tuple[int, ...]) -> npt.NDArray[np.float32]:
    size_wh = (size_hw[1], size_hw[0])
    return np.asarray(
        cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA), np.float32
    )


def _belonging(own: Mask, either: Mask, both: Mask) -> Mask:
    """Return what neighbouring frames add to a mask, all (h, w).

    Wherever both sides agree; and the whole of a part that is missing here and on which they agree
    by a good share: the flow of plain things is not exact.

    Args:
        own: what the frame itself shows.
        either: what one side or the other shows.
        both: what both show.
    """
    thin = 2 * max(1, round(_OUTLINE_SHARE * max(own.shape))) + 1
    missing = (either & ~own).view(np.uint8)
    missing = np.asarray(cv2.morphologyEx(missing, cv2.MORPH_OPEN, np.ones((thin, thin))), np.uint8)
    count, parts = cv2.connectedComponents(missing, connectivity=8)
    agreed = np.bincount(parts[both], minlength=count)
    total = np.maximum(np.bincount(parts.ravel(), minlength=count), 1)
    belongs = agreed > _AGREED_SHARE * total
    belongs[0] = False
    whole = cv2.dilate(belongs[parts].astype(np.uint8), np.ones((thin, thin))) > 0
    return np.asarray(both | (whole & either))
