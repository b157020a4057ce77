"""Segmenters of other publishers."""

from collections.abc import Mapping

from cleanplate.hub.registry.entry import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RGB,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    TensorSpec,
    frozen_metrics,
)
from cleanplate.labels import ADE20K_LABELS, COCO_IDS, COCO_LABELS, VOC_LABELS

# --- torchvision: semantic networks for the VOC classes

_TORCHVISION_URL = "https://download.pytorch.org/models/"
_TORCHVISION_PAGE = "https://docs.pytorch.org/vision/stable/models.html"

_TORCHVISION_LICENCE = Licence(
    spdx="NOASSERTION",
    commercial="unclear",
    note="torchvision's code is BSD-3-Clause; of its weights its README says that they may have "
    "terms derived from the data they were trained on, and that it is the user's responsibility to "
    "determine whether they may be used",
)

_COCO_PHOTOS = "COCO train2017: photos from Flickr under their own licences, annotations CC BY 4.0"
_BACKBONE_PHOTOS = "the backbone before that ImageNet, whose terms are for research"

_FCN = "FCN, Long et al. 2015, arXiv:1411.4038"
_DEEPLAB = "DeepLabV3, Chen et al. 2017, arXiv:1706.05587"
_RESNET = "ResNet, He et al. 2015, arXiv:1512.03385"
_MOBILENET = "MobileNetV3, Howard et al. 2019, arXiv:1905.02244"

_LARGE_PHOTOS = (
    "processes the photo at a short side of 520 px, and candidate regions of larger photos again"
)
_ONE_CLASS = "touching objects of a class are one object"


def _torchvision(
    architecture: str,
    filename: str,
    size_bytes: int,
    checksum: str,
    *,
    paper: str,
    quality: Mapping[str, float],
    choose: str,
) -> Model:
    """Return the entry of a semantic network with weights `COCO_WITH_VOC_LABELS_V1`."""
    return Model(
        name=f"{architecture}.coco_voc",
        kind="segmenter",
        family="semantic",
        files=(
            ModelFile(
                role="segment",
                filename=f"{architecture}_coco_voc.onnx",
                inputs=(RGB,),
                outputs=(
                    TensorSpec(
                        "float32",
                        ("N", 1 + len(VOC_LABELS), "H", "W"),
                        "logits, channel 0 the background",
                    ),
                ),
            ),
        ),
        checkpoints=(
            Checkpoint(
                filename=filename,
                url=_TORCHVISION_URL + filename,
                size_bytes=size_bytes,
                checksum=checksum,
            ),
        ),
        converter="torchvision_semantic",
        pages=(_TORCHVISION_PAGE,),
        labels=VOC_LABELS,
        channels=tuple(range(1, len(VOC_LABELS) + 1)),  # channel 0: background
        preprocessing=Preprocessing(short_side_px=520),
        licence=_TORCHVISION_LICENCE,
        source=f"{paper}; weights COCO_WITH_VOC_LABELS_V1 of torchvision",
        recipe="trained by torchvision on the photos of COCO train2017 that show any of the 20 VOC "
        "classes, from ImageNet weights of the backbone (references/segmentation)",
        training_photos=f"{_COCO_PHOTOS}; {_BACKBONE_PHOTOS}",
        choose=f"{choose}; {_LARGE_PHOTOS}; {_ONE_CLASS}",
        metrics=frozen_metrics({"COCO val2017, VOC labels, published by torchvision": {**quality}}),
    )


_TORCHVISION = (
    _torchvision(
        "fcn_resnet50",
        "fcn_resnet50_coco-1167a1af.pth",
        141_567_418,
        "sha256:1167a1affa42e1e62858f8d3fac12d109e0108327ffc91c5855a324b11683c36",
        paper=f"{_FCN}; {_RESNET}",
        quality={"miou": 0.605, "pixel_accuracy": 0.914},
        choose="for comparisons; deeplabv3_resnet50 costs little more and has better outlines",
    ),
    _torchvision(
        "fcn_resnet101",
        "fcn_resnet101_coco-7ecb50ca.pth",
        217_800_805,
        "sha256:7ecb50ca17844860a70d5ed0c748d997cf8adb62932abaa0233430c68594d749",
        paper=f"{_FCN}; {_RESNET}",
        quality={"miou": 0.637, "pixel_accuracy": 0.919},
        choose="to reproduce results of an older tool built on it; otherwise deeplabv3_resnet101",
    ),
    _torchvision(
        "deeplabv3_resnet50",
        "deeplabv3_resnet50_coco-cd0a2569.pth",
        168_312_152,
        "sha256:cd0a25694c4a0f7106b38f4938bf90a874f2f241cc410b8f63c7024399538f06",
        paper=f"{_DEEPLAB}; {_RESNET}",
        quality={"miou": 0.664, "pixel_accuracy": 0.924},
        choose="for the VOC classes at nearly the quality of deeplabv3_resnet101, a third faster",
    ),
    _torchvision(
        "deeplabv3_resnet101",
        "deeplabv3_resnet101_coco-586e9e4e.pth",
        244_545_539,
        "sha256:586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
        paper=f"{_DEEPLAB}; {_RESNET}",
        quality={"miou": 0.674, "pixel_accuracy": 0.924},
        choose="the most accurate of torchvision's, and the slowest; a GPU helps",
    ),
    _torchvision(
        "deeplabv3_mobilenet_v3_large",
        "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
        44_356_159,
        "sha256:fc3c493d68e89cc31ef488c803d5d7dd2f3190fb570598faa49fef69be8e5e70",
        paper=f"{_DEEPLAB}; {_MOBILENET}",
        quality={"miou": 0.603, "pixel_accuracy": 0.912},
        choose="fast: a twentieth of the arithmetic of fcn_resnet101, 3.4 points less mIoU",
    ),
    _torchvision(
        "lraspp_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large-d234d4ea.pth",
        13_097_061,
        "sha256:d234d4eae9d55d5f76de18b77cf0dc62c66fe5c5482758209d00f950c92bb280",
        paper=f"LR-ASPP; {_MOBILENET}",
        quality={"miou": 0.579, "pixel_accuracy": 0.912},
        choose="the smallest and fastest, with the coarsest outlines",
    ),
)

# --- RF-DETR-Seg: instances of COCO's classes under a permissive licence

_RFDETR_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial="yes",
    note="Roboflow states Apache-2.0 for the package and for all sizes of RF-DETR-Seg; the photos "
    "of COCO are from Flickr under mixed terms",
)

_QUERIES = (100, 200)  # of the two smaller sizes, and of the two larger


def _rfdetr(
    size: str, *, side: int, ap: float, ap50: float, choose: str, checkpoint: tuple[str, int, str]
) -> Model:
    letter, size_bytes, sha256 = checkpoint
    return Model(
        name=f"rfdetr_seg_{size}.coco",
        kind="segmenter",
        family="rfdetr",
        files=(
            ModelFile(
                role="segment",
                filename=f"rfdetr_seg_{size}_coco.onnx",
                inputs=(TensorSpec("float32", (1, 3, side, side), "RGB, normalized"),),
                outputs=(
                    TensorSpec("float32", (1, _QUERIES, 91), "logits by COCO's category ids"),
                    TensorSpec(
                        "float32",
                        (1, _QUERIES, side // 4, side // 4),
                        "logits, positive on the object",
                    ),
                ),
            ),
        ),
        checkpoints=(
            Checkpoint(
                filename=f"rf-detr-seg-{letter}-ft.pth",
                # The address names no version; the checksum does.
                url=f"https://storage.googleapis.com/rfdetr/rf-detr-seg-{letter}-ft.pth",
                size_bytes=size_bytes,
                checksum=f"sha256:{sha256}",
            ),
        ),
        converter="rfdetr",
        pages=("https://github.com/roboflow/rf-detr",),
        labels=COCO_LABELS,
        channels=tuple(COCO_IDS[label] for label in COCO_LABELS),
        preprocessing=Preprocessing(
            size_hw=(side, side), resampling="bilinear", mean=IMAGENET_MEAN, std=IMAGENET_STD
        ),
        licence=_RFDETR_LICENCE,
        source="RF-DETR, Robinson et al. 2025, arXiv:2511.09554; weights published by Roboflow",
        recipe="trained by Roboflow: DINOv2-S encoder with windowed attention, sizes found by "
        "architecture search, trained on COCO train2017",
        training_photos="COCO train2017, photos from Flickr under mixed terms; the encoder's "
        "LVD-142M is from the web, of unstated terms",
        choose=choose,
        metrics=frozen_metrics(
            {"COCO val2017, published by Roboflow": {"mask_ap": ap, "mask_ap50": ap50}}
        ),
    )


_RFDETR = (
    _rfdetr(
        "nano",
        side=312,
        ap=0.403,
        ap50=0.630,
        choose="80 classes, touching objects separated, the fastest RF-DETR; works at 312 px, "
        "so it misses small objects",
        checkpoint=(
            "n",
            134_545_398,
            "a44613a4ecd6b5ba61a62002c600b0b6cb7a9da2936a45317ec4b62c635fb99b",
        ),
    ),
    _rfdetr(
        "small",
        side=384,
        ap=0.431,
        ap50=0.662,
        choose="80 classes, touching objects separated, as fast as the built-in segmenter; "
        "works at 384 px, so it misses small objects",
        checkpoint=(
            "s",
            135_042_342,
            "6de3da31b2572cac214a1c76cce4a92a13966d56390ac2b3a3de9a8dc2b2bca3",
        ),
    ),
    _rfdetr(
        "medium",
        side=432,
        ap=0.453,
        ap50=0.684,
        choose="80 classes, touching objects separated, between small and large; works at 432 "
        "px, so it misses small objects",
        checkpoint=(
            "m",
            143_024_058,
            "3ad325094735f431aee9962a8d204d68eb5bfc393d53e7e836e70998fef5ea58",
        ),
    ),
    _rfdetr(
        "large",
        side=504,
        ap=0.471,
        ap50=0.705,
        choose="80 classes, touching objects separated, the most accurate RF-DETR and the "
        "slowest; works at 504 px",
        checkpoint=(
            "l",
            145_055_866,
            "ca7b7c630ba22496067cc4f034c4e70c8e47fd7adcea04c3a49aa8c1755cbe6b",
        ),
    ),
)

# --- The 150 classes of ADE20K

_NVIDIA = Licence(
    spdx="LicenseRef-NVIDIA-SegFormer",
    commercial="no",
    note="NVIDIA Source Code License for SegFormer, section 3.3: research or evaluation only, "
    "non-commercially; the photos it was trained on are for research and education",
)

_ADE20K_PHOTOS = (
    "ADE20K, 20,210 photos, whose terms permit non-commercial research and education only; "
    "encoder: ImageNet, mixed terms"
)

_ADE20K_PREPROCESSING = Preprocessing(size_hw=(512, 512), mean=IMAGENET_MEAN, std=IMAGENET_STD)

_ADE20K_VAL = "ADE20K val, single scale, published by mmsegmentation for its own checkpoint"


def _ade20k_file(filename: str) -> ModelFile:
    return ModelFile(
        role="segment",
        filename=filename,
        inputs=(TensorSpec("float32", (1, 3, "H", "W"), "RGB, normalized"),),
        outputs=(
            TensorSpec("float32", (1, len(ADE20K_LABELS), "H/4", "W/4"), "logits, no background"),
        ),
    )


def _segformer(size: str, *, miou: float, choose: str, checkpoint: Checkpoint) -> Model:
    return Model(
        name=f"segformer_{size}.ade20k",
        kind="segmenter",
        family="semantic",
        files=(_ade20k_file(f"segformer_{size}_ade20k.onnx"),),
        checkpoints=(checkpoint,),
        converter="ade20k",
        pages=(f"https://huggingface.co/nvidia/segformer-{size}-finetuned-ade-512-512",),
        labels=ADE20K_LABELS,
        channels=tuple(range(len(ADE20K_LABELS))),  # no channel is the background
        preprocessing=_ADE20K_PREPROCESSING,
        licence=_NVIDIA,
        source="SegFormer, Xie et al. 2021, arXiv:2105.15203; weights published by NVIDIA",
        recipe=f"trained by the authors: MiT-{size.upper()} encoder pretrained on ImageNet, "
        "160,000 steps of 16 crops of 512 px",
        training_photos=_ADE20K_PHOTOS,
        choose=choose,
        metrics=frozen_metrics({_ADE20K_VAL: {"miou": miou}}),
    )


_ADE20K = (
    Model(
        name="upernet_convnext_tiny.ade20k",
        kind="segmenter",
        family="semantic",
        files=(_ade20k_file("upernet_convnext_tiny_ade20k.onnx"),),
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
        preprocessing=_ADE20K_PREPROCESSING,
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
        training_photos=_ADE20K_PHOTOS,
        choose="150 classes, among them signs, lamps, rubbish bins, fences, poles and animals as "
        "one class; every pixel has a class, so 'all' would remove the entire photo; slow on a "
        "CPU; touching objects of a class are one object",
        metrics=frozen_metrics({_ADE20K_VAL: {"miou": 0.4611}}),
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

# --- CLIPSeg: any words

# Files of this commit of the publisher's repository.
_CLIPSEG_FILES = (
    "https://huggingface.co/CIDAS/clipseg-rd64-refined/resolve/"
    "999e0328d9e10b484360c477313983f9afdd7050/"
)

_CLIPSEG = (
    Model(
        name="clipseg_rd64.phrasecut",
        kind="segmenter",
        family="clipseg",
        files=(
            ModelFile(
                role="text",
                filename="clipseg_rd64_text.onnx",
                inputs=(
                    TensorSpec(
                        "int64", ("N", "L"), "byte pairs between 49406 and 49407, 77 at most"
                    ),
                ),
                outputs=(TensorSpec("float32", ("N", 512), "embedding of each text"),),
            ),
            ModelFile(
                role="segment",
                filename="clipseg_rd64_segment.onnx",
                inputs=(
                    TensorSpec("float32", (1, 3, 352, 352), "RGB, normalized"),
                    TensorSpec("float32", ("N", 512), "embedding of each text"),
                ),
                outputs=(TensorSpec("float32", ("N", 352, 352), "logits of each text"),),
            ),
            ModelFile(role="merges", filename="clipseg_rd64_merges.txt"),
        ),
        checkpoints=(
            Checkpoint(
                filename="clipseg_rd64_refined.safetensors",
                url=f"{_CLIPSEG_FILES}model.safetensors",
                size_bytes=603_049_496,
                checksum="sha256:d00ca85d6b859f9d07b7cfb8ef26fe9771cb275b34c9368f2ecf603139307f55",
            ),
            Checkpoint(
                filename="clipseg_rd64_refined_merges.txt",
                url=f"{_CLIPSEG_FILES}merges.txt",
                size_bytes=524_619,
                checksum="sha256:9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a",
            ),
        ),
        converter="clipseg",
        pages=("https://huggingface.co/CIDAS/clipseg-rd64-refined",),
        labels=(),
        preprocessing=Preprocessing(size_hw=(352, 352), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        licence=Licence(
            spdx="Apache-2.0",
            commercial="unclear",
            note="tagged Apache-2.0 where the weights are published (CIDAS on Hugging Face); the "
            "authors' repository excludes the weights from its MIT licence and states no other",
        ),
        source="CLIPSeg, Lüddecke and Ecker 2022, arXiv:2112.10003; encoders CLIP ViT-B/16, "
        "Radford et al. 2021, arXiv:2103.00020; weights published by CIDAS",
        recipe="trained by the authors: a decoder of 64 channels with refining convolutions on "
        "frozen CLIP encoders, 352 px squares, phrases of PhraseCut",
        training_photos="PhraseCut on Visual Genome, photos from Flickr under mixed terms; CLIP's "
        "encoders: 400 million images from the web of unstated terms",
        choose="objects in no list of classes, described in English: 'red car', 'graffiti'; masks "
        "are coarse (352 px for the full photo), small objects are missed, it neither counts nor "
        "negates, and touching objects are one object",
    ),
)

ENTRIES = (*_TORCHVISION, *_RFDETR, *_ADE20K, *_CLIPSEG)
