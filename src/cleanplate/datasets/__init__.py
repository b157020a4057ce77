"""Datasets without some of their objects: images filled, annotations edited in their own text."""

from cleanplate.datasets.annotations import Annotation, AnnotationEdit, CroppedMask
from cleanplate.datasets.detection import open_dataset
from cleanplate.datasets.editing import (
    PLATES_FILE,
    DatasetEditing,
    LabelResult,
    draw_annotations,
)
from cleanplate.datasets.editor import Editor
from cleanplate.datasets.requests import AnnotatedPhoto
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
    "DatasetOptions",
    "Editor",
    "ImageEdit",
    "LabelResult",
    "Neighbours",
    "Source",
    "decide",
    "draw_annotations",
    "open_dataset",
]
