"""Inpainters of other publishers."""

from cleanplate.hub.registry.builtin import (
    EDGES_INPUTS,
    EDGES_OUTPUTS,
    FILL_INPUTS,
)
from cleanplate.hub.registry.entry import (
    RGB,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    TensorSpec,
    frozen_metrics,
)

_PLACES2 = "Places2 (Zhou et al. 2017), photos of scenes whose owners' terms permit research only"

# --- EdgeConnect

_EDGECONNECT_LICENCE = Licence(
    spdx="CC-BY-NC-4.0",
    commercial="no",
    note="the authors publish code and weights for non-commercial use, with credit to them",
)


def _edgeconnect(
    data: str, title: str, drive_folder: str, training_photos: str, choose: str
) -> Model:
    return Model(
        name=f"edgeconnect.{data}",
        kind="inpainter",
        family="edgeconnect_published",
        preprocessing=Preprocessing(working_size_px=256, multiple_px=4, least_side_px=32),
        files=(
            ModelFile(
                role="edges",
                filename=f"edgeconnect_{data}_edges.onnx",
                inputs=EDGES_INPUTS,
                outputs=EDGES_OUTPUTS,
            ),
            ModelFile(
                role="fill",
                filename=f"edgeconnect_{data}_fill.onnx",
                inputs=FILL_INPUTS,
                outputs=(RGB,),
            ),
        ),
        # The authors offer them in a folder for browsers and state no checksum.
        checkpoints=tuple(
            Checkpoint(
                filename=f"edgeconnect_{data}_{published}",
                url=None,
                published_as=published,
                estimated_bytes=size_bytes,
            )
            for published, size_bytes in (
                ("EdgeModel_gen.pth", 43_248_208),
                ("InpaintingModel_gen.pth", 43_098_380),
            )
        ),
        converter="edgeconnect",
        # Linked in the README of https://github.com/knazeri/edge-connect.
        pages=(f"https://drive.google.com/drive/folders/{drive_folder}",),
        licence=_EDGECONNECT_LICENCE,
        source="EdgeConnect, Nazeri et al. 2019, arXiv:1901.00212; weights of its authors "
        "(github.com/knazeri/edge-connect), EdgeModel_gen.pth and InpaintingModel_gen.pth",
        recipe=f"trained by the authors on {title}, 256 px, regular and irregular holes",
        training_photos=training_photos,
        choose=choose,
    )


_EDGECONNECT = (
    _edgeconnect(
        "places2",
        "Places2",
        "158ch9Psjop0mQEdeIp9DKjrYIGTDsZKN",
        _PLACES2,
        "to compare with the paper; works at 256 px, and later networks such as LaMa fill wide "
        "holes better",
    ),
    _edgeconnect(
        "celeba",
        "CelebA",
        "13JgMA5sKMYgRwHBp4f7PBc5orNJ_Cv-p",
        "CelebA (Liu et al. 2015), cropped portraits from the web for non-commercial research only",
        "portraits cropped like CelebA's, the face in the middle; trained on nothing else",
    ),
    _edgeconnect(
        "psv",
        "Paris StreetView",
        "1hMGVz6Ck3erpP3BRNzG90HNCJl85kveN",
        "Paris StreetView (Doersch et al. 2012), Google Street View pictures given out by its "
        "authors on request",
        "facades like those of Paris; trained on nothing else",
    ),
)

# --- LaMa

_LAMA_LICENCE = Licence(
    spdx="NOASSERTION",
    commercial="unclear",
    note="the code is Apache-2.0, and an author said of the weights in 2023 (issue 230 of "
    "advimman/lama): 'I'm quite sure that repo says apache 2.0'; later questions (issues 365, "
    "366, 368) were not answered, and the terms of Places2 permit research only",
)

_LAMA_SOURCE = (
    "LaMa, Suvorov et al. 2022, arXiv:2109.07161; weights of its authors (big-lama), as published "
    "by "
)

_LAMA_RECIPE = (
    "trained by the authors of LaMa: 18 blocks of Fourier convolutions, 51 million parameters, "
    "256 px crops, wide and narrow holes"
)

# A table in the README of https://github.com/fenglinglwb/MAT; LaMa-Big, trained on 4.5 million.
_LAMA_METRICS = frozen_metrics(
    {
        "Places2 at 512 px, small holes, published by the authors of MAT": {
            "fid": 0.99,
            "p_ids_percent": 22.79,
            "u_ids_percent": 40.58,
        },
        "Places2 at 512 px, large holes, published by the authors of MAT": {
            "fid": 2.97,
            "p_ids_percent": 13.09,
            "u_ids_percent": 32.39,
        },
    }
)

_LAMA = (
    Model(
        name="lama.places",
        kind="inpainter",
        family="lama_onnx",
        preprocessing=Preprocessing(
            size_hw=(512, 512),
            working_size_px=512,
            multiple_px=8,
            least_side_px=16,
            output_max=255.0,
        ),
        files=(
            ModelFile(
                role="fill",
                filename="lama_fp32.onnx",
                sha256="1faef5301d78db7dda502fe59966957ec4b79dd64e16f03ed96913c7a4eb68d6",
                size_bytes=208_044_816,
                url="https://huggingface.co/Carve/LaMa-ONNX/resolve/"
                "c3c0c9e468934d62e79c329e35d82dd09ff8c444/lama_fp32.onnx",
                inputs=(
                    TensorSpec("float32", (1, 3, 512, 512), "RGB in [0, 1]"),
                    TensorSpec("float32", (1, 1, 512, 512), "mask, hole 1"),
                ),
                outputs=(
                    TensorSpec(
                        "float32", (1, 3, 512, 512), "RGB in [0, 255], the photo outside the hole"
                    ),
                ),
            ),
        ),
        pages=("https://huggingface.co/Carve/LaMa-ONNX",),
        licence=_LAMA_LICENCE,
        source=_LAMA_SOURCE + "Carve.Photos as one ONNX file",
        recipe=_LAMA_RECIPE + "; exported by Carve.Photos",
        training_photos=_PLACES2,
        choose="large holes, repeated structures such as tiles, fences and windows, without "
        "installing PyTorch; 208 MB; every hole takes the time of 512 x 512 px",
        metrics=_LAMA_METRICS,
    ),
    Model(
        name="big_lama.places",
        kind="inpainter",
        family="lama",
        preprocessing=Preprocessing(working_size_px=512, multiple_px=8, least_side_px=16),
        files=(
            ModelFile(
                role="fill",
                filename="big_lama_places.onnx",
                inputs=(
                    RGB,
                    TensorSpec("float32", ("N", 1, "H", "W"), "mask, hole 1"),
                ),
                outputs=(RGB,),
            ),
        ),
        checkpoints=(
            Checkpoint(
                filename="big-lama.pt",
                url="https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
                size_bytes=205_669_692,
                checksum="sha256:344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
            ),
        ),
        converter="lama",
        pages=("https://github.com/advimman/lama",),
        licence=_LAMA_LICENCE,
        source=_LAMA_SOURCE + "the author of IOPaint as TorchScript",
        recipe=_LAMA_RECIPE,
        training_photos=_PLACES2,
        choose="as lama.places, but faster for windows below 512 px, and for custom LaMa weights "
        "(big-lama.pt, best.ckpt, safetensors); needs PyTorch once, for conversion",
        metrics=_LAMA_METRICS,
    ),
)

# --- MI-GAN

_MIGAN = (
    Model(
        name="migan.places2",
        kind="inpainter",
        family="migan",
        preprocessing=Preprocessing(working_size_px=512, least_side_px=16),
        files=(
            ModelFile(
                role="fill",
                filename="migan_pipeline_v2.onnx",
                sha256="6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b",
                size_bytes=28_079_181,
                url="https://huggingface.co/andraniksargsyan/migan/resolve/"
                "406830d0fa60666da0071c342ad2fbc8f30c5c64/migan_pipeline_v2.onnx",
                inputs=(
                    TensorSpec("uint8", (1, 3, "H", "W"), "RGB"),
                    TensorSpec("uint8", (1, 1, "H", "W"), "mask, hole 0, known 255"),
                ),
                outputs=(
                    TensorSpec("uint8", (1, 3, "H", "W"), "RGB, blended a few px beyond the hole"),
                ),
            ),
        ),
        pages=("https://github.com/Picsart-AI-Research/MI-GAN",),
        licence=Licence(
            spdx="MIT",
            commercial="yes",
            note="its authors put code and weights under the MIT licence (LICENSE-WEIGHTS in "
            "Picsart-AI-Research/MI-GAN); the photos of Places2, on which it was trained, are "
            "licensed for research only",
        ),
        source="MI-GAN, Sargsyan et al., ICCV 2023; distilled from Co-Mod-GAN, Zhao et al. 2021, "
        "arXiv:2103.10428; weights of its authors",
        recipe="trained by the authors at 512 px, distilled from Co-Mod-GAN; one ONNX file with "
        "cropping, scaling and blending",
        training_photos=_PLACES2,
        choose="large holes with a small file: 28 MB, without installing PyTorch; its authors "
        "advise to fill large areas piece by piece",
    ),
)

# --- OSOR: one diffusion step removes an object with its shadow and reflection

_OSOR_BASE = "https://huggingface.co/diffusers/stable-diffusion-xl-1.0-inpainting-0.1"

# Of the base model, below its folder, then OSOR's own; neither publisher states checksums.
_OSOR_FILES = (
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

_LATENT = TensorSpec("float32", (1, 4, "H/8", "W/8"), "latent")
_NOISE = TensorSpec("float32", (1, 4, "H/8", "W/8"), "normal noise")

_OSOR = (
    Model(
        name="osor.sdxl",
        kind="inpainter",
        family="osor",
        preprocessing=Preprocessing(working_size_px=512, multiple_px=16, least_side_px=64),
        files=(
            ModelFile(
                role="encode",
                filename="osor_sdxl_encode.onnx",
                inputs=(
                    TensorSpec("float32", (1, 3, "H", "W"), "RGB in [-1, 1], object included"),
                    _NOISE,
                ),
                outputs=(_LATENT,),
            ),
            ModelFile(
                role="fill",
                filename="osor_sdxl_fill.onnx",
                inputs=(
                    _LATENT,
                    TensorSpec("float32", (1, 1, "H/8", "W/8"), "mask, 1 where a px is object"),
                    _NOISE,
                ),
                outputs=(
                    TensorSpec("float32", (1, 4, "H/8", "W/8"), "latent without the object"),
                    TensorSpec("float32", (1, 1, "H/8", "W/8"), "share that changed, in [0, 1]"),
                ),
            ),
            ModelFile(role="weights", filename="osor_sdxl_fill.weights"),
            ModelFile(
                role="decode",
                filename="osor_sdxl_decode.onnx",
                inputs=(_LATENT,),
                outputs=(TensorSpec("float32", (1, 3, "H", "W"), "RGB in [0, 1]"),),
            ),
        ),
        checkpoints=tuple(
            Checkpoint(filename=f"osor_sdxl_{name.replace('/', '_')}", url=None, published_as=name)
            for name in _OSOR_FILES
        ),
        converter="osor",
        pages=("https://huggingface.co/QinmingZhou/OSOR", _OSOR_BASE),
        licence=Licence(
            spdx="LicenseRef-CreativeML-OpenRAIL++-M",
            commercial="yes",
            note="the authors of OSOR and of its base put the weights under CreativeML Open "
            f"RAIL++-M ({_OSOR_BASE}/blob/main/LICENSE.md), which permits commercial use within "
            "its restrictions, and asks to pass these on with the weights",
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
        choose="objects with their shadows and reflections, and with rough masks; 5.5 GB "
        "installed, a GPU, or 16 GB of memory and patience; has to be converted once",
    ),
)

ENTRIES = (*_EDGECONNECT, *_LAMA, *_MIGAN, *_OSOR)
