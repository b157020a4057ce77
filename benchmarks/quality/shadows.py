"""Fills made shadows on photos with nothing to remove, with and without lighting them again.

    python benchmarks/quality/shadows.py --scenes DIR --objects DIR [--sheets DIR]

SCENES are photos with nothing to remove; OBJECTS are photos whose objects give the silhouettes. On
each scene one silhouette stands and casts a shadow: sheared onto the ground, 0.3 to 0.75 as bright,
a little bluer, with a soft rim. The hole is both, the shadow as roughly as a network finds it, so
the truth is known. Prints the perceptual distance inside the hole, and how many are nearer.
"""

import argparse
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from cases import cut_silhouettes, read_folder

from cleanplate import Remover
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.scoring import FillScorer
from cleanplate.inpainting import create_inpainter, inpaint_holes
from cleanplate.ops import dilate, scale_within
from cleanplate.types import Mask, RGBImage

_SIDE = 640  # px
_HEIGHT = (0.25, 0.45)  # of the scene's: of the silhouette
_BRIGHTNESS = (0.3, 0.75)
_BLURS_PX = (1, 2, 4, 8)  # of a scene 512 px high
_BLUER = np.array([0.94, 1.0, 1.08])
_ASTRAY = 0.012  # of the silhouette's height: by which the shadow's detection is off
_MARGIN = 0.017  # ... and its margin
_LEAST_PX = 800
_NEARER = 0.005


def main() -> None:
    """Parse the command line, fill, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=Path, required=True, help="photos that are the truth")
    parser.add_argument("--objects", type=Path, required=True, help="photos with objects")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of what changes")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    silhouettes = cut_silhouettes(arguments.objects, Remover())
    if not silhouettes:
        raise SystemExit(f"no object was found in {arguments.objects}")
    rng = np.random.default_rng(arguments.seed)
    features, inpainter = FeatureExtractor(), create_inpainter(threads=1)
    rows = []
    for name, photo in read_folder(arguments.scenes):
        truth = scale_within(photo, _SIDE)
        image, hole, effects = cast_shadow(truth, silhouettes, rng)
        if np.count_nonzero(effects) < _LEAST_PX:
            continue
        scorer = FillScorer(hole, features, truth=np.where(hole[..., None], truth, image))
        now = inpaint_holes(image, hole, inpainter, effects=effects)
        with mock.patch("cleanplate.inpainting.fill.light_shadows", return_value=None):
            before = inpaint_holes(image, hole, inpainter, effects=effects)
        scores = [scorer.against_truth(fill) for fill in (before, now)]
        rows.append([score.perceptual for score in scores if score is not None])
        if arguments.sheets and (before != now).any():
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            sheet = np.concatenate([image, before, now], axis=1)
            cv2.imwrite(str(arguments.sheets / f"{name}.png"), sheet[..., ::-1])
    if not rows:
        raise SystemExit(f"no photo in {arguments.scenes}")
    first, second = np.array(rows).T
    print(f"{len(rows)} scenes: perceptual distance {first.mean():.3f}, lit {second.mean():.3f};")
    nearer, farther = (second < first - _NEARER).sum(), (second > first + _NEARER).sum()
    print(f"{nearer} nearer, {farther} farther, by at most {(second - first).max():.2f}")


def cast_shadow(
    truth: RGBImage, silhouettes: list[Mask], rng: np.random.Generator
) -> tuple[RGBImage, Mask, Mask]:
    """Return a scene with a silhouette and its shadow, (H, W, 3); the hole; the shadow in it."""
    height, width = truth.shape[:2]
    thing, foot, tall = _stand(silhouettes[rng.integers(len(silhouettes))], (height, width), rng)
    aside, long = rng.uniform(-1.5, 1.5), rng.uniform(-0.35, 0.5)
    onto_ground = np.array([[1, -aside, aside * foot], [0, -long, foot + long * foot]])
    cast = cv2.warpAffine(thing.astype(np.float32), onto_ground, (width, height))
    share = cv2.GaussianBlur(cast, (0, 0), float(rng.choice(_BLURS_PX)) * height / 512)
    share /= max(0.5, float(share.max()))
    brightness = np.clip(rng.uniform(*_BRIGHTNESS) * _BLUER, 0, 1)
    shaded = truth * (1 - share[..., None] * (1 - brightness))
    shaded += rng.normal(0, 0.7, shaded.shape)
    image = np.clip(shaded, 0, 255).astype(np.uint8)
    thing = dilate(thing, 3)
    image[thing] = (150, 60, 90)
    y, x = np.indices((height, width), np.float32)
    down, across = (
        cv2.resize(rng.normal(0, 1, (6, 6)), (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    )
    off = _ASTRAY * tall
    astray = cv2.remap(
        share,
        (x + off * across).astype(np.float32),
        (y + off * down).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    effects = dilate(astray > 0.15, 1 + _MARGIN * tall) & ~thing
    return image, thing | effects, effects


def _stand(
    silhouette: Mask, size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[Mask, int, int]:
    """Return (H, W), a silhouette somewhere in the lower part; its foot's row and its height."""
    height, width = size_hw
    shape = silhouette.shape
    tall = min(rng.uniform(*_HEIGHT) * height, 0.4 * width * shape[0] / shape[1])
    size_wh = max(8, round(tall * shape[1] / shape[0])), max(8, round(tall))
    small = cv2.resize(silhouette.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0
    foot, middle = round(height * rng.uniform(0.6, 0.92)), round(width * rng.uniform(0.25, 0.75))
    top, left = foot - size_wh[1], middle - size_wh[0] // 2
    thing = np.zeros(size_hw, np.bool_)
    thing[top:foot, left : left + size_wh[0]] = small[:, : max(0, width - left)]
    return thing, foot, size_wh[1]


if __name__ == "__main__":
    main()
