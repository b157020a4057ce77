"""Transfer of the photo's full-resolution texture to a smooth fill.

A network fills a hole at a few hundred px; scaled up to the photo's size that is right in colour
and structure and soft in texture. Here `patchmatch` synthesises the hole at the small size from
the known surroundings; a few displacements are selected that serve complete regions of
it, and the photo's own pixels are copied along them at full resolution. Where the surroundings have
nothing like the network's fill, that stays, with the photo's own noise.

Reference:
    He and Sun, Statistics of Patch Offsets for Image Completion, ECCV 2012: few displacements serve
    most of a photo.
"""

import math
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.patchmatch import Synthesis, synthesise
from cleanplate.ops import (
    at_once,
    bounding_box,
    choose,
    coverage,
    put_levels,
    resample,
    scale_within,
    size_within,
    solve_gradients,
)
from cleanplate.types import Box, FloatArray, Mask, RGBImage

# Arrays of colours are (h, w, 3) float32 in [0, 1].

Offsets = npt.NDArray[np.int64]
"""(K, 2) displacements (down, across) in px of the small size."""

# All px are of the small size, unless they are said to be the window's.
_SMALL_SIDE = 256  # px
_BLUR_PX = 0.8  # of the colours that are compared: votes have no finer detail than this ...
_TEXTURE_WEIGHT = 5.0  # ... so the strength of gradients is compared too, with this weight
_OFFSET_BIN_PX = 1  # displacements that differ by less count as the same
_SHORTEST_PX = 8  # shorter displacements repeat the same few pixels side by side

# Of the synthesised hole: where it strays from the network's colours, nothing around the hole has
# them, and the network's fill stays. Squared distances of colours.
_LIKE_COST, _STRAY_COST = 0.03, 0.12
_STRAY_PX = 4.0  # finer differences are ignored

# Of the choice among displacements.
_MOST_OFFSETS = 80
_KEPT_OFFSETS = 32  # of these, once it is known where each would serve
_BOX_PX = 9  # neighbourhood that a displacement must serve
_UNKNOWN_COST = 0.25  # of a pixel that may not be copied; squared distance of colours
_ROUNDS = 4  # in which neighbours are brought to move alike
_AGREEMENT = 4.0  # how much the neighbours count
_NEIGHBOURS_PX = 2.0

# Of the copying.
_GOOD_COST, _BAD_COST = 0.012, 0.05  # up to here all texture; from here on none
_UNIFORM_LENIENCY = 4.0  # times these, in one texture: all of it suits, however it differs
_TRANSITION = 3.0  # sharpness of the border between regions
_TINT_PX = 8.0  # what varies more slowly than this stays as the small size has it
_LEAST_SHARE = 0.02  # less of a region is not worth copying
RIM_PX = 2  # of the surroundings, synthesised to be compared with the photo
_NOISE_PX = 1.0  # detail that a blur of this takes away is the finest
_NOISE_BLOCK_PX = 16
_STRIP_PX = 500_000  # pixels of the photo that are worked on at a time
_BLOCK_PX = 24  # in blocks of which a strip is copied: most regions are not in most of them ...
_MIN_BLOCK_PX = 96  # ... and no less than this in px of the window


def transfer_texture(
    image: RGBImage, fill: RGBImage, hole: Mask, sources: Mask, *, seed: int = 0
) -> RGBImage:
    """Return `fill` with the photo's texture inside `hole`.

    Args:
        image: (H, W, 3) uint8, a window of the photo. Not modified.
        fill: (H, W, 3) uint8, the same window filled, smoothly.
        hole: (H, W) bool, what was filled.
        sources: (H, W) bool, pixels that may be copied: known, and no part of what is removed.
        seed: of the search for patches, and of the noise.

    Returns:
        (H, W, 3) uint8. Where nothing resembles it, `fill`. In a rim of `RIM_PX` around the hole,
        what would be synthesised there, for `paste` to compare with the photo.
    """
    if not hole.any() or not sources.any():
        return fill.copy()
    # The rim is filled too: its difference from the photo determines the seam correction.
    filled = cv2.dilate(hole.view(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0
    size_wh = size_within(hole.shape, _SMALL_SIDE)
    guide = choose(hole, fill, image)
    small, small_hole, free = at_once(
        lambda: scale_within(guide, _SMALL_SIDE).astype(np.float32),
        lambda: coverage(hole, size_wh) > 0,
        lambda: coverage(sources & ~hole, size_wh) > 0.999,
    )
    small /= 255
    usable = free & ~small_hole
    synthesis = synthesise(small, small_hole, usable, seed=seed)
    if synthesis is None:
        return fill.copy()
    anew = small + (synthesis.image - small) * _likeness(small, synthesis.image)[..., None]
    offsets = _frequent_offsets(synthesis)
    features = np.dstack([_blurred(anew, _BLUR_PX), _TEXTURE_WEIGHT * synthesis.texture])
    leniency = 1 + synthesis.uniformity * (_UNIFORM_LENIENCY - 1)
    plan = _plan(features, small_hole, usable, offsets, leniency)
    guide = choose(filled, fill, image)
    window = _Window(guide, small, anew, sources & ~filled)
    return _copy(window, filled, plan, seed)


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """What is copied from."""

    guide: RGBImage  # (H, W, 3) uint8, the photo with the fill in its hole
    small: FloatArray  # (h, w, 3) the same, scaled down
    synthesised: FloatArray  # (h, w, 3) the same, with its hole synthesised
    sources: Mask  # (H, W) bool, where copying is allowed


def _likeness(small: FloatArray, anew: FloatArray) -> FloatArray:
    """Return (h, w) in [0, 1]: agreement of the synthesised hole with the network's colours."""
    difference = _blurred(anew - small, _STRAY_PX)
    cost = (difference**2).sum(axis=2)
    likeness = np.clip((_STRAY_COST - cost) / (_STRAY_COST - _LIKE_COST), 0, 1)
    return np.asarray(likeness, np.float32)


def _frequent_offsets(synthesis: Synthesis) -> Offsets:
    """Return the displacements that most often lead from the hole to similar patches."""
    moves = synthesis.sources_yx - synthesis.places_yx
    long = moves[np.hypot(moves[:, 0], moves[:, 1]) >= _SHORTEST_PX]
    moves = long if len(long) > 0 else moves
    bins, counts = np.unique(np.rint(moves / _OFFSET_BIN_PX), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_OFFSETS]
    return np.asarray(bins[order] * _OFFSET_BIN_PX, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Which displacement serves each small pixel of a part of the window, and how well."""

    offsets: Offsets
    rows: slice  # the part, in small px
    columns: slice
    choice: npt.NDArray[np.int64]  # (h, w) index into offsets; -1: not needed
    trust: FloatArray  # (h, w) in [0, 1]; 0: keep the network's fill


def _plan(
    features: FloatArray, hole: Mask, usable: Mask, offsets: Offsets, leniency: float
) -> _Plan:
    """Choose a displacement for each pixel of the hole such that neighbours move alike.

    Args:
        features: (h, w, 5) what is compared: colours and texture.
        hole: (h, w) bool.
        usable: (h, w) bool, where copying is allowed.
        offsets: to choose from.
        leniency: how many times the usual difference is trusted.
    """
    left, top, right, bottom = bounding_box(hole, pad_px=2)
    rows, columns = slice(top, bottom), slice(left, right)
    here = features[rows, columns]
    costs = np.empty((len(offsets), *here.shape[:2]), np.float32)
    # Framed by what must not be copied, so that every displacement can be looked up.
    frame = int(np.abs(offsets).max())
    colours = cv2.copyMakeBorder(features, *(frame,) * 4, cv2.BORDER_REPLICATE)
    allowed = cv2.copyMakeBorder(usable.view(np.uint8), *(frame,) * 4, cv2.BORDER_CONSTANT) > 0
    for index, (down, across) in enumerate(offsets.tolist()):
        moved = (
            slice(frame + top + down, frame + bottom + down),
            slice(frame + left + across, frame + right + across),
        )
        difference = colours[moved] - here
        cost = np.einsum("ijk,ijk->ij", difference, difference)  # a sum over 3 takes numpy longer
        known = allowed[moved]
        cost[~known] = _UNKNOWN_COST
        cost = cv2.boxFilter(cost, -1, (_BOX_PX, _BOX_PX))
        cost[~known] = 4 * _UNKNOWN_COST
        costs[index] = cost
    served = np.bincount(costs.argmin(axis=0)[hole[rows, columns]], minlength=len(costs))
    kept = np.argsort(-served, kind="stable")[:_KEPT_OFFSETS]
    costs, offsets = costs[kept], offsets[kept]
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
    trust = np.clip((_BAD_COST - cost / leniency) / (_BAD_COST - _GOOD_COST), 0, 1)
    needed = cv2.dilate(hole.view(np.uint8), np.ones((3, 3), np.uint8))[rows, columns] > 0
    return _Plan(offsets, rows, columns, np.where(needed, choice, -1), trust.astype(np.float32))


def _softmax(values: FloatArray) -> FloatArray:
    shares = np.exp(values - values.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0), np.float32)


def _copy(window: _Window, hole: Mask, plan: _Plan, seed: int) -> RGBImage:
    """Copy along the plan: at the small size in the gradients, at full size what it lacks.

    The gradient domain hides the borders between regions, and between the hole and the photo. What
    full resolution adds to the small size is copied on top, strip by strip.
    """
    guide, small = window.guide, window.small
    scale = (hole.shape[0] / small.shape[0], hole.shape[1] / small.shape[1])
    base = _stitch(window.synthesised, plan)
    noise = noise_level(guide, window.sources, _NOISE_PX)
    rng = np.random.default_rng(seed)
    trust = _blurred(plan.trust, _NEIGHBOURS_PX)
    start_yx = (plan.rows.start, plan.columns.start)
    regions = [
        _Region.of(plan, index, scale)
        for index in np.unique(plan.choice[plan.choice >= 0]).tolist()
    ]
    result = guide.copy()
    left, top, right, bottom = bounding_box(hole)
    step = max(1, _STRIP_PX // (right - left))
    strips = [(left, row, right, min(row + step, bottom)) for row in range(top, bottom, step)]
    # What nothing in the photo resembles gets at least the photo's noise.
    noises = [_noise((strip[3] - strip[1], right - left), noise, rng) for strip in strips]

    def paint(strip: Box, noise: FloatArray) -> None:
        here = slice(strip[1], strip[3]), slice(left, right)
        detail = np.zeros((*noise.shape[:2], 3), np.float32)
        weight = np.zeros(noise.shape[:2], np.float32)
        for block in _blocks(strip, hole, scale):
            there = _within(strip, block)
            for region in regions:
                region.add_to(block, detail[there], weight[there], window)
        detail /= np.maximum(weight, 1e-6)[..., None]
        share = (_sampled(trust, start_yx, scale, strip) * (weight > 1e-4))[..., None]
        own = guide[here] - 255 * _sampled(small, (0, 0), scale, strip)
        own += noise
        mixed = 255 * _sampled(base, start_yx, scale, strip) + own + (detail - own) * share
        put_levels(result[here], mixed, hole[here])

    at_once(*(partial(paint, *it) for it in zip(strips, noises, strict=True)))
    return result


def noise_level(image: RGBImage, known: Mask, blur_px: float) -> float:
    """Return the deviation of the finest detail where the known part is flattest, in grey levels.

    Finest detail is what a blur of `blur_px` takes away; the flattest tenth of all blocks counts.

    Args:
        image: (H, W, 3) uint8, RGB.
        known: (H, W) bool.
        blur_px: sigma of the blur.
    """
    side = _NOISE_BLOCK_PX
    beyond = side + math.ceil(4 * blur_px)  # what the filters reach, above and below
    strip = 16 * side  # of a few MB, which stay in the processor's cache
    powers = []
    for row in range(0, image.shape[0], strip):
        first = max(0, row - beyond)
        rows, own = slice(first, row + strip + beyond), np.s_[row - first :: side, ::side]
        whole = cv2.erode(known[rows].view(np.uint8), np.ones((side, side), np.uint8))[own] > 0
        if whole.any():
            fine = cv2.cvtColor(image[rows], cv2.COLOR_RGB2GRAY).astype(np.float32)
            fine -= _blurred(fine, blur_px)
            power = cv2.blur(np.square(fine, out=fine), (side, side))[own]
            powers.append(power[: strip // side][whole[: strip // side]])
    if not powers:
        return 0.0
    # The blur's sums may round below 0.
    return float(np.sqrt(max(0.0, np.quantile(np.concatenate(powers), 0.1))))


def _noise(size_hw: tuple[int, ...], level: float, rng: np.random.Generator) -> FloatArray:
    """Return (h, w, 1) of noise whose finest detail has that deviation, in grey levels."""
    white = rng.standard_normal((*size_hw[:2], 1), np.float32)
    # White noise keeps that share of its power beyond a blur (the discrete kernel's own).
    kernel = cv2.getGaussianKernel(9, _NOISE_PX)
    left_over = 1 - 2 * float(kernel[4, 0]) ** 2 + float((kernel**2).sum()) ** 2
    return np.asarray(white * np.float32(level / np.sqrt(left_over)))


def _stitch(small: FloatArray, plan: _Plan) -> FloatArray:
    """Return the plan's part of the small image with its hole copied in the gradient domain."""
    moved = plan.choice >= 0
    moves = np.where(moved[..., None], plan.offsets[np.maximum(plan.choice, 0)], 0)
    down, across = np.mgrid[plan.rows, plan.columns]
    down, across = down + moves[..., 0], across + moves[..., 1]

    def copied(dy: int, dx: int) -> FloatArray:
        """Return what lies (dy, dx) beside each pixel's source."""
        height, width = small.shape[:2]
        beside = small[np.clip(down + dy, 0, height - 1), np.clip(across + dx, 0, width - 1)]
        return np.asarray(beside)

    part, here = small[plan.rows, plan.columns], copied(0, 0)
    trust = np.where(moved, plan.trust, np.float32(1))[..., None]
    gradients: list[FloatArray] = []
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        first, _ = _neighbours(copied(dy, dx) - here, axis)
        _, second = _neighbours(here - copied(-dy, -dx), axis)
        one, two = _neighbours(moved[..., None].astype(np.float32), axis)
        # Each side of a border between regions has its own gradient: take their mean.
        gradient = (first * one + second * two) / np.maximum(one + two, 1)
        trust_one, trust_two = _neighbours(trust, axis)
        share = np.minimum(trust_one, trust_two)
        gradients.append(gradient * share + np.diff(part, axis=axis) * (1 - share))
    return solve_gradients(part, moved, gradients[0], gradients[1], pull=1 / _TINT_PX**2)


def _neighbours(field: FloatArray, axis: int) -> tuple[FloatArray, FloatArray]:
    """Return the first and the second of all pairs of neighbours along an axis."""
    if axis == 0:
        return field[:-1], field[1:]
    return field[:, :-1], field[:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """The small pixels that one displacement serves."""

    share: FloatArray  # soft membership inside the region's box
    start_yx: tuple[int, int]  # where that box begins in the window, in small px
    move: tuple[int, int]  # down, across; px of the window
    scale: tuple[float, float]  # px of the window per small px, down and across

    @classmethod
    def of(cls, plan: _Plan, index: int, scale: tuple[float, float]) -> "_Region":
        """Collect the region of displacement `index`."""
        mine = np.pad((plan.choice == index).astype(np.float32), 2)
        left, top, right, bottom = bounding_box(mine > 0, pad_px=2)
        start_yx = (plan.rows.start + top - 2, plan.columns.start + left - 2)
        down, across = plan.offsets[index].tolist()
        return cls(
            share=_blurred(mine[top:bottom, left:right], 0.7),
            start_yx=start_yx,
            move=(round(down * scale[0]), round(across * scale[1])),
            scale=scale,
        )

    def add_to(self, block: Box, detail: FloatArray, weight: FloatArray, window: "_Window") -> None:
        """Add what the region copies inside `block` beyond the small size to sums of its size."""
        guide, sources, small = window.guide, window.sources, window.small
        down, across = self.move
        left, top, right, bottom = self._box_within(block)
        left, top = max(left, block[0], -across), max(top, block[1], -down)
        right = min(right, block[2], guide.shape[1] - across)
        bottom = min(bottom, block[3], guide.shape[0] - down)
        if right <= left or bottom <= top:
            return
        share = _sampled(self.share, self.start_yx, self.scale, (left, top, right, bottom))
        source = slice(top + down, bottom + down), slice(left + across, right + across)
        share = share ** np.float32(_TRANSITION) * sources[source]
        there = _within(block, (left, top, right, bottom))
        origin = (left + across, top + down, right + across, bottom + down)
        beyond = guide[source] - 255 * _sampled(small, (0, 0), self.scale, origin)
        detail[there] += beyond * share[..., None]
        weight[there] += share

    def _box_within(self, block: Box) -> Box:
        """Return the box of what the region has in a block, in px of the window; may be empty."""
        (above, before), (down, across) = self.start_yx, self.scale
        first = max(0, int(block[1] / down) - above - 1)
        last = max(0, int(block[3] / down) - above + 2)
        left = max(0, int(block[0] / across) - before - 1)
        right = max(0, int(block[2] / across) - before + 2)
        rows, columns = np.nonzero(self.share[first:last, left:right] > _LEAST_SHARE)
        if len(rows) == 0:
            return 0, 0, 0, 0
        # One small px more on each side, where the share fades out.
        return (
            int((before + left + columns.min() - 1) * across),
            int((above + first + rows.min() - 1) * down),
            int((before + left + columns.max() + 2) * across) + 1,
            int((above + first + rows.max() + 2) * down) + 1,
        )


def _blocks(strip: Box, hole: Mask, scale: tuple[float, float]) -> list[Box]:
    """Return the blocks of a strip that have something of the hole, in px of the window."""
    down, across = (max(_MIN_BLOCK_PX, round(_BLOCK_PX * one)) for one in scale)
    return [
        (left, top, right, bottom)
        for top in range(strip[1], strip[3], down)
        for left in range(strip[0], strip[2], across)
        for right, bottom in ((min(left + across, strip[2]), min(top + down, strip[3])),)
        if hole[top:bottom, left:right].any()
    ]


def _within(outer: Box, inner: Box) -> tuple[slice, slice]:
    """Return a box in the coordinates of another one."""
    return (
        slice(inner[1] - outer[1], inner[3] - outer[1]),
        slice(inner[0] - outer[0], inner[2] - outer[0]),
    )


def _sampled(
    field: FloatArray, start_yx: tuple[int, int], scale: tuple[float, float], box: Box
) -> FloatArray:
    """Return a small field at the pixels of `box` in the window.

    Args:
        field: (h, w) or (h, w, 3) float32, whose first element is at `start_yx` in small px.
        start_yx: see `field`.
        scale: px of the window per small px, down and across.
        box: px of the window.
    """
    left, top, right, bottom = box
    return resample(
        field,
        start_yx=(top / scale[0] - start_yx[0], left / scale[1] - start_yx[1]),
        step_yx=(1 / scale[0], 1 / scale[1]),
        size_hw=(bottom - top, right - left),
    )


def _blurred(field: FloatArray, sigma_px: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)
