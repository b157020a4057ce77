"""OSOR: one-step diffusion that removes an object with its shadow and reflection.

Reference:
    Zhou et al., One-Step Diffusion Inpainting for Effect-Aware Object Removal, ECCV 2026,
    arXiv:2606.28094; ranges, mask and order as in `osor-sdxlinpainting/scripts/` of
    https://github.com/Zhouqm-Git/osor.
"""

import cv2
import numpy as np

from cleanplate.hub import get_model, read_manifest
from cleanplate.inpainting.base import (
    NetworkInpainter,
    SeededInpainter,
    SharpInpainter,
    check_memory,
    composite,
    pad_to,
    to_planes,
)
from cleanplate.runtime import resolve_device
from cleanplate.types import FloatArray, Mask, RGBImage, check_image_and_mask

_CELL = 8  # px of a latent's value
_CHANNELS = 4
# On the CPU the weights, in half precision on the disk, are computed with in single; the rest is
# what one window of 512 px takes, and the autoencoder.
_CPU_SHARE, _CPU_BYTES = 2.4, 2 << 30


class OSORInpainter(SeededInpainter, SharpInpainter, NetworkInpainter):
    """OSOR for SDXL. Unlike other inpainters, it sees what is to be removed.

    Args: see `NetworkInpainter`.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        if resolve_device(device) == "cpu":
            weights = read_manifest(get_model(name)).files["weights"].size_bytes
            check_memory(name, _CPU_SHARE * weights + _CPU_BYTES)
        super().__init__(name, device=device, threads=threads)

    @property
    def fits_short_side(self) -> bool:
        """The working size is that of the short side, as in training."""
        return True

    def alpha(self, image: RGBImage, mask: Mask) -> FloatArray:
        """Return how much of each pixel is an effect of what is removed: (H, W) in [0, 1].

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            mask: (H, W) bool, True = object.
        """
        check_image_and_mask(image, mask)
        height, width = mask.shape
        alpha = self._remove(image, mask)[1][0, 0]
        size_wh = (alpha.shape[1] * _CELL, alpha.shape[0] * _CELL)
        smooth = cv2.resize(alpha, size_wh, interpolation=cv2.INTER_LINEAR)
        return np.asarray(smooth[:height, :width], np.float32)

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        latent = self._remove(image, mask)[0]
        filled = self._networks["decode"].run(latent)[0]
        return composite(image, mask, self._levels(filled))

    def _remove(self, image: RGBImage, mask: Mask) -> tuple[FloatArray, FloatArray]:
        """Return the latent without the object, and alpha: (1, 4, h, w), (1, 1, h, w)."""
        padded, hole = pad_to(image, mask, self._padded_hw(mask), border=cv2.BORDER_REFLECT)
        height, width = (side // _CELL for side in hole.shape)
        # The same for every photo of a size: results can be repeated.
        draw = np.random.default_rng(self._seed)
        shape = (1, _CHANNELS, height, width)
        sampling, noise = (draw.standard_normal(shape, np.float32) for _ in range(2))
        pixels = padded / np.float32(127.5) - np.float32(1)
        latent = self._networks["encode"].run(to_planes(pixels), sampling)
        cells = np.asarray(hole.reshape(1, 1, height, _CELL, width, _CELL).any(axis=(3, 5)))
        result, alpha = self._networks["fill"].run_all(latent, cells.astype(np.float32), noise)
        return result, alpha
