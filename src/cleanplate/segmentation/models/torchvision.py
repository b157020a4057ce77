"""torchvision's semantic networks: FCN, DeepLabV3 and LR-ASPP on 20 PASCAL VOC classes.

The whole photo is shown to them exactly as their publisher does it. They are costly, so of photos
that are larger than that look only the suspected parts are looked at again; up to about 1,000 px
the evidence is the published one.

References:
    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015,
    arXiv:1411.4038. Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation,
    2017, arXiv:1706.05587. Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244.
"""

import numpy as np
from PIL import Image

from cleanplate.runtime import softmax, unit_tensor
from cleanplate.segmentation.instances import find_instances
from cleanplate.segmentation.multiscale import Probabilities, predict_multiscale
from cleanplate.segmentation.network_segmenter import NetworkSegmenter
from cleanplate.types import Instance, RGBImage

# torchvision.transforms._presets.SemanticSegmentation of the weights COCO_WITH_VOC_LABELS_V1.
_SHORT_SIDE = 520  # px
_LONGEST_SIDE = 2080  # px; ours: photos narrower than 1:4 would take memory without bound
_LEAST_SIDE = 32  # px; ours, for those photos: the deepest layer's stride


class TorchvisionSemanticSegmenter(NetworkSegmenter):
    """Finds the 20 VOC classes in photos of any size.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        channels = [self._labels.index(label) + 1 for label in asked]  # channel 0: background

        network = self._networks["segment"]

        def look(part: RGBImage) -> Probabilities:
            return softmax(network.run(unit_tensor(part))[0], channels)

        whole = resized_as_published(image)
        probabilities = predict_multiscale(
            image,
            look,
            first_pass=look(whole),
            first_pass_side=max(whole.shape[:2]),
            max_concurrency=network.max_concurrency,
        )
        return find_instances(probabilities, asked, image.shape[:2])


def resized_as_published(image: RGBImage) -> RGBImage:
    """Return a photo at the size at which torchvision shows it to these networks.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.

    Returns:
        (h, w, 3) uint8: the short side 520 px, the long one rounded down; smoothed before it is
        made smaller. A photo narrower than 1:4 is 2,080 px long instead.
    """
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    at_short, at_long = _SHORT_SIDE, int(_SHORT_SIDE * long / short)
    if at_long > _LONGEST_SIDE:
        at_short, at_long = max(_LEAST_SIDE, _LONGEST_SIDE * short // long), _LONGEST_SIDE
    size_wh = (at_short, at_long) if width <= height else (at_long, at_short)
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size_wh, Image.Resampling.BILINEAR), np.uint8)
