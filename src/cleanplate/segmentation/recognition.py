"""What a small object is, by a network that sees it enlarged and as one.

A segmenter decides about pixels. Enlarged, leaves become birds to it and stones sheep: of what only
its closer passes see, one in seven is right. This network sees the whole, with its surroundings,
and knows what ImageNet's encoders know.
"""

import functools

import numpy as np

from cleanplate.hub import get_model, read_file
from cleanplate.ops import see_component
from cleanplate.runtime import Session, softmax
from cleanplate.types import Box, FloatArray, Mask, RGBImage

RECOGNIZING_MODEL = "objects.lite0"

_SIZE_PX = get_model(RECOGNIZING_MODEL).preprocessing.square_px  # of the network's input
_CONTEXT = 0.3  # of the object's longer side, on each side of it; as in training


class Recognizer:
    """Recognizes VOC's classes; loads its network at the first use.

    Args:
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, *, device: str = "auto", threads: int | None = None) -> None:
        self._device, self._threads = device, threads

    @functools.cached_property
    def _network(self) -> Session:
        content = read_file(get_model(RECOGNIZING_MODEL, "recognizer"), "recognize")
        name = RECOGNIZING_MODEL
        return Session(content, name=name, device=self._device, threads=self._threads)

    @property
    def provider(self) -> str:
        """What runs the network."""
        return self._network.provider

    def recognize(
        self, image: RGBImage, cells: Mask, box_xyxy: Box, grid_hw: tuple[int, int]
    ) -> FloatArray:
        """Return (21,) probabilities: of no object, and of each of `VOC_LABELS`.

        Args:
            image: (H, W, 3) uint8, RGB, the photo. Not modified.
            cells: (h, w) bool, what may be an object, on a grid over the photo, within its box.
            box_xyxy: that box, in cells.
            grid_hw: cells of the complete grid.
        """
        tensor, _ = see_component(
            image, cells, box_xyxy, grid_hw, context=_CONTEXT, size_px=_SIZE_PX
        )
        logits = self._network.run(np.stack([tensor, tensor[..., ::-1]]))
        return softmax(logits.mean(axis=0))
