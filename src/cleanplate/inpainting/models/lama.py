"""LaMa: one network whose convolutions reach over the whole image by way of its spectrum.

Reference:
    Suvorov et al., Resolution-robust Large Mask Inpainting with Fourier Convolutions, WACV 2022,
    arXiv:2109.07161; padding and ranges as in `bin/predict.py` of https://github.com/advimman/lama
    at commit 786f593.
"""

import cv2
import numpy as np

from cleanplate.inpainting.fitting import composite, inpaint_scaled, pad_to, planes_of, rounded_up
from cleanplate.inpainting.network_inpainter import NetworkInpainter
from cleanplate.types import Mask, RGBImage

_SIDE_MULTIPLE = 8  # px; three convolutions of stride 2
_LEAST_SIDE = 16  # px; at an eighth of less there is nothing to mirror
_WORKING_SIZE = 512  # px; twice its training crops; beyond, time grows faster than the area


class LamaInpainter(NetworkInpainter):
    """LaMa for images of any size whose sides are multiples of 8."""

    _level = np.float32(255)  # of full brightness, times what the network returns for it

    @property
    def working_size(self) -> int:
        """512 px: twice the size of the crops it was trained on."""
        return _WORKING_SIZE

    @property
    def reach_px(self) -> None:
        """Every pixel sees the whole image: deep holes need not be filled at a smaller size."""
        return

    @property
    def is_sharp(self) -> bool:
        """It was trained to fill with detail, at the very size that it is given."""
        return True

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        height, width = (
            rounded_up(side, multiple=_SIDE_MULTIPLE, least=_LEAST_SIDE) for side in mask.shape
        )
        return self._run(image, mask, (height, width))

    def _run(self, image: RGBImage, mask: Mask, size_hw: tuple[int, int]) -> RGBImage:
        """Run the network on the image padded to a size that it takes."""
        padded, hole = pad_to(image, mask, size_hw, border=cv2.BORDER_REFLECT)
        # The network blackens the hole itself; this way nothing in it can matter.
        known = np.where(hole[..., None], np.float32(0), padded / np.float32(255))
        holes = hole.astype(np.float32)[None, None]
        filled = self._networks["fill"].run(planes_of(known), holes)[0]  # (3, H, W)
        return composite(image, mask, filled.transpose(1, 2, 0) * self._level)


class FixedLamaInpainter(LamaInpainter):
    """LaMa as one ONNX file that takes 512 x 512 px and nothing else, and returns levels.

    Smaller images are mirrored to that size, larger ones are filled at it and scaled back.
    """

    _level = np.float32(1)

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        if max(mask.shape) > _WORKING_SIZE:
            return composite(image, mask, inpaint_scaled(self._inpaint, image, mask, _WORKING_SIZE))
        return self._run(image, mask, (_WORKING_SIZE, _WORKING_SIZE))
