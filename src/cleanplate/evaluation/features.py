"""Features of the built-in segmenter's encoder, to compare images by."""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.hub import get_model, read_file
from cleanplate.runtime import Session
from cleanplate.types import RGBImage, check_image

FeatureMap = npt.NDArray[np.float32]
"""(C, h, w) float32."""

_MODEL = "deeplabv3plus_lite2.voc"
_BLOCKS = "/n/encoder/model/blocks."
# The last value at strides 2, 4, 8 and 16, as perceptual losses use them, and the deepest of all.
_LAYERS = (
    _BLOCKS + "0/blocks.0.0/conv_pw/Conv_output_0",
    _BLOCKS + "1/blocks.1.2/Add_output_0",
    _BLOCKS + "2/blocks.2.2/Add_output_0",
    _BLOCKS + "4/blocks.4.3/Add_output_0",
)
_DEEPEST = _BLOCKS + "6/blocks.6.0/conv_pwl/Conv_output_0"
_SIDE_MULTIPLE = 32  # px


class FeatureExtractor:
    """EfficientNet-Lite2, trained on ImageNet and then as the built-in segmenter's encoder.

    Args:
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        DeviceError, MissingRuntimeError, WeightsError: see `cleanplate.runtime.session.Session`.
    """

    def __init__(self, *, device: str = "auto", threads: int | None = None) -> None:
        self._network = Session(
            read_file(get_model(_MODEL, "segmenter"), "segment"),
            name=_MODEL,
            device=device,
            threads=threads,
            inner=(*_LAYERS, _DEEPEST),
        )

    def maps(self, image: RGBImage) -> list[FeatureMap]:
        """Return feature maps at strides 2, 4, 8 and 16.

        Args:
            image: (H, W, 3) uint8, RGB; continued at the right and below to multiples of 32 px.

        Returns:
            (C, ceil(H / stride), ceil(W / stride)) float32 each.
        """
        height, width = image.shape[:2]
        outputs = self._run(image)[1:-1]
        return [
            layer[0, :, : -(-height // stride), : -(-width // stride)]
            for layer, stride in zip(outputs, (2, 4, 8, 16), strict=True)
        ]

    def summary(self, image: RGBImage) -> npt.NDArray[np.float32]:
        """Return (352,) float32: the mean of the deepest features over the image.

        Args:
            image: (H, W, 3) uint8, RGB.
        """
        return np.asarray(self._run(image)[-1][0].mean(axis=(1, 2)), np.float32)

    def _run(self, image: RGBImage) -> list[npt.NDArray[np.float32]]:
        check_image(image)
        bottom, right = (-length % _SIDE_MULTIPLE for length in image.shape[:2])
        padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        tensor = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32)
        return self._network.run_all(tensor / np.float32(255))
