"""Scores fills of the cases against the truth, and compares methods over all cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from cases import Case

from cleanplate.errors import InputError
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.metrics import bootstrap_interval
from cleanplate.evaluation.scoring import FillScorer
from cleanplate.ops.masks import bounding_box
from cleanplate.types import FloatArray, RGBImage

_CROP_PX = 128  # crops that are compared as a distribution ...
_CROP_MIN = 0.25  # ... have at least this share of hole
_ROUNDS = 200  # of resampling cases for the interval of the kernel distance


@dataclass(frozen=True)
class Score:
    """What one fill of one case measures."""

    perceptual: float
    psnr_db: float
    ssim: float
    similarity: float  # of the hole's features and its surroundings'
    sharpness: float  # NaN where the surroundings are flat
    seam: float  # NaN where there is no border to measure
    crops: FloatArray = field(repr=False)  # (N, D) features of crops around the hole


class Scorer:
    """Scores fills of one case; the truth's features are computed once."""

    def __init__(self, case: Case, features: FeatureExtractor) -> None:
        self._case, self._features = case, features
        self._scorer = FillScorer(case.mask, features, truth=case.truth)

    def score(self, fill: RGBImage) -> Score:
        """Return what a fill, (H, W, 3) uint8 and equal to the truth outside the hole, measures."""
        truth, no_reference = self._scorer.against_truth(fill), self._scorer.without_truth(fill)
        assert truth is not None  # a case has its truth
        return Score(
            perceptual=truth.perceptual,
            psnr_db=truth.psnr_db,
            ssim=truth.ssim,
            similarity=no_reference.similarity,
            sharpness=no_reference.sharpness,
            seam=no_reference.seam,
            crops=self._summaries(fill),
        )

    @cached_property
    def _crops(self) -> list[tuple[slice, slice]]:
        mask = self._case.mask
        left, top, right, bottom = bounding_box(mask)
        size = min(_CROP_PX, *mask.shape)
        places = set()
        for y in range(top - size // 4, bottom, size // 2):
            for x in range(left - size // 4, right, size // 2):
                row = min(max(0, y), mask.shape[0] - size)
                column = min(max(0, x), mask.shape[1] - size)
                if mask[row : row + size, column : column + size].mean() >= _CROP_MIN:
                    places.add((row, column))
        return [(slice(y, y + size), slice(x, x + size)) for y, x in sorted(places)]

    def _summaries(self, image: RGBImage) -> FloatArray:
        found = [self._features.summary(image[crop]) for crop in self._crops]
        width = len(self._features.summary(image[:_CROP_PX, :_CROP_PX])) if not found else 0
        return np.stack(found) if found else np.zeros((0, width), np.float32)


METRICS = ("perceptual", "psnr_db", "ssim", "similarity", "sharpness", "seam")


def summarise(
    scores: Mapping[str, Mapping[str, Score]], truth: Mapping[str, Score], ours: str
) -> dict[str, dict[str, float | list[float]]]:
    """Return method -> figure -> value, or [value, low, high] of the 95 % bootstrap interval.

    Args:
        scores: method -> case -> score.
        truth: case -> score of the truth as a fill.
        ours: the method that the others are compared with.
    """
    table: dict[str, dict[str, float | list[float]]] = {}
    for method, by_case in scores.items():
        names = list(by_case)
        row: dict[str, float | list[float]] = {"cases": len(names)}
        for metric in METRICS:
            values = np.array([getattr(by_case[name], metric) for name in names])
            if np.isnan(values).all():
                continue
            row[metric] = [float(np.nanmean(values)), *bootstrap_interval(values.tolist())]
            if metric == "sharpness":
                row["sharpness_median"] = float(np.nanmedian(values))
        row["kid_e3"] = _kid(by_case, truth, names)
        if method != ours and ours in scores:
            both = [name for name in names if name in scores[ours]]
            mine = np.array([scores[ours][name].perceptual for name in both])
            other = np.array([by_case[name].perceptual for name in both])
            row["ours_nearer_share"] = float((mine < other).mean())
        table[method] = row
    return table


def _kid(
    by_case: Mapping[str, Score], truth: Mapping[str, Score], names: Sequence[str]
) -> list[float]:
    """Return 1000 times the kernel distance to the untouched crops, and its interval over cases."""

    def distance(chosen: Sequence[str]) -> float:
        made = np.concatenate([by_case[name].crops for name in chosen])
        true = np.concatenate([truth[name].crops for name in chosen])
        return 1000 * kernel_distance(made, true) if len(made) > 1 else float("nan")

    rng = np.random.default_rng(0)
    draws = [distance(rng.choice(names, len(names)).tolist()) for _ in range(_ROUNDS)]
    low, high = np.nanquantile(draws, [0.025, 0.975]).tolist()
    return [distance(names), low, high]


def kernel_distance(first: FloatArray, second: FloatArray) -> float:
    """Return the kernel inception distance between two sets of images' features.

    Args:
        first: (N, D) float32, N >= 2.
        second: (M, D) float32, M >= 2.

    Returns:
        The unbiased squared maximum mean discrepancy; about 0, and as often below it, for two
        samples of the same distribution.

    Raises:
        InputError: a set has fewer than 2 members, or the lengths differ.

    References:
        Binkowski et al., Demystifying MMD GANs, ICLR 2018: cubic kernel (x.y / D + 1)^3.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise InputError(
            f"features of two sets of at least 2 images are needed, got {first.shape} and "
            f"{second.shape}"
        )

    def kernel(x: FloatArray, y: FloatArray) -> npt.NDArray[np.float64]:
        likeness = x.astype(np.float64) @ y.T.astype(np.float64) / x.shape[1] + 1
        return np.asarray(likeness**3)

    def within(x: FloatArray) -> float:
        own = kernel(x, x)
        return float((own.sum() - np.trace(own)) / (len(x) * (len(x) - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())
