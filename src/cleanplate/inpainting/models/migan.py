"""MI-GAN: a small network in one ONNX file with its cropping, scaling and blending.

Reference:
    Sargsyan et al., MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices, ICCV 2023;
    `scripts/create_onnx_pipeline.py` of https://github.com/Picsart-AI-Research/MI-GAN at commit
    ca4df2e describes the file.
"""

import cv2
import numpy as np

from cleanplate.inpainting.base import (
    NetworkInpainter,
    SharpInpainter,
    composite,
    pad_to,
    to_planes,
)
from cleanplate.ops import pull_push
from cleanplate.types import Mask, RGBImage

_KNOWN, _HOLE = np.uint8(255), np.uint8(0)  # inverse of masks elsewhere


class MIGANInpainter(SharpInpainter, NetworkInpainter):
    """MI-GAN's published pipeline, its soft edge kept to the hole."""

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        # The file blends what it is given into the hole's first few px, where the object would
        # remain as an outline: it is given the surroundings, continued smoothly.
        ground = composite(image, mask, pull_push(image.astype(np.float32), ~mask))
        padded, hole = pad_to(ground, mask, self._size_for(mask), border=cv2.BORDER_REFLECT)
        known = np.where(hole, _HOLE, _KNOWN)
        filled = self._networks["fill"].run(to_planes(padded), known[None, None])[0]
        return composite(image, mask, filled.transpose(1, 2, 0))

    def _size_for(self, mask: Mask) -> tuple[int, int]:
        """Return the height and width to pad to.

        Of what is larger than 512 px the file cuts out a square around the holes; what is not it
        takes complete and stretches to a square. It is made one before that.
        """
        height, width = self._padded_hw(mask)
        side = max(height, width)
        return (side, side) if side <= (self.working_size or 0) else (height, width)
