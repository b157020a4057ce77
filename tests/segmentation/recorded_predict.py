"""A network's stand-in that records what it is shown, and photos for it."""

import numpy as np

from cleanplate.segmentation.multiscale import run_passes
from cleanplate.segmentation.small_objects import add_small, find_small_objects

STRIDE = 4  # px of a part for each cell of found
FIRST = 3  # sizes of the complete photo in the first pass


def predict_multiscale(image, predict, *, max_concurrency=1, **options):
    """Return the probabilities, with the small objects that the looks confirm."""
    passes = run_passes(image, predict, max_concurrency=max_concurrency, **options)
    found = find_small_objects(
        image,
        predict,
        passes,
        asked=len(passes.merged) - 1,
        max_concurrency=max_concurrency,
    )
    sure = [it for it in found if (it.closest + it.again)[it.index] > 3.5]
    return add_small(passes, [(it, 0.95) for it in sure])


def small_objects_in(image, predict, *, asked=None):
    """Return the small objects that the passes over a photo and the looks after them see."""
    passes = run_passes(image, predict)
    return find_small_objects(image, predict, passes, asked=asked or len(passes.merged) - 1)


class RecordedPredict:
    """Keeps the parts it was shown and answers with what a function makes of them.

    The answer is of one class, or of several; everything else gets the rest, as a last plane.
    """

    def __init__(self, answer) -> None:
        self.answer = answer
        self.parts: list[np.ndarray] = []

    def __call__(self, part):
        self.parts.append(part.copy())
        rows, columns = part.shape[0] // STRIDE, part.shape[1] // STRIDE
        return with_rest(self.answer(self, part), (rows, columns))


def with_rest(probabilities, size_hw):
    """Return (C + 1, h, w) float32 for one class or (C, ...) classes."""
    planes = np.asarray(probabilities, np.float32)
    planes = planes if planes.ndim == 3 else planes[None]
    planes = np.broadcast_to(planes, (len(planes), *size_hw))
    return np.concatenate([planes, 1 - planes.sum(axis=0, keepdims=True)])


def textured(size_hw, seed=0):
    noise = np.random.default_rng(seed).integers(
        60, 200, (size_hw[0] // 4 + 1, size_hw[1] // 4 + 1)
    )
    photo = np.repeat(np.repeat(noise.astype(np.uint8), 4, axis=0), 4, axis=1)
    return np.repeat(photo[: size_hw[0], : size_hw[1], None], 3, axis=2)


def redness(part):
    """Return, for each cell, whether its centre is red."""
    centre = part[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].astype(int)
    return (centre[..., 0] > 180) & (centre[..., 1] < 60)


def seen_from(sure_px, faint=0.01, half=0.2, clear=0.9):
    """Return an answer: a red blot is seen when it is `sure_px` wide, suspected when smaller."""

    def answer(predict, part):
        red = redness(part)
        wide_px = red.any(axis=0).sum() * STRIDE
        if wide_px >= sure_px:
            return red * clear
        return red * (half if wide_px > sure_px / 2 else faint)

    return answer


def blotted(size_hw, box):
    image = np.repeat(np.full(size_hw, 120, np.uint8)[..., None], 3, axis=2)
    left, top, right, bottom = box
    image[top:bottom, left:right] = (255, 0, 0)
    return image
