"""Semantic segmenters of the VOC classes that torchvision publishes."""

from collections.abc import Mapping

from cleanplate.hub.registry.entry import (
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    frozen_metrics,
)
from cleanplate.labels import VOC_LABELS

_URL = "https://download.pytorch.org/models/"
_PAGE = "https://docs.pytorch.org/vision/stable/models.html"

_LICENCE = Licence(
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


def _semantic(
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
        files=(ModelFile(role="segment", filename=f"{architecture}_coco_voc.onnx"),),
        checkpoints=(
            Checkpoint(
                filename=filename, url=_URL + filename, size_bytes=size_bytes, checksum=checksum
            ),
        ),
        converter="torchvision_semantic",
        pages=(_PAGE,),
        labels=VOC_LABELS,
        channels=tuple(range(1, len(VOC_LABELS) + 1)),  # channel 0: background
        preprocessing=Preprocessing(short_side_px=520),
        licence=_LICENCE,
        source=f"{paper}; weights COCO_WITH_VOC_LABELS_V1 of torchvision",
        recipe="trained by torchvision on the photos of COCO train2017 that show any of the 20 VOC "
        "classes, from ImageNet weights of the backbone (references/segmentation)",
        training_photos=f"{_COCO_PHOTOS}; {_BACKBONE_PHOTOS}",
        contract="rgb (N, 3, H, W) float32 in [0, 1], any H and W, made for a short side of 520 "
        "px; returns logits (N, 21, H, W), channel 0 the background",
        choose=f"{choose}; {_LARGE_PHOTOS}; {_ONE_CLASS}",
        metrics=frozen_metrics({"COCO val2017, VOC labels, published by torchvision": {**quality}}),
    )


ENTRIES = (
    _semantic(
        "fcn_resnet50",
        "fcn_resnet50_coco-1167a1af.pth",
        141_567_418,
        "sha256:1167a1affa42e1e62858f8d3fac12d109e0108327ffc91c5855a324b11683c36",
        paper=f"{_FCN}; {_RESNET}",
        quality={"miou": 0.605, "pixel_accuracy": 0.914},
        choose="for comparisons; deeplabv3_resnet50 costs little more and has better outlines",
    ),
    _semantic(
        "fcn_resnet101",
        "fcn_resnet101_coco-7ecb50ca.pth",
        217_800_805,
        "sha256:7ecb50ca17844860a70d5ed0c748d997cf8adb62932abaa0233430c68594d749",
        paper=f"{_FCN}; {_RESNET}",
        quality={"miou": 0.637, "pixel_accuracy": 0.919},
        choose="to reproduce results of an older tool built on it; otherwise deeplabv3_resnet101",
    ),
    _semantic(
        "deeplabv3_resnet50",
        "deeplabv3_resnet50_coco-cd0a2569.pth",
        168_312_152,
        "sha256:cd0a25694c4a0f7106b38f4938bf90a874f2f241cc410b8f63c7024399538f06",
        paper=f"{_DEEPLAB}; {_RESNET}",
        quality={"miou": 0.664, "pixel_accuracy": 0.924},
        choose="for the VOC classes at nearly the quality of deeplabv3_resnet101, a third faster",
    ),
    _semantic(
        "deeplabv3_resnet101",
        "deeplabv3_resnet101_coco-586e9e4e.pth",
        244_545_539,
        "sha256:586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
        paper=f"{_DEEPLAB}; {_RESNET}",
        quality={"miou": 0.674, "pixel_accuracy": 0.924},
        choose="the most accurate of torchvision's, and the slowest; a GPU helps",
    ),
    _semantic(
        "deeplabv3_mobilenet_v3_large",
        "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
        44_356_159,
        "sha256:fc3c493d68e89cc31ef488c803d5d7dd2f3190fb570598faa49fef69be8e5e70",
        paper=f"{_DEEPLAB}; {_MOBILENET}",
        quality={"miou": 0.603, "pixel_accuracy": 0.912},
        choose="fast: a twentieth of the arithmetic of fcn_resnet101, 3.4 points less mIoU",
    ),
    _semantic(
        "lraspp_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large-d234d4ea.pth",
        13_097_061,
        "sha256:d234d4eae9d55d5f76de18b77cf0dc62c66fe5c5482758209d00f950c92bb280",
        paper=f"LR-ASPP; {_MOBILENET}",
        quality={"miou": 0.579, "pixel_accuracy": 0.912},
        choose="the smallest and fastest, with the coarsest outlines",
    ),
)
