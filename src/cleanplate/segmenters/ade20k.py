"""Semantic networks for the 150 classes of ADE20K: SegFormer and UPerNet.

The whole photo is shown to them as their publishers' image processors do it, as a square whatever
its aspect; of larger photos the suspected parts are looked at again.

References:
    Xie et al., SegFormer, NeurIPS 2021, arXiv:2105.15203. Xiao et al., Unified Perceptual Parsing
    for Scene Understanding, ECCV 2018, arXiv:1807.10221. Liu et al., A ConvNet for the 2020s, CVPR
    2022, arXiv:2201.03545.
"""

from collections.abc import Collection

import numpy as np

from cleanplate.models.registry import get_model
from cleanplate.models.runtime import Session
from cleanplate.models.store import read_file
from cleanplate.segmenters.base import choose_labels
from cleanplate.segmenters.instances import find_instances
from cleanplate.segmenters.preparing import prepare
from cleanplate.segmenters.pyramid import Evidence, find_evidence
from cleanplate.types import Instance, RGBImage, check_image

_SIDE = 512  # px; `size` in the preprocessor_config.json of all of them


class Ade20kSegmenter:
    """Finds the 150 ADE20K classes in photos of any size.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.models.runtime.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
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
        """Canonical names of what can be found, in the order of the network's channels."""
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
        channels = [self._labels.index(label) for label in asked]  # no channel is the background

        def look(part: RGBImage) -> Evidence:
            return self.look(part, part.shape[:2])[channels]

        whole = self.look(image, (_SIDE, _SIDE))[channels]
        evidence = find_evidence(image, look, seen=whole, seen_side=_SIDE)
        return find_instances(evidence, asked, image.shape[:2])

    def look(self, part: RGBImage, size_hw: tuple[int, int]) -> Evidence:
        """Return the probability of each class in an image or a part of one.

        Args:
            part: (h, w, 3) uint8, RGB.
            size_hw: at which the network sees it, in multiples of 32 px.

        Returns:
            (150, H/4, W/4) in [0, 1], 1 in all at each place.
        """
        logits = self._network.run(prepare(part, size_hw))[0]
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        return np.asarray(logits / logits.sum(axis=0), np.float32)
