"""Full-resolution texture for a smooth fill, carried over from the photo itself.

A network fills a hole at a few hundred px; scaled up to the photo's size that is right in colour
and structure and soft in texture. This module looks for places in the known surroundings that
resemble the fill at the small size, settles on a few displacements that serve whole regions, and
copies the photo's own pixels along them at full resolution. What varies slowly stays the network's,
and so does what resembles nothing.

References:
    He and Sun, Statistics of Patch Offsets for Image Completion, ECCV 2012: few displacements serve
    most of a photo. Wexler et al., Space-Time Completion of Video, PAMI 2007, and Barnes et al.,
    PatchMatch, SIGGRAPH 2009: nearest-neighbour fields guided by a first fill. We compare all
    places by one matrix product, which at these sizes is faster in numpy than a random search.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.compositing import solve_gradients
from cleanplate.masks import box_of
from cleanplate.resampling import sample
from cleanplate.types import Box, Mask, RGBImage

Field = npt.NDArray[np.float32]
"""(h, w, 3) or (h, w) float32; colours are in [0, 1]."""

Offsets = npt.NDArray[np.int64]
"""(K, 2) displacements (down, across) in px of the small size."""

# Of the search; all px are of the small size.
_SMALL_SIDE = 256  # px
_BLUR_PX = 1.5  # the fill has no finer detail than this
_REACH = 2  # samples of a descriptor on each side of its centre ...
_SPACING_PX = 3  # ... and how far apart they are
_MOST_TARGETS = 1_500
_MOST_SOURCES = 8_000
_OFFSET_BIN_PX = 3  # displacements that differ by less count as the same
_SHORTEST_PX = 16  # shorter displacements repeat the same few pixels side by side

# Of the choice among displacements.
_MOST_OFFSETS = 40
_BOX_PX = 9  # neighbourhood that a displacement must serve
_UNKNOWN_COST = 0.25  # of a pixel that may not be copied; squared distance of colours
_ROUNDS = 4  # in which neighbours are brought to move alike
_AGREEMENT = 4.0  # how much the neighbours count
_NEIGHBOURS_PX = 2.0

# Of the copying.
_GOOD_COST, _BAD_COST = 0.012, 0.05  # up to here all texture; from here on none
_TRANSITION = 3.0  # sharpness of the border between regions
_TINT_PX = 8.0  # what varies more slowly than this stays the network's
_LEAST_SHARE = 0.02  # less of a region is not worth copying
RIM_PX = 2  # of the surroundings, painted to be compared with the photo
_STRIP_PX = 500_000  # pixels of the photo that are worked on at a time


def carry_texture(image: RGBImage, fill: RGBImage, hole: Mask, sources: Mask) -> RGBImage:
    """Return `fill` with the photo's texture inside `hole`.

    Args:
        image: (H, W, 3) uint8, a window of the photo. Not modified.
        fill: (H, W, 3) uint8, the same window filled, smoothly.
        hole: (H, W) bool, what was filled.
        sources: (H, W) bool, pixels that may be copied: known, and no part of what is removed.

    Returns:
        (H, W, 3) uint8. Where nothing resembles it, `fill`. In a rim of `RIM_PX` around the hole,
        what would be painted there too, for `compositing.paste` to compare with the photo.
    """
    if not hole.any() or not sources.any():
        return fill.copy()
    height, width = hole.shape
    # The rim is painted too, for its difference to the photo tells how to hide the seam.
    painted = cv2.dilate(hole.view(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0
    shrink = max(1.0, max(height, width) / _SMALL_SIDE)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    guide = np.where(hole[..., None], fill, image)
    small = np.asarray(cv2.resize(guide, size_wh, interpolation=cv2.INTER_AREA), np.float32)
    small /= 255
    small_hole = _covered(hole, size_wh) > 0
    usable = (_covered(sources & ~hole, size_wh) > 0.999) & ~small_hole
    smooth = _blurred(small, _BLUR_PX)
    offsets = _dominant_offsets(smooth, small_hole, usable)
    if len(offsets) == 0:
        return fill.copy()
    plan = _plan(smooth, small_hole, usable, offsets)
    guide = np.where(painted[..., None], fill, image)
    return _copy(_Window(guide, small, sources & ~painted), painted, plan)


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """What is copied from."""

    guide: RGBImage  # (H, W, 3) uint8, the photo with the fill in its hole
    small: Field  # (h, w, 3) the same, scaled down
    sources: Mask  # (H, W) bool, where copying is allowed


def _covered(mask: Mask, size_wh: tuple[int, int]) -> Field:
    """Return the share of each small pixel that the mask covers."""
    area = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)


def _dominant_offsets(smooth: Field, hole: Mask, usable: Mask) -> Offsets:
    """Return the displacements that most often lead from the hole to what looks alike."""
    reach_px = _REACH * _SPACING_PX
    footprint = np.ones((2 * reach_px + 1,) * 2, np.uint8)
    whole = cv2.erode(usable.view(np.uint8), footprint, borderValue=[0]) > 0
    source_yx = _thinned(np.argwhere(whole), _MOST_SOURCES)
    target_yx = _thinned(np.argwhere(hole), _MOST_TARGETS)
    if len(source_yx) == 0:
        return np.zeros((0, 2), np.int64)
    targets, origins = _descriptors(smooth, target_yx), _descriptors(smooth, source_yx)
    # Smallest |t - o|^2 is largest t.o - |o|^2 / 2.
    likeness = targets @ origins.T
    likeness -= np.einsum("ij,ij->i", origins, origins) / 2
    moves = source_yx[likeness.argmax(axis=1)] - target_yx
    moves = moves[np.hypot(moves[:, 0], moves[:, 1]) >= _SHORTEST_PX]
    bins, counts = np.unique(np.rint(moves / _OFFSET_BIN_PX), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_OFFSETS]
    return (bins[order] * _OFFSET_BIN_PX).astype(np.int64)


def _thinned(places_yx: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return the places on a grid so coarse that there are about `most` of them."""
    step = max(1, int(np.ceil(np.sqrt(len(places_yx) / most))))
    on_grid = (places_yx % step == step // 2).all(axis=1)
    return places_yx[on_grid] if on_grid.any() else places_yx


def _descriptors(smooth: Field, at_yx: npt.NDArray[np.int64]) -> Field:
    """Return (N, samples * 3): the colours on a grid around each of N places."""
    reach_px = _REACH * _SPACING_PX
    padded = cv2.copyMakeBorder(smooth, *(reach_px,) * 4, cv2.BORDER_REFLECT_101)
    steps = range(0, 2 * reach_px + 1, _SPACING_PX)
    down, across = at_yx[:, 0], at_yx[:, 1]
    samples = [padded[down + dy, across + dx] for dy in steps for dx in steps]
    return np.ascontiguousarray(np.concatenate(samples, axis=1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Which displacement serves each small pixel of a part of the window, and how well."""

    offsets: Offsets
    rows: slice  # the part, in small px
    columns: slice
    choice: npt.NDArray[np.int64]  # (h, w) index into offsets; -1: not needed
    trust: Field  # (h, w) in [0, 1]; 0: keep the network's fill


def _plan(smooth: Field, hole: Mask, usable: Mask, offsets: Offsets) -> _Plan:
    """Choose a displacement for each pixel of the hole such that neighbours move alike."""
    left, top, right, bottom = box_of(hole, grown_by_px=2)
    rows, columns = slice(top, bottom), slice(left, right)
    here = smooth[rows, columns]
    costs = np.empty((len(offsets), *here.shape[:2]), np.float32)
    # Framed by what must not be copied, so that every displacement can be looked up.
    frame = int(np.abs(offsets).max())
    colours = cv2.copyMakeBorder(smooth, *(frame,) * 4, cv2.BORDER_REPLICATE)
    allowed = cv2.copyMakeBorder(usable.view(np.uint8), *(frame,) * 4, cv2.BORDER_CONSTANT) > 0
    for index, (down, across) in enumerate(offsets.tolist()):
        moved = (
            slice(frame + top + down, frame + bottom + down),
            slice(frame + left + across, frame + right + across),
        )
        cost = ((colours[moved] - here) ** 2).sum(axis=2)
        known = allowed[moved]
        cost[~known] = _UNKNOWN_COST
        cost = cv2.boxFilter(cost, -1, (_BOX_PX, _BOX_PX))
        cost[~known] = 4 * _UNKNOWN_COST
        costs[index] = cost
    least = costs.min(axis=0)
    temperature = max(1e-4, float(np.median(least)) / 2)
    # Mean field of a Potts model.
    preference = np.asarray(-costs / temperature, np.float32)
    share = _softmax(preference)
    for _ in range(_ROUNDS):
        support = np.stack([_blurred(one, _NEIGHBOURS_PX) for one in share])
        share = _softmax(np.asarray(preference + _AGREEMENT * support, np.float32))
    choice = share.argmax(axis=0)
    cost = np.take_along_axis(costs, choice[None], axis=0)[0]
    trust = np.clip((_BAD_COST - cost) / (_BAD_COST - _GOOD_COST), 0, 1)
    needed = cv2.dilate(hole.view(np.uint8), np.ones((3, 3), np.uint8))[rows, columns] > 0
    return _Plan(offsets, rows, columns, np.where(needed, choice, -1), trust.astype(np.float32))


def _softmax(values: Field) -> Field:
    shares = np.exp(values - values.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0), np.float32)


def _copy(window: _Window, hole: Mask, plan: _Plan) -> RGBImage:
    """Copy along the plan: at the small size in the gradients, at full size what it lacks.

    The gradient domain hides the borders between regions, and between the hole and the photo. What
    full resolution adds to the small size is copied on top, strip by strip.
    """
    guide, small = window.guide, window.small
    scale = (hole.shape[0] / small.shape[0], hole.shape[1] / small.shape[1])
    base = _stitch(small, plan)
    trust = _blurred(plan.trust, _NEIGHBOURS_PX)
    start_yx = (plan.rows.start, plan.columns.start)
    regions = [
        _Region.of(plan, index, scale)
        for index in np.unique(plan.choice[plan.choice >= 0]).tolist()
    ]
    result = guide.copy()
    left, top, right, bottom = box_of(hole)
    step = max(1, _STRIP_PX // (right - left))
    for row in range(top, bottom, step):
        strip = (left, row, right, min(row + step, bottom))
        here = slice(strip[1], strip[3]), slice(left, right)
        detail = np.zeros((strip[3] - row, right - left, 3), np.float32)
        weight = np.zeros(detail.shape[:2], np.float32)
        for region in regions:
            region.add_to(strip, detail, weight, window)
        detail /= np.maximum(weight, 1e-6)[..., None]
        share = (_sampled(trust, start_yx, scale, strip) * (weight > 1e-4))[..., None]
        own = guide[here] - 255 * _sampled(small, (0, 0), scale, strip)
        mixed = 255 * _sampled(base, start_yx, scale, strip) + own + (detail - own) * share
        inside = hole[here]
        result[here][inside] = np.clip(np.rint(mixed[inside]), 0, 255).astype(np.uint8)
    return result


def _stitch(small: Field, plan: _Plan) -> Field:
    """Return the plan's part of the small image with its hole copied in the gradient domain."""
    moved = plan.choice >= 0
    moves = np.where(moved[..., None], plan.offsets[np.maximum(plan.choice, 0)], 0)
    down, across = np.mgrid[plan.rows, plan.columns]
    down, across = down + moves[..., 0], across + moves[..., 1]

    def copied(dy: int, dx: int) -> Field:
        """Return what lies (dy, dx) beside each pixel's source."""
        height, width = small.shape[:2]
        beside = small[np.clip(down + dy, 0, height - 1), np.clip(across + dx, 0, width - 1)]
        return np.asarray(beside)

    part, here = small[plan.rows, plan.columns], copied(0, 0)
    trust = np.where(moved, plan.trust, np.float32(1))[..., None]
    gradients: list[Field] = []
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        first, _ = _neighbours(copied(dy, dx) - here, axis)
        _, second = _neighbours(here - copied(-dy, -dx), axis)
        one, two = _neighbours(moved[..., None].astype(np.float32), axis)
        # Each side of a border between regions has a gradient of its own: take their mean.
        gradient = (first * one + second * two) / np.maximum(one + two, 1)
        trust_one, trust_two = _neighbours(trust, axis)
        share = np.minimum(trust_one, trust_two)
        gradients.append(gradient * share + np.diff(part, axis=axis) * (1 - share))
    return solve_gradients(part, moved, gradients[0], gradients[1], pull=1 / _TINT_PX**2)


def _neighbours(field: Field, axis: int) -> tuple[Field, Field]:
    """Return the first and the second of all pairs of neighbours along an axis."""
    if axis == 0:
        return field[:-1], field[1:]
    return field[:, :-1], field[:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """The small pixels that one displacement serves."""

    share: Field  # soft membership inside the region's box
    start_yx: tuple[int, int]  # where that box begins in the window, in small px
    move: tuple[int, int]  # down, across; px of the window
    scale: tuple[float, float]  # px of the window per small px, down and across

    @classmethod
    def of(cls, plan: _Plan, index: int, scale: tuple[float, float]) -> "_Region":
        """Collect the region of displacement `index`."""
        mine = np.pad((plan.choice == index).astype(np.float32), 2)
        left, top, right, bottom = box_of(mine > 0, grown_by_px=2)
        start_yx = (plan.rows.start + top - 2, plan.columns.start + left - 2)
        down, across = plan.offsets[index].tolist()
        return cls(
            share=_blurred(mine[top:bottom, left:right], 0.7),
            start_yx=start_yx,
            move=(round(down * scale[0]), round(across * scale[1])),
            scale=scale,
        )

    def add_to(self, strip: Box, detail: Field, weight: Field, window: "_Window") -> None:
        """Add what the region copies inside `strip` beyond the small size to sums of its size."""
        guide, sources, small = window.guide, window.sources, window.small
        down, across = self.move
        left, top, right, bottom = self._box_within(strip)
        left, top = max(left, strip[0], -across), max(top, strip[1], -down)
        right = min(right, strip[2], guide.shape[1] - across)
        bottom = min(bottom, strip[3], guide.shape[0] - down)
        if right <= left or bottom <= top:
            return
        share = _sampled(self.share, self.start_yx, self.scale, (left, top, right, bottom))
        source = slice(top + down, bottom + down), slice(left + across, right + across)
        share = share ** np.float32(_TRANSITION) * sources[source]
        there = slice(top - strip[1], bottom - strip[1]), slice(left - strip[0], right - strip[0])
        origin = (left + across, top + down, right + across, bottom + down)
        beyond = guide[source] - 255 * _sampled(small, (0, 0), self.scale, origin)
        detail[there] += beyond * share[..., None]
        weight[there] += share

    def _box_within(self, strip: Box) -> Box:
        """Return the box of what the region has in a strip, in px of the window; may be empty."""
        first = max(0, int(strip[1] / self.scale[0]) - self.start_yx[0] - 1)
        last = max(0, int(strip[3] / self.scale[0]) - self.start_yx[0] + 2)
        rows, columns = np.nonzero(self.share[first:last] > _LEAST_SHARE)
        if len(rows) == 0:
            return 0, 0, 0, 0
        # One small px more on each side, where the share fades out.
        return (
            int((self.start_yx[1] + columns.min() - 1) * self.scale[1]),
            int((self.start_yx[0] + first + rows.min() - 1) * self.scale[0]),
            int((self.start_yx[1] + columns.max() + 2) * self.scale[1]) + 1,
            int((self.start_yx[0] + first + rows.max() + 2) * self.scale[0]) + 1,
        )


def _sampled(
    field: Field, start_yx: tuple[int, int], scale: tuple[float, float], box: Box
) -> Field:
    """Return a small field at the pixels of `box` in the window.

    Args:
        field: (h, w) or (h, w, 3) float32, whose first element lies at `start_yx` in small px.
        start_yx: see `field`.
        scale: px of the window per small px, down and across.
        box: px of the window.
    """
    left, top, right, bottom = box
    return sample(
        field,
        start_yx=(top / scale[0] - start_yx[0], left / scale[1] - start_yx[1]),
        step_yx=(1 / scale[0], 1 / scale[1]),
        size_hw=(bottom - top, right - left),
    )


def _blurred(field: Field, sigma_px: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)
