"""Datasets without some of their objects: images filled, annotations edited in their own text."""

from cleanplate.datasets.annotations import Annotation, AnnotationEdit, CroppedMask, DatasetImage
from cleanplate.datasets.detection import open_dataset
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
    "PLATES_FILE",
    "AnnotatedPhoto",
    "Annotation",
    "AnnotationEdit",
    "CroppedMask",
    "Crowds",
    "DatasetEditing",
    "DatasetImage",
    "DatasetOptions",
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
