"""EdgeConnect: draw the edges of the hole first, then its colours.

Reference:
    Nazeri et al., EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning, 2019,
    arXiv:1901.00212.
"""

from abc import abstractmethod

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.fitting import composite, pad_to, planes_of, rounded_up
from cleanplate.inpainting.network_inpainter import NetworkInpainter
from cleanplate.types import Mask, RGBImage

_SIDE_MULTIPLE = 4  # px; two convolutions of stride 2
_LEAST_SIDE = 32  # px; less leaves nothing to normalise over at a quarter of the size
_PLANES_WITH_MASK = 5  # RGB and edges, and the mask: networks trained by users may see that too
_WHITE = np.float32(1)  # the paint that marks the hole, as in the paper

FloatImage = npt.NDArray[np.float32]
"""(H, W, 3) float32, RGB in [0, 1]."""

Plane = npt.NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""


class EdgeGuidedInpainter(NetworkInpainter):
    """The two generators of EdgeConnect and the planes they take."""

    @property
    def working_size(self) -> int:
        """256 px: the size of the crops they were trained on."""
        return 256

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        height, width = (
            rounded_up(side, multiple=_SIDE_MULTIPLE, least=_LEAST_SIDE) for side in mask.shape
        )
        padded, hole = pad_to(image, mask, (height, width), border=cv2.BORDER_REPLICATE)
        return composite(image, mask, self._generate(padded, hole) * 255)

    @abstractmethod
    def _generate(self, image: RGBImage, hole: Mask) -> FloatImage:
        """Return colours for the hole; what is given for other pixels does not matter.

        Args:
            image: (H, W, 3) uint8, H and W multiples of 4.
            hole: (H, W) bool.
        """

    def _draw(
        self, grey: npt.NDArray[np.floating], edges: npt.NDArray[np.generic], hole: Mask
    ) -> Plane:
        """Run the first generator.

        Args:
            grey: (H, W) in [0, 1]; what it holds in the hole is painted over.
            edges: (H, W), 1 on the edges of what is known, 0 elsewhere.
            hole: (H, W) bool.

        Returns:
            (H, W) edges as likely as 1, inside the hole and outside.
        """
        planes = [np.where(hole, _WHITE, grey), edges, hole]
        drawn = self._networks["edges"].run(np.stack(planes).astype(np.float32)[None])
        return np.asarray(drawn[0, 0])

    def _paint(self, rgb: FloatImage, edges: Plane, hole: Mask) -> FloatImage:
        """Run the second generator.

        Args:
            rgb: (H, W, 3) in [0, 1]; what it holds in the hole is painted over.
            edges: (H, W) in [0, 1].
            hole: (H, W) bool.
        """
        planes = [np.where(hole[..., None], _WHITE, rgb), edges]
        network = self._networks["fill"]
        if network.input_shapes[0][1] == _PLANES_WITH_MASK:
            planes.append(hole.astype(np.float32))
        filled = network.run(planes_of(np.dstack(planes)))[0]  # (3, H, W)
        return np.asarray(filled.transpose(1, 2, 0))
