"""What this machine has for cleanplate, what is missing and why, and how long one photo takes."""

import importlib.metadata
import importlib.util
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

from cleanplate import __version__
from cleanplate.errors import CleanplateError, MissingRuntimeError, WeightsError
from cleanplate.hub import (
    HOME_VARIABLE,
    MIRROR_VARIABLE,
    MODELS,
    OFFLINE_VARIABLE,
    is_installed,
    read_file,
    verify_file,
)
from cleanplate.io import encode_photo, read_photo
from cleanplate.remover import Remover
from cleanplate.runtime import DEVICES, absence_of, usable_cores

_PACKAGES = (
    "numpy", "opencv-python-headless", "pillow", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-openvino", "onnxruntime-directml", "typer", "rich", "pooch",
)  # fmt: skip
_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "convert": ("torch", "torchvision", "transformers", "onnx", "onnxscript", "safetensors"),
}
_VARIABLES = (HOME_VARIABLE, MIRROR_VARIABLE, OFFLINE_VARIABLE)
_TRIAL_HW = (600, 800)  # px of the photo that is timed, if the user gives none
_TRIAL_LABEL = "person"
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model on this machine."""

    name: str
    where: str  # "built in" or "installed"
    problem: str | None  # what is wrong with its files, one line


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one photo took."""

    photo: str
    size_wh: tuple[int, int]
    stages_s: Mapping[str, float]  # seconds by stage, and "total"
    segmenter: str  # what ran it, e.g. "CPUExecutionProvider"
    inpainter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `diagnose` found."""

    versions: Mapping[str, str]  # package -> version; only what is installed
    system: str
    cores: int  # this process may use
    cores_in_all: int
    memory_bytes: int | None  # this process may use; None: the system does not tell
    devices: Mapping[str, str | None]  # device -> why it cannot be used; None: it can
    extras: Mapping[str, tuple[str, ...]]  # extra -> its packages that are missing
    variables: Mapping[str, str]  # environment variables of ours that are set
    models: tuple[ModelState, ...]
    timing: Timing | None
    problems: tuple[str, ...]  # what keeps photos from being done, one line each


def diagnose(photo: Path | None = None, *, device: str = "auto", timed: bool = True) -> Diagnosis:
    """Look at this machine and time one photo.

    Args:
        photo: the photo to time; None makes one of 800x600 px.
        device: what computes while timing, one of `cleanplate.hub.DEVICES`.
        timed: False leaves the timing out.

    Raises:
        PhotoError: `photo` cannot be read.
        UnknownNameError: `device` is none of `DEVICES`.
    """
    problems = []
    try:
        devices = _devices()
    except (MissingRuntimeError, WeightsError) as error:
        devices = {}
        problems.append(str(error))
    models = _models()
    problems += [f"{model.name}: {model.problem}" for model in models if model.problem]
    timing = None
    if timed and not problems:
        try:
            timing = _time_photo(photo, device)
        except CleanplateError as error:
            if photo is not None:
                raise
            problems.append(str(error))
    return Diagnosis(
        versions={"cleanplate": __version__, "python": platform.python_version(), **_versions()},
        system=platform.platform(),
        cores=usable_cores(),
        cores_in_all=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        devices=devices,
        extras={
            extra: tuple(name for name in names if importlib.util.find_spec(name) is None)
            for extra, names in _EXTRAS.items()
        },
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        models=models,
        timing=timing,
        problems=tuple(problems),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _devices() -> dict[str, str | None]:
    network = read_file(MODELS["edgeconnect.photos"], "edges")
    return {device: absence_of(device, network) for device in DEVICES if device != "auto"}


def _models() -> tuple[ModelState, ...]:
    states = []
    for model in MODELS.values():
        if not (model.is_built_in or is_installed(model)):
            continue
        problem = None
        try:
            for file in model.files:
                verify_file(model, file.role)
        except WeightsError as error:
            problem = str(error)
        where = "built in" if model.is_built_in else "installed"
        states.append(ModelState(name=model.name, where=where, problem=problem))
    return tuple(states)


def _memory_bytes() -> int | None:
    """Return the memory that this process may use: the machine's, or its control group's."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    try:
        return min(machine, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such group, or "max"
        return machine


def _time_photo(path: Path | None, device: str) -> Timing:
    """Find, fill and encode; if nothing is found, an ellipse in the middle is filled."""
    content = _made_photo() if path is None else path
    remover = Remover(device=device)
    clock = [time.perf_counter()]
    segmenter, inpainter = remover.segmenter, remover.inpainter
    clock.append(time.perf_counter())
    photo = read_photo(content)
    clock.append(time.perf_counter())
    removal = remover.remove(photo.pixels, [_TRIAL_LABEL])
    stages = {"load": clock[1] - clock[0], "read": clock[2] - clock[1]}
    stages |= {name: spent for name, spent in removal.timings_s.items() if name != "total"}
    if not removal.changed:
        height, width = photo.size_hw
        down, across = np.mgrid[0:height, 0:width]
        from_middle = (across / width - 0.5) ** 2 * 36 + (down / height - 0.5) ** 2 * 16
        removal = remover.fill(photo.pixels, from_middle < 1)
        stages["fill"] = removal.timings_s["fill"]
    start = time.perf_counter()
    encode_photo(photo, removal.image, removal.mask)
    stages["encode"] = time.perf_counter() - start
    return Timing(
        photo="made for this" if path is None else str(path),
        size_wh=(photo.size_hw[1], photo.size_hw[0]),
        stages_s={**stages, "total": sum(stages.values())},
        segmenter=segmenter.provider,
        inpainter=inpainter.provider,
    )


def _made_photo() -> bytes:
    """Return a JPEG with gradients, texture and edges, and no object that has a name."""
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = _TRIAL_HW
    down, across = np.mgrid[0:height, 0:width]
    ramp = np.stack([90 + down / 8, 110 + across / 12, 160 - down / 10], axis=-1)
    grain = cv2.GaussianBlur(rng.normal(0, 40, (height, width, 1)), (0, 0), 1.5)[..., None]
    stripes = 25 * ((across // 40 + down // 60) % 2)[..., None]
    pixels = np.clip(ramp + grain + stripes, 0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()
