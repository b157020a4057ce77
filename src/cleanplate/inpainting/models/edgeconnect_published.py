"""EdgeConnect with its authors' checkpoints, run as their own program runs them.

References:
    Nazeri et al., arXiv:1901.00212; `EdgeConnect.test` and `Dataset.load_edge` of
    https://github.com/knazeri/edge-connect at commit 3142579. What differs: the photo is neither
    cropped nor squashed to 256 x 256, sides that are no multiples of 4 are padded, and levels are
    rounded to the nearest.
"""

import numpy as np

from cleanplate.inpainting.models.canny import find_edges, grey_of
from cleanplate.inpainting.models.edge_guided import EdgeGuidedInpainter, FloatImage
from cleanplate.types import Mask, RGBImage


class PublishedEdgeConnectInpainter(EdgeGuidedInpainter):
    """The two generators as published: no colours are matched, that is left to the pipeline."""

    def _generate(self, image: RGBImage, hole: Mask) -> FloatImage:
        grey = grey_of(image)
        drawn = self._draw(grey, find_edges(grey, ~hole), hole)
        # Neither thresholded nor replaced by the Canny edges outside the hole: the second generator
        # was trained on what the first one draws everywhere.
        return self._paint(image.astype(np.float32) / np.float32(255), drawn, hole)
