"""Makes the folders that run.py measures, from public photos.

    git clone https://github.com/jiku100/ShadowDetectionMethod SOBA
    git clone https://github.com/Zhouqm-Git/osor OSOR
    python benchmarks/effects/build.py DIR --soba SOBA --osor OSOR --scenes PHOTOS

DIR gets a folder of each kind with photos/, objects/ and effects/:

- soba_cast, soba_contact: photos of the SOBA set (Apache-2.0), which that repository keeps beside
  drawings of object and shadow; truth.json holds both masks, recovered from the drawings. A contact
  shadow reaches no further than a fifth of the object's longer side.
- osor, osor_corner: the main photos and the corner cases on OSOR's page (MIT); their effects are
  what its published removal changed.
- judged_cast, judged_none: objects in photos of other public repositories, which CLONES holds, each
  under its own name; what vision-language models judged on sheets (training/judging.py). Parts that
  are effects in white, what was not judged in grey.
- made_none, made_mirror: objects of these photos, cut out and put into SCENES, photos of any
  places; with a mirror image below them, or with nothing. Only these need SCENES.

None of them was trained on, but that some judged photos of VOC and COCO may have been in an earlier
training. The repositories of the judged photos: codewithminer/ImageCaptioning,
NUS-VIP/predicting-human-gaze-beyond-pixels, MachineLearning2020/Homework2-Caltech101,
BernieChen96/ImageClassification, mateusrafael4/Atividade_programacao_pose_estimation and
emanhamed/Houses-dataset.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cleanplate.io import PHOTO_SUFFIXES, read_photo
from cleanplate.ops import decode_rle, unpack_counts
from cleanplate.types import Mask, RGBImage

_TRUTH = Path(__file__).with_name("truth.json")
_GAPS_PX = 60  # white, between photo, truth and prediction in a picture of SOBA's repository
_SCENE_PX = 768  # longer side
_MADE = 100  # photos of each kind
_UNKNOWN = 128  # in effects/, as in training/scenes.py

Cut = tuple[RGBImage, np.ndarray]
"""An object's (h, w, 3) pixels and (h, w) float32 opacity in [0, 1]."""


def read_cases(source: str, folder: Path) -> Iterator[tuple[str, str, RGBImage, Mask, np.ndarray]]:
    """Yield kind, name, photo, object, and effects in white, as truth.json has them."""
    for entry in json.loads(_TRUTH.read_text(encoding="utf-8")):
        if not entry["kind"].startswith(source):
            continue
        pixels = read_photo(folder / entry["photo"]).pixels
        if source == "soba":
            pixels = pixels[:, : (pixels.shape[1] - _GAPS_PX) // 3]
        width, height = entry["size_wh"]
        image = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        mask, cast, none = (
            _mask(entry, part, (height, width)) for part in ("object", "effects", "none")
        )
        effects = np.where(cast, np.uint8(255), np.uint8(0))
        if "none" in entry:  # only so much was judged
            effects[~cast & ~none] = _UNKNOWN
        yield entry["kind"], entry["name"], np.asarray(image, np.uint8), mask, effects


def _mask(entry: dict[str, Any], part: str, size_hw: tuple[int, int]) -> Mask:
    mask = np.zeros(size_hw, bool)
    if entry.get(part):
        (left, top, right, bottom), inside = decode_rle(unpack_counts(entry[part]), size_hw)
        mask[top:bottom, left:right] = inside
    return mask


def cut_out(image: RGBImage, mask: Mask) -> Cut | None:
    """Return an object that is whole, large and solid enough; None for another."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inside = mask[top:bottom, left:right]
    at_border = min(top, left, mask.shape[0] - bottom, mask.shape[1] - right) < 2
    if at_border or min(inside.shape) < 40 or inside.mean() < 0.25:
        return None
    eroded = cv2.erode(mask.astype(np.float32), np.ones((3, 3)))
    soft = cv2.GaussianBlur(eroded, (0, 0), 0.8)
    return image[top:bottom, left:right], soft[top:bottom, left:right]


def make(
    cuts: Sequence[Cut], scenes: Sequence[Path], *, mirror: bool, seed: int
) -> Iterator[tuple[str, RGBImage, Mask, np.ndarray]]:
    """Yield name, photo, object, and effects in white, of objects put into scenes."""
    rng = np.random.default_rng(seed)
    for number in range(_MADE):
        scene = read_photo(scenes[rng.integers(len(scenes))]).pixels
        shrink = min(1.0, _SCENE_PX / max(scene.shape[:2]))
        scene = cv2.resize(scene, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        image = scene.astype(np.float32)
        cut = cuts[rng.integers(len(cuts))]
        side = rng.uniform(0.15, 0.4 if mirror else 0.5) * min(scene.shape[:2])
        scale = side / max(cut[0].shape)
        colours, alpha = (cv2.resize(it, None, fx=scale, fy=scale, interpolation=3) for it in cut)
        if rng.random() < 0.5:
            colours, alpha = colours[:, ::-1], alpha[:, ::-1]
        gain = np.clip(scene.mean() / max(colours.mean(), 1), 0.6, 1.6) ** 0.5
        colours = np.clip(colours * gain, 0, 255)
        height, width = alpha.shape
        room = scene.shape[0] - height * (2 if mirror else 1)
        top, left = rng.integers(room), rng.integers(scene.shape[1] - width)
        effects = np.zeros(scene.shape[:2], bool)
        if mirror:
            share = rng.uniform(0.25, 0.7) * np.linspace(1, rng.uniform(0.2, 1), height)
            weak = cv2.GaussianBlur(alpha[::-1], (0, 0), rng.uniform(0.6, 3)) * share[:, None]
            blurred = cv2.GaussianBlur(colours[::-1], (0, 0), rng.uniform(0.6, 3))
            effects |= _paste(image, blurred, weak, top + height, left) > 0.12
        mask = _paste(image, colours, alpha, top, left) > 0.3
        white = (effects & ~mask).astype(np.uint8) * 255
        yield f"{number:03d}", np.clip(image, 0, 255).astype(np.uint8), mask, white


def _paste(
    image: np.ndarray, colours: np.ndarray, alpha: np.ndarray, top: int, left: int
) -> np.ndarray:
    """Blend into an image in place; return (H, W), the opacity."""
    height, width = alpha.shape
    part = image[top : top + height, left : left + width]
    part += (colours - part) * alpha[..., None]
    return np.pad(
        alpha,
        ((top, image.shape[0] - top - height), (left, image.shape[1] - left - width)),
    )


def write(folder: Path, name: str, image: RGBImage, mask: Mask, effects: np.ndarray) -> None:
    written = (image[..., ::-1], mask.astype(np.uint8) * 255, effects)
    for part, pixels in zip(("photos", "objects", "effects"), written, strict=True):
        (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / part / f"{name}.png"), pixels)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--soba", type=Path, required=True, help="a clone")
    parser.add_argument("--osor", type=Path, help="a clone")
    parser.add_argument("--judged", type=Path, metavar="CLONES", help="a folder of clones")
    parser.add_argument("--scenes", type=Path, help="a folder of photos")
    arguments = parser.parse_args()
    cuts = []
    for source in ("soba", "osor", "judged"):
        clone = getattr(arguments, source)
        for kind, name, image, mask, effects in read_cases(source, clone) if clone else ():
            write(arguments.folder / kind, name, image, mask, effects)
            cut = cut_out(image, mask) if source == "soba" else None
            cuts += [cut] if cut is not None else []
    if arguments.scenes:
        paths = arguments.scenes.rglob("*")
        scenes = sorted(path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES)
        for kind in ("none", "mirror"):
            made = make(cuts, scenes, mirror=kind == "mirror", seed=2)
            for name, image, mask, effects in made:
                write(arguments.folder / f"made_{kind}", name, image, mask, effects)


if __name__ == "__main__":
    main()
