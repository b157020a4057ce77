"""Seamless blending of a fill into a photo; unmasked pixels stay identical."""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops.filters import resample
from cleanplate.ops.masks import bounding_box
from cleanplate.types import FloatArray, Mask, RGBImage

_SEAM_PX = 2  # width of the photo's rim around a hole that the fill is made to meet
_EVEN_CELLS = 1.5  # finer differences than this on the rim are no matter of colour
_DECAY_PX = 1.5  # within which the finest differences on the rim fade out
_CONTINUED_PX = 8  # ... and beyond which they count as gone
_OUTLIER_SPREADS = 4.0  # median absolute deviations beyond the median difference on the rim ...
_OUTLIER_LEVELS = 4.0  # ... plus this: beyond it the photo is no guide to the fill
_LARGEST_FIELD = 1024  # cells along the long side of what is added to a fill
_STRIP_PX = 2_000_000  # pixels that are worked on at a time
_ACCURACY = 1e-3  # of the gradients' solution, relative to its first residual
_MAX_STEPS = 150


def paste(image: RGBImage, fill: RGBImage, mask: Mask) -> RGBImage:
    """Return `image` with `fill` inside `mask`, shifted so that both match along its border.

    What the fill differs by from the photo just outside the mask fades out inside it: the seam lies
    within the mask, and no masked pixel of `image` is read.

    Args:
        image: (H, W, 3) uint8. Not modified.
        fill: (H, W, 3) uint8, for the complete `image`: outside the mask it shows the photo,
            as smooth as the fill is.
        mask: (H, W) bool, True = take the fill.

    Returns:
        (H, W, 3) uint8, equal to `image` where `mask` is False.
    """
    result = image.copy()
    if not mask.any():
        return result
    left, top, right, bottom = bounding_box(mask, pad_px=_SEAM_PX)
    near = slice(top, bottom), slice(left, right)
    hole, photo, made = mask[near], image[near], fill[near]
    kernel = np.ones((2 * _SEAM_PX + 1,) * 2, np.uint8)
    rim = (cv2.dilate(hole.view(np.uint8), kernel) > 0) & ~hole
    shift, cell_px = _shift_field(photo, made, _without_outliers(photo, made, rim))
    target = result[near]
    strip = max(1, _STRIP_PX // hole.shape[1])
    for row in range(0, hole.shape[0], strip):
        # With what lies above and below it in reach.
        first, last = max(0, row - _CONTINUED_PX), row + strip + _CONTINUED_PX
        rows = slice(first, min(last, hole.shape[0]))
        shifted = made[rows] + resample(
            shift,
            start_yx=(first / cell_px, 0),
            step_yx=(1 / cell_px, 1 / cell_px),
            size_hw=(rows.stop - first, hole.shape[1]),
        )
        _continue_inwards(shifted, photo[rows], rim[rows], hole[rows])
        own = slice(row - first, row - first + strip)
        put_levels(target[rows][own], shifted[own], hole[rows][own])
    return result


def choose(mask: Mask, inside: RGBImage, outside: RGBImage) -> RGBImage:
    """Return (H, W, 3) uint8: `inside` where (H, W) `mask` is True, elsewhere `outside`.

    In a fifteenth of the time of `numpy.where`.
    """
    return np.asarray(cv2.copyTo(inside, mask.view(np.uint8), outside.copy()))


def put_levels(target: RGBImage, values: FloatArray, mask: Mask) -> None:
    """Set pixels of an image, in place, to colours rounded to the nearest level.

    Args:
        target: (H, W, 3) uint8, or a part of such an image.
        values: (H, W, 3) float32, limited to [0, 255].
        mask: (H, W) bool, pixels to set.
    """
    levels = cv2.convertScaleAbs(np.clip(values, 0, 255))
    target[...] = cv2.copyTo(levels, mask.view(np.uint8), target)


def _without_outliers(photo: RGBImage, made: RGBImage, rim: Mask) -> Mask:
    """Return the rim without the pixels where photo and fill differ by far more than elsewhere.

    They show a part of the object that the mask missed, whose colour must not bleed in.
    """
    difference = np.abs(photo[rim].astype(np.float32) - made[rim]).max(axis=1, initial=0)
    if len(difference) == 0:
        return rim
    usual = float(np.median(difference))
    spread = float(np.median(np.abs(difference - usual)))
    kept = rim.copy()
    kept[rim] = difference <= usual + _OUTLIER_SPREADS * spread + _OUTLIER_LEVELS
    return kept


def _continue_inwards(
    shifted: npt.NDArray[np.float32], photo: RGBImage, rim: Mask, hole: Mask
) -> None:
    """Move the hole's first few px to the nearest px of the rim, as far as these are off, in place.

    Pull-push interpolation loses the finest differences; continued for a few px they leave no step.
    Added as they are, they would leave colours that neither photo nor fill has.
    """
    if not rim.any():
        return
    distance, nearest = cv2.distanceTransformWithLabels(
        (~rim).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    reached = hole & (distance <= _CONTINUED_PX)
    colours, off = (np.zeros((int(nearest.max()) + 1, 3), np.float32) for _ in range(2))
    colours[nearest[rim]] = photo[rim]
    off[nearest[rim]] = np.abs(photo[rim] - shifted[rim])
    own, beside = shifted[reached], nearest[reached]
    weight = np.exp((1 - distance[reached]) / _DECAY_PX)[:, None]
    shifted[reached] += np.clip(colours[beside] - own, -off[beside], off[beside]) * weight


def _shift_field(photo: RGBImage, made: RGBImage, rim: Mask) -> tuple[npt.NDArray[np.float32], int]:
    """Return what to add to the fill so that it meets the photo on the rim.

    Large areas are worked on in cells of several px, which bounds memory and time; what happens
    within a cell of the border is no coarser than the fill itself there.

    Returns:
        (h, w, 3) float32 grey levels, and the px per cell.
    """
    cell_px = -(-max(rim.shape) // _LARGEST_FIELD)
    size_hw = (-(-rim.shape[0] // cell_px), -(-rim.shape[1] // cell_px))
    y, x = np.nonzero(rim)
    cell = y // cell_px * size_hw[1] + x // cell_px
    count = np.bincount(cell, minlength=size_hw[0] * size_hw[1])
    difference = photo[y, x].astype(np.float32) - made[y, x]
    sums = [np.bincount(cell, difference[:, c], len(count)) for c in range(3)]
    mean = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    field = mean.reshape(*size_hw, 3).astype(np.float32)
    even = cv2.GaussianBlur(pull_push(field, count.reshape(size_hw) > 0), (0, 0), _EVEN_CELLS)
    return np.asarray(even, np.float32), cell_px


def pull_push(difference: npt.NDArray[np.float32], known: Mask) -> npt.NDArray[np.float32]:
    """Continue the known values of a field smoothly over the rest.

    A weighted mean of the known values whose weight falls with distance, in the manner of
    mean-value coordinates, by a pyramid: each level fills what is unknown from the coarser one.

    Args:
        difference: (H, W, C) float32; only where `known` is True does its value count.
        known: (H, W) bool.

    Returns:
        (H, W, C) float32, equal to `difference` where `known`; zero everywhere if nothing is known.

    References:
        Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.2 (pull-push).
    """
    weight = known.astype(np.float32)
    values = difference * weight[..., None]
    levels = [(values, weight)]
    while max(weight.shape) > 1:
        size_wh = (max(1, (weight.shape[1] + 1) // 2), max(1, (weight.shape[0] + 1) // 2))
        values, weight = (_halved(field, size_wh) for field in (values, weight))
        levels.append((values, weight))
    coarse = levels[-1][0] / max(float(levels[-1][1].max()), 1e-6)
    coarse = coarse.reshape(1, 1, -1)
    for values, weight in reversed(levels[:-1]):
        upper = cv2.resize(coarse, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        upper = upper.reshape(*weight.shape, -1)
        sure = np.minimum(weight * 4, 1.0)[..., None]  # a quarter of a cell known: trust it
        mean = values / np.maximum(weight, 1e-6)[..., None]
        coarse = mean * sure + upper * (1 - sure)
    return np.asarray(np.where(known[..., None], difference, coarse), np.float32)


def _halved(field: npt.NDArray[np.float32], size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(field, size_wh, interpolation=cv2.INTER_AREA), np.float32).reshape(
        (size_wh[1], size_wh[0], *field.shape[2:])
    )


def solve_gradients(
    start: npt.NDArray[np.float32],
    unknown: Mask,
    down: npt.NDArray[np.float32],
    across: npt.NDArray[np.float32],
    *,
    pull: float,
) -> npt.NDArray[np.float32]:
    """Return the image whose gradients come nearest to the given ones, the known pixels fixed.

    Least squares over all pairs of neighbours, plus `pull` times the squared distance from `start`,
    by conjugate gradients. At the array's border nothing is asked.

    Args:
        start: (H, W, C) float32.
        unknown: (H, W) bool, pixels that may change.
        down: (H - 1, W, C) float32, wanted difference of each pixel's lower neighbour to it.
        across: (H, W - 1, C) float32, wanted difference of each pixel's right neighbour to it.
        pull: >= 0.

    Returns:
        (H, W, C) float32, equal to `start` where `unknown` is False.

    References:
        Perez et al., Poisson Image Editing, SIGGRAPH 2003; with the pull, a screened Poisson
        equation: Bhat et al., Fourier Analysis of the 2D Screened Poisson Equation, ECCV 2008.
    """
    free = unknown[..., None].astype(np.float32)

    def transposed(
        dy: npt.NDArray[np.float32], dx: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        total = np.zeros_like(start)
        total[1:] += dy
        total[:-1] -= dy
        total[:, 1:] += dx
        total[:, :-1] -= dx
        return total * free

    change = np.zeros_like(start)
    residual = transposed(down - np.diff(start, axis=0), across - np.diff(start, axis=1))
    direction, norm = residual.copy(), float(np.vdot(residual, residual))
    enough = norm * _ACCURACY**2
    for _ in range(_MAX_STEPS):
        if norm <= max(enough, 1e-12):
            break
        image = transposed(np.diff(direction, axis=0), np.diff(direction, axis=1))
        image += pull * direction
        length = norm / float(np.vdot(direction, image))
        change += length * direction
        residual -= length * image
        previous, norm = norm, float(np.vdot(residual, residual))
        direction = residual + (norm / previous) * direction
    return np.asarray(start + change, np.float32)
