"""cleanplate removes named objects from photos.

`remove` takes one photo and gives it back without them; `Remover` keeps the models loaded and tells
what was found. Importing this package loads neither ONNX Runtime nor OpenCV: the names below are
fetched at their first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleanplate.api import remove
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
    from cleanplate.inpainting import Inpainter
    from cleanplate.options import RemovalOptions, Rules
    from cleanplate.plan import Draft
    from cleanplate.remover import Remover
    from cleanplate.segmentation import ExampleSegmenter, Segmenter
    from cleanplate.types import Box, Instance, Mask, Removal, RGBImage

__version__ = "0.1.0"

_HOMES = {
    "Box": "types",
    "ChecksumError": "errors",
    "CleanplateError": "errors",
    "DeviceError": "errors",
    "ExampleSegmenter": "segmentation",
    "Draft": "plan",
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
    "Remover": "remover",
    "RemovalOptions": "options",
    "Rules": "options",
    "Segmenter": "segmentation",
    "ShapeMismatchError": "errors",
    "UnknownNameError": "errors",
    "WeightsError": "errors",
    "remove": "api",
}

__all__ = [
    "Box",
    "ChecksumError",
    "CleanplateError",
    "DeviceError",
    "Draft",
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
    "Remover",
    "Rules",
    "Segmenter",
    "ShapeMismatchError",
    "UnknownNameError",
    "WeightsError",
    "remove",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
