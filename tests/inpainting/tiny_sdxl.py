"""A folder like that of SDXL inpainting with OSOR's checkpoint, tiny and of random weights."""

import json
from pathlib import Path

STEP, RANK = 400, 4
_ADAPTED = (
    *("to_k", "to_q", "to_v", "to_out.0", "conv", "conv1", "conv2", "conv_shortcut"),
    *("proj_in", "proj_out", "ff.net.2", "ff.net.0.proj"),
)


def make_base(folder: Path) -> None:
    """Write the base: U-Net, autoencoder, text encoders, tokenizers and scheduler."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=9, out_channels=4, layers_per_block=1,
        block_out_channels=(32, 32, 64), norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 2, 4), transformer_layers_per_block=(1, 1, 2),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16, cross_attention_dim=40,
    )  # fmt: skip
    unet.half().save_pretrained(folder / "unet", variant="fp16")
    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), norm_num_groups=4, layers_per_block=1, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4, scaling_factor=0.13025,
    ).save_pretrained(folder / "vae")  # fmt: skip
    for end, width in (("", 24), ("_2", 16)):
        _make_text_encoder(folder, end, width)
    DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    ).save_pretrained(folder / "scheduler")


def make_pipeline(folder: Path) -> None:
    """Write a complete inpainting pipeline, like that of Stable Diffusion 1.5."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionInpaintPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel, CLIPTokenizer

    torch.manual_seed(3)
    _make_text_encoder(folder, "", 24)
    StableDiffusionInpaintPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 16), norm_num_groups=4, sample_size=32,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=UNet2DConditionModel(
            sample_size=32, in_channels=9, layers_per_block=1, block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), norm_num_groups=8,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=24,
        ),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def _make_text_encoder(folder: Path, end: str, width: int) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    words = ["<|startoftext|>", "<|endoftext|>", "!", *map(chr, range(97, 123))]
    words += [f"{letter}</w>" for letter in map(chr, range(97, 123))]
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=2, max_position_embeddings=77, projection_dim=16,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    architecture = CLIPTextModelWithProjection if end else CLIPTextModel
    architecture(config).save_pretrained(folder / f"text_encoder{end}")
    tokenizer = folder / f"tokenizer{end}"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    settings = {"pad_token": "!" if end else "<|endoftext|>", "model_max_length": 77}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(settings))


def make_checkpoint(folder: Path) -> Path:
    """Write what OSOR's training writes: LoRA's factors, and the complete last layer."""
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(2)
    state = {}
    for name, value in load_file(folder / "unet/diffusion_pytorch_model.fp16.safetensors").items():
        if name.endswith(tuple(f".{it}.weight" for it in _ADAPTED)):
            layer = f"unet.{name.removesuffix('.weight')}"
            ends = (1, 1) if value.ndim == 4 else ()
            state[f"{layer}.lora_A.default.weight"] = torch.randn(RANK, *value.shape[1:]) / 20
            state[f"{layer}.lora_B.default.weight"] = torch.randn(len(value), RANK, *ends) / 20
    state["unet.conv_out.weight"] = torch.randn(5, 32, 3, 3) / 10
    state["unet.conv_out.bias"] = torch.randn(5) / 10
    path = folder / "osor-sdxlinpainting/weights/sdxlinpainting_phase2.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path
