"""EdgeConnect on the photo squashed to 256 x 256 px, as an older tool fills it.

Reference:
    Automated-Objects-Removal-Inpainter (https://github.com/sujaykhandekar, commit 73fa9c4),
    restated: with L a Lanczos resampling and m the objects on the grid they were found on, the
    photo is scaled to that grid by L, painted white in m and scaled to 256 x 256 by L; the hole is
    where L(m) is above 0, with gaps of 1 and 2 px in rows, then in columns, closed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.inpainting.base import Inpainter, composite
from cleanplate.inpainting.models.canny import SIGMA_PX
from cleanplate.inpainting.models.edgeconnect import PublishedEdgeConnectInpainter
from cleanplate.types import FloatArray, Mask, RGBImage

SQUARE_PX = 256
_WHITE = 255
_GAP_PX = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Square:
    """A photo squashed to 256 x 256 px and filled; all its arrays have this size."""

    ground: RGBImage  # what the networks are given, the hole not yet painted
    hole: Mask
    drawn: FloatArray  # (S, S, 3) RGB in [0, 1], drawn by the network everywhere
    edges: FloatArray  # (S, S) in [0, 1], that it follows

    @property
    def result(self) -> RGBImage:
        """The filled square, (S, S, 3)."""
        return composite(self.ground, self.hole, self.drawn * np.float32(255))

    @property
    def masked(self) -> RGBImage:
        """The square with a white hole, (S, S, 3)."""
        return np.where(self.hole[..., None], np.uint8(_WHITE), self.ground)

    def mask_for(self, size_hw: tuple[int, int]) -> Mask:
        """Return the hole at the photo's size, (H, W): the pixels whose middles lie in it."""
        rows, columns = ((2 * np.arange(n) + 1) * SQUARE_PX // (2 * n) for n in size_hw)
        return self.hole[np.ix_(rows, columns)]

    def fill_into(self, image: RGBImage) -> RGBImage:
        """Return a photo, (H, W, 3), with what was drawn, enlarged, in its hole."""
        height, width = image.shape[:2]
        enlarged = cv2.resize(self.drawn, (width, height), interpolation=cv2.INTER_CUBIC)
        levels = np.asarray(enlarged, np.float32) * np.float32(255)
        return composite(image, self.mask_for((height, width)), levels)


def fill_as_published(
    image: RGBImage,
    objects: Mask,
    inpainter: Inpainter,
    *,
    sigma_px: float = SIGMA_PX,
    edges: npt.NDArray[np.uint8] | None = None,
) -> Square:
    """Fill some objects of a photo at 256 x 256 px; see the module.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        objects: (h, w) bool, on the grid that they were found on.
        inpainter: EdgeConnect with published weights.
        sigma_px: of the blur before the Canny edges are found.
        edges: (H', W') uint8, white on edges, drawn by the user; None: the network draws them.

    Raises:
        InputError: the inpainter is another.
    """
    if not isinstance(inpainter, PublishedEdgeConnectInpainter):
        raise InputError(
            f"the published pipeline needs EdgeConnect's published weights, not "
            f"{inpainter.name}; give --inpainter edgeconnect.places2"
        )
    grid_wh, square_wh = objects.shape[::-1], (SQUARE_PX, SQUARE_PX)
    painted = _lanczos(image, (grid_wh[0], grid_wh[1])).copy()
    painted[objects] = _WHITE
    ground = _lanczos(painted, square_wh)
    hole = _lanczos(objects.astype(np.uint8) * np.uint8(_WHITE), square_wh) > 0
    hole = _without_gaps(_without_gaps(hole).T).T
    lines = None
    if edges is not None:
        lines = _lanczos(edges, square_wh).astype(np.float32) / np.float32(255)
    drawn, followed = inpainter.draw(ground, hole, sigma_px=sigma_px, edges=lines)
    return Square(ground=ground, hole=hole, drawn=drawn, edges=followed)


def _lanczos(image: npt.NDArray[np.uint8], size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    from PIL import Image  # loads in 30 ms; no other inpainter needs it

    resized = Image.fromarray(np.ascontiguousarray(image)).resize(size_wh, Image.Resampling.LANCZOS)
    return np.asarray(resized)


def _without_gaps(hole: Mask) -> Mask:
    """Return a mask whose gaps of up to 2 px between pixels of a row are closed."""
    pad = _GAP_PX + 1  # what lies beyond the border is not a pixel of the hole
    padded = np.pad(hole, ((0, 0), (pad, pad))).astype(np.uint8)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((1, _GAP_PX + 1), np.uint8))
    return np.asarray(closed[:, pad:-pad] > 0)
