"""cleanplate removes named objects from photos.

`remove` takes one photo and gives it back without them; `Remover` keeps the models loaded and tells
what was found. Importing this package loads neither ONNX Runtime nor OpenCV: the names below are
fetched at their first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleanplate.api import fill, remove, remove_file
    from cleanplate.errors import (
        ChecksumError,
        CleanplateError,
        DeviceError,
        InputError,
        LicenceError,
        MissingExtraError,
        MissingRuntimeError,
        PhotoError,
        ShapeMismatchError,
        UnknownNameError,
        WeightsError,
    )
    from cleanplate.hub import list_models
    from cleanplate.inpainting import Inpainter, create_inpainter
    from cleanplate.options import RemovalOptions, Rules
    from cleanplate.plan import RemovalPlan
    from cleanplate.remover import Remover
    from cleanplate.segmentation import ExampleSegmenter, Segmenter, create_segmenter
    from cleanplate.types import Box, Instance, Mask, Removal, RGBImage

__version__ = "0.1.0"

_HOMES = {
    "Box": "types",
    "ChecksumError": "errors",
    "CleanplateError": "errors",
    "DeviceError": "errors",
    "ExampleSegmenter": "segmentation",
    "Inpainter": "inpainting",
    "InputError": "errors",
    "Instance": "types",
    "LicenceError": "errors",
    "Mask": "types",
    "MissingExtraError": "errors",
    "MissingRuntimeError": "errors",
    "PhotoError": "errors",
    "RGBImage": "types",
    "Removal": "types",
    "RemovalPlan": "plan",
    "Remover": "remover",
    "RemovalOptions": "options",
    "Rules": "options",
    "Segmenter": "segmentation",
    "ShapeMismatchError": "errors",
    "UnknownNameError": "errors",
    "WeightsError": "errors",
    "create_inpainter": "inpainting",
    "create_segmenter": "segmentation",
    "fill": "api",
    "list_models": "hub",
    "remove": "api",
    "remove_file": "api",
}

__all__ = [
    "Box",
    "ChecksumError",
    "CleanplateError",
    "DeviceError",
    "ExampleSegmenter",
    "Inpainter",
    "InputError",
    "Instance",
    "LicenceError",
    "Mask",
    "MissingExtraError",
    "MissingRuntimeError",
    "PhotoError",
    "RGBImage",
    "Removal",
    "RemovalOptions",
    "RemovalPlan",
    "Remover",
    "Rules",
    "Segmenter",
    "ShapeMismatchError",
    "UnknownNameError",
    "WeightsError",
    "create_inpainter",
    "create_segmenter",
    "fill",
    "list_models",
    "remove",
    "remove_file",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
