"""Shared parts of the converters of SAM and SAM 2: parameter names, prompts, masks."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import State
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.registry import Model, get_model

SIDE = get_model("sam21_hiera_tiny.sav").preprocessing.square_px
"""Input height and width in px; the same for SAM."""

CELLS = SIDE // 16
"""Height and width of the feature grid."""

NamePatterns = Sequence[tuple[str, str]]
"""Pattern and replacement of `re.sub`, applied one after the other."""

# From Meta's names to those of transformers.
PROMPT_RULES: NamePatterns = (
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(_mlps\.\d|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(_mlps\.\d|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(_mlps\.\d|_head)\.layers\.2\.", r"\1.proj_out."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
)


def rename_parameters(state: State, rules: NamePatterns) -> dict[str, torch.Tensor]:
    """Return the parameters under the names that the rules make of theirs."""

    def rename(name: str) -> str:
        return functools.reduce(lambda known, rule: re.sub(rule[0], rule[1], known), rules, name)

    return {rename(name): tensor for name, tensor in state.items()}


class PromptNetwork(nn.Module):
    """Predicts four masks and their expected IoU from points, box corners and a photo's features.

    The published decoders return either one mask for clear prompts or three for ambiguous ones;
    this returns all four. The adapter selects one.

    Args:
        encoder: a prompt encoder of transformers.
        decoder: the mask decoder.
        kinds: (4, 256), embeddings of negative and positive points, top left and bottom right
            corners.
        grid_places: as the encoder's `shared_embedding`, for the cells of the features.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        kinds: torch.Tensor,
        grid_places: nn.Module,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.places = encoder.shared_embedding
        no_point = encoder.not_a_point_embed.weight
        self.register_buffer("kinds", torch.cat([no_point, kinds]).detach().clone())
        no_mask = encoder.no_mask_embed.weight  # no mask is given as a part of the prompt
        self.register_buffer("no_mask", no_mask.detach().clone()[:, :, None, None])
        self.register_buffer("grid", _grid_tokens(grid_places))
        own = [decoder.iou_token.weight, decoder.mask_tokens.weight]
        if hasattr(decoder, "obj_score_token"):  # of SAM 2: whether the object is in the image
            own.insert(0, decoder.obj_score_token.weight)
        self.first = len(own) - 1  # of the masks' tokens; the scores' is the one before
        self.register_buffer("own", torch.cat(own).detach().clone()[None, None])

    def predict(
        self,
        coarse: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
        finer: Sequence[torch.Tensor] = (),
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (1, 4, 256, 256) logits and (1, 4) expected IoU.

        Args:
            coarse: (1, 256, 64, 64) features.
            points: (1, N, 2) px.
            labels: (1, N) int64 in -1 to 3.
            finer: of SAM 2, (1, 64, 128, 128) and (1, 32, 256, 256) features.
        """
        decoder = self.decoder
        hidden, cells = decoder.transformer(
            point_embeddings=torch.cat([self.own, self._embed(points, labels)], dim=2),
            image_embeddings=coarse + self.no_mask,
            image_positional_embeddings=self.grid,
            attention_similarity=None,
        )  # (1, 1, 5 or 6 + N, 256), (1, 1, 64 * 64, 256)
        features = cells[:, 0].transpose(1, 2).reshape(1, -1, CELLS, CELLS)
        features = decoder.upscale_conv1(features)  # -> (1, 64, 128, 128)
        if finer:
            features = features + finer[0]
        features = decoder.activation(decoder.upscale_layer_norm(features))
        features = decoder.upscale_conv2(features)  # -> (1, 32, 256, 256)
        if finer:
            features = features + finer[1]
        features = decoder.activation(features)
        weights = [
            mlp(hidden[:, 0, self.first + index])
            for index, mlp in enumerate(decoder.output_hypernetworks_mlps)
        ]
        masks = torch.stack(weights, dim=1) @ features.flatten(2)  # (1, 4, 256 * 256)
        scores = decoder.iou_prediction_head(hidden[:, 0, self.first - 1])
        return masks.reshape(1, -1, 4 * CELLS, 4 * CELLS), scores

    def published(
        self,
        coarse: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
        finer: Sequence[torch.Tensor] = (),
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same as `predict`, by two runs of the decoder as it is published."""
        finest_first = {"high_resolution_features": [*reversed(finer)]} if finer else {}
        runs = [
            self.decoder(
                image_embeddings=coarse,
                image_positional_embeddings=self.grid,
                sparse_prompt_embeddings=self._embed(points, labels),
                dense_prompt_embeddings=self.no_mask,
                multimask_output=is_multimask,
                **finest_first,
            )
            for is_multimask in (False, True)
        ]
        masks, scores = (torch.cat([run[part][:, 0] for run in runs], dim=1) for part in (0, 1))
        return masks, scores

    def _embed(self, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the prompt as tokens: (1, N, 2) px, (1, N) in -1 to 3 -> (1, 1, N, 256)."""
        places = self.places(points[:, None] + 0.5, (SIDE, SIDE))  # of a pixel's centre
        is_point = (labels >= 0)[:, None, :, None]
        return torch.where(is_point, places, torch.zeros_like(places)) + self.kinds[labels + 1]


def _grid_tokens(places: nn.Module) -> torch.Tensor:
    """Return (1, 256, 64, 64): positional encodings of the grid cells, as for points."""
    centres = torch.arange(CELLS) + 0.5
    down, across = torch.meshgrid(centres, centres, indexing="ij")
    cells = torch.stack([across, down], dim=-1)[None]  # (1, 64, 64, 2)
    with torch.no_grad():
        return places(cells, (CELLS, CELLS)).permute(0, 3, 1, 2)


def export_parts(
    model: Model,
    folder: Path,
    image: nn.Module,
    prompts: PromptNetwork,
    random_features: Callable[[], dict[str, torch.Tensor]],
) -> Conversion:
    """Make the two ONNX files, the second compared with the published decoder.

    Args:
        model: whose files to make.
        folder: for them.
        image: (1, 3, 1024, 1024) to the features.
        prompts: its first inputs are the features, then points and labels.
        random_features: makes features under their names, coarse ones first.
    """

    def example(points: int) -> dict[str, torch.Tensor]:
        at = {"points": SIDE * torch.rand(1, points, 2)}
        return random_features() | at | {"labels": torch.randint(-1, 4, (1, points))}

    def published(coarse: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        *finer, points, labels = others
        return prompts.published(coarse, points, labels, finer)

    files = {file.role: folder / file.filename for file in model.files}
    largest = {
        "image": export_network(
            image,
            files["image"],
            inputs={"image": torch.randn(1, 3, SIDE, SIDE)},
            outputs=tuple(random_features()),
            dynamic={},
        ),
        "prompt": export_network(
            prompts,
            files["prompt"],
            inputs=example(3),
            outputs=("masks", "scores"),
            dynamic={"points": (1,), "labels": (1,)},
            trials=[example(count) for count in (2, 9)],
            original=published,
        ),
    }
    return Conversion(files=files, largest_difference=largest)
