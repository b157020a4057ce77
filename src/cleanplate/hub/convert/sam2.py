"""SAM 2.1 for single photos: its image encoder, and its prompt encoder with the mask decoder.

Reads the file of transformers and Meta's own. Both hold the parameters for videos too, which are
omitted: a photo has no frames before it.

Reference:
    Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024, arXiv:2408.00714.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import Sam2Config, Sam2Model

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import State, fill_network, load_checkpoint, load_state
from cleanplate.hub.convert.sam_parts import (
    CELLS,
    PROMPT_RULES,
    SIDE,
    PromptNetwork,
    export_parts,
    rename_parameters,
)
from cleanplate.hub.registry import Model

# Of what is only for videos, in the names of transformers and in Meta's.
_VIDEO = re.compile(
    r"memory_|mask_downsample\.|object_pointer_proj\.|temporal_positional_encoding_projection_layer"
    r"\.|no_memory_positional_encoding$|no_object_pointer$|occlusion_spatial_embedding_parameter$"
    r"|maskmem_tpos_enc$|obj_ptr_proj\.|obj_ptr_tpos_proj\.|no_mem_pos_enc$|no_obj_ptr$"
    r"|no_obj_embed_spatial$"
)

_RULES = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_", ""),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"\.out_proj\.", ".o_proj."),
    *PROMPT_RULES,
)

_PLACES = "prompt_encoder.shared_embedding.positional_embedding"
_GRID_PLACES = "shared_image_embedding.positional_embedding"
_KINDS = "prompt_encoder.point_embed.{}weight"


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the two ONNX files; see `Converter`."""
    (path,) = checkpoints
    network = Sam2Model(_tiny())
    fill_network(network, _read(path), path)
    network.eval()
    encoder = network.prompt_encoder
    prompts = _PromptNetwork(
        encoder,
        network.mask_decoder,
        kinds=encoder.point_embed.weight,
        grid_places=network.shared_image_embedding,
    )
    return export_parts(model, folder, _ImageNetwork(network), prompts, _random_features)


def _read(path: Path) -> State:
    """Return the parameters for photos under the names of transformers."""
    content = load_checkpoint(path)
    is_metas = isinstance(content, Mapping) and "model" in content
    state = {
        name: tensor
        for name, tensor in load_state(path, inside="model" if is_metas else None).items()
        if not _VIDEO.match(name)
    }
    if not is_metas:
        return state
    state = rename_parameters(state, _RULES)
    kinds = [state.pop(_KINDS.format(f"{kind}."), None) for kind in range(4)]
    if all(kind is not None for kind in kinds):
        state[_KINDS.format("")] = torch.cat(kinds)
    if _PLACES in state:
        state[_GRID_PLACES] = state[_PLACES]
    return state


def _tiny() -> Sam2Config:
    """Return the architecture of the published configuration `sam2.1_hiera_t`."""
    return Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 96,
                "num_attention_heads": 1,
                "image_size": [SIDE, SIDE],
                "patch_kernel_size": [7, 7],
                "patch_stride": [4, 4],
                "patch_padding": [3, 3],
                "query_stride": [2, 2],
                "window_positional_embedding_background_size": [7, 7],
                "num_query_pool_stages": 3,
                "blocks_per_stage": [1, 2, 7, 2],
                "embed_dim_per_stage": [96, 192, 384, 768],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": [8, 4, 14, 7],
                "global_attention_blocks": [5, 7, 9],
                "mlp_ratio": 4.0,
                "layer_norm_eps": 1e-6,
            },
            "backbone_channel_list": [768, 384, 192, 96],
            "backbone_feature_sizes": [[256, 256], [128, 128], [64, 64]],
            "fpn_hidden_size": 256,
            "fpn_top_down_levels": [2, 3],
            "num_feature_levels": 3,
        },
        prompt_encoder_config={"hidden_size": 256, "image_size": SIDE, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 256,
            "mlp_dim": 2048,
            "num_hidden_layers": 2,
            "num_attention_heads": 8,
            "num_multimask_outputs": 3,
            # The ONNX file gives all masks; the adapter selects one.
            "dynamic_multimask_via_stability": False,
        },
    )


class _ImageNetwork(nn.Module):
    """A normalised photo, (1, 3, 1024, 1024), to the embeddings for prompts."""

    def __init__(self, network: Sam2Model) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return (1, 256, 64, 64), (1, 64, 128, 128) and (1, 32, 256, 256)."""
        fine, middle, coarse = self.network.get_image_embeddings(image)
        return coarse, middle, fine


class _PromptNetwork(PromptNetwork):
    """`PromptNetwork` with the two finer features that SAM 2 adds."""

    def forward(
        self,
        coarse: torch.Tensor,
        middle: torch.Tensor,
        fine: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (1, 4, 256, 256) logits and (1, 4) in [0, 1]."""
        return self.predict(coarse, points, labels, (middle, fine))


def _random_features() -> dict[str, torch.Tensor]:
    return {
        "coarse": torch.randn(1, 256, CELLS, CELLS),
        "middle": torch.randn(1, 64, 2 * CELLS, 2 * CELLS),
        "fine": torch.randn(1, 32, 4 * CELLS, 4 * CELLS),
    }
