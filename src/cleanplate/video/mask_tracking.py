"""Masks of a clip: temporal stabilization by optical flow, and compressed storage.

A segmenter processes each frame separately: it misses an object now and then, and its outlines
jitter. Here the masks of the preceding and following frames are propagated into each frame along
the optical flow; where both sides agree, the pixels are added. Detections of a low score count
where a neighbouring frame shows the object. A frame's own detections are always kept: too large a
mask costs little, as the background is known.

Reference:
    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, as OpenCV's DIS.
"""

import tempfile
import zlib
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import bounding_box, dilate, remap
from cleanplate.types import Box, Mask, RGBImage

REACH = 5
"""Frames used on either side: an object missed in as many consecutive frames is recovered."""

_SIDE_PX = 360  # long side at which the flow is computed
_MIN_SIDE_PX = 16  # below which no flow is computed
_NEAREST_FRAMES = 2  # frames on either side that decide near the end of a shot
_OUTLINE_SHARE = 0.008  # of the long side: jitter of outlines
_AGREED_SHARE = 0.3  # of a missing part
_OVERLAP_SHARE = 0.5  # of a low-score detection: minimum overlap with propagated masks
_PROPAGATED_MARGIN = 0.005  # of the long side: dilation of propagated masks
_MISSED_SHARE = 0.3  # of a mask: a frame with more propagated px counts as stabilized


@dataclass(slots=True, eq=False)
class _WindowFrame:
    """A frame in the temporal window."""

    mask: Mask  # (H, W), as detected
    weak: Mask | None  # (H, W), detections below the minimum score; None if empty
    kept: Mask | None  # (H, W), protected pixels; None if empty
    luma: npt.NDArray[np.uint8]  # (h, w)
    small: npt.NDArray[np.float32]  # (h, w), the mask with what was added so far
    # (h, w, 2): position of each px in the previous and in the next frame
    from_before: npt.NDArray[np.float32] | None = None
    from_after: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StabilizedMask:
    """The mask to fill in one frame."""

    mask: Mask  # (H, W)
    propagated: bool  # a large part of it comes from neighbouring frames only


class MaskStabilizer:
    """Stabilizes the masks of consecutive frames, with a delay of `REACH` frames.

    It holds `2 * REACH + 1` masks and small frames.
    """

    def __init__(self) -> None:
        self._window: deque[_WindowFrame] = deque()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._at = 0  # position in the window of the next frame to return

    def add(
        self,
        image: RGBImage,
        mask: Mask,
        *,
        weak: Mask | None = None,
        kept: Mask | None = None,
        cut: bool = False,
    ) -> Iterator[StabilizedMask]:
        """Add a frame; yield the frames that are complete.

        Args:
            image: (H, W, 3) uint8.
            mask: (H, W) bool, its detections.
            weak: (H, W) bool, detections below the minimum score.
            kept: (H, W) bool, protected pixels.
            cut: a shot begins here; nothing is propagated across it.
        """
        height, width = mask.shape
        scale = min(1.0, _SIDE_PX / max(height, width))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size_wh, interpolation=cv2.INTER_AREA
        )
        current = _WindowFrame(
            mask,
            weak,
            kept,
            cast("npt.NDArray[np.uint8]", luma),
            _coverage(mask, size_wh[::-1]),
        )
        if cut:
            yield from self.finish()
        if self._window:
            self._compute_flow(self._window[-1], current)
        self._window.append(current)
        if self._at + REACH < len(self._window):
            yield self._finish_frame()

    def finish(self) -> Iterator[StabilizedMask]:
        """Yield the remaining frames of a shot."""
        while self._at < len(self._window):
            yield self._finish_frame()
        self._window.clear()
        self._at = 0

    def _compute_flow(self, before: _WindowFrame, after: _WindowFrame) -> None:
        """Compute the flow between two frames, both ways."""
        if min(before.luma.shape) < _MIN_SIDE_PX:
            return
        after.from_before = self._positions(after.luma, before.luma)
        before.from_after = self._positions(before.luma, after.luma)

    def _finish_frame(self) -> StabilizedMask:
        own = self._window[self._at]
        before, full_before = self._propagated(-1)
        after, full_after = self._propagated(+1)
        mask = own.mask
        propagated = False
        nothing = np.zeros_like(own.small)
        either = np.maximum.reduce([nothing, *before[:1], *after[:1]])
        matched = _matched_weak(own.weak, either > 0.5)
        if matched is not None:
            mask = mask | matched
            own.small = np.maximum(own.small, _coverage(matched, own.small.shape))
            propagated = True
        if full_before and full_after:
            both = np.minimum(
                np.maximum.reduce([nothing, *before]), np.maximum.reduce([nothing, *after])
            )
        else:  # near the ends of a shot two near frames have to agree
            near = [*before[:_NEAREST_FRAMES], *after[:_NEAREST_FRAMES]]
            both = np.sort(np.stack([nothing, nothing, *near]), axis=0)[-2]
            either = both
        more = _missing_parts(own.small > 0.5, either > 0.5, both > 0.5)
        if more.any():
            field = more.astype(np.float32)
            large = cv2.resize(
                field, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR
            )
            added = np.asarray(large > 0.5) & ~mask
            propagated |= int(added.sum()) > _MISSED_SHARE * max(int(mask.sum()), 1)
            if propagated:  # its outline is less exact than a detected one
                added = dilate(added, _PROPAGATED_MARGIN * max(mask.shape))
            mask = mask | added
        if propagated:  # later frames use it like a detection
            own.small = np.maximum(own.small, _coverage(mask, own.small.shape))
        if own.kept is not None:
            mask = mask & ~own.kept
        self._at += 1
        while self._at > REACH:  # no later frame needs it
            self._window.popleft()
            self._at -= 1
        return StabilizedMask(mask, bool(propagated))

    def _propagated(self, step: int) -> tuple[list[npt.NDArray[np.float32]], bool]:
        """Return the non-empty masks of one side, warped to the current frame.

        Args:
            step: -1 for preceding, +1 for following frames.

        Returns:
            (h, w) fields in [0, 1], the nearest first; and whether all `REACH` frames were there.
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
                    field = remap(field, places, cv2.INTER_LINEAR)
                shown.append(field)
        return shown, True

    def _positions(
        self, here: npt.NDArray[np.uint8], there: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Return (h, w, 2) float32: the position of each pixel of one frame in another, in px."""
        height, width = here.shape
        flow: Any = self._flow
        places: npt.NDArray[np.float32] = flow.calc(here, there, None)
        places[..., 0] += np.arange(width, dtype=np.float32)
        places[..., 1] += np.arange(height, dtype=np.float32)[:, None]
        return places


def _matched_weak(weak: Mask | None, propagated: Mask) -> Mask | None:
    """Return the components of `weak`, (H, W), that overlap propagated masks, (h, w)."""
    if weak is None or not propagated.any():
        return None
    count, parts = cv2.connectedComponents(weak.view(np.uint8), connectivity=8)
    size_wh = (weak.shape[1], weak.shape[0])
    there = cv2.resize(propagated.view(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0
    covered = np.bincount(parts[there], minlength=count) / np.bincount(parts.ravel())
    chosen = covered >= _OVERLAP_SHARE
    chosen[0] = False
    return np.asarray(chosen[parts]) if chosen.any() else None


def _coverage(mask: Mask, size_hw: tuple[int, ...]) -> npt.NDArray[np.float32]:
    size_wh = (size_hw[1], size_hw[0])
    return np.asarray(
        cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA), np.float32
    )


def _missing_parts(own: Mask, either: Mask, both: Mask) -> Mask:
    """Return the pixels that neighbouring frames add to a mask, all (h, w).

    Pixels on which both sides agree, and complete missing components on which they mostly agree:
    the flow of plain surfaces is not exact.

    Args:
        own: the frame's own detections.
        either: propagated from one side at least.
        both: propagated from both sides.
    """
    kernel_px = 2 * max(1, round(_OUTLINE_SHARE * max(own.shape))) + 1
    missing = (either & ~own).view(np.uint8)
    missing = np.asarray(
        cv2.morphologyEx(missing, cv2.MORPH_OPEN, np.ones((kernel_px, kernel_px))), np.uint8
    )
    count, parts = cv2.connectedComponents(missing, connectivity=8)
    agreed = np.bincount(parts[both], minlength=count)
    total = np.maximum(np.bincount(parts.ravel(), minlength=count), 1)
    belongs = agreed > _AGREED_SHARE * total
    belongs[0] = False
    complete = cv2.dilate(belongs[parts].astype(np.uint8), np.ones((kernel_px, kernel_px))) > 0
    return np.asarray(both | (complete & either))


class MaskStore:
    """Stores masks compressed in a temporary file, in order; 24 bytes each in memory.

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
        """Delete the file."""
        self._file.close()

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self._starts) - 1

    def append(self, mask: Mask) -> None:
        """Add a mask, (H, W) bool."""
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
        """Return the mask at an index, (H, W) bool."""
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
