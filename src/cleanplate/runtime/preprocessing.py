"""Preprocessing of images to tensors, and activations of outputs."""

import numpy as np
import numpy.typing as npt

from cleanplate.types import RGBImage

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Levels from 0 to 255."""


def resize(image: RGBImage, size_hw: tuple[int, int], *, antialias: bool) -> Levels:
    """Return a resized image; the aspect ratio may change.

    Args:
        image: (h, w, 3) uint8, RGB. Not modified.
        size_hw: px.
        antialias: filter when downsampling, as Pillow does with BILINEAR (the image processors of
            transformers and torchvision do the same to a rounding of one level); otherwise linear
            between neighbouring pixels, without rounding, as PyTorch's interpolate does.

    Returns:
        (H, W, 3), RGB; uint8, without antialiasing float32 where the size changes.
    """
    if image.shape[:2] == size_hw:
        return image
    if not antialias:
        top, bottom, down = _neighbours(image.shape[0], size_hw[0])
        left, right, across = _neighbours(image.shape[1], size_hw[1])
        rows = image[top] + down[:, None, None] * (image[bottom] - image[top].astype(np.float32))
        return np.asarray(
            rows[:, left] + across[:, None] * (rows[:, right] - rows[:, left]), np.float32
        )
    from PIL import Image  # loads in 30 ms; nothing else here needs it

    pillow = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(pillow.resize(size_hw[::-1], Image.Resampling.BILINEAR), np.uint8)


def _neighbours(
    length: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return for each of the wanted pixels those before and after it, and the share of the latter.

    Positions are those of pixels' middles; beyond the first and the last middle all is constant.
    """
    place = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    place = place.clip(0, length - 1)
    before = place.astype(np.intp)
    return before, np.minimum(before + 1, length - 1), (place - before).astype(np.float32)


def to_tensor(
    image: Levels,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> npt.NDArray[np.float32]:
    """Return an (H, W, 3) image as (1, 3, H, W) float32, contiguous.

    Args:
        image: RGB. Not modified.
        mean: subtracted from R, G and B in [0, 1].
        std: what that is divided by.
    """
    tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    tensor /= 255
    if any(mean):
        tensor -= np.array(mean, np.float32)[:, None, None]
    if any(value != 1 for value in std):
        tensor /= np.array(std, np.float32)[:, None, None]
    return tensor


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the sigmoid of independent logits: probabilities in [0, 1]."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2, np.float32)  # does not overflow


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the softmax over the channels.

    Args:
        logits: (C, h, w) float32; overwritten.
    """
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits
