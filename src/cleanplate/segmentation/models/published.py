"""Objects by the strongest class of each pixel, in one pass, as an older tool finds them.

Reference:
    Automated-Objects-Removal-Inpainter (https://github.com/sujaykhandekar, commit 73fa9c4): the
    photo at a short side of 680 px, on a GPU 400 px; a pixel is what its highest logit says.
"""

import cv2
import numpy as np

from cleanplate.errors import InputError
from cleanplate.ops import bounding_box
from cleanplate.segmentation.base import Segmenter, choose_labels
from cleanplate.segmentation.instances import Candidate, separate_instances
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.types import Instance, Mask, RGBImage

_SHORT_SIDE_PX, _SHORT_SIDE_ON_GPU_PX = 680, 400
_CPU = "CPUExecutionProvider"


def find_as_published(
    image: RGBImage, labels: tuple[str, ...], segmenter: Segmenter
) -> tuple[Mask, list[Instance]]:
    """Return the pixels of some classes, and their connected components.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        labels: canonical names.
        segmenter: FCN or DeepLabV3 as torchvision publishes them.

    Returns:
        (h, w) bool at the size that the network worked at, and the components at the photo's.

    Raises:
        InputError: the segmenter is another.
        UnknownNameError: a label is none of the segmenter's.
    """
    if not isinstance(segmenter, SemanticSegmenter):
        raise InputError(
            f"the published pipeline needs FCN or DeepLabV3, not {segmenter.name}; "
            "give --segmenter deeplabv3_resnet101"
        )
    asked = choose_labels(labels, segmenter.labels)
    side = _SHORT_SIDE_PX if segmenter.provider == _CPU else _SHORT_SIDE_ON_GPU_PX
    probabilities, channels = segmenter.at_short_side(image, side, asked)
    strongest = probabilities.argmax(axis=0)
    found: list[Candidate] = []
    for label, channel in zip(asked, channels, strict=True):
        own = (strongest == channel).astype(np.uint8)
        count, parts = cv2.connectedComponents(own, connectivity=8)
        for part in range(1, count):
            score = float(probabilities[channel][parts == part].mean())
            mask = _enlarged(parts == part, image.shape)
            if mask.any():
                left, top, right, bottom = box = bounding_box(mask)
                found.append(Candidate(label, score, box, mask[top:bottom, left:right].copy()))
    return np.isin(strongest, channels), separate_instances(found, image.shape[:2])


def _enlarged(mask: Mask, size_hw: tuple[int, ...]) -> Mask:
    size_wh = (size_hw[1], size_hw[0])
    scaled = cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST)
    return np.asarray(scaled > 0)
