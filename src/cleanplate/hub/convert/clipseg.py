"""CLIPSeg's published checkpoint as two ONNX files: a text encoder and an image decoder.

Lüddecke and Ecker, Image Segmentation Using Text and Image Prompts, CVPR 2022, arXiv:2112.10003.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from cleanplate.errors import WeightsError
from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import load_state
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.convert.pretrained import load_pretrained
from cleanplate.hub.registry import Model

_MARKS = 2 + 512  # ids that are not a merged pair: start, end, each byte in and at a word's end


def published_config() -> CLIPSegConfig:
    """Return the configuration of CIDAS/clipseg-rd64-refined; what is not named is the default."""
    return CLIPSegConfig(
        text_config={
            "vocab_size": 49408,
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "max_position_embeddings": 77,
        },
        vision_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 16,
        },
        projection_dim=512,
        extract_layers=[3, 6, 9],
        reduce_dim=64,
        decoder_num_attention_heads=4,
        decoder_intermediate_size=2048,
        use_complex_transposed_convolution=True,
    )


class _Phrases(torch.nn.Module):
    """The text encoder: (N, L) ids -> (N, 512) embeddings."""

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        self.clip = network.clip

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Tokens after the end token have no effect: the attention is causal."""
        return self.clip.get_text_features(ids).pooler_output


class _Photo(torch.nn.Module):
    """Image encoder and decoder: one photo and N embeddings -> (N, 352, 352) logits.

    The published network encodes the photo anew for each phrase; here it is encoded once, and the
    decoder repeats it where it meets the embeddings.
    """

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        self.clip, self.decoder = network.clip, network.decoder
        self.layers = [layer + 1 for layer in network.extract_layers]  # 0 is before the first

    def forward(self, pixels: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Pixels (1, 3, 352, 352), embeddings (N, 512) -> (N, 352, 352)."""
        seen = self.clip.vision_model(pixels, output_hidden_states=True).hidden_states
        return self.decoder([seen[layer] for layer in self.layers], embeddings).logits


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX files and pass the list of merges on; see `Converter`."""
    weights, merges = _identify(checkpoints)
    config = published_config()
    _check_merges(merges, config.text_config.vocab_size)
    network = load_pretrained(CLIPSegForImageSegmentation, config, load_state(weights), weights)
    side = model.preprocessing.square_px
    paths = {file.role: folder / file.filename for file in model.files}
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(merges, paths["merges"])
    largest = {
        "text": export_network(
            _Phrases(network),
            paths["text"],
            inputs={"ids": _random_ids(config, 2, 7)},
            outputs=["embeddings"],
            dynamic={"ids": (0, 1)},
            trials=[{"ids": _random_ids(config, *size)} for size in ((1, 3), (1, 77), (3, 12))],
        ),
        "segment": export_network(
            _Photo(network),
            paths["segment"],
            inputs=_random_photo(config, side, 2),
            outputs=["logits"],
            dynamic={"embeddings": (0,)},
            trials=[_random_photo(config, side, 1), _random_photo(config, side, 3)],
            original=_repeating(network),
        ),
    }
    return Conversion(files=paths, largest_difference=largest)


def _identify(checkpoints: Sequence[Path]) -> tuple[Path, Path]:
    """Return the parameters and the list of merges, which is text and thus has no zero bytes."""
    lists = []
    for path in checkpoints:
        with path.open("rb") as stream:
            if b"\0" not in stream.read(4096):
                lists.append(path)
    weights = [path for path in checkpoints if path not in lists]
    if len(lists) != 1 or len(weights) != 1:
        names = ", ".join(str(path) for path in checkpoints)
        raise WeightsError(f"expected model.safetensors and merges.txt, got {names}")
    return weights[0], lists[0]


def _check_merges(path: Path, ids: int) -> None:
    lines = path.read_bytes().splitlines()
    pairs = sum(1 for line in lines if line.strip() and not line.startswith(b"#version"))
    if pairs != ids - _MARKS:
        raise WeightsError(
            f"{path}: has {pairs:,} pairs, the network knows {ids - _MARKS:,}; is it its list?"
        )


def _random_ids(config: CLIPSegConfig, phrases: int, length: int) -> torch.Tensor:
    end = config.text_config.vocab_size - 1
    ids = torch.randint(0, end - 1, (phrases, length))
    ids[:, 0], ids[:, -1] = end - 1, end
    return ids


def _random_photo(config: CLIPSegConfig, side: int, phrases: int) -> dict[str, torch.Tensor]:
    return {
        "pixels": torch.randn(1, 3, side, side),
        "embeddings": torch.randn(phrases, config.projection_dim),
    }


def _repeating(network: CLIPSegForImageSegmentation) -> Callable[..., torch.Tensor]:
    """Return the published batching of several phrases: the photo is repeated for each."""

    def run(pixels: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        repeated = pixels.expand(len(embeddings), -1, -1, -1)
        return network(pixel_values=repeated, conditional_embeddings=embeddings).logits

    return run
