"""Inpainting of a photo's holes, window by window, at full resolution."""

from typing import Any

import cv2
import numpy as np

from cleanplate.inpainting.base import (
    Inpainter,
    create_inpainter,
    inpaint_scaled,
    is_sharp,
    max_concurrency,
    reach_of,
    scale_for,
    with_seed,
)
from cleanplate.inpainting.continuation import continue_surroundings
from cleanplate.inpainting.relighting import light_shadows
from cleanplate.inpainting.repetition import repeat_surroundings
from cleanplate.inpainting.texture_transfer import transfer_texture
from cleanplate.ops import (
    Window,
    bounding_box,
    choose,
    clearest_column,
    coverage,
    disjoint_rounds,
    parallel_map,
    paste,
    plan_windows,
)
from cleanplate.types import Mask, RGBImage

Layers = tuple[Mask | None, Mask | None, Mask | None]
"""`kept`, `hidden` and `effects` of `inpaint_holes`."""

_CONTEXT = 0.7  # the hole's mean side, on every side of it
_JOIN = 0.15  # holes nearer than this share of the larger one's side may share a window
_SEAM_SHARE = 16  # of a panorama's width, to be filled again where a hole goes all the way round
_NATIVE_LEAST_PX = 64  # context for methods that work at the photo's own resolution

# Of masks with more specks than this, each at most so wide and high, these are filled by diffusion,
# all at once: 100,000 of 12 megapixels in seconds instead of hours. Specks of 1 px were nearer to
# the truth than EdgeConnect's by 4 dB in one photo, of 2 and 4 px by 1.6 and 1.1 dB on the average
# of three; of 6 and 10 px they were farther by 0.5 and 0.9.
_MANY_SPECKS = 1000
_SPECK_PX = 4
_SPECKS_INPAINTER = "navier-stokes"

# Of the effects of an object. These could not be judged on pictures: no weights were available.
_EFFECTS_CONTEXT = 1.5  # a low sun's shadow is longer than its object is high
_CERTAIN_ALPHA, _POSSIBLE_ALPHA = 0.5, 0.25
_EFFECTS_MARGIN_PX = 4  # at the working size: alpha has a value for 8 x 8 px
_EFFECTS_SHARE = 3  # of the object's area, as for the effects that the segmentation finds

# Limits of the size at which a window is inpainted; chosen, like the reach, on contact sheets.
_COARSEST = 0.5  # of the inpainter's working size
_FINEST = 2.0  # ... for windows that would be shrunk to less than a third, which shows
_FINE_SHRINKAGE = 3.0

# Where windows of the same size are computed together, their sizes are in steps, in px. On the
# average of 60 holes that is 0.3 % farther from the truth (standard error 0.2 %).
_SIZE_STEP = 32


def inpaint_holes(
    image: RGBImage,
    mask: Mask,
    inpainter: Inpainter,
    *,
    kept: Mask | None = None,
    hidden: Mask | None = None,
    effects: Mask | None = None,
    wraps: bool = False,
    texture: bool = True,
    seed: int = 0,
) -> RGBImage:
    """Return a photo with its holes filled at its own resolution.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        mask: (H, W) bool, True = fill.
        inpainter: synthesises the content.
        kept: (H, W) bool, kept objects and transparent pixels: no texture is copied from them.
        hidden: (H, W) bool, what is hidden from the inpainter as well, which would otherwise
            continue it into the hole.
        effects: (H, W) bool, what of the mask is the ground in an object's shadow.
        wraps: whether the left and right border meet, as in a panorama.
        texture: give smooth fills the photo's own texture; False leaves them as drawn.
        seed: of what is drawn at random, by the inpainter and for the texture.

    Returns:
        (H, W, 3) uint8, RGB. Equal to `image` wherever `mask` is False.
    """
    layers = (kept, hidden, effects)
    if wraps and mask.any():
        return _inpaint_around(image, mask, inpainter, layers, texture=texture, seed=seed)
    dust = _dust_in(mask)
    if dust.any():
        image = choose(dust, create_inpainter(_SPECKS_INPAINTER).inpaint(image, mask), image)
        mask = mask & ~dust
    least_px = inpainter.working_size or _NATIVE_LEAST_PX
    windows = plan_windows(mask, context=_CONTEXT, min_size=least_px, join=_JOIN)
    inpainter = with_seed(inpainter, seed)
    canvas = _Canvas(image, mask, inpainter, layers, texture=texture, seed=seed)
    for together in disjoint_rounds(windows):
        for _ in parallel_map(canvas.fill, together, max_concurrency(inpainter)):
            pass
    return canvas.result


def specks_note(mask: Mask, inpainter: Inpainter) -> tuple[str, ...]:
    """Return a note for the user if `inpaint_holes` fills a mask's specks in another way."""
    if inpainter.name == _SPECKS_INPAINTER or not _dust_in(mask).any():
        return ()
    return (
        f"more than {_MANY_SPECKS:,} specks of at most {_SPECK_PX} px were filled by "
        f"{_SPECKS_INPAINTER}, not by {inpainter.name}",
    )


def effects_beside(
    image: RGBImage, mask: Mask, inpainter: Any, *, stays: Mask, strong: bool = False
) -> Mask:
    """Return the effects of the objects in a mask, as an inpainter's `alpha` says.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        mask: (H, W) bool, True = removed.
        inpainter: for which `finds_effects` is true.
        stays: (H, W) bool, what is never part of it.
        strong: also what is uncertain, and more than three times the objects' area.

    Returns:
        (H, W) bool, nothing of `mask`.
    """
    effects = np.zeros_like(mask)
    least = _POSSIBLE_ALPHA if strong else _CERTAIN_ALPHA
    size = inpainter.working_size or _NATIVE_LEAST_PX
    objects = mask & ~_dust_in(mask)
    for window in plan_windows(objects, context=_EFFECTS_CONTEXT, min_size=size, join=_JOIN):
        part, hole = image[window.slices], mask[window.slices]
        height, width = hole.shape
        scale = scale_for(hole, _working_size(window, inpainter))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = inpainter.alpha(small, coverage(hole, size_wh) > 0)
        found = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR) >= least
        across = 2 * round(_EFFECTS_MARGIN_PX / scale) + 1
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
        grown = np.asarray(cv2.dilate(found.astype(np.uint8), brush)).astype(np.bool_)
        grown &= ~hole & ~stays[window.slices]
        if strong or np.count_nonzero(grown) <= _EFFECTS_SHARE * np.count_nonzero(hole):
            effects[window.slices] |= grown
    return effects


def _dust_in(mask: Mask) -> Mask:
    """Return (H, W), the specks of a mask that has very many; nothing of others."""
    above = np.pad(mask, ((1, 0), (1, 1)))[:-1]
    begins = mask & ~(above[:, :-2] | above[:, 1:-1] | above[:, 2:])
    begins[:, 1:] &= ~mask[:, :-1]
    if np.count_nonzero(begins) <= _MANY_SPECKS:  # the first pixels of components are such
        return np.zeros_like(mask)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    is_speck = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) <= _SPECK_PX
    is_speck[0] = False  # what is outside
    is_speck &= np.count_nonzero(is_speck) > _MANY_SPECKS
    return np.asarray(is_speck[parts])


def _inpaint_around(
    image: RGBImage,
    mask: Mask,
    inpainter: Inpainter,
    layers: Layers,
    *,
    texture: bool,
    seed: int,
) -> RGBImage:
    """Fill the holes of a photo that goes all the way round; see `inpaint_holes`.

    It is turned until its border is as far from all holes as possible. Where a hole goes all the
    way round too, what meets at that border is filled once more from both sides.
    """
    width, cut = mask.shape[1], clearest_column(mask)

    def filled(start: RGBImage, hole: Mask, by: int) -> RGBImage:
        kept, hidden, effects = (None if it is None else np.roll(it, -by, axis=1) for it in layers)
        result = inpaint_holes(
            np.roll(start, -by, axis=1),
            np.roll(hole, -by, axis=1),
            inpainter,
            kept=kept,
            hidden=hidden,
            effects=effects,
            texture=texture,
            seed=seed,
        )
        return np.roll(result, by, axis=1)

    result = filled(image, mask, cut)
    if mask.any(axis=0).all():
        seam = np.zeros(width, np.bool_)
        seam[: max(1, width // _SEAM_SHARE)] = True
        seam = np.roll(seam, cut - width // _SEAM_SHARE // 2)
        result = filled(result, mask & seam, (cut + width // 2) % width)
    return result


class _Canvas:
    """A photo being filled.

    Args: see `inpaint_holes`.
    """

    def __init__(
        self,
        image: RGBImage,
        mask: Mask,
        inpainter: Inpainter,
        layers: Layers,
        *,
        texture: bool,
        seed: int,
    ) -> None:
        kept, self._hidden, self._effects = layers
        self.result = image.copy()
        self._inpainter = inpainter
        self._sources = ~mask  # allowed sources of texture
        self._waiting = mask.copy()  # holes not yet filled: no window may copy from them
        self._texture, self._seed = texture, seed
        if kept is not None:
            self._sources &= ~kept

    def fill(self, window: Window) -> None:
        """Fill a window's own holes; thread-safe for windows that do not overlap."""
        inpainter = self._inpainter
        size = inpainter.working_size
        part, unknown = self.result[window.slices], self._waiting[window.slices]
        unseen = unknown if self._hidden is None else unknown | self._hidden[window.slices]
        if unseen.all():
            unseen = unknown
        long_side = _working_size(window, inpainter)
        enlarged = scale_for(unseen, long_side) < 1
        smooth = size is not None and (enlarged or not is_sharp(inpainter))
        textured, sources = smooth and self._texture, self._sources[window.slices]
        start, hole, lit = part, unseen, None
        if textured and self._effects is not None:
            lit = light_shadows(part, unseen, self._effects[window.slices] & window.mask, sources)
        if lit is not None:
            start, hole = lit[0], unseen & ~lit[1]
        filled = inpaint_scaled(inpainter.inpaint, start, hole, long_side)
        if lit is not None:
            filled = choose(lit[1], start, filled)
        # Objects of other windows, not yet removed, must not bleed in.
        known = choose(hole, filled, start)
        if textured:
            # A network's fill is smooth at the photo's resolution.
            repeated = repeat_surroundings(known, hole, sources)
            # Lines end at what is repeated, as at what is known.
            rest = hole
            if repeated is not None:
                filled, rest = repeated
                known = choose(hole, filled, start)
            continued = continue_surroundings(known, filled, rest)
            if continued is not None:
                filled = continued.guide(filled)
                known = choose(hole, filled, start)
            filled = transfer_texture(known, filled, window.mask, sources, seed=self._seed)
            if continued is not None:
                filled = continued.finish(filled, seed=self._seed)
        part[...] = choose(window.mask, paste(known, filled, window.mask), part)
        unknown &= ~window.mask


def _working_size(window: Window, inpainter: Inpainter) -> int | None:
    """Return the long side in px at which to inpaint a window; None for its own.

    Networks continue stripes and stems crisply within their reach, and invent shapes beyond it. So
    it follows from the window's hole, such that no pixel is deeper than their reach, within limits;
    for inpainters whose `reach_px` is None it is the working size.
    """
    size, reach_px = inpainter.working_size, reach_of(inpainter)
    long_side = int(max(window.mask.shape))
    fits_short_side: bool = getattr(inpainter, "fits_short_side", False)
    if size is not None and fits_short_side:
        return max(size, round(size * long_side / int(min(window.mask.shape))))
    if size is None or reach_px is None:
        return size
    left, top, right, bottom = bounding_box(window.mask)
    inside = np.pad(window.mask[top:bottom, left:right], 1).astype(np.uint8)
    depth_px = float(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    finest = _FINEST if long_side >= _FINE_SHRINKAGE * size else 1.0
    wanted = min(max(reach_px * long_side / depth_px, _COARSEST * size), finest * size)
    step = _SIZE_STEP if max_concurrency(inpainter) > 1 else 1
    return max(1, round(wanted / step)) * step
