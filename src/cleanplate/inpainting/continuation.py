"""What follows from the rim of a hole alone: lines go on, and what is smooth stays smooth.

Lines (see `lines`) are drawn through the hole with the colours across them, and cut it into
regions. A region whose surroundings are smooth is their harmonic continuation, bounded by the
lines, with the photo's grain. Where it is rougher than grain, texture is copied that is like the
continuation. Any other region keeps another fill, shifted to meet the lines.

References:
    Orzan et al., Diffusion Curves, SIGGRAPH 2008: colours on both sides of curves, and harmonic
    interpolation between them. Galerne et al., Random Phase Textures, IEEE TIP 2011: grain as
    white noise convolved with a sample.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.lines import PROFILE_PX, Line, find_lines, median_profile
from cleanplate.inpainting.texture_transfer import noise_level
from cleanplate.ops import (
    at_once,
    bounding_box,
    coverage,
    pull_push,
    put_levels,
    resample,
    scale_within,
    size_within,
    solve_gradients,
)
from cleanplate.types import FloatArray, Mask, RGBImage

_SIDE = 512  # px; in larger windows lines are searched for at this size
_SMALL_SIDE = 256  # ... and colours are continued at this one
_CORE_PX = 2.0  # at the first size: so far from a line all is as drawn, beyond that it fades out

# px and levels per px of the second size.
_RIM_PX = 5  # width of the surroundings that tell whether a region is smooth
_SMOOTH_PX = 1.0  # what a blur of this takes away is grain
_SMOOTH_LEVELS = 4.0  # steepest gradient of smooth surroundings, of ...
_SMOOTH_SHARE = 0.95  # ... this share of them
_RANGE_LEVELS = 32.0  # more between the colours of that share: several surfaces
_ASTRAY_LEVELS = 16.0  # what lies farther outside that range is not part of the surface
_FADING_PX = 8.0  # within which lines colour the other fill

_GRAIN_PX = 24  # side of the sample of grain, px of the photo
_GRAIN_BLUR_PX = 2.0
_ROUGH, _LEAST_NOISE_LEVELS = 1.5, 0.5  # so many times the photo's noise is not grain but texture
_GRAIN_REACH_PX, _GRAIN_REACH_SMALL_PX = 24, 8  # samples lie so near, px of both sizes together
_STRIP_PX = 1_000_000  # pixels that are worked on at a time


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """A hole continued from its rim.

    Attributes:
        hole: (H, W) bool.
        shift: (h, w, 3) float32, at a smaller size: what to add to another fill to meet lines.
        smooth: (h, w, 3) float32 in [0, 255], colours of smooth regions.
        plain: (h, w) float32 in [0, 1], 1 in smooth regions.
        grain: (n, n, 3) float32 sample of the photo's grain; None: smooth regions have texture.
        lines: pixels that lines pass.
    """

    hole: Mask
    shift: FloatArray
    smooth: FloatArray
    plain: FloatArray
    grain: FloatArray | None
    lines: "_Pixels"

    def guide(self, fill: RGBImage) -> RGBImage:
        """Return (H, W, 3) uint8, another fill with the lines and smooth regions in it."""
        return self._painted(fill, np.float32(1), self.plain, None)

    def finish(self, textured: RGBImage, *, seed: int = 0) -> RGBImage:
        """Return (H, W, 3) uint8, a textured fill with lines, smooth regions and their grain."""
        plain = np.zeros_like(self.plain) if self.grain is None else self.plain
        return self._painted(textured, np.float32(0), plain, np.random.default_rng(seed))

    def _painted(
        self,
        fill: RGBImage,
        shifted: np.float32,
        plain: FloatArray,
        rng: np.random.Generator | None,
    ) -> RGBImage:
        result = fill.copy()
        if shifted or plain.any():
            self._paint_fields(result, shifted, plain, rng)
        y, x, near = self.lines.y, self.lines.x, self.lines.near[:, None]
        drawn = result[y, x] * (1 - near) + self.lines.colours * near
        result[y, x] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
        return result

    def _paint_fields(
        self,
        result: RGBImage,
        shifted: np.float32,
        plain: FloatArray,
        rng: np.random.Generator | None,
    ) -> None:
        """Shift the hole's colours, and paint smooth regions, in place."""
        height, width = self.hole.shape
        step = (plain.shape[0] / height, plain.shape[1] / width)
        left, top, right, bottom = bounding_box(self.hole)
        rows_px = max(1, _STRIP_PX // (right - left))
        for row in range(top, bottom, rows_px):
            here = slice(row, min(row + rows_px, bottom)), slice(left, right)
            size_hw = (here[0].stop - row, right - left)
            start = (row * step[0], left * step[1])
            shift, smooth, share = (
                resample(field, start_yx=start, step_yx=step, size_hw=size_hw)
                for field in (self.shift, self.smooth, plain)
            )
            white = None if rng is None else rng.standard_normal(size_hw, np.float32)
            if not shifted and not share.any():
                continue
            if white is not None and self.grain is not None:
                for channel in range(3):
                    kernel = np.ascontiguousarray(self.grain[..., channel])
                    smooth[..., channel] += cv2.filter2D(white, -1, kernel)
            mixed = result[here] + shifted * shift
            mixed += (smooth - mixed) * share[..., None]
            put_levels(result[here], mixed, self.hole[here])


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """Some pixels of a picture: rows, columns, colours (N, 3), and 1 close to a line."""

    y: npt.NDArray[np.int64]
    x: npt.NDArray[np.int64]
    colours: FloatArray
    near: FloatArray


def continue_surroundings(image: RGBImage, fill: RGBImage, hole: Mask) -> Continuation | None:
    """Return a hole continued from its rim; None where nothing is to be continued.

    Args:
        image: (H, W, 3) uint8, RGB. What it holds in the hole does not matter.
        fill: (H, W, 3) uint8, the same with another fill in its hole.
        hole: (H, W) bool.
    """
    if hole.all() or not hole.any():
        return None
    size, covered, small, made, inside = at_once(
        lambda: _shrunk(image, _SIDE),
        lambda: _covered(hole, _SIDE),
        lambda: _shrunk(image, _SMALL_SIDE),
        lambda: _shrunk(fill, _SMALL_SIDE),
        lambda: _covered(hole, _SMALL_SIDE),
    )
    blank = pull_push(size, ~covered)
    lines = find_lines(np.clip(np.rint(blank), 0, 255).astype(np.uint8), covered)
    scale = len(small) / len(size)
    passing = [line.scaled(scale) for line in lines]
    drawn = _draw(passing, small, inside, scale)
    known = ~inside
    known[drawn.y, drawn.x] = True
    small[drawn.y, drawn.x] = drawn.colours
    crossed = np.zeros(inside.shape, np.uint8)
    for end in (np.rint(end) for line in passing for end in line.beyond(2 * _RIM_PX)):
        cv2.polylines(crossed, [end.astype(np.int32)], False, (1,), 2 * PROFILE_PX)
    plain, ranged = _smooth_regions(pull_push(small, known), inside, known, crossed > 0)
    if not lines and not plain.any():
        return None
    # The other fill has a reason for its colours: what lines differ by from it fades out.
    shift = _continued(np.where(known[..., None], small - made, 0), known, fading_px=_FADING_PX)
    shift[~inside] = 0
    scale = len(hole) / len(size)
    return Continuation(
        hole=hole,
        shift=shift,
        smooth=_continued(ranged, known) if plain.any() else small,
        plain=plain.astype(np.float32),
        grain=_grain(image, hole, plain),
        lines=_draw([line.scaled(scale) for line in lines], image, hole, scale),
    )


def _shrunk(image: RGBImage, long_side: int) -> FloatArray:
    return scale_within(image, long_side).astype(np.float32)


def _covered(hole: Mask, long_side: int) -> Mask:
    return np.asarray(coverage(hole, size_within(hole.shape, long_side)) > 0)


def _draw(lines: list[Line], image: RGBImage | FloatArray, hole: Mask, scale: float) -> _Pixels:
    """Return the pixels of the hole that lines pass, the lines' colours, and how near they are.

    Args:
        lines: of the image's size.
        image: (H, W, 3) in [0, 255].
        hole: (H, W) bool.
        scale: px of the image per px that `PROFILE_PX` counts.
    """
    parts = [_draw_one(line, image, hole, scale) for line in lines]
    if not parts:
        nowhere = np.zeros(0, np.int64)
        return _Pixels(nowhere, nowhere, np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    at = np.concatenate([part.y * hole.shape[1] + part.x for part in parts])
    near = np.concatenate([part.near for part in parts])
    pixels, index = np.unique(at, return_inverse=True)
    weight = near**4 + 1e-6  # where lines meet, the closer one counts
    colours = np.concatenate([part.colours for part in parts])
    total = np.bincount(index, weight)
    mean = [np.bincount(index, weight * colours[:, c]) / total for c in range(3)]
    nearest = np.zeros(len(pixels), np.float32)
    np.maximum.at(nearest, index, near)
    y, x = np.divmod(pixels, hole.shape[1])
    return _Pixels(y, x, np.stack(mean, axis=1).astype(np.float32), nearest)


def _draw_one(line: Line, image: RGBImage | FloatArray, hole: Mask, scale: float) -> _Pixels:
    reach = max(1, round(PROFILE_PX * scale))
    before, beyond = (
        line.strip(image, hole, at_end=at_end, scale=scale) for at_end in (False, True)
    )
    ends = line.beyond(reach)
    points = np.concatenate([ends[0][:0:-1], line.points(), ends[1][1:]])
    points = np.rint(points).astype(np.int32)
    corner = points.min(axis=0) - reach
    band = np.zeros((points.max(axis=0) + reach + 1 - corner)[::-1], np.uint8)
    cv2.polylines(band, [points - corner], isClosed=False, color=(1,), thickness=2 * reach + 1)
    y, x = np.nonzero(band)
    y, x = y + corner[1], x + corner[0]
    inside = (y >= 0) & (y < hole.shape[0]) & (x >= 0) & (x < hole.shape[1])
    y, x = y[inside], x[inside]
    inside = hole[y, x]
    y, x = y[inside], x[inside]
    t, across = line.coordinates(x.astype(np.float32), y.astype(np.float32))
    part = np.clip(t, 0, 1)
    unsaid = np.zeros(part.shape, np.bool_)
    for between, side in zip(line.open, (across < 0, across > 0), strict=True):
        if between is not None:
            part[side] = t[side] > between[0]
            unsaid |= side & (t > between[0]) & (t < between[1])
    colours = _along(before, np.asarray(part * line.length, np.float32), across)
    other = _along(beyond, np.asarray((1 - part) * line.length, np.float32), across)
    # One end stands in for the other where that knows nothing.
    colours, other = (
        np.where(np.isnan(colours), other, colours),
        np.where(np.isnan(other), colours, other),
    )
    colours += (other - colours) * part[:, None]
    near = np.clip((PROFILE_PX - np.abs(across) / scale) / (PROFILE_PX - _CORE_PX), 0, 1)
    # A hole's border is crossed at a slant: at the ends of a line, its sides reach beyond them.
    before_px, beyond_px = (reach if seen_px else 0 for seen_px in line.seen_px)
    used = (t * line.length >= -before_px) & ((t - 1) * line.length <= beyond_px)
    used &= (near > 0) & ~unsaid & ~np.isnan(colours).any(axis=1)
    return _Pixels(y[used], x[used], colours[used], near[used].astype(np.float32))


def _along(strip: FloatArray, px: FloatArray, across: FloatArray) -> FloatArray:
    """Return (N, 3) colours of a strip going on into the hole, to and fro.

    Args:
        strip: see `Line.strip`.
        px: (N,) distance from the strip.
        across: (N,) px.
    """
    middle = median_profile(strip)
    rest = strip - middle
    seen = np.abs(rest[~np.isnan(rest[..., 0])])
    most = 4 * np.median(seen, axis=0) if len(seen) > 0 else 0
    rest = np.nan_to_num(np.clip(rest, -most, most))
    there = middle + rest
    last = max(1, len(strip) - 1)
    row = last - np.abs(np.rint(px).astype(np.int64) % (2 * last) - last)
    place = across + strip.shape[1] // 2
    low = np.clip(np.floor(place).astype(np.int64), 0, strip.shape[1] - 2)
    part = (place - low)[:, None]
    row = np.minimum(row, len(strip) - 1)
    return np.asarray(there[row, low] * (1 - part) + there[row, low + 1] * part, np.float32)


def _smooth_regions(
    image: FloatArray, hole: Mask, drawn: Mask, crossed: Mask
) -> tuple[Mask, FloatArray]:
    """Return where in the hole the surroundings of a region between lines are smooth.

    And the image, in which what else touches these regions has the colours of their surroundings:
    the stub of a branch in the sky must not be continued as haze.

    Args:
        image: (h, w, 3).
        hole: (h, w) bool.
        drawn: (h, w) bool, what is known or on a line.
        crossed: (h, w) bool, where lines enter the hole; it says nothing about what is beside them.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), _SMOOTH_PX)
    slopes = [cv2.Scharr(blurred, cv2.CV_32F, *axis) / 32 for axis in ((1, 0), (0, 1))]
    steep = np.hypot(*slopes).max(axis=2)
    result, ranged = np.zeros_like(hole), image.copy()
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (hole & ~drawn).view(np.uint8), connectivity=4
    )
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RIM_PX + 1,) * 2)
    for part in range(1, count):
        x, y, w, h, _ = stats[part].tolist()
        box = (
            slice(max(0, y - _RIM_PX), y + h + _RIM_PX),
            slice(max(0, x - _RIM_PX), x + w + _RIM_PX),
        )
        own = parts[box] == part
        rim = (cv2.dilate(own.view(np.uint8), kernel) > 0) & ~hole[box] & ~crossed[box]
        if not rim.any() or np.quantile(steep[box][rim], _SMOOTH_SHARE) > _SMOOTH_LEVELS:
            continue
        low, high = np.quantile(blurred[box][rim], [1 - _SMOOTH_SHARE, _SMOOTH_SHARE], axis=0)
        if (high - low).max() <= _RANGE_LEVELS:
            result[box] |= own
            ranged[box][rim] = image[box][rim].clip(low - _ASTRAY_LEVELS, high + _ASTRAY_LEVELS)
    return result, ranged


def _continued(values: FloatArray, known: Mask, *, fading_px: float | None = None) -> FloatArray:
    """Return (h, w, 3) the harmonic continuation of the known values; with `fading_px`, to 0."""
    if known.all() or not known.any():
        return values
    left, top, right, bottom = bounding_box(~known, pad_px=1)
    box = slice(top, bottom), slice(left, right)
    start = pull_push(values, known)[box] if fading_px is None else values[box]
    still = np.zeros_like(start)
    pull = 0.0 if fading_px is None else 1 / fading_px**2
    result = values.copy()
    result[box] = solve_gradients(start, ~known[box], still[1:], still[:, 1:], pull=pull)
    return result


def _grain(image: RGBImage, hole: Mask, plain: Mask) -> FloatArray | None:
    """Return a sample (n, n, 3) of the grain beside smooth regions, by which to filter white noise.

    None where they are rougher than the photo's flattest places are.

    Args:
        image: (H, W, 3) uint8.
        hole: (H, W) bool.
        plain: (h, w) bool, the smooth regions at a smaller size.
    """
    nothing = np.zeros((1, 1, 3), np.float32)
    if not plain.any():
        return nothing
    scale = len(hole) / len(plain)
    reach = int(_GRAIN_REACH_PX / scale) + _GRAIN_REACH_SMALL_PX
    beside = cv2.dilate(plain.view(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    margin = _GRAIN_PX // 2 + 4
    height, width = hole.shape
    samples = []
    left, top, right, bottom = (round(side * scale) for side in bounding_box(beside))
    for y in range(max(margin, top), min(height - margin, bottom), _GRAIN_PX // 2):
        for x in range(max(margin, left), min(width - margin, right), _GRAIN_PX // 2):
            block = slice(y - margin, y + margin), slice(x - margin, x + margin)
            if not beside[int(y / scale), min(int(x / scale), beside.shape[1] - 1)]:
                continue
            if hole[block].any():
                continue
            rough = image[block].astype(np.float32)
            fine = (rough - cv2.GaussianBlur(rough, (0, 0), _GRAIN_BLUR_PX))[4:-4, 4:-4]
            samples.append(fine - fine.mean(axis=(0, 1)))
    if not samples:
        return nothing
    # The rougher ones have edges.
    order = np.argsort([float((sample**2).sum()) for sample in samples], kind="stable")
    grain = np.asarray(samples[order[len(order) // 4]] / _GRAIN_PX, np.float32)
    noise = noise_level(image, ~hole, _GRAIN_BLUR_PX)
    is_rough = np.linalg.norm(grain.mean(axis=2)) > _ROUGH * max(noise, _LEAST_NOISE_LEVELS)
    return None if is_rough else grain
