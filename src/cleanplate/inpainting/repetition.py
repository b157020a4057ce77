"""What repeats around a hole, such as windows, tiles or bricks, goes on in it.

A displacement repeats the surroundings if the photo beside the hole is like the photo so far away,
and much more so than a few px beside that. It is credible in the part of the hole beside which it
is exact, whatever another fill shows there. Few displacements have to serve most of the hole, or
nothing is repeated. What is seen in perspective repeats when seen from the front (see `planes`).

References:
    He and Sun, Statistics of Patch Offsets for Image Completion, ECCV 2012: few displacements serve
    most of a photo. Huang et al., Image Completion using Planar Structure Guidance, SIGGRAPH 2014:
    regularity found in the surroundings guides the fill.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.planes import View, find_views
from cleanplate.ops import (
    at_once,
    bounding_box,
    coverage,
    invert,
    put_levels,
    remap,
    resample,
    scale_within,
    size_within,
    transform_points,
    warp,
)
from cleanplate.types import FloatArray, Mask, RGBImage

Offset = tuple[int, int]
"""Down and across, px of the small size."""

# All px are of the small size. Constants were chosen on 24 holes in photos of facades and
# pavements, such that hardly any photo of anything else changes: see docs/quality.md.
_SIDE = 256
_ALL = 0.999  # of a pixel
_DETAIL_PX = 12.0  # what varies more slowly is no structure
_SOFT_PX = 0.8  # what varies faster is not compared
_REACH_PX = 40  # of the surroundings that are compared

# Of the displacements.
_LEAST_PX = 8  # shorter ones are no repetition
_LEAST_OVERLAP = 0.35  # of the surroundings that have to stay in the picture
_REPEATS = (0.45, 0.15)  # a photo does if one is so alike, and so much more than what is ...
_BESIDE_PX = 6  # ... so far beside it (likeness: 1 is equal, 0 is chance)
_MAY_REPEAT = (0.30, 0.08)  # then these are tried too, also beside ...
_PLACES, _PLACE_PX = 8, 24  # ... single places of the hole's border, of this radius
_MOST = 60
_PEAK_PX = 4  # within which one has to be the likeliest

# Of the choice among them. Unlikeness: difference against twice the variance of structure.
_NEAR_PX, _WIDE_PX, _WIDE_WEIGHT = 8.0, 24.0, 0.1  # surroundings are weighted by these two
_NOISE_LEVELS = 3.0
_CREDIBLE, _INCREDIBLE = 0.35, 0.60  # up to here certain; from here on not at all
_MOST_CHOSEN = 5
_BETTER = 0.15  # by which one has to be to replace another
_LEAST_GAIN = 0.01  # mean unlikeness that one more has to save
_SOFT_BORDER_PX = 2.0
_LEAST_SHARE = 0.40  # of the hole that has to be credible
_VIEWS_SIDE = 512  # px; planes in perspective are searched for at this size
_VIEW_BETTER = 0.1  # by which what repeats on one has to be more credible to replace what was there
_SURE = 0.5  # beyond that a pixel counts as known
_STRIP_PX = 1_000_000  # pixels of the photo that are worked on at a time


class Repetition(NamedTuple):
    """A fill in which the surroundings are repeated.

    Attributes:
        fill: (H, W, 3) uint8.
        rest: (H, W) bool, what of the hole is not certain.
    """

    fill: RGBImage
    rest: Mask


def repeat_surroundings(fill: RGBImage, hole: Mask, sources: Mask) -> Repetition | None:
    """Return a fill with what repeats in its surroundings; None where nothing does.

    Args:
        fill: (H, W, 3) uint8, RGB, the photo with another fill in its hole. Not modified.
        hole: (H, W) bool.
        sources: (H, W) bool, what may be copied.
    """
    size_wh = size_within(hole.shape, _SIDE)
    inside, free, small, picture, unknown = at_once(
        lambda: coverage(hole, size_wh) > 0,
        lambda: coverage(sources & ~hole, size_wh) > _ALL,
        lambda: scale_within(fill, _SIDE).astype(np.float32),
        lambda: scale_within(fill, _VIEWS_SIDE),
        lambda: coverage(hole, size_within(hole.shape, _VIEWS_SIDE)) > 0,
    )
    known = free & ~inside
    if not known.any() or not inside.any():
        return None
    small /= 255
    # Planes in perspective that the hole may lie in.
    planes = [view.scaled(size_wh[0] / len(picture[0])) for view in find_views(picture, unknown)]
    views = (View.whole((size_wh[1], size_wh[0])), *planes)
    seen = [_copied(small, inside, known, view) for view in views]
    (copied, share), *others = sorted(seen, key=lambda one: -one[1][inside].mean())
    for other, credible in others:
        better = credible > share + _VIEW_BETTER
        copied[better], share[better] = other[better], credible[better]
    if share[inside].mean() < _LEAST_SHARE:
        return None
    return _painted(fill, hole, copied, share)


def _copied(
    small: FloatArray, inside: Mask, known: Mask, view: View
) -> tuple[FloatArray, FloatArray]:
    """Return (h, w, 3) with what repeats in a view, and (h, w) how credible that is."""
    copied, share = small.copy(), np.zeros(inside.shape, np.float32)
    height, width = inside.shape
    places = np.indices((height, width), np.float64)[::-1].reshape(2, -1).T
    shown = known & view.in_front(places).reshape(height, width)
    unknown = warp(inside.astype(np.float32), view.transform, view.size_hw) > 0
    free = warp(shown.astype(np.float32), view.transform, view.size_hw) > _ALL
    if not unknown.any() or not free.any():
        return copied, share
    seen = warp(small, view.transform, view.size_hw)
    detail = _detail(seen, free)
    offsets = _offsets(detail, unknown, free)
    if not offsets:
        return copied, share
    shifts, credible = _repeated(seen, detail, unknown, free, offsets)
    at = transform_points(view.transform, places)
    is_seen = (at > -0.5).all(axis=1) & (at < np.array(view.size_hw[::-1]) - 0.5).all(axis=1)
    at[~is_seen] = 0
    column, row = np.rint(at).astype(np.int64).T
    there = transform_points(invert(view.transform), at + shifts[row, column])
    source = np.asarray(there.reshape(height, width, 2), np.float32)
    is_free = remap(known.astype(np.float32), source, cv2.INTER_LINEAR) > _ALL
    is_copied = inside & is_free & is_seen.reshape(height, width)
    share[is_copied] = credible[row, column].reshape(height, width)[is_copied]
    copied[is_copied] = remap(small, source, cv2.INTER_LINEAR)[is_copied]
    return copied, share


def _detail(small: FloatArray, known: Mask) -> FloatArray:
    """Return (h, w, 3), known structure without shading."""
    weight = known.astype(np.float32)[..., None]
    sums = _spread(np.dstack([small * weight, weight]), _DETAIL_PX)
    mean = sums[..., :3] / np.maximum(sums[..., 3:], 1e-3)
    return cv2.GaussianBlur((small - mean) * weight, (0, 0), _SOFT_PX) * weight


def _offsets(detail: FloatArray, inside: Mask, known: Mask) -> list[Offset]:
    """Return the displacements that may repeat the surroundings, the likeliest first."""
    distance = cv2.distanceTransform((~inside).view(np.uint8), cv2.DIST_L2, 5)
    ring = known & (distance < _REACH_PX)
    y, x = np.nonzero(inside)
    rows, columns = np.ogrid[: inside.shape[0], : inside.shape[1]]
    above, left = rows < y.mean(), columns < x.mean()
    parts = [ring, ring & above, ring & ~above, ring & left, ring & ~left]
    grey = detail.mean(axis=2)
    # Most photos are told apart at half the size, in a quarter of the time.
    for shrink in (2, 1):
        if not _alike(grey, known, parts, *_REPEATS, shrink=shrink):
            return []
    borders, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    border = np.concatenate(borders)[:, 0]
    for at in border[np.linspace(0, len(border), _PLACES, endpoint=False).astype(np.int64)]:
        disc = cv2.circle(np.zeros(inside.shape, np.uint8), at.tolist(), _PLACE_PX, (1,), -1)
        parts.append(known & (disc > 0))
    found = _alike(grey, known, parts, *_MAY_REPEAT)
    # A period leads both ways.
    both = {(-down, -across): value for (down, across), value in found.items()} | found
    return sorted(both, key=lambda offset: -both[offset])[:_MOST]


def _alike(
    grey: FloatArray,
    known: Mask,
    parts: Iterable[Mask],
    likeness: float,
    prominence: float,
    *,
    shrink: int = 1,
) -> dict[Offset, float]:
    """Return how much displacements make parts of the picture like others; maxima only.

    Args:
        grey: (h, w) float32, 0 where unknown.
        known: (h, w) bool.
        parts: (h, w) bool, of what is known.
        likeness: least value.
        prominence: least difference to the values `_BESIDE_PX` beside it.
        shrink: how much smaller all is looked at; so are the displacements.
    """
    height, width = (-(-side // shrink) for side in grey.shape)
    reach = _BESIDE_PX // shrink
    shape = tuple(cv2.getOptimalDFTSize(2 * side) for side in (height, width))

    def spectrum(field: FloatArray) -> FloatArray:
        padded = np.zeros(shape, np.float32)
        padded[:height, :width] = cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.dft(padded))

    def product(whole: FloatArray, part: FloatArray) -> FloatArray:
        return np.asarray(cv2.mulSpectrums(whole, part, 0, conjB=True))

    def sums(of: FloatArray) -> FloatArray:
        back = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT
        return np.asarray(np.fft.fftshift(cv2.dft(of, flags=back)))

    def moments(where: Mask) -> list[FloatArray]:
        weight = where.astype(np.float32)
        return [spectrum(weight), spectrum(weight * grey), spectrum(weight * grey * grey)]

    whole = moments(known)
    angles = np.linspace(0, 2 * np.pi, 8 * reach, endpoint=False)
    beside = np.rint(reach * np.stack([np.sin(angles), np.cos(angles)])).astype(np.int64)
    middle = np.array(shape) // 2
    found: dict[Offset, float] = {}
    for part in parts:
        size = np.count_nonzero(part) / shrink**2
        one = moments(part)
        energy = sums(product(whole[0], one[2]) + product(whole[2], one[0]))
        value = 2 * sums(product(whole[1], one[1])) / np.maximum(energy, 1e-6 * max(1, size))
        value[sums(product(whole[0], one[0])) < max(1, _LEAST_OVERLAP * size)] = -1
        highest = cv2.dilate(value, np.ones((2 * (_PEAK_PX // shrink) + 1,) * 2, np.uint8))
        peaks = np.argwhere((value > likeness) & (value == highest))
        for at in peaks:
            down, across = (at - middle).tolist()
            y, x = (at[:, None] + beside) % np.array(shape)[:, None]
            is_long = np.hypot(down, across) * shrink >= _LEAST_PX
            likest = float(value[tuple(at)])
            if is_long and likest - value[y, x].max() > prominence:
                found[down, across] = max(found.get((down, across), 0.0), likest)
    return found


def _repeated(
    small: FloatArray, detail: FloatArray, inside: Mask, known: Mask, offsets: list[Offset]
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return (h, w, 2) how far across and down to copy from, and (h, w) how credible that is."""
    left, top, right, bottom = bounding_box(inside, pad_px=_REACH_PX)
    box = slice(top, bottom), slice(left, right)
    frame = max(abs(px) for offset in offsets for px in offset)
    framed = cv2.copyMakeBorder(small, *(frame,) * 4, cv2.BORDER_REPLICATE)
    free = cv2.copyMakeBorder(known.view(np.uint8), *(frame,) * 4, cv2.BORDER_CONSTANT) > 0
    moved = [
        (
            slice(frame + top + down, frame + bottom + down),
            slice(frame + left + across, frame + right + across),
        )
        for down, across in offsets
    ]
    soft = cv2.GaussianBlur(framed, (0, 0), _SOFT_PX)
    here = soft[frame + top : frame + bottom, frame + left : frame + right]
    variance = (detail[box] ** 2).sum(axis=2)
    own = inside[box]
    unlike = np.empty((len(offsets), *own.shape), np.float32)
    for index, there in enumerate(moved):
        both = (known[box] & free[there]).astype(np.float32)
        off = soft[there] - here
        terms = both[..., None] * np.ones(3, np.float32)
        terms[..., 0] *= np.einsum("ijk,ijk->ij", off, off)  # a sum over 3 takes numpy longer
        terms[..., 1] *= variance
        wide = _spread(terms, _WIDE_PX)
        near = _spread(terms, _NEAR_PX) + _WIDE_WEIGHT * wide
        difference = near[..., 0] / np.maximum(near[..., 2], 1e-6) + 3 * (_NOISE_LEVELS / 255) ** 2
        structure = wide[..., 1] / np.maximum(wide[..., 2], 1e-6)
        unlike[index] = difference / np.maximum(2 * structure, 1e-6)
        unlike[index][~free[there] | (near[..., 2] < 1e-3)] = np.inf
    least = np.full(own.shape, _INCREDIBLE, np.float32)
    taken = np.zeros(own.shape, np.bool_)
    shifts = np.zeros((*inside.shape, 2), np.int64)
    share = np.zeros(inside.shape, np.float32)
    for _ in range(_MOST_CHOSEN):
        limit = least - _BETTER * taken
        saved = np.maximum(0, limit - unlike)[:, own].mean(axis=1)
        best = int(saved.argmax())
        if saved[best] < _LEAST_GAIN:
            break
        better = unlike[best] < limit
        least[better] = unlike[best][better]
        shifts[box][better] = offsets[best][::-1]
        taken |= better
    credible = np.clip((_INCREDIBLE - least) / (_INCREDIBLE - _CREDIBLE), 0, 1)
    share[box] = cv2.GaussianBlur(credible, (0, 0), _SOFT_BORDER_PX)
    return shifts, share


def _spread(field: FloatArray, sigma_px: float) -> FloatArray:
    """Return a field (h, w, C) blurred; a smaller one takes less time."""
    size_wh = field.shape[1::-1]
    shrink = sigma_px / 4
    small_wh = (max(1, round(size_wh[0] / shrink)), max(1, round(size_wh[1] / shrink)))
    smaller = cv2.resize(field, small_wh, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(smaller, (0, 0), 4)
    return np.asarray(cv2.resize(blurred, size_wh, interpolation=cv2.INTER_LINEAR))


def _painted(fill: RGBImage, hole: Mask, copied: FloatArray, share: FloatArray) -> Repetition:
    """Return the fill with (h, w, 3) colours in it, as much as (h, w) says."""
    result, rest = fill.copy(), hole.copy()
    step = (share.shape[0] / hole.shape[0], share.shape[1] / hole.shape[1])
    left, top, right, bottom = bounding_box(hole)
    rows_px = max(1, _STRIP_PX // (right - left))
    for row in range(top, bottom, rows_px):
        here = slice(row, min(row + rows_px, bottom)), slice(left, right)
        colours, part = (
            resample(
                field,
                start_yx=(row * step[0], left * step[1]),
                step_yx=step,
                size_hw=(here[0].stop - row, right - left),
            )
            for field in (copied, share)
        )
        mixed = result[here] + (255 * colours - result[here]) * part[..., None]
        put_levels(result[here], mixed, hole[here])
        rest[here] &= part <= _SURE
    return Repetition(result, rest)
