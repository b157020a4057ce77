"""A U-Net on an encoder of timm.

Reference:
    Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI
    2015, arXiv:1505.04597.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from training.losses import make_encoder


class UNet(nn.Module):
    """What a window around an object says of each pixel.

    Args:
        encoder: timm's name.
        widths: channels of the decoder, from half the encoder's last stride on.
        pretrained: whether the encoder starts from ImageNet weights.
        layers: of the encoder, of strides 2, 4, 8 and so on.
        outputs: channels.
    """

    def __init__(
        self,
        encoder: str,
        widths: Sequence[int],
        *,
        pretrained: bool,
        layers: int = 5,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(encoder, range(layers), pretrained=pretrained)
        _widen(self.encoder)
        *skips, deepest = self.encoder.feature_info.channels()
        skipped = [*reversed(skips), 0]
        inputs = [deepest, *widths[:-1]]
        self.decoder = nn.ModuleList(
            Join(below + skip, width)
            for below, skip, width in zip(inputs, skipped[: len(widths)], widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def forward(self, rgb_mask: torch.Tensor) -> torch.Tensor:
        """(N, 4, H, W) in [0, 1], sides multiples of 32 -> logits (N, outputs, H / s, W / s)."""
        rgb, mask = rgb_mask[:, :3], rgb_mask[:, 3:]
        features = self.encoder(torch.cat([(rgb * 255 - 127) / 128, mask * 2 - 1], 1))
        *skips, deep = features
        for block, skip in zip(self.decoder, [*reversed(skips), None], strict=False):
            deep = block(deep, skip)
        return self.head(deep)


class Join(nn.Module):
    """Doubles the size and joins the encoder's features of that size."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_block(inputs, width), *_block(width, width))

    def forward(self, deep: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        """(N, C, h, w), (N, D, 2h, 2w) -> (N, width, 2h, 2w)."""
        deep = functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        return self.layers(deep if skip is None else torch.cat([deep, skip], 1))


def _block(inputs: int, width: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)
    ]  # fmt: skip


def _widen(encoder: nn.Module) -> None:
    """Give the first convolution a fourth input, the mask, that it ignores at first."""
    weight = encoder.conv_stem.weight
    wide = torch.cat([weight, torch.zeros_like(weight[:, :1])], 1)
    encoder.conv_stem.weight = nn.Parameter(wide.detach())
