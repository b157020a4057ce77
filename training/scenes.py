"""Windows around objects, with what the objects cast: a pure function of seed and step.

Half of them show photos whose effects people outlined. The others are made: such an object is put
into another photo, with its shadow, sheared, measured or at its foot, with its reflection, or
with nothing, before other objects with theirs. What was pasted thus tells nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cleanplate.io import PHOTO_SUFFIXES
from cleanplate.types import Mask, RGBImage
from training.config import Effects, EffectsConfig
from training.pairs import IGNORED
from training.photos import Photos

UNKNOWN = 128
"""In effects/: a pixel that counts for nothing. What is above it is an effect."""

_GREY = 127  # beyond a photo
_LEAST_OBJECT_PX = 150  # in a window
_KERNEL = np.ones((3, 3), np.uint8)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """An object in a photo, and its effects."""

    image: RGBImage
    mask: Mask
    effects: Mask
    known: Mask  # where it is known what is an effect


@dataclass(frozen=True, slots=True)
class EffectsBatch:
    """What one step sees."""

    rgb_mask: torch.Tensor  # (N, 4, S, S) float32 in [0, 1]
    effects: torch.Tensor  # (N, S, S) int64: 0, 1, or 255 = ignore


def read_labelled(folder: Path) -> list[Labelled]:
    """Return the objects in a folder with photos/, objects/ and effects/, files of the same name.

    Raises:
        ValueError: a file cannot be read, or masks have another size than their photo.
    """
    found = []
    photos = {path.stem: path for path in (folder / "photos").iterdir()}
    for path in sorted((folder / "objects").glob("*.png")):
        photo = photos.get(path.stem)
        if photo is None or photo.suffix.lower() not in PHOTO_SUFFIXES:
            raise ValueError(f"{path}: there is no photo of this name in {folder / 'photos'}")
        bgr = cv2.imread(str(photo))
        masks = [
            cv2.imread(str(one), cv2.IMREAD_GRAYSCALE)
            for one in (path, folder / "effects" / path.name)
        ]
        if bgr is None or any(one is None or one.shape != bgr.shape[:2] for one in masks):
            raise ValueError(f"{photo}: photo, object and effects must be images of one size")
        mask, effects = masks[0] > _GREY, masks[1]
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        found.append(Labelled(rgb, mask, (effects > UNKNOWN) & ~mask, effects != UNKNOWN))
    return found


class EffectsBatches(Dataset[EffectsBatch]):
    """Step -> batch.

    Args:
        labelled: objects with their effects.
        backgrounds: photos to put objects into.
        config: of the run.
    """

    def __init__(
        self, labelled: Sequence[Labelled], backgrounds: Photos, config: EffectsConfig
    ) -> None:
        self._labelled, self._backgrounds, self._config = labelled, backgrounds, config
        self._whole = [one for one in labelled if not _touches_border(one.mask)]

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> EffectsBatch:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._config.run.seed, step])
        samples = [self._sample(rng) for _ in range(self._config.run.batch)]
        inputs = np.stack([one for one, _ in samples])
        truth = np.stack([one for _, one in samples])
        return EffectsBatch(torch.from_numpy(inputs), torch.from_numpy(truth))

    def _sample(self, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
        settings = self._config.effects
        for _ in range(20):
            if rng.random() < settings.labelled_share or not self._whole:
                image, mask, cast, known = _window(rng, _choose(rng, self._labelled), settings)
            else:
                image, mask, cast, known = self._made(rng)
            if (mask > 0.5).sum() >= _LEAST_OBJECT_PX:
                return _finish(rng, image, mask > 0.5, cast > 0.5, known)
        raise ValueError("20 objects in a row are too small or cut off; check the folders")

    def _made(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Mask]:
        size = self._config.effects.size_px
        image = self._background(rng, size)
        if rng.random() < 0.3:  # another object, whose effects are not asked for
            self._put(rng, image)
        mask, cast = self._put(rng, image)
        return image, mask, cast, np.ones((size, size), np.bool_)

    def _background(self, rng: np.random.Generator, size: int) -> Floats:
        read = None
        while read is None:
            read = self._backgrounds.read(int(rng.integers(len(self._backgrounds))))
        photo = read[0]
        side = int(min(photo.shape[:2]) * rng.uniform(0.45, 1))
        top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
        part = photo[top : top + side, left : left + side]
        return cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)

    def _put(self, rng: np.random.Generator, image: Floats) -> tuple[Floats, Floats]:
        """Put an object and what it casts into an image, in place; return both."""
        one = _choose(rng, self._whole)
        pixels, mask, outlined, _ = _window(rng, one, self._config.effects)
        cast = np.zeros_like(mask)
        if rng.random() >= self._config.effects.nothing_share and (mask > 0.5).any():
            kind = rng.choice(4, p=(0.5, 0.2, 0.15, 0.15))
            if kind == 3:
                cast = _mirror(rng, image, pixels, mask)
            else:
                cast = (outlined, _sheared(rng, mask), _at_foot(rng, mask))[kind]
                soft = cv2.GaussianBlur(cast, (0, 0), rng.uniform(0.6, 2.2))[..., None]
                light = rng.uniform(0.2, 0.85) * (1 + rng.normal(0, 0.04, 3))
                image *= (1 - soft * (1 - light)).astype(np.float32)
        alpha = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1))[..., None]
        gain = np.clip(image.mean() / max(pixels.mean(), 1), 0.45, 1.7) ** rng.uniform(0, 1)
        image += (np.clip(pixels * gain, 0, 255) - image) * alpha
        return mask, cast


def _choose(rng: np.random.Generator, labelled: Sequence[Labelled]) -> Labelled:
    return labelled[int(rng.integers(len(labelled)))]


def _touches_border(mask: Mask) -> bool:
    return bool(mask[:2].any() or mask[-2:].any() or mask[:, :2].any() or mask[:, -2:].any())


def _window(
    rng: np.random.Generator, one: Labelled, settings: Effects
) -> tuple[Floats, Floats, Floats, Mask]:
    """Return (S, S, 3) pixels, the object, its effects, and where they are known.

    A square around the object's box as the package cuts it, and turned, stretched and sheared a
    little.
    """
    size = settings.size_px
    rows, columns = np.flatnonzero(one.mask.any(axis=1)), np.flatnonzero(one.mask.any(axis=0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    scale = size / (longer * (1 + 2 * rng.uniform(*settings.context)))
    centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    centre += rng.uniform(-0.15, 0.15, 2) * longer
    angle = rng.normal(0, 0.1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.array([[1, rng.normal(0, 0.06)], [0, 1]]) * np.exp(rng.normal(0, 0.08, 2))
    turn *= scale
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    move = np.hstack([turn, (size / 2 - turn @ centre)[:, None]])
    image = cv2.GaussianBlur(one.image, (0, 0), 0.45 / scale) if scale < 0.77 else one.image
    size_wh = (size, size)
    pixels = cv2.warpAffine(image, move, size_wh, borderValue=(_GREY,) * 3).astype(np.float32)
    mask, cast, known = (
        np.asarray(cv2.warpAffine(it.astype(np.float32), move, size_wh), np.float32)
        for it in (one.mask, one.effects, one.known)
    )
    return pixels, mask, cast, known > 0.99


def _sheared(rng: np.random.Generator, mask: Floats) -> Floats:
    """Return the shadow of a standing object on the ground."""
    foot = np.flatnonzero((mask > 0.5).any(axis=1))[-1]
    lean = rng.uniform(-2, 2)
    length = rng.choice([rng.uniform(-0.75, -0.1), rng.uniform(0.08, 0.7)])
    move = np.array([[1, -lean, lean * foot], [0, -length, foot * (1 + length)]])
    return np.asarray(cv2.warpAffine(mask, move, mask.shape[::-1]), np.float32)


def _at_foot(rng: np.random.Generator, mask: Floats) -> Floats:
    """Return the contact shadow of a standing object."""
    rows = np.flatnonzero((mask > 0.5).any(axis=1))
    height = rows[-1] - rows[0] + 1
    low = mask.copy()
    low[: int(rows[-1] - rng.uniform(0.04, 0.15) * height)] = 0
    wide = int(rng.uniform(1, 0.06 * height + 3))
    shadow = cv2.dilate(low, np.ones((max(1, wide // 2), 2 * wide + 1)))
    return np.roll(np.asarray(shadow, np.float32), int(rng.uniform(0, 0.03 * height + 2)), axis=0)


def _mirror(rng: np.random.Generator, image: Floats, pixels: Floats, mask: Floats) -> Floats:
    """Blend an object's reflection into an image in place; return where it is seen."""
    foot = np.flatnonzero((mask > 0.5).any(axis=1))[-1]
    move = np.array([[1.0, 0, 0], [0, -1, 2.0 * foot]])
    blur = rng.uniform(0.5, 4)
    colours, share = (
        cv2.GaussianBlur(cv2.warpAffine(it, move, mask.shape[::-1]), (0, 0), blur)
        for it in (pixels, mask)
    )
    below = np.arange(mask.shape[0])[:, None] - foot
    fade = np.clip(1 - below / (rng.uniform(0.5, 2.5) * mask.shape[0]), 0, 1)
    share = share * fade * rng.uniform(0.15, 0.75)
    image += (colours - image) * share[..., None].astype(np.float32)
    return np.asarray(share > 0.1, np.float32)


def _finish(
    rng: np.random.Generator, image: Floats, mask: Mask, cast: Mask, known: Mask
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return (4, S, S) float32, as the network sees it, and (S, S) int64 of what it is to say."""
    shown, drawn = cast.astype(np.uint8), mask.astype(np.uint8)
    truth = shown.astype(np.int64)
    truth[cv2.dilate(shown, _KERNEL) != cv2.erode(shown, _KERNEL)] = IGNORED
    truth[~known] = IGNORED
    grow = rng.random()  # outlines are seldom exact
    if grow < 0.3:
        wider = cv2.dilate(drawn, _KERNEL, iterations=int(rng.integers(1, 4)))
        drawn = np.asarray(wider, np.uint8)
    elif grow < 0.45:
        drawn = np.asarray(cv2.erode(drawn, _KERNEL), np.uint8)
    truth[mask | (drawn > 0)] = IGNORED
    light = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.7, 1.4)
    light = light * rng.uniform(0.8, 1.15) * (1 + rng.uniform(-0.06, 0.06, 3))
    grey = light.mean(axis=2, keepdims=True)
    light = grey + (light - grey) * rng.uniform(0.6, 1.4)
    light += rng.normal(0, rng.uniform(0, 4), light.shape)
    pixels = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return np.dstack([pixels / np.float32(255), drawn]).transpose(2, 0, 1).astype(np.float32), truth
