"""Interactive segmenters."""

from cleanplate.hub.registry.entry import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    TensorSpec,
    frozen_metrics,
)

_IMAGE = (TensorSpec("float32", (1, 3, 1024, 1024), "RGB, normalized"),)
_POINTS = (
    TensorSpec("float32", (1, "N", 2), "x and y in px of the network's image"),
    TensorSpec(
        "int64",
        (1, "N"),
        "what they are: 0 beside the object, 1 on it, 2 and 3 a box's top left and bottom right "
        "corners, -1 nothing (the last, in prompts without a box; in SAM 2 always)",
    ),
)
_MASKS = (
    TensorSpec("float32", (1, 4, 256, 256), "logits, the first for clear prompts"),
    TensorSpec("float32", (1, 4), "expected IoU, in [0, 1]"),
)
_SAM_FEATURES = (TensorSpec("float32", (1, 256, 64, 64), "features"),)
_SAM2_FEATURES = (
    *_SAM_FEATURES,
    TensorSpec("float32", (1, 64, 128, 128), "finer features"),
    TensorSpec("float32", (1, 32, 256, 256), "finest features"),
)


def _files(name: str, features: tuple[TensorSpec, ...]) -> tuple[ModelFile, ...]:
    return (
        ModelFile(role="image", filename=f"{name}_image.onnx", inputs=_IMAGE, outputs=features),
        ModelFile(
            role="prompt",
            filename=f"{name}_prompt.onnx",
            inputs=(*features, *_POINTS),
            outputs=_MASKS,
        ),
    )


ENTRIES = (
    Model(
        name="sam21_hiera_tiny.sav",
        kind="prompter",
        family="sam2",
        files=_files("sam21_hiera_tiny", _SAM2_FEATURES),
        checkpoints=(
            Checkpoint(
                filename="sam2.1_hiera_tiny.safetensors",
                url="https://huggingface.co/facebook/sam2.1-hiera-tiny/resolve/"
                "de431c4043854a71d8101e17995dfe596bf101a5/model.safetensors",
                size_bytes=155_908_064,
                checksum="sha256:48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
            ),
        ),
        converter="sam2",
        pages=("https://huggingface.co/facebook/sam2.1-hiera-tiny",),
        licence=Licence(
            spdx="Apache-2.0",
            commercial="yes",
            note="Meta's README licenses the SAM 2 model checkpoints under Apache 2.0",
        ),
        source="SAM 2, Ravi et al. 2024, arXiv:2408.00714, on Hiera, Ryali et al. 2023, "
        "arXiv:2306.00989; weights by Meta, SAM 2.1 of 29 September 2024, in the file format of "
        "transformers",
        recipe="trained by Meta on photos and videos, the outlines drawn with the model's help; "
        "code and configurations in github.com/facebookresearch/sam2",
        training_photos="SA-1B, 11 million photos licensed by Meta, and SA-V, 51 thousand videos "
        "filmed by crowd workers (CC BY 4.0), with further licensed videos",
        preprocessing=Preprocessing(size_hw=(1024, 1024), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        choose="objects of any kind, by a click or a box; the outline "
        "is computed at 256 px for the full photo, so thin parts of large photos are rough; the "
        "object has no label",
        metrics=frozen_metrics(
            {
                "SA-V test, published by Meta for SAM 2.1": {"j_and_f": 0.765},
                "MOSE val, published by Meta for SAM 2.1": {"j_and_f": 0.718},
                "LVOS v2, published by Meta for SAM 2.1": {"j_and_f": 0.773},
            }
        ),
    ),
    Model(
        name="mobilesam.sa1b",
        kind="prompter",
        family="sam",
        files=_files("mobilesam", _SAM_FEATURES),
        checkpoints=(
            Checkpoint(
                filename="mobile_sam.pt",
                url="https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/"
                "f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
                size_bytes=40_728_226,
                checksum="sha256:6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            ),
        ),
        converter="mobilesam",
        pages=("https://github.com/ChaoningZhang/MobileSAM",),
        licence=Licence(
            spdx="Apache-2.0",
            commercial="yes",
            note="the authors' repository, which holds the weights, is under Apache 2.0",
        ),
        source="MobileSAM, Zhang et al. 2023, arXiv:2306.14289, from SAM, Kirillov et al. 2023, "
        "arXiv:2304.02643, and TinyViT, Wu et al. 2022, arXiv:2207.10666; weights by the authors",
        recipe="trained by the authors: the features of SAM's ViT-H encoder distilled into "
        "TinyViT, prompt encoder and mask decoder from SAM; on one GPU in less than a day",
        training_photos="1 % of SA-1B, which is 11 million photos licensed by Meta",
        preprocessing=Preprocessing(
            size_hw=(1024, 1024), keeps_aspect=True, mean=IMAGENET_MEAN, std=IMAGENET_STD
        ),
        choose="where SAM 2.1 is too large: a quarter of its download, half of its memory (0.6 "
        "instead of 1.1 GB) and time; imitates SAM, which is less accurate than SAM 2 by Meta's "
        "figures",
        metrics=frozen_metrics(
            {
                "agreement with SAM ViT-H at two points 100 px apart, published by the authors": {
                    "miou": 0.73
                },
            }
        ),
    ),
)
