"""Networks for the 150 classes of ADE20K."""

from cleanplate.hub.registry.entry import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    frozen_metrics,
)
from cleanplate.labels import ADE20K_LABELS

_NVIDIA = Licence(
    spdx="LicenseRef-NVIDIA-SegFormer",
    commercial="no",
    note="NVIDIA Source Code License for SegFormer, section 3.3: research or evaluation only, "
    "non-commercially; the photos it was trained on are for research and education",
)

_TRAINING_PHOTOS = (
    "ADE20K, 20,210 photos, whose terms permit non-commercial research and education only; "
    "encoder: ImageNet, mixed terms"
)

_CONTRACT = (
    "pixels (1, 3, H, W) float32, RGB, ImageNet mean and deviation, H and W multiples of 32, "
    "published for 512 px squares whatever the photo's aspect; returns logits (1, 150, H/4, W/4), "
    "no background"
)

_PREPROCESSING = Preprocessing(size_hw=(512, 512), mean=IMAGENET_MEAN, std=IMAGENET_STD)

_DATA = "ADE20K val, single scale, published by mmsegmentation for its own checkpoint"


def _segformer(size: str, *, miou: float, choose: str, checkpoint: Checkpoint) -> Model:
    return Model(
        name=f"segformer_{size}.ade20k",
        kind="segmenter",
        family="semantic",
        files=(ModelFile(role="segment", filename=f"segformer_{size}_ade20k.onnx"),),
        checkpoints=(checkpoint,),
        converter="ade20k",
        pages=(f"https://huggingface.co/nvidia/segformer-{size}-finetuned-ade-512-512",),
        labels=ADE20K_LABELS,
        channels=tuple(range(len(ADE20K_LABELS))),  # no channel is the background
        preprocessing=_PREPROCESSING,
        licence=_NVIDIA,
        source="SegFormer, Xie et al. 2021, arXiv:2105.15203; weights published by NVIDIA",
        recipe=f"trained by the authors: MiT-{size.upper()} encoder pretrained on ImageNet, "
        "160,000 steps of 16 crops of 512 px",
        training_photos=_TRAINING_PHOTOS,
        contract=_CONTRACT,
        choose=choose,
        metrics=frozen_metrics({_DATA: {"miou": miou}}),
    )


ENTRIES = (
    Model(
        name="upernet_convnext_tiny.ade20k",
        kind="segmenter",
        family="semantic",
        files=(ModelFile(role="segment", filename="upernet_convnext_tiny_ade20k.onnx"),),
        checkpoints=(
            Checkpoint(
                filename="upernet_convnext_tiny_ade20k.safetensors",
                url="https://huggingface.co/openmmlab/upernet-convnext-tiny/resolve/"
                "876ffc56b819a829448f7e81e9f8606deef6fb65/model.safetensors",
                estimated_bytes=241_021_848,
                checksum="sha256:cd55b1d36c6602d34f8cd300d7f788ea0fa5c3ed928e9ac98f353ecb31c7fa1d",
            ),
        ),
        converter="ade20k",
        pages=("https://huggingface.co/openmmlab/upernet-convnext-tiny",),
        labels=ADE20K_LABELS,
        channels=tuple(range(len(ADE20K_LABELS))),  # no channel is the background
        preprocessing=_PREPROCESSING,
        licence=Licence(
            spdx="MIT",
            commercial="yes",
            note="tagged MIT by OpenMMLab on Hugging Face; the photos it was trained on are for "
            "research and education, and it is disputed whether their terms extend to weights",
        ),
        source="UPerNet, Xiao et al. 2018, arXiv:1807.10221, on ConvNeXt, Liu et al. 2022, "
        "arXiv:2201.03545; weights published by OpenMMLab",
        recipe="trained by OpenMMLab: ConvNeXt-T pretrained on ImageNet, 160,000 steps of 16 crops "
        "of 512 px",
        training_photos=_TRAINING_PHOTOS,
        contract=_CONTRACT,
        choose="150 classes, among them signs, lamps, rubbish bins, fences, poles and animals as "
        "one class; every pixel has a class, so 'all' would remove the entire photo; slow on a "
        "CPU; touching objects of a class are one object",
        metrics=frozen_metrics({_DATA: {"miou": 0.4611}}),
    ),
    _segformer(
        "b0",
        miou=0.3741,
        choose="150 classes, the smallest and fastest model for them; not for commercial use, and "
        "less accurate than upernet_convnext_tiny.ade20k",
        checkpoint=Checkpoint(
            filename="segformer_b0_ade20k.safetensors",
            url="https://huggingface.co/nvidia/segformer-b0-finetuned-ade-512-512/resolve/"
            "489d5cd81a0b59fab9b7ea758d3548ebe99677da/model.safetensors",
            size_bytes=15_036_944,
            checksum="sha256:6ae39addd01de6b1b8bde2cf677d43a5cd733424b8d186de3f95d1c51fee23f9",
        ),
    ),
    _segformer(
        "b2",
        miou=0.4558,
        choose="150 classes, about as accurate as upernet_convnext_tiny.ade20k and faster; not for "
        "commercial use",
        checkpoint=Checkpoint(
            filename="segformer_b2_ade20k.bin",
            url="https://huggingface.co/nvidia/segformer-b2-finetuned-ade-512-512/resolve/"
            "de01bae28967510f9ddd496c60a969357195400c/pytorch_model.bin",
            size_bytes=110_000_905,
            checksum="sha256:187ca07bea003a5717c63d04ea90b07f33cd033c0ebf44b4b89fce5070d6c8f3",
        ),
    ),
)
