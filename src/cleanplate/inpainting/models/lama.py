"""LaMa: one network whose convolutions have an image-wide receptive field, through the spectrum.

Reference:
    Suvorov et al., Resolution-robust Large Mask Inpainting with Fourier Convolutions, WACV 2022,
    arXiv:2109.07161; padding and ranges as in `bin/predict.py` of https://github.com/advimman/lama
    at commit 786f593.
"""

import cv2
import numpy as np

from cleanplate.errors import WeightsError
from cleanplate.inpainting.base import (
    NetworkInpainter,
    SharpInpainter,
    composite,
    inpaint_scaled,
    pad_to,
    to_planes,
)
from cleanplate.types import Mask, RGBImage


class LamaInpainter(SharpInpainter, NetworkInpainter):
    """LaMa for images of any size whose sides are multiples of 8."""

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        return self._run(image, mask, self._padded_hw(mask))

    def _run(self, image: RGBImage, mask: Mask, size_hw: tuple[int, int]) -> RGBImage:
        """Run the network on the image padded to a size that it takes."""
        padded, hole = pad_to(image, mask, size_hw, border=cv2.BORDER_REFLECT)
        # The network also zeroes the hole; the content of the hole has no effect.
        known = np.where(hole[..., None], np.float32(0), padded / np.float32(255))
        holes = hole.astype(np.float32)[None, None]
        filled = self._networks["fill"].run(to_planes(known), holes)[0]  # (3, H, W)
        return composite(image, mask, self._levels(filled))


class FixedLamaInpainter(LamaInpainter):
    """LaMa as one ONNX file that takes 512 x 512 px and nothing else, and returns levels.

    Smaller images are mirrored to that size, larger ones are filled at it and scaled back.
    """

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        size_hw = self._model.preprocessing.size_hw
        if size_hw is None:
            raise WeightsError(f"{self.name}: the registry has no size")
        if max(mask.shape) > max(size_hw):
            filled = inpaint_scaled(self._inpaint, image, mask, max(size_hw))
            return composite(image, mask, filled)
        return self._run(image, mask, size_hw)
