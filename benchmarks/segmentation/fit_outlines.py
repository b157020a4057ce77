"""Fits the weights by which outlines are refined, to photos with true labels.

    python benchmarks/segmentation/fit_outlines.py --photos DIR --masks DIR

PHOTOS and MASKS are those of `outlines.py`; the photos must not be those it measures on. Prints
`_WEIGHTS` and `_OFFSET` of `cleanplate.segmentation.refinement`, and their log loss.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from outlines import Sample, found_samples

from cleanplate.ops import coverage
from cleanplate.segmentation.refinement import outline_features, scene_of

_PIXELS = 800  # of each object
_NEAR = -2.5  # bands; farther out is not looked at
_STEPS = 20  # of Newton's method


def main() -> None:
    """Parse the command line, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    sampled = [
        pixels
        for sample in found_samples(arguments.photos, arguments.masks)
        if (pixels := sample_pixels(sample, rng)) is not None
    ]
    if not sampled:
        raise SystemExit("no object was found in any photo that has a mask")
    features = np.concatenate([planes for planes, _ in sampled])
    own = np.concatenate([truth for _, truth in sampled])
    weights, loss = fit(features, own)
    print(f"{len(sampled)} objects, {len(own)} pixels, log loss {loss:.4f}")
    print(f"_WEIGHTS = {tuple(np.round(weights[:-1], 2).tolist())}")
    print(f"_OFFSET = {weights[-1]:.2f}")


def sample_pixels(
    sample: Sample, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
    """Return (n, 3) features of random pixels near an outline, and which are the object's."""
    scene = scene_of(sample.photo, sample.found, math.sqrt(sample.found.area_px))
    features = outline_features(scene)
    if features is None:
        return None
    left, top, right, bottom = scene.box
    size_wh = scene.small.shape[1], scene.small.shape[0]
    own = coverage(sample.truth[top:bottom, left:right], size_wh) > 0.5
    near = np.flatnonzero(features.open & (scene.inside > _NEAR * scene.band))
    chosen = rng.choice(near, min(len(near), _PIXELS), replace=False)
    return features.planes.reshape(-1, 3)[chosen].astype(np.float64), own.ravel()[chosen]


def fit(
    features: npt.NDArray[np.float64], own: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the weights of a logistic regression, the offset last, and its mean log loss."""
    inputs = np.column_stack([features, np.ones(len(own))])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-inputs @ weights))
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs
        weights += np.linalg.solve(curvature, inputs.T @ (own - likely))
    likely = np.clip(1 / (1 + np.exp(-inputs @ weights)), 1e-9, 1 - 1e-9)
    return weights, float(-np.log(np.where(own, likely, 1 - likely)).mean())


if __name__ == "__main__":
    main()
