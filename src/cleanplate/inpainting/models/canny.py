"""Canny edges exactly as scikit-image finds them, which published networks were trained with.

References:
    Canny, A Computational Approach to Edge Detection, PAMI 1986. What is matched is
    `skimage.feature.canny(grey, sigma, mask=known)` of scikit-image 0.26: its masked
    smoothing, its thresholds, its interpolated non-maximum suppression. Sums are made in the order
    of scipy.ndimage, so that not even ties fall differently.
"""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask, RGBImage

SIGMA_PX = 2.0
_RADIUS_SIGMAS = 4  # scikit-image's default
_LOW = float(np.float32(0.1))  # scikit-image keeps this one in single precision
_HIGH = 0.2
_GREY = np.array([0.2125, 0.7154, 0.0721])  # of R, G, B, in `skimage.color.rgb2gray`

Grey = npt.NDArray[np.float64]
"""(H, W) float64 in [0, 1]."""


def grey_of(image: RGBImage) -> Grey:
    """Return (H, W) float64 in [0, 1], the luminance as `skimage.color.rgb2gray` weighs it."""
    return np.asarray((image * (1 / 255)) @ _GREY, np.float64)


def canny_edges(grey: Grey, known: Mask, sigma_px: float = SIGMA_PX) -> Mask:
    """Return the Canny edges of the known part of an image.

    Args:
        grey: (H, W) float64 in [0, 1].
        known: (H, W) bool; what is False has no influence, and no edge touches it.
        sigma_px: of the Gaussian blur before.

    Returns:
        (H, W) bool; False along the array's border.
    """
    inside = known.astype(np.float64)
    smooth = _smoothed(np.where(known, grey, 0.0), sigma_px)
    smooth /= _smoothed(inside, sigma_px) + np.finfo(np.float64).eps
    down, across = _slope(smooth), np.ascontiguousarray(_slope(smooth.T).T)
    strength = np.sqrt(down * down + across * across)
    interior = cv2.erode(
        known.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
        borderValue=(0.0,),
    )  # fmt: skip
    ridge = _ridges(down, across, strength, (interior > 0) & (strength >= _LOW))
    _, parts = cv2.connectedComponents(ridge.astype(np.uint8), connectivity=8)
    strong = np.zeros(int(parts.max()) + 1, np.bool_)
    strong[parts[ridge & (strength >= _HIGH)]] = True
    return np.asarray(strong[parts])


def _smoothed(field: Grey, sigma_px: float) -> Grey:
    """Blur by a Gaussian; beyond the array's border all is 0."""
    radius = int(_RADIUS_SIGMAS * sigma_px + 0.5)
    weights = np.exp(-0.5 / sigma_px**2 * np.arange(radius + 1) ** 2)
    weights /= np.exp(-0.5 / sigma_px**2 * np.arange(-radius, radius + 1) ** 2).sum()
    for _ in range(2):  # down the columns, then along the rows
        length = len(field)
        padded = np.pad(field, ((radius, radius), (0, 0)))
        total = field * weights[0]
        for step in range(radius, 0, -1):
            above = padded[radius - step :][:length]
            below = padded[radius + step :][:length]
            total += (above + below) * weights[step]
        field = total.T
    return field


def _slope(field: Grey) -> Grey:
    """Return the Sobel derivative along the first axis, border pixels repeated."""
    padded = np.pad(field, 1, mode="edge")
    step = padded[2:] - padded[:-2]
    return np.asarray(step[:, 1:-1] * 2 + (step[:, :-2] + step[:, 2:]))


def _ridges(down: Grey, across: Grey, strength: Grey, candidates: Mask) -> Mask:
    """Return the candidates no weaker than what lies on either side of them, up the slope.

    The strength there is interpolated between a direct and a diagonal neighbour.

    Args:
        down: (H, W) derivative along the first axis.
        across: (H, W) derivative along the second.
        strength: (H, W) their norm.
        candidates: (H, W) bool; none on the array's border.
    """
    y, x = np.nonzero(candidates)
    slope_y, slope_x, own = down[y, x], across[y, x], strength[y, x]
    alike = (slope_y > 0) == (slope_x > 0)
    size_y, size_x = np.abs(slope_y), np.abs(slope_x)
    steep = np.where(alike, size_y > size_x, size_y >= size_x)
    share = np.where(steep, size_x, size_y) / np.where(steep, size_y, size_x)  # of the diagonal
    turn = np.where(alike, 1, -1)
    direct = np.where(steep, turn, 0), np.where(steep, 0, 1)
    highest = np.ones(len(y), np.bool_)
    for way in (1, -1):
        straight = strength[y + way * direct[0], x + way * direct[1]]
        diagonal = strength[y + way * turn, x + way]
        highest &= diagonal * share + straight * (1.0 - share) <= own
    ridge = np.zeros(strength.shape, np.bool_)
    ridge[y[highest], x[highest]] = True
    return ridge
