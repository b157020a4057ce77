"""DeepLabV3+ on an encoder of timm.

Reference:
    Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation,
    ECCV 2018, arXiv:1802.02611.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from training.losses import make_encoder

_ATROUS_RATES = (12, 24, 36)  # at output stride 16: 6, 12, 18 doubled, as for wide pictures
_LOW_WIDTH = 48  # channels of the fine features in the decoder, as in the paper


class DeepLab(nn.Module):
    """Encoder at stride 16, atrous pyramid, decoder at stride 4.

    Args:
        encoder: timm's name.
        classes: with the background.
        width: channels of pyramid and decoder.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    def __init__(self, encoder: str, classes: int, width: int, *, pretrained: bool) -> None:
        super().__init__()
        self.encoder = make_encoder(encoder, (1, 4), pretrained=pretrained, output_stride=16)
        low, high = self.encoder.feature_info.channels()
        self.pyramid = Pyramid(high, width)
        self.low = nn.Sequential(
            nn.Conv2d(low, _LOW_WIDTH, 1, bias=False), nn.BatchNorm2d(_LOW_WIDTH), nn.ReLU(True)
        )
        self.decoder = separable(width + _LOW_WIDTH, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [0, 1], sides multiples of 32 -> logits (N, classes, H / 4, W / 4)."""
        low, high = self.encoder((rgb * 255 - 127) / 128)
        deep = self.pyramid(high)  # (N, width, H / 16, W / 16)
        size = low.shape[2:]
        deep = functional.interpolate(deep, size, mode="bilinear", align_corners=False)
        return self.head(self.decoder(torch.cat([deep, self.low(low)], 1)))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling with separable convolutions."""

    def __init__(self, inputs: int, width: int, rates: Sequence[int] = _ATROUS_RATES) -> None:
        super().__init__()
        self.point = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)
        )
        self.atrous = nn.ModuleList(separable(inputs, width, rate) for rate in rates)
        self.whole = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(True))
        self.join = nn.Sequential(
            nn.Conv2d((2 + len(rates)) * width, width, 1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(True), nn.Dropout(0.1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, h, w) -> (N, width, h, w)."""
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.join(torch.cat([self.point(x), *(part(x) for part in self.atrous), whole], 1))


def separable(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution of each plane, then a 1x1 convolution across them."""
    return nn.Sequential(
        nn.Conv2d(
            inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False
        ),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(True),
    )
