"""The built-in segmenter: DeepLabV3+ on EfficientNet-Lite2, 20 PASCAL VOC classes.

Reference:
    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation,
    ECCV 2018, arXiv:1802.02611.
"""

from collections.abc import Collection

import numpy as np

from cleanplate.models.registry import get_model
from cleanplate.models.runtime import Session
from cleanplate.models.store import read_file
from cleanplate.segmenters.base import choose_labels
from cleanplate.segmenters.instances import find_instances
from cleanplate.segmenters.pyramid import Evidence, find_evidence
from cleanplate.types import Instance, RGBImage, check_image


class DeepLabSegmenter:
    """Finds the 20 VOC classes in photos of any size.

    Args:
        name: a registered model of this architecture.
        device: one of `cleanplate.models.runtime.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def __init__(
        self,
        name: str = "deeplabv3plus_lite2.voc",
        *,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        model = get_model(name, "segmenter")
        self._name, self._labels = model.name, model.labels
        content = read_file(model, "segment")
        self._network = Session(content, name=name, device=device, threads=threads)

    @property
    def name(self) -> str:
        """Registered name."""
        return self._name

    @property
    def labels(self) -> tuple[str, ...]:
        """Canonical names of what can be found, in the order of the network's channels 1 to 20."""
        return self._labels

    @property
    def provider(self) -> str:
        """What runs the network."""
        return self._network.provider

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return the objects of the asked classes; see `Segmenter.segment`."""
        check_image(image)
        asked = choose_labels(labels, self._labels)
        if not asked:
            return []
        channels = [self._labels.index(label) + 1 for label in asked]  # channel 0: background

        def look(part: RGBImage) -> Evidence:
            tensor = np.ascontiguousarray(part.transpose(2, 0, 1)[None], np.float32)
            tensor /= 255
            logits = self._network.run(tensor)[0]  # (21, h / 4, w / 4)
            logits -= logits.max(axis=0)
            np.exp(logits, out=logits)
            return np.asarray(logits[channels] / logits.sum(axis=0), np.float32)

        return find_instances(find_evidence(image, look), asked, image.shape[:2])
