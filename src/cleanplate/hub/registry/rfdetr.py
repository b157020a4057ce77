"""RF-DETR-Seg: instances of COCO's classes under a permissive licence."""

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
from cleanplate.labels import COCO_IDS, COCO_LABELS

_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial="yes",
    note="Roboflow states Apache-2.0 for the package and for all sizes of RF-DETR-Seg; the photos "
    "of COCO are from Flickr under mixed terms",
)


def _size(
    size: str, *, side: int, ap: float, ap50: float, choose: str, checkpoint: tuple[str, int, str]
) -> Model:
    letter, size_bytes, sha256 = checkpoint
    return Model(
        name=f"rfdetr_seg_{size}.coco",
        kind="segmenter",
        family="rfdetr",
        files=(ModelFile(role="segment", filename=f"rfdetr_seg_{size}_coco.onnx"),),
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
        licence=_LICENCE,
        source="RF-DETR, Robinson et al. 2025, arXiv:2511.09554; weights published by Roboflow",
        recipe="trained by Roboflow: DINOv2-S encoder with windowed attention, sizes found by "
        "architecture search, trained on COCO train2017",
        training_photos="COCO train2017, photos from Flickr under mixed terms; the encoder's "
        "LVD-142M is from the web, of unstated terms",
        contract=f"pixels (1, 3, {side}, {side}) float32, RGB scaled without smoothing whatever "
        "its aspect, ImageNet mean and deviation; returns logits (1, Q, 91) for COCO's category "
        f"ids, to be put through a sigmoid, and masks (1, Q, {side // 4}, {side // 4}), positive "
        "on the object",
        choose=choose,
        metrics=frozen_metrics(
            {"COCO val2017, published by Roboflow": {"mask_ap": ap, "mask_ap50": ap50}}
        ),
    )


ENTRIES = (
    _size(
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
    _size(
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
    _size(
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
    _size(
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
