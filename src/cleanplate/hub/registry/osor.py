"""OSOR: one-step diffusion that removes an object with its shadow and reflection."""

from cleanplate.hub.registry.entry import (
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
)

_BASE = "https://huggingface.co/diffusers/stable-diffusion-xl-1.0-inpainting-0.1"

# Of the base model, below its folder, then OSOR's own; neither publisher states checksums.
_PUBLISHED = (
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.fp16.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer_2/vocab.json",
    "tokenizer_2/merges.txt",
    "tokenizer_2/tokenizer_config.json",
    "osor-sdxlinpainting/weights/sdxlinpainting_phase2.pth",
)

ENTRIES = (
    Model(
        name="osor.sdxl",
        kind="inpainter",
        family="osor",
        preprocessing=Preprocessing(working_size_px=512, multiple_px=16, least_side_px=64),
        files=(
            ModelFile(role="encode", filename="osor_sdxl_encode.onnx"),
            ModelFile(role="fill", filename="osor_sdxl_fill.onnx"),
            ModelFile(role="weights", filename="osor_sdxl_fill.weights"),
            ModelFile(role="decode", filename="osor_sdxl_decode.onnx"),
        ),
        checkpoints=tuple(
            Checkpoint(filename=f"osor_sdxl_{name.replace('/', '_')}", url=None, published_as=name)
            for name in _PUBLISHED
        ),
        converter="osor",
        pages=("https://huggingface.co/QinmingZhou/OSOR", _BASE),
        licence=Licence(
            spdx="LicenseRef-CreativeML-OpenRAIL++-M",
            commercial="yes",
            note="the authors of OSOR and of its base put the weights under CreativeML Open "
            f"RAIL++-M ({_BASE}/blob/main/LICENSE.md), which permits commercial use within its "
            "restrictions, and asks to pass these on with the weights",
            restrictions="to break laws; to exploit or harm minors; to spread false information "
            "or personal data in order to harm; to defame or harass; to decide automatically "
            "about people's rights; to discriminate, or exploit a group's weaknesses; to give "
            "medical advice; for justice, law enforcement or immigration, such as predicting "
            "crimes",
        ),
        source="OSOR, Zhou et al., ECCV 2026, arXiv:2606.28094 (github.com/Zhouqm-Git/osor, code "
        "MIT), sdxlinpainting_phase2.pth; its base is SDXL inpainting 0.1 by the authors of "
        "diffusers, from SDXL, Podell et al. 2023, arXiv:2307.01952",
        recipe="trained by its authors: the base with LoRA of rank 256, in one step at 512 px, on "
        "pairs of CORNE",
        training_photos="CORNE, 287,012 pairs from NHR-Edit (Apache-2.0, most of them generated); "
        "the base on photos from the web",
        contract="encode: pixels (1, 3, H, W) float32 RGB in [-1, 1], sides multiples of 16, and "
        "normal noise (1, 4, H/8, W/8); returns the latent. fill: latent, mask (1, 1, H/8, W/8) "
        "float32, 1 = object in one of its 8 x 8 pixels, and normal noise; returns the latent "
        "without the object, and alpha in [0, 1], the share that changed; float16 inside. decode: "
        "latent; returns RGB (1, 3, H, W) in [0, 1]. The noise is drawn with seed 0",
        choose="objects with their shadows and reflections, and with rough masks; 5.5 GB "
        "installed, a GPU, or 16 GB of memory and patience; has to be converted once",
    ),
)
