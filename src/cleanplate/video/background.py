"""The background of a shot: one clean plate, composed from what each of its frames shows.

All frames of a segment lie in the px of its key frame (`motion`). Wherever something is removed in
any of them, the plate keeps some samples of the frames in which the place is free, and takes their
median: what passes by is outvoted. Where the samples disagree (water, leaves, things nearer or
farther than the plane that the camera's motion was fitted to) they are not background, and where no
frame shows a place there are none: these parts are filled once, on the plate, and so are the same
in every frame.

Memory follows from the plate's size, not from the number of frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import (
    Transform,
    dilate,
    drop_specks,
    invert,
    remap,
    transform_points,
    translation,
    warp,
)
from cleanplate.types import Box, Mask, RGBImage
from cleanplate.video.colour import UINT16_UNIT, RGBFrame, to_uint8
from cleanplate.video.motion import extent_of

FillFunction = Callable[[RGBImage, Mask], RGBImage]
"""Fills the True pixels of a mask, as `Remover.fill` does."""

NOTHING, FRAMES, NETWORK = 0, 1, 2
"""Where a pixel of the plate comes from."""

SAMPLES = 9
"""Largest number per pixel; from frames chosen uniformly at random in the segment."""

_RING_PX = 6  # around a hole, where plate and frame are compared
_CONTEXT = 0.8  # surroundings on the plate, as a share of the removed parts' mean side
_CONTEXT_MIN_PX = 256  # the built-in inpainter's windows are no smaller
_MIN_TO_DISAGREE = 4  # samples
_DISAGREE = 9.0  # grey levels of median deviation, in flat areas
_DISAGREE_EDGE = 0.35  # more, as a share of the local contrast, for misalignment at edges
_SPECK_SHARE = 2e-4  # of the plate: smaller areas that disagree are kept
_VIEW_STEP_PX = 6.0  # how far the view moves before the backdrop is extended again
_GRID = 2400  # places at which exposures are compared
_GAIN_RANGE = (0.4, 2.5)
_GAIN_TOLERANCE = 0.008  # a gain nearer to 1 is ignored
_LEVELS_USED = (16.0, 240.0)  # of the samples that tell a gain
_MIN_FOR_GAIN = 60
_RING_SHARE = 0.35  # of the ring that must agree: the rest may hold a shadow or a foot
_RING_DIFFERENCE = 9.0  # grey levels; where it differs by more, the plate is not used
_CHUNK = 1 << 18  # pixels processed at once
_ROW = 4096  # pixels in a row of one call of OpenCV's remap


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """What the plate gives one frame."""

    image: RGBFrame  # the frame with what was accepted pasted in, unseamed
    accepted: Mask  # (H, W), True where it valid
    rejected: Mask  # (H, W), the rest of the hole
    from_frames: int  # px of `accepted` that other frames show


class SegmentPlate:
    """The background of one segment. First every frame is added, then it is completed and applied.

    Args:
        size_hw: H and W of the frames.
        transforms: of the frames that have a hole: from their px to the key frame's.
        boxes: of these holes.
        unit: levels of an image to one of 8 bits.
    """

    def __init__(
        self,
        size_hw: tuple[int, int],
        transforms: Sequence[Transform],
        boxes: Sequence[Box],
        *,
        unit: int = 1,
    ) -> None:
        left, top, right, bottom = extent_of(transforms, boxes)
        side = math.sqrt(max(1.0, (right - left) * (bottom - top)))
        margin = max(_CONTEXT_MIN_PX, _CONTEXT * side)
        corners = np.array([[0, 0], [size_hw[1], 0], [size_hw[1], size_hw[0]], [0, size_hw[0]]])
        views = np.vstack([transform_points(transform, corners - 0.5) for transform in transforms])
        low, high = views.min(axis=0), views.max(axis=0)
        self._left = math.floor(max(left - margin, low[0]))
        self._top = math.floor(max(top - margin, low[1]))
        self.size_hw = (
            max(1, math.ceil(min(bottom + margin, high[1])) - self._top),
            max(1, math.ceil(min(right + margin, high[0])) - self._left),
        )
        self._frame_hw, self._unit = size_hw, unit
        dtype = np.uint8 if unit == 1 else np.uint16
        self.image: RGBFrame = np.zeros((*self.size_hw, 3), dtype)
        self.source = np.zeros(self.size_hw, np.uint8)  # NOTHING, FRAMES or NETWORK
        self._in_backdrop = np.zeros(self.size_hw, np.bool_)  # what the backdrop covers
        self._needed = np.zeros(self.size_hw, np.bool_)
        self._last_view: npt.NDArray[np.float64] | None = None  # of the last frame in the backdrop
        self._rng = np.random.default_rng(0)
        self._gain = np.ones(3, np.float32)
        self._places: npt.NDArray[np.int32] | None = None

    def request(self, mask: Mask, to_key: Transform) -> None:
        """Request the background of a hole, (H, W), and of its surroundings."""
        near = dilate(mask, _RING_PX).view(np.uint8)
        self._needed |= warp(near, self._to_plate(to_key), self.size_hw) > 0

    def add(self, image: RGBFrame, mask: Mask, to_key: Transform) -> npt.NDArray[np.float32]:
        """Add what a frame shows outside its hole.

        Returns:
            (3,) float32: factors of its channels that give it the key frame's exposure.
        """
        if self._places is None:
            self._places = np.argwhere(self._needed).astype(np.int32)
            count = len(self._places)
            self._samples = np.zeros((SAMPLES, count, 3), self.image.dtype)
            self._count = np.zeros(count, np.uint16)
        to_plate = self._to_plate(to_key)
        unmasked = ~mask
        self._gain = self._estimate_gain(image, unmasked, to_plate)
        self._extend_backdrop(image, unmasked, to_plate)
        self._sample(image, unmasked, to_plate)
        return self._gain

    def complete(self, fill: FillFunction) -> None:
        """Compute the samples' medians, and fill where there are none."""
        places = self._places
        if places is None or not len(places):
            return
        rows, columns = places[:, 0], places[:, 1]
        median, spread = self._medians()
        known = self._count > 0
        self.image[rows[known], columns[known]] = median[known]
        self.source[rows[known], columns[known]] = FRAMES
        hole = np.zeros(self.size_hw, np.bool_)
        hole[rows[~known], columns[~known]] = True
        hole |= self._unstable(spread)
        if hole.any():
            self._fill_backdrop()
            filled = fill(to_uint8(self.image), hole)
            self.image[hole] = filled[hole].astype(self.image.dtype) * self._unit
            self.source[hole] = NETWORK
        del self._samples

    def apply(
        self, image: RGBFrame, mask: Mask, to_key: Transform, gain: npt.NDArray[np.float32]
    ) -> Applied:
        """Put the background into a frame's hole where it agrees with the hole's surroundings.

        Args:
            image: (H, W, 3), the frame. Not modified.
            mask: (H, W) bool, its hole.
            to_key: from its px to the key frame's.
            gain: what `add` returned for it.
        """
        from_plate = invert(self._to_plate(to_key))
        is_still = np.array_equal(to_key, np.eye(3))
        height, width = mask.shape
        flags = cv2.INTER_NEAREST if is_still else cv2.INTER_CUBIC
        plate = warp(self.image, from_plate, (height, width), flags)
        source = warp(self.source, from_plate, (height, width), cv2.INTER_NEAREST)
        if (gain != 1).any():
            highest = 255 * self._unit
            exposed = np.clip(np.rint(plate / gain), 0, highest)
            plate = exposed.astype(image.dtype)
        valid = source > NOTHING
        count, parts = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        reach = 2 * _RING_PX + 1
        near = cv2.dilate(parts.astype(np.float32), np.ones((reach, reach), np.uint8))
        ring = (near > 0) & ~mask & valid & (source == FRAMES)
        difference = (
            np.abs(image[ring].astype(np.float32) - plate[ring].astype(np.float32)).mean(axis=1)
            / self._unit
        )
        of_part = near[ring].astype(np.int32)
        accepted = np.zeros_like(mask)
        for part in range(1, count):
            inside = parts == part
            around = difference[of_part == part]
            if around.size and float(np.quantile(around, _RING_SHARE)) > _RING_DIFFERENCE:
                continue
            accepted |= inside & valid
        result = image.copy()
        result[accepted] = plate[accepted]
        from_frames = int(np.count_nonzero(source[accepted] == FRAMES))
        return Applied(result, accepted, mask & ~accepted, from_frames)

    def _to_plate(self, to_key: Transform) -> Transform:
        return translation(-self._left, -self._top) @ to_key

    def _estimate_gain(
        self, image: RGBFrame, unmasked: Mask, to_plate: Transform
    ) -> npt.NDArray[np.float32]:
        """Compare a frame with the backdrop, where both are known."""
        if not self._in_backdrop.any():
            return np.ones(3, np.float32)
        height, width = unmasked.shape
        step = max(1, round(math.sqrt(height * width / _GRID)))
        y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step].reshape(2, -1)
        at = np.rint(transform_points(to_plate, np.column_stack([x, y]).astype(np.float64))).astype(
            int
        )
        inside = ((at >= 0) & (at < np.array(self.size_hw[::-1]))).all(axis=1) & unmasked[y, x]
        x, y, at = x[inside], y[inside], at[inside]
        seen = self._in_backdrop[at[:, 1], at[:, 0]]
        frame = image[y[seen], x[seen]].astype(np.float32) / self._unit
        plate = self.image[at[seen, 1], at[seen, 0]].astype(np.float32) / self._unit
        gain = self._gain.copy()
        for channel in range(3):
            one, two = plate[:, channel], frame[:, channel]
            low, high = _LEVELS_USED
            use = (one > low) & (one < high) & (two > low) & (two < high)
            if use.sum() >= _MIN_FOR_GAIN:
                gain[channel] = np.clip(np.median(one[use] / two[use]), *_GAIN_RANGE)
        return np.where(np.abs(gain - 1) < _GAIN_TOLERANCE, np.float32(1), gain)

    def _extend_backdrop(self, image: RGBFrame, unmasked: Mask, to_plate: Transform) -> None:
        """Extend the backdrop, which gives the fill its surroundings, by a frame."""
        if self._in_backdrop.all():
            return
        height, width = unmasked.shape
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        view = transform_points(to_plate, corners)
        if self._last_view is not None and np.abs(view - self._last_view).max() < _VIEW_STEP_PX:
            return
        self._last_view = view
        free = warp(unmasked.view(np.uint8) * np.uint8(255), to_plate, self.size_hw) > 250
        new = np.asarray(free & ~self._in_backdrop, np.bool_)
        if new.any():
            seen = warp(image, to_plate, self.size_hw)
            self.image[new] = self._apply_gain(seen[new])
            self._in_backdrop |= new

    def _sample(self, image: RGBFrame, unmasked: Mask, to_plate: Transform) -> None:
        """Keep the frame's samples of the places that are needed."""
        if self._places is None:
            return
        whole_px = np.allclose(to_plate[:2, :2], np.eye(2), atol=1e-9) and np.allclose(
            to_plate[:2, 2], np.rint(to_plate[:2, 2]), atol=1e-9
        )
        from_plate = invert(to_plate)
        rim = 0 if whole_px else 2  # cubic interpolation reaches so far
        limit = np.array([unmasked.shape[1], unmasked.shape[0]]) - rim
        draw = self._rng.random()  # the same for all: neighbours keep samples of the same frames
        for start in range(0, len(self._places), _CHUNK):
            at = transform_points(
                from_plate, self._places[start : start + _CHUNK, ::-1].astype(np.float64)
            )
            near = np.rint(at).astype(np.int32)
            which = np.flatnonzero(((near >= rim) & (near < limit)).all(axis=1))
            which = which[unmasked[near[which, 1], near[which, 0]]]
            if not which.size:
                continue
            if whole_px:
                values = image[near[which, 1], near[which, 0]]
            else:
                values = _interpolated(image, at[which].astype(np.float32))
            self._store_samples(which + start, self._apply_gain(values), draw)

    def _store_samples(self, which: npt.NDArray[np.intp], values: RGBFrame, draw: float) -> None:
        """Add a sample of some pixels, by reservoir sampling: each is as likely to stay."""
        count = self._count[which]
        slot = np.minimum((draw * (count + 1.0)).astype(np.intp), count)
        slot[count < SAMPLES] = count[count < SAMPLES]
        taken = slot < SAMPLES
        self._samples[slot[taken], which[taken]] = values[taken]
        self._count[which] = np.minimum(count, np.iinfo(np.uint16).max - 1) + 1

    def _apply_gain(self, values: RGBFrame) -> RGBFrame:
        if (self._gain == 1).all():
            return values
        exposed = np.clip(np.rint(values.astype(np.float32) * self._gain), 0, 255 * self._unit)
        return np.asarray(exposed, self.image.dtype)

    def _medians(self) -> tuple[RGBFrame, npt.NDArray[np.float32]]:
        """Return (P, 3) medians, and (P,) median deviations of the brightness, in 8-bit levels."""
        count = np.minimum(self._count, SAMPLES).astype(np.intp)
        median = np.zeros((len(count), 3), self.image.dtype)
        spread = np.zeros(len(count), np.float32)
        for start in range(0, len(count), _CHUNK):
            part = slice(start, start + _CHUNK)
            samples = self._samples[:, part].astype(np.float32)
            used = np.arange(SAMPLES)[:, None] < count[part]
            middle = _median(samples, used[..., None], count[part][:, None])
            median[part] = np.rint(middle).astype(median.dtype)
            deviation = np.abs(samples - middle).mean(axis=2)
            spread[part] = _median(deviation, used, count[part]) / self._unit
        return median, spread

    def _unstable(self, spread: npt.NDArray[np.float32]) -> Mask:
        """Return (h, w), where the samples disagree too much to be one background."""
        places = self._places
        unstable = np.zeros(self.size_hw, np.bool_)
        if places is None:
            return unstable
        luma = cv2.cvtColor(to_uint8(self.image), cv2.COLOR_RGB2GRAY)
        wide = np.ones((3, 3), np.uint8)
        contrast = cv2.dilate(luma, wide).astype(np.float32) - cv2.erode(luma, wide)
        rows, columns = places[:, 0], places[:, 1]
        limit = _DISAGREE + _DISAGREE_EDGE * contrast[rows, columns]
        disagrees = (spread > limit) & (self._count >= _MIN_TO_DISAGREE)
        unstable[rows[disagrees], columns[disagrees]] = True
        opened = cv2.morphologyEx(unstable.view(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
        least = max(12, round(_SPECK_SHARE * unstable.size))
        large = drop_specks(np.asarray(opened > 0), least_px=least)
        return np.asarray(dilate(large, 2) & self._needed)

    def _fill_backdrop(self) -> None:
        """Give what no frame reaches the colour of the nearest px, as surroundings of the fill."""
        empty = ~self._in_backdrop & (self.source == NOTHING)
        if not empty.any() or empty.all():
            return
        _, nearest = cv2.distanceTransformWithLabels(
            empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        colours = np.zeros((int(nearest.max()) + 1, 3), self.image.dtype)
        colours[nearest[~empty]] = self.image[~empty]
        self.image[empty] = colours[nearest[empty]]


def _interpolated(image: RGBFrame, xy: npt.NDArray[np.float32]) -> RGBFrame:
    """Return (N, 3) colours at (N, 2) places."""
    short = -len(xy) % _ROW
    grid = np.pad(xy, ((0, short), (0, 0)), mode="edge").reshape(-1, _ROW, 2)
    values = remap(image, grid, cv2.INTER_CUBIC).reshape(-1, 3)[: len(xy)]
    highest = 255 * UINT16_UNIT
    return values if image.dtype == np.uint8 else np.minimum(values, highest)


def _median(
    values: npt.NDArray[np.float32], used: npt.NDArray[np.bool_], count: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """Return the median along the first axis of the values that are used; 0 where none is."""
    ordered = np.sort(np.where(used, values, np.inf), axis=0)
    last = np.maximum(count - 1, 0)
    shape = np.broadcast_shapes(last.shape, ordered.shape[1:])
    low = np.broadcast_to(last // 2, shape)[None]
    high = np.broadcast_to((last + 1) // 2, shape)[None]
    middle = (
        np.take_along_axis(ordered, low, axis=0)[0] + np.take_along_axis(ordered, high, axis=0)[0]
    ) / 2
    return np.where(np.isfinite(middle), middle, 0).astype(np.float32)
