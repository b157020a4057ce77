"""What networks want to be given, and what their answers mean."""

import numpy as np
import numpy.typing as npt

from cleanplate.types import RGBImage

# Mean and deviation of R, G and B over ImageNet, on [0, 1]: what encoders that were trained on it
# were given, here and in torchvision, timm and transformers.
IMAGENET_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
IMAGENET_DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)


def prepare(image: RGBImage, size_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return an image as a network's input: scaled whatever its aspect, and normalised.

    Scaled as Pillow does with BILINEAR, which averages what it shrinks; the image processors of
    transformers and torchvision do the same to a rounding of one grey level.

    Args:
        image: (h, w, 3) uint8, RGB. Not modified.
        size_hw: of the input, in px.

    Returns:
        (1, 3, H, W) float32, contiguous; about [-2.1, 2.6].
    """
    from PIL import Image  # loads in 30 ms; nothing else here needs it

    picture = Image.fromarray(np.ascontiguousarray(image))
    return normalise(np.asarray(picture.resize(size_hw[::-1], Image.Resampling.BILINEAR)))


def normalise(image: RGBImage) -> npt.NDArray[np.float32]:
    """Return an image of the right size already as a network's input; see `prepare`."""
    normal = (image.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities that independent logits stand for, in [0, 1]."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2, np.float32)  # does not overflow


def softmax(
    logits: npt.NDArray[np.float32], channels: list[int] | slice = slice(None)
) -> npt.NDArray[np.float32]:
    """Return the probabilities of some channels among all.

    Args:
        logits: (C, h, w) float32; overwritten.
        channels: those to return.
    """
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    return np.asarray(logits[channels] / logits.sum(axis=0), np.float32)


def unit_tensor(image: RGBImage) -> npt.NDArray[np.float32]:
    """Return an (H, W, 3) uint8 image as (1, 3, H, W) float32 in [0, 1]."""
    tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    tensor /= 255
    return tensor
