"""Checkpoints of random weights in the published form of every model that has a converter.

Time does not depend on the weights, so a model whose weights are not on a machine can be timed on
it. Segmenters are made to find nothing in any photo: what is found is looked at again, and how much
that would be is not for random weights to say.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cleanplate.hub.convert import (
    ade20k,
    clipseg,
    edgeconnect,
    lama,
    mobilesam,
    rfdetr,
)
from cleanplate.hub.registry.entry import Model
from sam_names import metas_name

_SURELY = 20.0  # logits; the probability of anything else is 1e-8
_HARDLY = 6.0  # the same where more would round away what queries differ by


def write_checkpoints(model: Model, folder: Path, *, seed: int = 0) -> list[Path]:
    """Write files of random weights for a model into a folder, in the order of its checkpoints.

    Args:
        model: one with a converter.
        folder: exists; its files may be replaced.
        seed: of the weights. With some RF-DETR ranks cells alike, and rounding tells which of them
            become queries: its converter, which compares every answer, refuses those weights.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        return _WRITERS[model.converter or ""](model, folder)


def _torchvision_semantic(model: Model, folder: Path) -> list[Path]:
    from torchvision.models import segmentation

    architecture = model.name.partition(".")[0]
    options = {} if architecture.startswith("lraspp") else {"aux_loss": True}
    network = getattr(segmentation, architecture)(weights=None, weights_backbone=None, **options)
    last = [layer for layer in network.classifier.modules() if isinstance(layer, nn.Conv2d)][-1]
    _always(last, 0)  # the background
    return [_saved(network.state_dict(), folder / "checkpoint.pth")]


def _rfdetr(model: Model, folder: Path) -> list[Path]:
    from transformers import RfDetrForInstanceSegmentation

    network = RfDetrForInstanceSegmentation(rfdetr._configure(rfdetr._SIZES[model.name]))
    for parameter in network.parameters():  # some are 0, and its queries would be all alike
        parameter.add_(0.02 * torch.randn_like(parameter))
    network.model.class_embed.bias.fill_(-_HARDLY)
    network.save_pretrained(folder)  # under the names of the package `rfdetr`
    content = {"model": load_file(folder / "model.safetensors"), "args": argparse.Namespace()}
    return [_saved(content, folder / "checkpoint.pth")]


def _ade20k(model: Model, folder: Path) -> list[Path]:
    architecture, configure = ade20k._PUBLISHED[model.name]
    network = architecture(configure())
    _always(network.decode_head.classifier, 0)  # wall
    network.save_pretrained(folder)
    return [folder / "model.safetensors"]


def _clipseg(_: Model, folder: Path) -> list[Path]:
    from transformers import CLIPSegForImageSegmentation

    config = clipseg.published_config()
    network = CLIPSegForImageSegmentation(config)
    _always(network.decoder.transposed_convolution[-1], 0, -_SURELY)
    network.save_pretrained(folder)
    pairs = config.text_config.vocab_size - clipseg._MARKS
    lines = ["#version: 0.2", *(f"{number} {number}" for number in range(pairs))]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    return [folder / "model.safetensors", folder / "merges.txt"]


def _edgeconnect(_: Model, folder: Path) -> list[Path]:
    return [
        _saved(
            {"generator": edgeconnect.EdgeConnectGenerator(role).state_dict()},
            folder / f"{role}.pth",
        )
        for role in ("edges", "fill")
    ]


def _lama(_: Model, folder: Path) -> list[Path]:
    network = lama.LamaGenerator(64, 384, 18)  # big-lama's channels and blocks
    return [_saved(network.state_dict(), folder / "checkpoint.pth")]


def _sam2(_: Model, folder: Path) -> list[Path]:
    from transformers import Sam2VideoConfig, Sam2VideoModel

    state = {
        name: value.clone()
        for name, value in Sam2VideoModel(Sam2VideoConfig()).state_dict().items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return [folder / "model.safetensors"]


def _mobilesam(_: Model, folder: Path) -> list[Path]:
    state = mobilesam.MobileSam().state_dict()
    named = {metas_name(name): value for name, value in state.items()}
    return [_saved(named, folder / "checkpoint.pth")]


_WRITERS = MappingProxyType[str, Callable[[Model, Path], list[Path]]](
    {
        "torchvision_semantic": _torchvision_semantic,
        "rfdetr": _rfdetr,
        "ade20k": _ade20k,
        "clipseg": _clipseg,
        "edgeconnect": _edgeconnect,
        "lama": _lama,
        "sam2": _sam2,
        "mobilesam": _mobilesam,
    }
)
"""Converter -> what writes checkpoints that it reads."""


def _always(layer: nn.Module, channel: int, logit: float = _SURELY) -> None:
    """Let a last layer say the same of a class, whatever it is given, and 0 of the others."""
    layer.weight.zero_()
    layer.bias.zero_()
    layer.bias[channel] = logit


def _saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path
