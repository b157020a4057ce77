"""Any inpainting pipeline of diffusers in a local folder, run by PyTorch.

The folder is data: nothing is downloaded, no code in it is run, and only safetensors are read,
unless its pickled weights are trusted. `cleanplate.toml` in it may state `steps`, `strength`,
`guidance`, `prompt` and `negative_prompt`; what it does not state is the pipeline's own default,
and the prompt an empty scene.
"""

import importlib.util
import inspect
import json
import threading
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from cleanplate.errors import DeviceError, InputError, MissingExtraError, WeightsError
from cleanplate.inpainting.base import (
    PIPELINES,
    BaseInpainter,
    SeededInpainter,
    SharpInpainter,
    check_memory,
    composite,
    pad_to,
    pipeline_folder,
)
from cleanplate.runtime import check_finite, check_interrupted
from cleanplate.types import Mask, RGBImage

CONFIG = "cleanplate.toml"

_NEEDED = ("torch", "diffusers", "transformers", "safetensors")
_LIBRARIES = ("diffusers", "transformers", None)  # of a pipeline's parts
# Option -> argument of a pipeline, and its type.
_ARGUMENTS = MappingProxyType(
    {
        "steps": ("num_inference_steps", int),
        "strength": ("strength", float),
        "guidance": ("guidance_scale", float),
        "prompt": ("prompt", str),
        "negative_prompt": ("negative_prompt", str),
    }
)
_PROMPT = "an empty scene, background only"
_MULTIPLE_PX = 64
_USUAL_SIZE = 1024  # px, for pipelines that do not state it
_ROOM_BYTES = 2 << 30  # besides the weights


class PipelineInpainter(SeededInpainter, SharpInpainter, BaseInpainter):
    """A pipeline of diffusers.

    Args:
        name: "diffusers:" and a folder; "diffusers-pickle:" trusts its pickled weights.
        device: "auto", "cpu", "cuda" or "cuda-fp16".
        threads: CPU threads of this process; None leaves them.

    Raises:
        MissingExtraError: a package is not installed.
        WeightsError: the folder holds no such pipeline, or code, or weights that are not trusted,
            or the memory is too small.
        InputError: an option of the folder's `cleanplate.toml` cannot be used.
        DeviceError: the device is absent or none of these.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        missing = [it for it in _NEEDED if importlib.util.find_spec(it) is None]
        if missing:
            raise MissingExtraError(
                f"{name} needs {', '.join(missing)}; run 'pip install \"cleanplate[diffusers]\"'"
            )
        folder = pipeline_folder(name)
        _check_folder(folder)
        given = _options(folder)
        import torch

        place = _device(device, has_cuda=torch.cuda.is_available())
        if place == "cpu" and threads is not None:
            torch.set_num_threads(threads)
        pipeline = _load(
            name, folder, place, torch.float16 if device == "cuda-fp16" else torch.float32
        )
        known = inspect.signature(pipeline.__call__).parameters
        for option in given:
            if _ARGUMENTS[option][0] not in known:
                raise InputError(f"{folder / CONFIG}: {type(pipeline).__name__} has no {option}")
        self._arguments: dict[str, Any] = {"prompt": _PROMPT}
        self._arguments |= {_ARGUMENTS[option][0]: value for option, value in given.items()}
        if "callback_on_step_end" in known:
            self._arguments["callback_on_step_end"] = _check_step
        self._name, self._pipeline, self._place = name, pipeline, place
        self._device = device if device == "cuda-fp16" else place
        network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        values = getattr(getattr(network, "config", None), "sample_size", None)
        scale = getattr(pipeline, "vae_scale_factor", 8)
        self._size = values * scale if isinstance(values, int) else _USUAL_SIZE
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    @property
    def provider(self) -> str:
        """PyTorch, and its device."""
        return f"PyTorch on {self._place}"

    @property
    def working_size(self) -> int:
        """Long side in px of its training."""
        return self._size

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        import torch
        from PIL import Image

        height, width = (-(-side // _MULTIPLE_PX) * _MULTIPLE_PX for side in mask.shape)
        padded, hole = pad_to(image, mask, (height, width), border=cv2.BORDER_REFLECT)
        with self._lock, torch.no_grad():
            (filled,) = self._pipeline(
                image=Image.fromarray(padded),
                mask_image=Image.fromarray(hole.astype(np.uint8) * np.uint8(255)),
                height=height,
                width=width,
                generator=torch.Generator("cpu").manual_seed(self._seed),
                output_type="np",
                **self._arguments,
            ).images
        check_finite(filled, device=self._device, name=self._name)
        return composite(image, mask, filled.astype(np.float32) * np.float32(255))


def _check_step(pipeline: Any, step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
    """End the pipeline after a step if it is to be interrupted; diffusers calls it."""
    check_interrupted()
    return values


def _load(name: str, folder: Path, place: str, dtype: Any) -> Any:
    """Return the pipeline on its device.

    Raises:
        WeightsError: it cannot be loaded, or the memory is too small.
    """
    from diffusers import AutoPipelineForInpainting
    from diffusers.utils import logging

    trusted = name.startswith(PIPELINES[1])
    weights = [*folder.glob("*/*.safetensors"), *(folder.glob("*/*.bin") if trusted else ())]
    single = [path for path in weights if ".fp16." not in path.name]
    if place == "cpu":
        size = sum(path.stat().st_size for path in single or weights)
        check_memory(name, (size if single else 2 * size) + _ROOM_BYTES)
    logging.disable_progress_bar()
    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=None if trusted else True,
            variant=None if single else "fp16",
        ).to(place, dtype)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        pickles = "" if trusted else "; of weights, only safetensors without --trust-pickle"
        raise WeightsError(
            f"{folder}: diffusers cannot load an inpainting pipeline from it ({reason}){pickles}"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _device(device: str, *, has_cuda: bool) -> str:
    if device == "auto":
        return "cuda" if has_cuda else "cpu"
    if device == "cpu":
        return "cpu"
    if device not in ("cuda", "cuda-fp16"):
        raise DeviceError(device, "diffusers pipelines run on cpu, cuda and cuda-fp16")
    if not has_cuda:
        raise DeviceError(device, "this build of PyTorch has no CUDA; install one with CUDA")
    return "cuda"


def _check_folder(folder: Path) -> None:
    """Raise unless a folder holds a pipeline and no code.

    Raises:
        WeightsError: it does not.
    """
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
        parts = {it: value for it, value in index.items() if not it.startswith("_")}
        libraries = {value[0] for value in parts.values() if isinstance(value, list)}
        has_class = isinstance(index["_class_name"], str)
    except (OSError, ValueError, AttributeError, LookupError) as error:
        raise WeightsError(
            f"{folder}: is not a diffusers pipeline: model_index.json cannot be read ({error}); "
            f"give a local folder, as 'hf download --local-dir' makes it"
        ) from None
    code = next(folder.rglob("*.py"), None)
    if code is not None or not has_class or not libraries.issubset(_LIBRARIES):
        what = "model_index.json names it" if code is None else code.name
        raise WeightsError(f"{folder}: contains code ({what}), which is not run")


def _options(folder: Path) -> dict[str, Any]:
    """Return the options in the folder's `cleanplate.toml`, checked; none without one.

    Raises:
        InputError: one cannot be used.
    """
    path = folder / CONFIG
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    for name, value in given.items():
        if name not in _ARGUMENTS:
            raise InputError(f"{path}: unknown option {name!r}; known: {', '.join(_ARGUMENTS)}")
        kind = _ARGUMENTS[name][1]
        if not isinstance(value, (int, float) if kind is float else kind) or value is True:
            raise InputError(f"{path}: {name} must be {kind.__name__}, got {value!r}")
    if not 0 < given.get("strength", 1) <= 1 or given.get("steps", 1) < 1:
        raise InputError(f"{path}: strength must be in (0, 1], and steps at least 1")
    return given
