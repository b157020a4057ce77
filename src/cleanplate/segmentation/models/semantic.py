"""Semantic networks: a probability of each class for each pixel, in photos of any size.

The built-in DeepLabV3+ processes the photo at several scales. The published networks are costly:
they process the full photo at their publishers' size, and candidate regions of larger photos once
more at a finer scale.

References:
    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation,
    ECCV 2018, arXiv:1802.02611. Long et al., Fully Convolutional Networks for Semantic
    Segmentation, CVPR 2015, arXiv:1411.4038. Chen et al., Rethinking Atrous Convolution for
    Semantic Image Segmentation, 2017, arXiv:1706.05587. Howard et al., Searching for MobileNetV3,
    ICCV 2019, arXiv:1905.02244. Xie et al., SegFormer, NeurIPS 2021, arXiv:2105.15203. Xiao et al.,
    Unified Perceptual Parsing for Scene Understanding, ECCV 2018, arXiv:1807.10221. Liu et al., A
    ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from cleanplate.errors import WeightsError
from cleanplate.hub import Preprocessing
from cleanplate.labels import VOC_LABELS
from cleanplate.runtime import softmax
from cleanplate.segmentation.base import NetworkSegmenter
from cleanplate.segmentation.components import Divider, Recognizer
from cleanplate.segmentation.instances import PERSON, find_instances
from cleanplate.segmentation.multiscale import (
    FIRST_PASS_SIDE,
    Passes,
    Probabilities,
    run_passes,
)
from cleanplate.segmentation.small_objects import (
    SmallObject,
    add_small,
    find_small_objects,
    logit,
)
from cleanplate.types import Instance, RGBImage

# Ours, for photos narrower than 1:4, whose memory would be unbounded.
_LONGEST_SIDE = 2080  # px
_MIN_SIDE = 32  # px; the deepest layer's stride
_LEAST_SCORE = 0.45  # of a small object; below, `find_instances` would not take it
_NUMBERS = MappingProxyType({label: number for number, label in enumerate(VOC_LABELS, start=1)})


class SemanticSegmenter(NetworkSegmenter):
    """Finds the classes of a semantic network in photos of any size.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(name, device=device, threads=threads)
        self.divider = Divider(device=device, threads=threads)
        """Divides touching objects where the network sees them as one."""
        self.recognizer = Recognizer(device=device, threads=threads)
        """Recognizes small objects that only closer passes see."""

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        channels = self._channels(asked)

        published = published_size(self._model.preprocessing, (image.shape[0], image.shape[1]))
        passes = run_passes(
            image,
            functools.partial(self.probabilities, channels=channels),
            first_pass=None
            if published is None
            else self.probabilities(image, published, channels=channels),
            first_pass_side=FIRST_PASS_SIDE if published is None else max(published),
            max_concurrency=self._networks["segment"].max_concurrency,
        )
        slope, offset = self._model.calibration
        likely = []
        for item, features in self.small_features(image, passes, asked):
            score = self.small_score(features)
            if score >= _LEAST_SCORE:
                likely.append((item, uncalibrated(score, slope, offset)))
        probabilities = add_small(passes, likely)
        divide = functools.partial(self.divider.divide, image)
        return [
            replace(instance, score=calibrate(instance.score, slope, offset))
            for instance in find_instances(probabilities, asked, image.shape[:2], divide)
        ]

    def small_features(
        self, image: RGBImage, passes: Passes, asked: tuple[str, ...]
    ) -> Iterator[tuple[SmallObject, tuple[float, ...]]]:
        """Yield what may be small objects of the labels asked for, with what speaks for each.

        Its class is the one that looks at it and the network that recognizes small objects
        together find the most probable. Its features are four logits, of its class in the closest
        pass, in the looks and as recognized, and of nothing being recognized; the logarithms of
        its long side, as a share of the photo's, and of its share of its box; and 1 for people,
        who are more frequent. A class that is unknown to the second network stays, and the logits
        of that are 0.

        Args:
            image: (H, W, 3) uint8, RGB, the photo.
            passes: over it.
            asked: the labels that the passes were for.
        """
        grid_hw = (passes.merged.shape[1], passes.merged.shape[2])
        channels = {n: [_NUMBERS[it]] for n, it in enumerate(asked) if it in _NUMBERS}
        others = [_NUMBERS[it] for it in self._model.labels if it in _NUMBERS and it not in asked]
        if others:
            channels[len(asked)] = others
        for item in find_small_objects(
            image,
            functools.partial(self.probabilities, channels=self._channels(asked)),
            passes,
            asked=len(asked),
            max_concurrency=self._networks["segment"].max_concurrency,
        ):
            index, recognized, nothing = item.index, 0.0, 0.0
            if index in channels:
                rows, columns = item.place
                box = (columns.start, rows.start, columns.stop, rows.stop)
                known = logit(self.recognizer.recognize(image, item.inside, box, grid_hw))
                logits = {n: float(known[numbers].max()) for n, numbers in channels.items()}
                index = max(logits, key=lambda n: item.again[n] + logits[n])
                recognized, nothing = logits[index], float(known[0])
            if index < len(asked):
                features = (
                    float(item.closest[index]),
                    float(item.again[index]),
                    recognized,
                    nothing,
                    math.log(max(item.inside.shape) / max(grid_hw)),
                    math.log(float(item.inside.mean())),
                    float(asked[index] == PERSON),
                )
                yield replace(item, index=index), features

    def small_score(self, features: tuple[float, ...]) -> float:
        """Return the probability that a small object is right, by its `small_features`."""
        *weights, offset = self._model.small_objects
        return 1 / (1 + math.exp(-float(np.dot(weights, features)) - offset))

    def at_short_side(
        self, image: RGBImage, short_side_px: int, asked: tuple[str, ...]
    ) -> tuple[Probabilities, list[int]]:
        """Return the probabilities of all channels in one pass, and the channels of some labels.

        Args:
            image: (h, w, 3) uint8, RGB, the complete photo.
            short_side_px: to which it is resized.
            asked: labels.

        Returns:
            (C, h', w') float32 in [0, 1], and a channel for each label.
        """
        given = replace(self._model.preprocessing, short_side_px=short_side_px)
        size_hw = published_size(given, (image.shape[0], image.shape[1]))
        return self.probabilities(image, size_hw), self._channels(asked)

    def probabilities(
        self,
        part: RGBImage,
        size_hw: tuple[int, int] | None = None,
        *,
        channels: Sequence[int] | None = None,
    ) -> Probabilities:
        """Return the probability of each channel in an image or a part of one.

        Args:
            part: (h, w, 3) uint8, RGB.
            size_hw: input size, px; None: its own.
            channels: of some labels: only these, then the strongest of the other labels if there
                is a background, then the strongest of the rest.

        Returns:
            (C, h', w') float32 in [0, 1].

        Raises:
            WeightsError: the network, of the user's own training, returns too few channels.
        """
        pixels = self._input(part, size_hw or (part.shape[0], part.shape[1]))
        every = softmax(self._networks["segment"].run(pixels)[0])
        if len(every) <= max(self._model.channels):
            raise WeightsError(
                f"{self.name}: the network returns {len(every)} channels, its labels need "
                f"{max(self._model.channels) + 1}; import one that was trained with these labels"
            )
        if channels is None:
            return every
        labelled = self._model.channels if len(self._model.channels) < len(every) else channels
        groups = (set(labelled).difference(channels), set(range(len(every))).difference(labelled))
        rest = [every[sorted(group)].max(axis=0, initial=0) for group in groups]
        return np.stack([*every[channels], *rest])


def calibrate(score: float, slope: float, offset: float) -> float:
    """Return the share of detections of a mean probability that are right.

    Args:
        score: mean probability, (0, 1].
        slope: of its logit.
        offset: of its logit; a slope of 1 and an offset of 0 leave the score as it is.

    Reference:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    certain = 1 - 1e-6
    logit = math.log(min(score, certain)) - math.log1p(-min(score, certain))
    return 1 / (1 + math.exp(-(slope * logit + offset)))


def uncalibrated(score: float, slope: float, offset: float) -> float:
    """Return the mean probability of which `calibrate` makes a score in (0, 1)."""
    return 1 / (1 + math.exp((math.log(1 / score - 1) + offset) / slope))


def published_size(given: Preprocessing, size_hw: tuple[int, int]) -> tuple[int, int] | None:
    """Return the input size of a full photo, as the network's publisher resizes it.

    Args:
        given: of the network. By its short side, the long one is rounded down, as torchvision does.
        size_hw: of the photo, in px.

    Returns:
        Height and width in px; None where the registry states no size.
    """
    if given.short_side_px is None:
        return given.size_hw
    short, long = min(size_hw), max(size_hw)
    at_short, at_long = given.short_side_px, int(given.short_side_px * long / short)
    if at_long > _LONGEST_SIDE:
        at_short, at_long = max(_MIN_SIDE, _LONGEST_SIDE * short // long), _LONGEST_SIDE
    return (at_long, at_short) if size_hw[1] <= size_hw[0] else (at_short, at_long)
