"""OSOR as ONNX files: its LoRA merged into the U-Net of SDXL inpainting, its prompt a constant.

Zhou et al., One-Step Diffusion Inpainting for Effect-Aware Object Removal, ECCV 2026,
arXiv:2606.28094; the formulas are those of `osor-sdxlinpainting/` in Zhouqm-Git/osor. The U-Net is
in half precision, of 5.1 instead of 10.3 GB; the autoencoder, whose values exceed half precision,
in single.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from cleanplate.errors import WeightsError
from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import State, fill_network, load_state
from cleanplate.hub.convert.export import TOLERANCE, Tensors, export_network
from cleanplate.hub.registry import Model

PROMPT = "Remove the instance of object"
STEP = 400
"""Of the base's 1,000 steps of noise."""

_CELL = 8  # px of a latent's value
_OUTPUTS = 5  # four channels of noise, and alpha's logit
_ADAPTED = (
    *("to_k", "to_q", "to_v", "to_out.0", "conv", "conv1", "conv2", "conv_shortcut"),
    *("proj_in", "proj_out", "ff.net.2", "ff.net.0.proj"),
)
_WRAPPERS = re.compile(r"module\.|_orig_mod\.|^unet\.")
_EXAMPLE_HW, _TRIALS_HW = (16, 24), ((24, 16), (18, 30))  # of latents
# With it, `2 ** num_upsamplers` divides no size, and every upsampling asks for the size it meets:
# so the network followed once is right for all sizes.
_ALWAYS_ASK = 60
_HALF_TOLERANCE = 10 * TOLERANCE  # 10 bits of precision, over some hundred layers


class _Encoder(torch.nn.Module):
    """Pixels in [-1, 1] and normal noise -> a sample of the latent."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W), (1, 4, H/8, W/8) -> (1, 4, H/8, W/8)."""
        found = self.network.encode(pixels).latent_dist
        return (found.mean + found.std * noise) * self.network.config.scaling_factor


class _Decoder(torch.nn.Module):
    """Latent -> RGB in [0, 1]."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """(1, 4, h, w) -> (1, 3, 8 h, 8 w)."""
        pixels = self.network.decode(latent / self.network.config.scaling_factor).sample
        return ((pixels + 1) / 2).clamp(0, 1)


class _Generator(torch.nn.Module):
    """Latent, mask and normal noise -> the latent without the object, and alpha."""

    def __init__(
        self, unet: UNet2DConditionModel, prompt: torch.Tensor, pooled: torch.Tensor, kept: float
    ) -> None:
        super().__init__()
        self.unet = unet
        self.signal, self.noise = kept**0.5, (1 - kept) ** 0.5
        self.register_buffer("prompt", prompt)
        self.register_buffer("pooled", pooled)
        self.register_buffer("step", torch.tensor([STEP]))

    def forward(
        self, latent: torch.Tensor, mask: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, 4, h, w), (1, 1, h, w), (1, 4, h, w) -> (1, 4, h, w), (1, 1, h, w); float32."""
        noisy = self.signal * latent + self.noise * noise
        height, width = latent.shape[2] * _CELL, latent.shape[3] * _CELL
        sizes = [torch.full((1,), side) for side in (height, width, 0, 0, height, width)]
        output = self.unet(
            torch.cat([noisy, mask, latent], dim=1).to(self.prompt.dtype),
            self.step,
            encoder_hidden_states=self.prompt,
            added_cond_kwargs={
                "text_embeds": self.pooled,
                "time_ids": torch.stack(sizes, dim=1).float(),
            },
            return_dict=False,
        )[0].float()
        clean = (noisy - self.noise * output[:, :-1]) / self.signal
        alpha = torch.sigmoid(output[:, -1:])
        return clean * alpha + latent * (1 - alpha), alpha


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX files; see `Converter`. The checkpoints lie in the base's folders."""
    disable_progress_bar()
    paths = {file.role: folder / file.filename for file in model.files}
    checkpoint = next((path for path in checkpoints if path.suffix == ".pth"), None)
    config = next(
        (path for path in checkpoints if path.parts[-2:] == ("unet", "config.json")), None
    )
    if checkpoint is None or config is None:
        raise WeightsError(f"give one folder that has the files of {model.name}, as published")
    base = config.parents[1]
    kept = _kept_at_step(base)
    prompt, pooled = _embed(base)
    largest = _export_autoencoder(base, paths)
    unet = _merged_unet(base, checkpoint)
    generator = _Generator(unet, prompt, pooled, kept).eval()
    inputs = [_random_latents(size_hw) for size_hw in (_EXAMPLE_HW, *_TRIALS_HW)]
    with torch.no_grad():
        # In single precision, from the values that the file has in half.
        generator.half().float()
        expected = [
            _call_checked("the networks do not fit", base, generator, *it.values()) for it in inputs
        ]
        generator.half()
    unet.num_upsamplers = _ALWAYS_ASK
    answers = iter(expected)
    own = folder / "fill"  # the exporter may write hundreds of files
    largest["fill"] = export_network(
        generator,
        own / paths["fill"].name,
        inputs=inputs[0],
        outputs=["result", "alpha"],
        dynamic=dict.fromkeys(inputs[0], (2, 3)),
        trials=inputs[1:],
        original=lambda *_: next(answers),
        tolerance=_HALF_TOLERANCE,
        weights=own / paths["weights"].name,
    )
    paths["fill"] = own / paths["fill"].name
    (paths["weights"],) = own.glob(f"*{paths['weights'].suffix}")
    return Conversion(files=paths, largest_difference=largest)


def _random_latents(size_hw: tuple[int, int]) -> Tensors:
    return {
        "latent": torch.randn(1, 4, *size_hw),
        "mask": (torch.rand(1, 1, *size_hw) < 0.3).float(),
        "noise": torch.randn(1, 4, *size_hw),
    }


def _call_checked(
    cause: str, path: Path, call: Callable[..., Any], *args: Any, **named: Any
) -> Any:
    """Return what a call into diffusers or transformers returns.

    Raises:
        WeightsError: the call failed.
    """
    try:
        return call(*args, **named)
    except WeightsError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{path}: {cause} ({reason}); a file may be damaged or of another model; download "
            "it again"
        ) from error


def _load_network(architecture: Any, folder: Path) -> Any:
    """Return a network from its configuration and safetensors in a folder, in single precision."""
    half = bool(list(folder.glob("*.fp16.safetensors")))
    single = any(
        not path.name.endswith(".fp16.safetensors") for path in folder.glob("*.safetensors")
    )
    network, found = _call_checked(
        "cannot be loaded",
        folder,
        architecture.from_pretrained,
        folder,
        variant="fp16" if half and not single else None,
        torch_dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    missing = sorted(found["missing_keys"])
    if missing:
        raise WeightsError(f"{folder}: is not of this architecture: it lacks {missing[0]}")
    return network.eval()


def _kept_at_step(base: Path) -> float:
    """Return the share of the signal's variance that is left at `STEP`."""
    scheduler = _call_checked(
        "cannot be read", base / "scheduler", DDPMScheduler.from_pretrained, base / "scheduler"
    )
    config = scheduler.config
    if config.prediction_type != "epsilon" or config.clip_sample or config.thresholding:
        raise WeightsError(f"{base / 'scheduler'}: is not that of SDXL inpainting 0.1")
    return float(scheduler.alphas_cumprod[STEP])


def _embed(base: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `PROMPT` as both text encoders embed it: (1, 77, 2048) and, pooled, (1, 1280)."""
    parts = []
    for architecture, end in ((CLIPTextModel, ""), (CLIPTextModelWithProjection, "_2")):
        folder = base / f"tokenizer{end}"
        tokenizer = _call_checked(
            "cannot be read", folder, CLIPTokenizer.from_pretrained, folder, local_files_only=True
        )
        network = _load_network(architecture, base / f"text_encoder{end}")
        longest = network.config.max_position_embeddings
        ids = tokenizer(
            PROMPT, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            seen = _call_checked(
                "does not fit its tokenizer", base, network, ids, output_hidden_states=True
            )
        parts.append(seen.hidden_states[-2])
    return torch.cat(parts, dim=-1), seen.text_embeds


def _export_autoencoder(base: Path, paths: dict[str, Path]) -> dict[str, float]:
    network = _load_network(AutoencoderKL, base / "vae")

    def pixels(size_hw: tuple[int, int]) -> Tensors:
        height, width = (side * _CELL for side in size_hw)
        return {
            "pixels": torch.rand(1, 3, height, width) * 2 - 1,
            "noise": torch.randn(1, 4, *size_hw),
        }

    def latent(size_hw: tuple[int, int]) -> Tensors:
        return {"latent": torch.randn(1, 4, *size_hw)}

    return {
        role: export_network(
            network_of_role,
            paths[role],
            inputs=example(_EXAMPLE_HW),
            outputs=[output],
            dynamic=dict.fromkeys(example((2, 2)), (2, 3)),
            trials=[example(size_hw) for size_hw in _TRIALS_HW],
        )
        for role, network_of_role, example, output in (
            ("encode", _Encoder(network), pixels, "latent"),
            ("decode", _Decoder(network), latent, "rgb"),
        )
    }


def _merged_unet(base: Path, checkpoint: Path) -> UNet2DConditionModel:
    """Return the base's U-Net in half precision, changed as OSOR's checkpoint says."""
    folder = base / "unet"
    weights = min(folder.glob("*.safetensors"), key=lambda path: ".fp16." not in path.name)
    config = _call_checked("cannot be read", folder, _read_config, folder / "config.json")
    changes = {_WRAPPERS.sub("", name): it for name, it in load_state(checkpoint).items()}
    state = dict(
        _call_checked("cannot be read", weights, list, _merge(weights, changes, checkpoint))
    )
    with torch.device("meta"):
        network = _call_checked("cannot be used", folder, UNet2DConditionModel.from_config, config)
    fill_network(network, state, checkpoint, assign=True)
    return network.eval()


def _read_config(path: Path) -> dict[str, Any]:
    return {**json.loads(path.read_bytes()), "out_channels": _OUTPUTS}


def _merge(weights: Path, changes: State, checkpoint: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the U-Net's parameters: those of the base plus B A of each LoRA, which has scale 1."""
    left = set(changes)
    with safe_open(weights, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            layer = name.removesuffix(".weight")
            value = changes.get(name)
            left.discard(name)
            if value is None:
                value = file.get_tensor(name).float()
                if name.endswith(tuple(f".{it}.weight" for it in _ADAPTED)):
                    pair = [f"{layer}.lora_{it}.default.weight" for it in "AB"]
                    if not left.issuperset(pair):
                        raise WeightsError(
                            f"{checkpoint}: is not of this architecture: it lacks {pair[0]}"
                        )
                    left.difference_update(pair)
                    down, up = (changes[it].float() for it in pair)
                    value = value + torch.einsum(
                        "or,ri->oi", up.flatten(1), down.flatten(1)
                    ).reshape(value.shape)
            yield name, value.half()
    if left:
        raise WeightsError(
            f"{checkpoint}: is not of this architecture: it has unexpected {min(left)}"
        )
