"""Semantic networks for the 150 classes of ADE20K: SegFormer and UPerNet.

The whole photo is shown to them as their publishers' image processors do it, as a square whatever
its aspect; of larger photos the suspected parts are looked at again.

References:
    Xie et al., SegFormer, NeurIPS 2021, arXiv:2105.15203. Xiao et al., Unified Perceptual Parsing
    for Scene Understanding, ECCV 2018, arXiv:1807.10221. Liu et al., A ConvNet for the 2020s, CVPR
    2022, arXiv:2201.03545.
"""

from cleanplate.runtime import prepare, softmax
from cleanplate.segmentation.instances import find_instances
from cleanplate.segmentation.multiscale import Probabilities, predict_multiscale
from cleanplate.segmentation.network_segmenter import NetworkSegmenter
from cleanplate.types import Instance, RGBImage

_SIDE = 512  # px; `size` in the preprocessor_config.json of all of them


class Ade20kSegmenter(NetworkSegmenter):
    """Finds the 150 ADE20K classes in photos of any size.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        channels = [self._labels.index(label) for label in asked]  # no channel is the background

        def look(part: RGBImage) -> Probabilities:
            return self.look(part, part.shape[:2])[channels]

        whole = self.look(image, (_SIDE, _SIDE))[channels]
        network = self._networks["segment"]
        probabilities = predict_multiscale(
            image,
            look,
            first_pass=whole,
            first_pass_side=_SIDE,
            max_concurrency=network.max_concurrency,
        )
        return find_instances(probabilities, asked, image.shape[:2])

    def look(self, part: RGBImage, size_hw: tuple[int, int]) -> Probabilities:
        """Return the probability of each class in an image or a part of one.

        Args:
            part: (h, w, 3) uint8, RGB.
            size_hw: at which the network sees it, in multiples of 32 px.

        Returns:
            (150, H/4, W/4) in [0, 1], 1 in all at each place.
        """
        return softmax(self._networks["segment"].run(prepare(part, size_hw))[0])
