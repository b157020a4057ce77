"""Datasets without some of their objects: images filled, annotations edited in their own text."""

from cleanplate.datasets.annotations import Annotation, CroppedMask, DatasetImage, Decision
from cleanplate.datasets.detection import FORMATS, open_dataset
from cleanplate.datasets.editing import (
    PLATES_FILE,
    DatasetEditing,
    LabelResult,
    SplitCount,
    draw_annotations,
)
from cleanplate.datasets.editor import Editor, is_training
from cleanplate.datasets.requests import AnnotatedPhoto, labels_of
from cleanplate.datasets.rules import (
    Crowds,
    DatasetOptions,
    ImageEdit,
    Neighbours,
    Source,
    decide,
)

__all__ = [
    "FORMATS",
    "PLATES_FILE",
    "AnnotatedPhoto",
    "Annotation",
    "CroppedMask",
    "Crowds",
    "DatasetEditing",
    "DatasetImage",
    "DatasetOptions",
    "Decision",
    "Editor",
    "ImageEdit",
    "LabelResult",
    "Neighbours",
    "Source",
    "SplitCount",
    "decide",
    "draw_annotations",
    "is_training",
    "labels_of",
    "open_dataset",
]
