"""The built-in segmenter: DeepLabV3+ on EfficientNet-Lite2, 20 PASCAL VOC classes.

Reference:
    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation,
    ECCV 2018, arXiv:1802.02611.
"""

from cleanplate.runtime import softmax, unit_tensor
from cleanplate.segmentation.instances import find_instances
from cleanplate.segmentation.multiscale import Probabilities, predict_multiscale
from cleanplate.segmentation.network_segmenter import NetworkSegmenter
from cleanplate.types import Instance, RGBImage


class DeepLabSegmenter(NetworkSegmenter):
    """Finds the 20 VOC classes in photos of any size.

    Args:
        name: a registered model of this architecture.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        channels = [self._labels.index(label) + 1 for label in asked]  # channel 0: background

        network = self._networks["segment"]

        def look(part: RGBImage) -> Probabilities:
            return softmax(network.run(unit_tensor(part))[0], channels)

        probabilities = predict_multiscale(image, look, max_concurrency=network.max_concurrency)
        return find_instances(probabilities, asked, image.shape[:2])
