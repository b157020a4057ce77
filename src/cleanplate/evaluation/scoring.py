"""The scores of a fill: full-reference where the truth is known, and no-reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.metrics import (
    context_similarity,
    perceptual_distance,
    psnr_db,
    seam_ratio,
    sharpness_ratio,
    ssim,
)
from cleanplate.ops import bounding_box, long_side, square_around
from cleanplate.types import FloatArray, Mask, RGBImage

_CONTEXT_PX = 64  # around a hole, plus a quarter of its side: what its features see
_SIMILARITY_MARGIN_PX = 16  # around the smallest square, as ReMOVE's crop has it
_SIMILARITY_SIDE_PX = 512  # the crop is brought to this size: 32 x 32 cells at stride 16


@dataclass(frozen=True, slots=True)
class TruthScore:
    """Full-reference scores inside the hole."""

    perceptual: float
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True)
class NoReferenceScore:
    """No-reference scores: how well a fill matches its surroundings."""

    similarity: float  # cosine of mean features in the hole and around it; 1 is alike
    sharpness: float  # detail in the hole over that around it; NaN where these are flat
    seam: float  # steps at the border over those beside it; NaN where there is no border


class FillScorer:
    """Scores fills of one hole in one photo; the truth's features are computed once.

    Args:
        mask: (H, W) bool, not empty.
        features: what computes features.
        truth: (H, W, 3) uint8, what is really behind the object; None if unknown.
    """

    def __init__(
        self, mask: Mask, features: FeatureExtractor, *, truth: RGBImage | None = None
    ) -> None:
        self._mask, self._features, self._truth = mask, features, truth
        self._truth_maps: Sequence[FloatArray] | None = None

    def against_truth(self, fill: RGBImage) -> TruthScore | None:
        """Return how near a fill, (H, W, 3) uint8, is to the truth; None if that is not known."""
        if self._truth is None:
            return None
        window = self._window
        if self._truth_maps is None:
            self._truth_maps = self._features.maps(self._truth[window])
        return TruthScore(
            perceptual=perceptual_distance(
                self._features.maps(fill[window]), self._truth_maps, self._mask[window]
            ),
            psnr_db=psnr_db(fill, self._truth, self._mask),
            ssim=ssim(fill, self._truth, self._mask),
        )

    def without_truth(self, fill: RGBImage) -> NoReferenceScore:
        """Return how well a fill, (H, W, 3) uint8, matches its surroundings."""
        hole = bounding_box(self._mask)
        side = long_side(hole) + 2 * _SIMILARITY_MARGIN_PX
        left, top, right, bottom = square_around(hole, side, self._mask.shape)
        square = slice(top, bottom), slice(left, right)
        size = (_SIMILARITY_SIDE_PX, _SIMILARITY_SIDE_PX)
        crop = np.asarray(cv2.resize(fill[square], size, interpolation=cv2.INTER_AREA), np.uint8)
        mask = cv2.resize(self._mask[square].view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return NoReferenceScore(
            similarity=context_similarity(self._features.maps(crop)[-1], mask > 0),
            sharpness=sharpness_ratio(fill, self._mask),
            seam=seam_ratio(fill, self._mask),
        )

    @cached_property
    def _window(self) -> tuple[slice, slice]:
        context_px = int(_CONTEXT_PX + 0.25 * np.sqrt(np.count_nonzero(self._mask)))
        left, top, right, bottom = bounding_box(self._mask, pad_px=context_px)
        return slice(top, bottom), slice(left, right)
