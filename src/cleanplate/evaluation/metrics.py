"""Metrics of a fill: full-reference where the truth is known, no-reference otherwise.

All of them measure the hole only, and are plain functions of arrays. Distances between network
features take the features (`cleanplate.evaluation.features`), not the network.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from cleanplate.errors import InputError
from cleanplate.ops import bounding_box, coverage
from cleanplate.types import FloatArray, Mask, RGBImage, check_image_and_mask

_PSNR_CEILING_DB = 100.0  # of equal images, for which it is infinite
_SSIM_SIGMA_PX = 1.5
_SSIM_REACH_PX = 5  # an 11 x 11 window, as published
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_RING_SHARE = 0.25  # width of the surroundings, of the square root of the hole's area
_RING_MIN_PX = 4
_WHOLLY = 0.99  # share of a cell
_BESIDE_PX = 6  # how far from the border "beside it" goes
_GRADIENT_FLOOR = 1.0  # grey levels: a seam fainter than that is not seen on flat ground


def psnr_db(image: RGBImage, truth: RGBImage, mask: Mask) -> float:
    """Return the peak signal-to-noise ratio over the pixels of a mask, in dB, at most 100.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W, 3) uint8.
        mask: (H, W) bool, not empty.

    Raises:
        InputError: shapes or dtypes are wrong, or the mask is empty.
    """
    _check(image, truth, mask)
    error = image[mask].astype(np.float64) - truth[mask]
    square = float(np.mean(error * error))
    if square == 0:
        return _PSNR_CEILING_DB
    return min(_PSNR_CEILING_DB, 10 * math.log10(255**2 / square))


def ssim(image: RGBImage, truth: RGBImage, mask: Mask) -> float:
    """Return the structural similarity of the luminance, mean over the pixels of a mask; <= 1.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W, 3) uint8.
        mask: (H, W) bool, not empty.

    Raises:
        InputError: shapes or dtypes are wrong, or the mask is empty.

    References:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity,
        IEEE TIP 2004: Gaussian windows of 1.5 px, K1 0.01, K2 0.03.
    """
    _check(image, truth, mask)
    near = _near(mask, _SSIM_REACH_PX)
    x, y = _luminance(image[near]), _luminance(truth[near])

    def mean(field: FloatArray) -> FloatArray:
        size = (2 * _SSIM_REACH_PX + 1,) * 2
        return np.asarray(cv2.GaussianBlur(field, size, _SSIM_SIGMA_PX), np.float32)

    mean_x, mean_y = mean(x), mean(y)
    variance = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    index = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    index /= (mean_x**2 + mean_y**2 + _SSIM_C1) * (variance + _SSIM_C2)
    return float(index[mask[near]].mean())


def sharpness_ratio(image: RGBImage, mask: Mask) -> float:
    """Return how much fine detail and grain the hole has, as a ratio to its surroundings.

    Mean absolute Laplacian of the luminance, inside the mask less its 1 px rim, over that in a ring
    around it. 1 is what one expects; a smooth fill has 0.3 and less.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool, not empty.

    Returns:
        >= 0; NaN where the mask has no inside or leaves no surroundings.

    Raises:
        InputError: shapes or dtypes are wrong, or the mask is empty.
    """
    _check(image, image, mask)
    ring_px = max(_RING_MIN_PX, round(_RING_SHARE * math.sqrt(np.count_nonzero(mask))))
    near = _near(mask, ring_px + 2)
    hole = mask[near]
    detail = np.abs(cv2.Laplacian(_luminance(image[near]), cv2.CV_32F))
    inside = cv2.erode(hole.view(np.uint8), np.ones((3, 3)), borderValue=[1]) > 0
    beyond = ~_dilated(hole, 1)
    ring = _dilated(hole, ring_px) & beyond
    if not inside.any() or not ring.any():
        return math.nan
    return float(detail[inside].mean() / max(float(detail[ring].mean()), _GRADIENT_FLOOR / 4))


def seam_ratio(image: RGBImage, mask: Mask) -> float:
    """Return how strong the steps across the hole's border are, as a ratio to those beside it.

    Mean absolute difference of neighbours of which one is in the hole and one is not, over that of
    neighbours within 6 px of the border on the same side of it, both sides counting alike.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool, not empty.

    Returns:
        >= 0, 1 for an invisible seam; NaN where the mask has no border inside the image.

    Raises:
        InputError: shapes or dtypes are wrong, or the mask is empty.
    """
    _check(image, image, mask)
    near = _near(mask, _BESIDE_PX + 1)
    hole, levels = mask[near], image[near].astype(np.float32)
    sides = (_dilated(~hole, _BESIDE_PX) & hole, _dilated(hole, _BESIDE_PX) & ~hole)
    across: list[FloatArray] = []
    beside: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for axis in (0, 1):
        step = np.abs(np.diff(levels, axis=axis)).mean(axis=2)
        first, second = _pairs(hole, axis)
        across.append(step[first != second])
        for side, found in zip(sides, beside, strict=True):
            one, two = _pairs(side, axis)
            found.append(step[one & two])
    seam, (inner, outer) = np.concatenate(across), map(np.concatenate, beside)
    if not seam.size or not inner.size or not outer.size:
        return math.nan
    usual = (float(inner.mean()) + float(outer.mean())) / 2
    return float((seam.mean() + _GRADIENT_FLOOR) / (usual + _GRADIENT_FLOOR))


def perceptual_distance(
    features: Sequence[FloatArray], truth: Sequence[FloatArray], mask: Mask
) -> float:
    """Return how different a fill looks from the truth to a network.

    At each layer the features are scaled to unit length at every cell; the squared distance is
    averaged over the cells that the mask touches, and added up over the layers.

    Args:
        features: (C, h, w) float32 each, of the filled image.
        truth: the same of the true one.
        mask: (H, W) bool, not empty; each layer's cells cover it evenly, from the upper left.

    Returns:
        In [0, 4 * layers].

    Raises:
        InputError: the mask is empty.

    References:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
        CVPR 2018, without its learned weights.
    """
    if not mask.any():
        raise InputError("the mask is empty: there is no hole to measure")
    total = 0.0
    for one, two in zip(features, truth, strict=True):
        stride = 2 ** round(math.log2(max(mask.shape[0] / one.shape[1], 1)))
        hole = _cells(mask, stride, one.shape[1:])
        difference = _unit(one[:, hole]) - _unit(two[:, hole])
        total += float((difference**2).sum(axis=0).mean())
    return total


def context_similarity(features: FloatArray, mask: Mask) -> float:
    """Return how alike a hole and its surroundings are to a network: no truth is needed.

    The cosine between the mean features of the cells that lie wholly in the hole and of those that
    it does not touch. A hole in which a new object was invented is unlike its surroundings; so may
    be a right fill where these have several parts. It favours blurred fills, as its model does.

    Args:
        features: (C, h, w) float32, of a filled image.
        mask: (H, W) bool, True = was filled; the cells cover it evenly.

    Returns:
        In [-1, 1]; NaN if no cell lies wholly in the hole, or none outside it.

    References:
        Chandrasekar et al., ReMOVE: A Reference-free Metric for Object Erasure, CVPR Workshops
        2024, arXiv:2409.00707, with features of another network.
    """
    size_wh = (features.shape[2], features.shape[1])
    share = coverage(mask, size_wh)
    inside, outside = share > _WHOLLY, share < 1 - _WHOLLY
    if not inside.any() or not outside.any():
        return math.nan
    one, two = features[:, inside].mean(axis=1), features[:, outside].mean(axis=1)
    length = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / length if length > 0 else math.nan


def bootstrap_interval(
    values: Sequence[float], *, share: float = 0.95, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the interval in which the mean of such values lies with a probability of `share`.

    By resampling the values with replacement (percentile bootstrap); NaN values are ignored.

    Args:
        values: at least one that is not NaN.
        share: in (0, 1).
        rounds: how often to resample.
        seed: of the random choice: equal calls give equal intervals.

    Raises:
        InputError: there is no value, or `share` is out of range.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not known.size or not 0 < share < 1:
        raise InputError(f"{known.size} values and a share of {share} give no interval")
    rng = np.random.default_rng(seed)
    means = known[rng.integers(0, len(known), (rounds, len(known)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _check(image: RGBImage, truth: RGBImage, mask: Mask) -> None:
    check_image_and_mask(image, mask)
    check_image_and_mask(truth, mask)
    if not mask.any():
        raise InputError("the mask is empty: there is no hole to measure")


def _near(mask: Mask, by_px: int) -> tuple[slice, slice]:
    left, top, right, bottom = bounding_box(mask, pad_px=by_px)
    return slice(top, bottom), slice(left, right)


def _luminance(image: RGBImage) -> FloatArray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def _dilated(mask: Mask, by_px: int) -> Mask:
    kernel = np.ones((2 * by_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _pairs(mask: Mask, axis: int) -> tuple[Mask, Mask]:
    return (mask[:-1], mask[1:]) if axis == 0 else (mask[:, :-1], mask[:, 1:])


def _cells(mask: Mask, stride: int, size_hw: tuple[int, ...]) -> Mask:
    """Return which cells of a layer the mask touches."""
    padded = np.zeros((size_hw[0] * stride, size_hw[1] * stride), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    cells = padded.reshape(size_hw[0], stride, size_hw[1], stride)
    return np.asarray(cells.any(axis=(1, 3)), np.bool_)


def _unit(features: FloatArray) -> FloatArray:
    length = np.sqrt((features**2).sum(axis=0) + 1e-6)
    return np.asarray(features / length, np.float32)
