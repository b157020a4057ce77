"""OpenCV's two classical inpainters: no model, good for thin holes, smooth in large ones.

References:
    Telea, An Image Inpainting Technique Based on the Fast Marching Method, J. Graphics Tools 2004.
    Bertalmio et al., Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting, CVPR 2001.
"""

from types import MappingProxyType

import cv2
import numpy as np

from cleanplate.errors import UnknownNameError
from cleanplate.inpainting.base import BaseInpainter
from cleanplate.ops import choose
from cleanplate.types import Mask, RGBImage

_METHODS = MappingProxyType({"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS})

_RADIUS_PX = 3.0  # neighbourhood of each filled pixel; OpenCV's own examples use 3


class DiffusionInpainter(BaseInpainter):
    """Propagates colours from the hole's border inwards.

    Args:
        name: "telea" or "navier-stokes".
    """

    def __init__(self, name: str) -> None:
        if name not in _METHODS:
            raise UnknownNameError("inpainter", name, _METHODS)
        self._name = name

    @property
    def name(self) -> str:
        """The method."""
        return self._name

    @property
    def provider(self) -> str:
        """It runs in OpenCV, on the CPU."""
        return "OpenCV"

    @property
    def working_size(self) -> None:
        """It works at any size."""
        return

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Inpaint; an image that is entirely hole is returned grey."""
        if mask.all():
            return np.full_like(image, 128)
        # At the array's border OpenCV uses pixels inside the hole.
        ground = np.rint(image[~mask].mean(axis=0)).astype(np.uint8)
        painted = np.where(mask[..., None], ground, image)
        rim = (1, 1, 1, 1, cv2.BORDER_REPLICATE)  # in arrays 1 px wide it reads beyond their memory
        ground, hole = (cv2.copyMakeBorder(a, *rim) for a in (painted, mask.view(np.uint8)))
        filled = cv2.inpaint(ground, hole, _RADIUS_PX, _METHODS[self._name])[1:-1, 1:-1]
        return choose(mask, np.asarray(filled, np.uint8), image)
