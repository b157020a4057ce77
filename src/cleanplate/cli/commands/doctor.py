"""`cleanplate doctor`: what is installed, what is missing and why, how long a photo takes."""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from cleanplate import __version__
from cleanplate.cli.console import print_error, print_line
from cleanplate.cli.options import flag, option
from cleanplate.errors import CleanplateError, MissingRuntimeError, WeightsError

_PACKAGES = (
    "numpy", "opencv-python-headless", "pillow", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-openvino", "onnxruntime-directml", "typer", "rich", "requests",
)  # fmt: skip
_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "convert": ("torch", "torchvision", "transformers", "onnx", "onnxscript", "safetensors"),
}
_SAMPLE_HW = (600, 800)  # px of the photo that is timed by default
_SAMPLE_LABEL = "person"
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def doctor_command(
    photo: Annotated[
        Path | None,
        option(metavar="FILE", help="The photo to time.", show_default="a synthetic one, 800x600"),
    ] = None,
    device: Annotated[
        str,
        option(metavar="NAME", help="Device to time the photo on.", show_default=True),
    ] = "auto",
    timed: Annotated[
        bool,
        typer.Option(
            "--time/--no-time", metavar="", help="Process one photo and print each stage's time."
        ),
    ] = True,
    as_json: Annotated[bool, flag("--json", help="Print JSON.")] = False,
) -> None:
    """Print what is installed, what is missing and why, and how long one photo takes.

    Exit code 1 if something prevents photos from being processed.
    """
    diagnosis = diagnose(photo, device=device, timed=timed)
    if as_json:
        print_line(json.dumps(asdict(diagnosis)))
    else:
        for line in _describe(diagnosis):
            print_line(line)
    if diagnosis.problems:
        for problem in diagnosis.problems:
            print_error(problem)
        raise typer.Exit(1)


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
    segmenter: str  # its provider, e.g. "CPUExecutionProvider"
    inpainter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Result of `diagnose`."""

    versions: Mapping[str, str]  # package -> version; only what is installed
    system: str
    cores: int  # available to this process
    cores_in_all: int
    memory_bytes: int | None  # available to this process; None: unknown
    devices: Mapping[str, str | None]  # device -> why it cannot be used; None: it can
    extras: Mapping[str, tuple[str, ...]]  # extra -> its packages that are missing
    variables: Mapping[str, str]  # environment variables of cleanplate that are set
    models: tuple[ModelState, ...]
    timing: Timing | None
    problems: tuple[str, ...]  # what prevents photos from being processed, one line each


def diagnose(photo: Path | None = None, *, device: str = "auto", timed: bool = True) -> Diagnosis:
    """Inspect this machine and time one photo.

    Args:
        photo: the photo to time; None: a synthetic one of 800x600 px.
        device: what computes while timing, one of `cleanplate.runtime.DEVICES`.
        timed: False skips the timing.

    Raises:
        PhotoError: `photo` cannot be read.
        UnknownNameError: `device` is none of `DEVICES`.
    """
    import importlib.util

    from cleanplate.hub import HOME_VARIABLE, MIRROR_VARIABLE, OFFLINE_VARIABLE
    from cleanplate.runtime import usable_cores

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
    variables = (HOME_VARIABLE, MIRROR_VARIABLE, OFFLINE_VARIABLE)
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
        variables={name: os.environ[name] for name in variables if name in os.environ},
        models=models,
        timing=timing,
        problems=tuple(problems),
    )


def _versions() -> dict[str, str]:
    import importlib.metadata

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _devices() -> dict[str, str | None]:
    from cleanplate.hub import MODELS, read_file
    from cleanplate.runtime import DEVICES, unavailable_reason

    network = read_file(MODELS["edgeconnect.photos"], "edges")
    return {device: unavailable_reason(device, network) for device in DEVICES if device != "auto"}


def _models() -> tuple[ModelState, ...]:
    from cleanplate.hub import MODELS, is_installed, verify_file

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
    """Return the memory available to this process: the machine's, or its control group's."""
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
    import numpy as np

    from cleanplate.io import encode_photo, read_photo
    from cleanplate.remover import Remover

    content = _synthetic_photo() if path is None else path
    remover = Remover(device=device)
    clock = [time.perf_counter()]
    segmenter, inpainter = remover.segmenter, remover.inpainter
    clock.append(time.perf_counter())
    photo = read_photo(content)
    clock.append(time.perf_counter())
    removal = remover(photo.pixels, [_SAMPLE_LABEL])
    stages = {"load": clock[1] - clock[0], "read": clock[2] - clock[1]}
    stages |= {name: seconds for name, seconds in removal.timings_s.items() if name != "total"}
    if not removal.changed:
        height, width = photo.size_hw
        rows, columns = np.mgrid[0:height, 0:width]
        distance = (columns / width - 0.5) ** 2 * 36 + (rows / height - 0.5) ** 2 * 16
        removal = remover.fill(photo.pixels, distance < 1)
        stages["fill"] = removal.timings_s["fill"]
    start = time.perf_counter()
    encode_photo(photo, removal.image, removal.mask)
    stages["encode"] = time.perf_counter() - start
    return Timing(
        photo="synthetic" if path is None else str(path),
        size_wh=(photo.size_hw[1], photo.size_hw[0]),
        stages_s={**stages, "total": sum(stages.values())},
        segmenter=segmenter.provider,
        inpainter=inpainter.provider,
    )


def _synthetic_photo() -> bytes:
    """Return a JPEG with gradients, texture and edges, and no object of a known class."""
    import cv2
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = _SAMPLE_HW
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([90 + rows / 8, 110 + columns / 12, 160 - rows / 10], axis=-1)
    grain = cv2.GaussianBlur(rng.normal(0, 40, (height, width, 1)), (0, 0), 1.5)[..., None]
    stripes = 25 * ((columns // 40 + rows // 60) % 2)[..., None]
    pixels = np.clip(ramp + grain + stripes, 0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _describe(diagnosis: Diagnosis) -> Iterator[str]:
    yield "Versions"
    for name, version in diagnosis.versions.items():
        yield f"  {name} {version}"
    yield f"  {diagnosis.system}"
    size = diagnosis.memory_bytes
    memory = "memory unknown" if size is None else f"{size / 1e9:.1f} GB of memory"
    yield f"Machine: {diagnosis.cores} of {diagnosis.cores_in_all} processor cores, {memory}"
    yield "Devices"
    for device, absence in diagnosis.devices.items():
        yield f"  {device:<9} {absence or 'works'}"
    yield "Extras"
    for extra, missing in diagnosis.extras.items():
        state = f"not installed: lacks {', '.join(missing)}" if missing else "installed"
        yield f"  {extra:<9} {state}"
    if diagnosis.variables:
        yield "Environment"
        for name, value in diagnosis.variables.items():
            yield f"  {name}={value}"
    yield "Models"
    for model in diagnosis.models:
        yield f"  {model.name}: {model.where}, {model.problem or 'verified'}"
    timing = diagnosis.timing
    if timing is not None:
        width, height = timing.size_wh
        yield f"One photo of {width}x{height} px ({timing.photo})"
        yield f"  segmenter on {timing.segmenter}, inpainter on {timing.inpainter}"
        total = timing.stages_s["total"]
        for stage, seconds in timing.stages_s.items():
            yield f"  {stage:<9} {seconds:7.3f} s  {seconds / total:4.0%}"
