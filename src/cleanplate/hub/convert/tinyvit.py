"""The image encoder of MobileSAM: TinyViT with its last stage at the third's resolution.

Attribute names are those of the published parameters.

References:
    Wu et al., TinyViT: Fast Pretraining Distillation for Small Vision Transformers, ECCV 2022,
    arXiv:2207.10666.
    Zhang et al., Faster Segment Anything: Towards Lightweight SAM for Mobile Applications, 2023,
    arXiv:2306.14289.
"""

import torch
from torch import nn
from torch.nn import functional

_WIDTHS = (64, 128, 160, 320)  # channels of the stages
_DEPTHS = (2, 2, 6, 2)  # blocks of the stages; those of the first are convolutions
_WINDOWS = (7, 7, 14, 7)  # sides in cells that attention reaches
_HEAD_WIDTH = 32  # channels of an attention head
_EXPANSION = 4  # of the hidden channels of convolutions and perceptrons
_OUTPUT_WIDTH = 256  # what the mask decoder takes


class TinyViTEncoder(nn.Module):
    """(1, 3, H, W), a normalised photo, to (1, 256, H / 16, W / 16)."""

    def __init__(self) -> None:
        super().__init__()
        first = _WIDTHS[0]
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(
            _ConvNorm(3, first // 2, 3, stride=2), nn.GELU(), _ConvNorm(first // 2, first, 3, 2)
        )
        self.layers = nn.ModuleList(_Stage(index) for index in range(len(_WIDTHS)))
        self.neck = nn.Sequential(
            nn.Conv2d(_WIDTHS[-1], _OUTPUT_WIDTH, 1, bias=False),
            _ChannelNorm(_OUTPUT_WIDTH),
            nn.Conv2d(_OUTPUT_WIDTH, _OUTPUT_WIDTH, 3, padding=1, bias=False),
            _ChannelNorm(_OUTPUT_WIDTH),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the features of a photo."""
        features = self.patch_embed.seq(image)  # -> (1, 64, H / 4, W / 4)
        for stage in self.layers:
            features = stage(features)
        return self.neck(features)


class _ConvNorm(nn.Sequential):
    """A convolution without bias that keeps the size or divides it, and a batch norm."""

    def __init__(
        self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
        self.add_module("c", convolution)
        self.add_module("bn", nn.BatchNorm2d(outputs))


class _ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Stage(nn.Module):
    """Blocks of one width, and the step to the next."""

    def __init__(self, index: int) -> None:
        super().__init__()
        width = _WIDTHS[index]
        self.blocks = nn.ModuleList(
            _ConvBlock(width) if index == 0 else _WindowBlock(width, _WINDOWS[index])
            for _ in range(_DEPTHS[index])
        )
        self.downsample = nn.Identity()
        if index + 1 < len(_WIDTHS):
            is_last_step = index + 2 == len(_WIDTHS)  # it widens, but does not shrink
            self.downsample = _Step(width, _WIDTHS[index + 1], stride=1 if is_last_step else 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            features = block(features)
        return self.downsample(features)


class _Step(nn.Module):
    """(N, C, H, W) to (N, C', H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(inputs, outputs)
        self.conv2 = _ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = _ConvNorm(outputs, outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(self.conv1(features))
        return self.conv3(functional.gelu(self.conv2(hidden)))


class _ConvBlock(nn.Module):
    """An inverted bottleneck."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = _EXPANSION * width
        self.conv1 = _ConvNorm(width, hidden)
        self.conv2 = _ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = _ConvNorm(hidden, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(self.conv1(features))
        hidden = functional.gelu(self.conv2(hidden))
        return functional.gelu(features + self.conv3(hidden))


class _WindowBlock(nn.Module):
    """Attention inside windows, a convolution across them, a perceptron."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(width, window)
        self.local_conv = _ConvNorm(width, width, 3, groups=width)
        self.mlp = _Perceptron(width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features + self._attend(features)
        cells = self.local_conv(features).permute(0, 2, 3, 1)
        return (cells + self.mlp(cells)).permute(0, 3, 1, 2)

    def _attend(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, C, H, W) of attention; windows that reach out see zeros there."""
        count, width, height, breadth = features.shape
        side = self.window
        down, across = (height + side - 1) // side, (breadth + side - 1) // side  # windows
        padding = (0, across * side - breadth, 0, down * side - height)
        tiles = functional.pad(features, padding).reshape(count, width, down, side, across, side)
        # -> (N * windows, cells, C)
        tiles = tiles.permute(0, 2, 4, 3, 5, 1).reshape(-1, side * side, width)
        tiles = self.attn(tiles).reshape(count, down, across, side, side, width)
        joined = tiles.permute(0, 5, 1, 3, 2, 4).reshape(count, width, down * side, across * side)
        return joined[:, :, :height, :breadth]


class _Attention(nn.Module):
    """Attention among the cells of a window, with a bias for each distance."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_WIDTH
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        # Distances down and across, row by row.
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, window * window))
        place = torch.arange(window)
        apart = (place[:, None] - place[None]).abs()
        index = apart[:, None, :, None] * window + apart[None, :, None, :]  # (h, w, h', w')
        self.register_buffer("index", index.reshape(window**2, window**2), persistent=False)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        count, length, width = cells.shape
        parts = self.qkv(self.norm(cells)).reshape(count, length, self.heads, 3 * _HEAD_WIDTH)
        query, key, value = parts.transpose(1, 2).chunk(3, dim=-1)  # (N, heads, cells, 32)
        affinity = query @ key.transpose(-2, -1) * _HEAD_WIDTH**-0.5
        affinity = affinity + self.attention_biases[:, self.index]
        mixed = affinity.softmax(dim=-1) @ value
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))


class _Perceptron(nn.Module):
    """A hidden layer on every cell alone, its input normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, _EXPANSION * width)
        self.fc2 = nn.Linear(_EXPANSION * width, width)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(cells))))
