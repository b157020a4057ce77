"""Checkpoints of training frameworks made into ONNX files, each compared with the original.

One module a family of checkpoints, named in the registry as a model's `converter`; each has a
function `convert` like `Converter`. PyTorch and its libraries are imported in this package, and for
pipelines of diffusers in `inpainting`; they come with the extra `convert`, and nothing here is
needed to run what was converted.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from cleanplate.errors import MissingExtraError
from cleanplate.hub.registry import Model

_NEEDED = ("torch", "onnx", "onnxscript")
_TRANSFORMERS = ("torchvision", "transformers", "safetensors")
_NEEDED_BESIDES = MappingProxyType(  # by converter
    {
        **dict.fromkeys(("ade20k", "clipseg", "mobilesam", "rfdetr", "sam2"), _TRANSFORMERS),
        "torchvision_semantic": ("torchvision",),
        "osor": (*_TRANSFORMERS, "diffusers"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """ONNX files made from checkpoints."""

    files: Mapping[str, Path]  # role -> file
    # Role -> largest absolute difference between an output of the ONNX file and of the original
    # network, over all random inputs tried.
    largest_difference: Mapping[str, float]


class Converter(Protocol):
    """What a module of this package offers as `convert`."""

    def __call__(self, model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
        """Make a model's ONNX files.

        Args:
            model: the registry's entry.
            checkpoints: files as the publisher's code writes them, in any order; which is which is
                identified by their content.
            folder: where to write the ONNX files, under the names of `model.files`.

        Raises:
            WeightsError: a checkpoint is not of this architecture, is damaged, or the ONNX file
                computes something else than the original.
        """
        ...


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make a model's ONNX files; see `Converter`.

    The inputs on which they are compared with the original are random, and the same every time.

    Raises:
        MissingExtraError: PyTorch or another package of the extra `convert` is not installed.
    """
    check_can_convert(model)
    module = importlib.import_module(f"{__name__}.{model.converter}")
    converter: Converter = module.convert
    import torch

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return converter(model, checkpoints, folder)


def check_can_convert(model: Model) -> None:
    """Raise unless all that converting needs is installed.

    Raises:
        MissingExtraError: a package is missing.
    """
    missing = [name for name in _needed(model) if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{model.name} has to be converted once, which needs {', '.join(missing)}; run "
            "'pip install \"cleanplate[convert]\"' (here or on another machine: the folder that "
            "'cleanplate models path' prints can be copied)"
        )


def converter_versions(model: Model) -> Mapping[str, str]:
    """Return the versions of the packages that convert a model."""
    from importlib.metadata import version  # loads in 0.03 s, which every start would take

    return {name: version(name) for name in _needed(model)}


def _needed(model: Model) -> tuple[str, ...]:
    return (*_NEEDED, *_NEEDED_BESIDES.get(model.converter or "", ()))
