"""MobileSAM: SAM's prompt encoder and mask decoder on a small image encoder.

Reference:
    Zhang et al., Faster Segment Anything: Towards Lightweight SAM for Mobile Applications, 2023,
    arXiv:2306.14289.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import SamConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import State, fill_network, load_state
from cleanplate.hub.convert.sam_parts import (
    CELLS,
    PROMPT_RULES,
    SIDE,
    PromptNetwork,
    export_parts,
    rename_parameters,
)
from cleanplate.hub.convert.tinyvit import TinyViTEncoder
from cleanplate.hub.registry import Model

# Of the classifier that the image encoder was before.
_CLASSIFIER = re.compile(r"image_encoder\.(norm_head|head)\.")


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the two ONNX files; see `Converter`."""
    (path,) = checkpoints
    network = MobileSam()
    fill_network(network, _read(path), path)
    network.eval()
    encoder = network.prompt_encoder
    prompts = _PromptNetwork(
        encoder,
        network.mask_decoder,
        kinds=torch.cat([kind.weight for kind in encoder.point_embed]),
        grid_places=encoder.shared_embedding,
    )
    return export_parts(model, folder, network.image_encoder, prompts, _random_features)


class MobileSam(nn.Module):
    """The three networks under their published names."""

    def __init__(self) -> None:
        super().__init__()
        config = SamConfig(
            prompt_encoder_config={"hidden_size": 256, "image_size": SIDE, "patch_size": 16},
            mask_decoder_config={
                "hidden_size": 256,
                "mlp_dim": 2048,
                "num_hidden_layers": 2,
                "num_attention_heads": 8,
                "num_multimask_outputs": 3,
                "layer_norm_eps": 1e-5,  # as in Meta's code; transformers has 1e-6
            },
        )
        config.mask_decoder_config._attn_implementation = "sdpa"
        self.image_encoder = TinyViTEncoder()
        self.prompt_encoder = SamPromptEncoder(config)
        self.mask_decoder = SamMaskDecoder(config.mask_decoder_config)


def _read(path: Path) -> State:
    """Return the parameters under the names of transformers."""
    state = load_state(path)
    used = {name: tensor for name, tensor in state.items() if not _CLASSIFIER.match(name)}
    return rename_parameters(used, PROMPT_RULES)


class _PromptNetwork(PromptNetwork):
    """`PromptNetwork` as it is."""

    def forward(
        self, coarse: torch.Tensor, points: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (1, 4, 256, 256) logits and (1, 4) expected IoU."""
        return self.predict(coarse, points, labels)


def _random_features() -> dict[str, torch.Tensor]:
    return {"coarse": torch.randn(1, 256, CELLS, CELLS)}
