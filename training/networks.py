"""EdgeConnect's generators and discriminators.

Reference:
    Nazeri et al., EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning, 2019,
    arXiv:1901.00212, section 3 and appendix A. Narrower, zero instead of reflection padding, other
    dilations; the normalisation is written out so that compilers fuse it.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class InstanceNorm(nn.Module):
    """Instance normalisation without parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, C, H, W) with mean 0 and variance 1 in each plane."""
        if torch.onnx.is_in_onnx_export():  # one operator, which ONNX Runtime has
            return functional.instance_norm(x)
        wide = x.float()
        mean = wide.mean((2, 3), keepdim=True)
        variance = wide.var((2, 3), keepdim=True, unbiased=False)
        return ((wide - mean) * torch.rsqrt(variance + 1e-5)).to(x.dtype)


class Generator(nn.Module):
    """Two convolutions of stride 2, dilated residual blocks, two transposed convolutions.

    Args:
        inputs: channels in.
        outputs: channels out; unbounded: `edges_of` and `colours_of` bound them.
        width: channels of the first layer.
        dilations: one residual block each.
    """

    def __init__(self, inputs: int, outputs: int, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(inputs, width, 7, padding=3), InstanceNorm(), nn.ReLU(True),
            nn.Conv2d(width, 2 * width, 4, 2, 1), InstanceNorm(), nn.ReLU(True),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1), InstanceNorm(), nn.ReLU(True),
        )  # fmt: skip
        self.middle = nn.ModuleList(_block(4 * width, dilation) for dilation in dilations)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), InstanceNorm(), nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1), InstanceNorm(), nn.ReLU(True),
            nn.Conv2d(width, outputs, 7, padding=3),
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W), sides multiples of 4 -> (N, outputs, H, W)."""
        x = self.encoder(x)  # (N, 4 width, H / 4, W / 4)
        for block in self.middle:
            x = x + block(x)
        return self.decoder(x)


def _block(channels: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation), InstanceNorm(),
        nn.ReLU(True), nn.Conv2d(channels, channels, 3, padding=1), InstanceNorm(),
    )  # fmt: skip


def edges_of(logits: torch.Tensor) -> torch.Tensor:
    """Return the edge generator's output in [0, 1]."""
    return torch.sigmoid(logits.float())


def colours_of(output: torch.Tensor) -> torch.Tensor:
    """Return the completion generator's output in [0, 1]."""
    return (torch.tanh(output.float()) + 1) / 2


class Discriminator(nn.Module):
    """Judges patches of 70 px; spectral normalisation.

    Args:
        inputs: channels in.
        width: channels of the first layer.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        channels = [inputs, width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, 2 if index < 3 else 1, 1))
            for index, (before, after) in enumerate(pairwise(channels))
        )
        self.last = spectral_norm(nn.Conv2d(channels[-1], 1, 4, 1, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the patches' logits (N, 1, h, w), > 0 for real, and the layers' features."""
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x), features


class EdgeNetwork(nn.Module):
    """The edge generator as it is exported: its edges in [0, 1]."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.g = generator

    def forward(self, grey_edges_mask: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, 1, H, W)."""
        return edges_of(self.g(grey_edges_mask))


class FillNetwork(nn.Module):
    """The completion generator as it is exported: RGB in [0, 1]."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.g = generator

    def forward(self, rgb_edges: torch.Tensor) -> torch.Tensor:
        """(N, 4 or 5, H, W) -> (N, 3, H, W)."""
        return colours_of(self.g(rgb_edges))
