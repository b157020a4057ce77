"""Published networks for ADE20K's 150 classes, SegFormer and UPerNet, as ONNX files.

Both return logits at a quarter of the input's size, before the enlargement with which the published
ones end: 150 planes at full size are not needed where a few classes are asked for.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from transformers import (
    ConvNextConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import load_state
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.convert.pretrained import load_pretrained
from cleanplate.hub.registry import Model

_CLASSES = 150
_TRIED_HW = ((512, 512), (224, 320), (96, 64))  # 96 and 64: 3 and 2 cells where pooled to 6


def _segformer_b0() -> SegformerConfig:
    """nvidia/segformer-b0-finetuned-ade-512-512; what is not named is the default."""
    return SegformerConfig(
        depths=[2, 2, 2, 2],
        hidden_sizes=[32, 64, 160, 256],
        decoder_hidden_size=256,
        num_labels=_CLASSES,
    )


def _segformer_b2() -> SegformerConfig:
    """nvidia/segformer-b2-finetuned-ade-512-512; what is not named is the default."""
    return SegformerConfig(
        depths=[3, 4, 6, 3],
        hidden_sizes=[64, 128, 320, 512],
        decoder_hidden_size=768,
        num_labels=_CLASSES,
    )


def _upernet_convnext_tiny() -> UperNetConfig:
    """openmmlab/upernet-convnext-tiny; what is not named is the default."""
    backbone = ConvNextConfig(
        depths=[3, 3, 9, 3],
        hidden_sizes=[96, 192, 384, 768],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    return UperNetConfig(
        backbone_config=backbone,
        hidden_size=512,
        pool_scales=[1, 2, 3, 6],
        auxiliary_in_channels=384,
        num_labels=_CLASSES,
    )


_PUBLISHED = MappingProxyType(
    {
        "segformer_b0.ade20k": (SegformerForSemanticSegmentation, _segformer_b0),
        "segformer_b2.ade20k": (SegformerForSemanticSegmentation, _segformer_b2),
        "upernet_convnext_tiny.ade20k": (UperNetForSemanticSegmentation, _upernet_convnext_tiny),
    }
)
"""Model -> class and configuration of transformers."""


class _AnySizePool(torch.nn.Module):
    """Adaptive average pooling to a grid of `cells` x `cells` that ONNX can do at any size.

    Cell i of k averages rows floor(i H / k) to ceil((i + 1) H / k) - 1, as PyTorch's does; here the
    averaging is a product with a matrix made from the size.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, cells, cells)."""
        down, across = self._shares(features.shape[2]), self._shares(features.shape[3])
        return down @ features @ across.transpose(0, 1)

    def _shares(self, length: int) -> torch.Tensor:
        """Return (cells, length): the weight of each row in each cell's mean."""
        cell = torch.arange(self.cells)[:, None]
        row = torch.arange(length)[None]
        start = cell * length // self.cells
        stop = ((cell + 1) * length + self.cells - 1) // self.cells
        inside = ((row >= start) & (row < stop)).float()
        return inside / (stop - start)


class _SegFormer(torch.nn.Module):
    """SegFormer: (1, 3, H, W) -> (1, 150, H/4, W/4)."""

    def __init__(self, network: SegformerForSemanticSegmentation) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.network(pixels).logits


class _UperNet(torch.nn.Module):
    """UPerNet's backbone and main head: (1, 3, H, W) -> (1, 150, H/4, W/4)."""

    def __init__(self, network: UperNetForSemanticSegmentation, *, any_size: bool) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = copy.deepcopy(network.decode_head) if any_size else network.decode_head
        if any_size:
            scales = network.config.pool_scales
            for block, cells in zip(self.head.psp_modules.blocks, scales, strict=True):
                block.layers[0] = _AnySizePool(cells)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.head(self.backbone(pixels).feature_maps)


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX file; see `Converter`."""
    architecture, configure = _PUBLISHED[model.name]
    (path,) = checkpoints
    network = load_pretrained(architecture, configure(), load_state(path), path)
    original: Callable[..., torch.Tensor]
    if architecture is UperNetForSemanticSegmentation:
        network, original = _UperNet(network, any_size=True), _UperNet(network, any_size=False)
    else:
        network = original = _SegFormer(network)
    (file,) = model.files
    example, *trials = ({"pixels": torch.randn(1, 3, *size)} for size in _TRIED_HW)
    target = folder / file.filename
    largest = export_network(
        network,
        target,
        inputs=example,
        outputs=["logits"],
        dynamic={"pixels": (2, 3)},
        trials=trials,
        original=original,
    )
    return Conversion(files={file.role: target}, largest_difference={file.role: largest})
