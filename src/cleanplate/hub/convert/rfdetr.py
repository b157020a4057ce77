"""RF-DETR-Seg's published checkpoints as ONNX files.

Robinson et al., RF-DETR: Neural Architecture Search for Real-Time Detection Transformers, 2025,
arXiv:2511.09554. A checkpoint is that of its authors' package `rfdetr`: `model` holds the
parameters, `args` the options of the training. transformers has the same network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from transformers import RfDetrConfig, RfDetrDinov2Config, RfDetrForInstanceSegmentation

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import load_state
from cleanplate.hub.convert.export import Tensors, export_network
from cleanplate.hub.convert.pretrained import load_pretrained
from cleanplate.hub.registry import Model

_PATCH = 12  # px
_CATEGORIES = 91  # COCO's ids, including 0 and the unused ones
# A constant of the networks for keypoints that later versions of `rfdetr` write into every file.
_UNUSED = "_kp_active_mask"
_DRAWN = 12


@dataclass(frozen=True, slots=True)
class _Size:
    """What differs between the sizes (`rfdetr/config.py`, version 1.11)."""

    windows: int  # along each side, for attention within them
    decoder_layers: int
    queries: int


_SIZES = MappingProxyType(
    {
        "rfdetr_seg_nano.coco": _Size(1, 4, 100),
        "rfdetr_seg_small.coco": _Size(2, 4, 100),
        "rfdetr_seg_medium.coco": _Size(2, 5, 200),
        "rfdetr_seg_large.coco": _Size(2, 5, 200),
    }
)


def _configure(size: _Size, side: int) -> RfDetrConfig:
    """Return the configuration for squares of `side` px; what is not named is the default."""
    backbone = RfDetrDinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        num_hidden_layers=12,
        image_size=side,
        patch_size=_PATCH,
        num_windows=size.windows,
        out_features=["stage3", "stage6", "stage9", "stage12"],
        layer_norm_eps=1e-6,
    )
    return RfDetrConfig(
        backbone_config=backbone,
        d_model=256,
        decoder_layers=size.decoder_layers,
        decoder_n_points=2,
        decoder_self_attention_heads=8,
        decoder_cross_attention_heads=16,
        num_queries=size.queries,
        group_detr=13,
        num_labels=_CATEGORIES,
        mask_downsample_ratio=4,
        layer_norm_eps=1e-6,  # of the projector in `rfdetr`; the default here is another
    )


class _Network(torch.nn.Module):
    """(1, 3, S, S) -> logits (1, Q, 91) and mask logits (1, Q, S/4, S/4)."""

    def __init__(self, network: RfDetrForInstanceSegmentation) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is said of each query; the boxes are not needed where there are masks."""
        found = self.network(pixels)
        return found.logits, found.pred_masks


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX file; see `Converter`."""
    (path,) = checkpoints
    (file,) = model.files
    side = model.preprocessing.square_px
    config = _configure(_SIZES[model.name], side)
    state = {k: v for k, v in load_state(path, inside="model").items() if k != _UNUSED}
    network = load_pretrained(RfDetrForInstanceSegmentation, config, state, path)
    target = folder / file.filename
    example, *trials = _clear_trials(network, side)
    largest = export_network(
        _Network(network),
        target,
        inputs=example,
        outputs=["logits", "masks"],
        dynamic={},
        trials=trials,
        dynamo=True,  # it enlarges places with an operator that the older one lacks
    )
    return Conversion(files={file.role: target}, largest_difference={file.role: largest})


def _clear_trials(network: RfDetrForInstanceSegmentation, side: int) -> list[Tensors]:
    """Return the 3 random inputs, of 12, whose choice of queries hangs least on rounding.

    The network takes the places of highest score, in their order, as its queries. Where two scores
    are nearly equal, rounding decides which is first, and two results of many digits differ though
    both are right.
    """
    given: list[Tensors] = [{"pixels": torch.randn(1, 3, side, side)} for _ in range(_DRAWN)]
    scores: list[torch.Tensor] = []
    watched = network.model.model.enc_out_class_embed[0].register_forward_hook(
        lambda _layer, _inputs, output: scores.append(output.amax(-1).flatten())
    )
    with torch.no_grad():
        for trial in given:
            network(trial["pixels"])
    watched.remove()
    chosen = network.config.num_queries + 1  # and the first that is not
    gaps = [-score.topk(min(chosen, len(score))).values.diff().max().item() for score in scores]
    return [given[index] for index in sorted(range(_DRAWN), key=lambda index: -gaps[index])[:3]]
