"""The contract of inpainters, the base of those that run networks, and how they are made."""

import copy
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import UnknownNameError, WeightsError
from cleanplate.hub import Model, get_model, model_names, network_roles, read_file, verify_file
from cleanplate.ops import at_once, coverage, put_levels
from cleanplate.options import check_type
from cleanplate.runtime import CPU, Session, check_device, free_memory, runs_on_cpu
from cleanplate.types import FloatArray, Mask, RGBImage, check_image_and_mask

METHODS = ("telea", "navier-stokes")
"""Inpainters that need no model."""

PIPELINES = ("diffusers:", "diffusers-pickle:")
"""Before the folder of a pipeline of diffusers; the second trusts its pickled weights."""

DEFAULT_INPAINTER = "edgeconnect.photos"

_MODELS = "cleanplate.inpainting.models"
_FAMILIES = MappingProxyType(
    {
        "edgeconnect": ("edgeconnect", "EdgeConnectInpainter"),
        "edgeconnect_published": ("edgeconnect", "PublishedEdgeConnectInpainter"),
        "lama": ("lama", "LamaInpainter"),
        "lama_onnx": ("lama", "FixedLamaInpainter"),
        "migan": ("migan", "MIGANInpainter"),
        "osor": ("osor", "OSORInpainter"),
        "method": ("opencv", "DiffusionInpainter"),
        "pipeline": ("pipeline", "PipelineInpainter"),
    }
)
"""Family of models -> module and class in `models`; imported when one is created."""


DEFAULT_REACH_PX = 32.0
"""Chosen on contact sheets of EdgeConnect's fills."""


class Inpainter(Protocol):
    """Fills the masked pixels of an image.

    An implementation owns its network's padding, normalisation and mask polarity: callers only ever
    see RGB uint8 and True = remove. `inpaint` is thread-safe.

    Optional properties: `reach_px`, `is_sharp`, `max_concurrency`; see the functions below. One
    that finds shadows and reflections itself has a method `alpha`, see `finds_effects`; one that
    draws at random has `with_seed`, see there.
    """

    @property
    def name(self) -> str:
        """Registered name, as `--inpainter` takes it."""
        ...

    @property
    def provider(self) -> str:
        """Execution provider or library, e.g. "CPUExecutionProvider" or "OpenCV"."""
        ...

    @property
    def working_size(self) -> int | None:
        """Long side in px at which it works best; None if it works at any size."""
        ...

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Return a new image whose masked pixels are synthesised.

        Args:
            image: (H, W, 3) uint8, RGB, [0, 255]. Not modified.
            mask: (H, W) bool, True = fill this pixel. All False gives a copy.

        Returns:
            (H, W, 3) uint8, RGB. Equal to `image` wherever `mask` is False.

        Raises:
            InputError: wrong shape or dtype.
            ShapeMismatchError: `mask` does not have the image's H and W.
        """
        ...


def reach_of(inpainter: Inpainter) -> float | None:
    """Return how deep a hole may be for an inpainter, in px at its working size.

    Windows with deeper holes are downsampled. An inpainter states it as `reach_px`, None if
    it fills deep holes as well as others; without that property it is `DEFAULT_REACH_PX`.
    """
    reach_px: float | None = getattr(inpainter, "reach_px", DEFAULT_REACH_PX)
    return reach_px


def is_sharp(inpainter: Inpainter) -> bool:
    """Return whether an inpainter's fills are as sharp as its input.

    Such a fill is kept unless it is enlarged; all others get the photo's texture transferred.
    An inpainter states it as `is_sharp`; without that property its fills are smooth.
    """
    sharp: bool = getattr(inpainter, "is_sharp", False)
    return sharp


def max_concurrency(inpainter: Inpainter) -> int:
    """Return how many windows an inpainter should fill at once, from as many threads.

    Its property `max_concurrency`, or 1 without one.
    """
    limit: int = getattr(inpainter, "max_concurrency", 1)
    return limit


def with_seed(inpainter: Inpainter, seed: int) -> Inpainter:
    """Return an inpainter that draws with another seed than 0, and shares all else.

    Its method `with_seed` makes it; one without such a method draws nothing at random.
    """
    make = getattr(inpainter, "with_seed", None)
    seeded: Inpainter = inpainter if seed == 0 or make is None else make(seed)
    return seeded


def finds_effects(inpainter: Inpainter | str) -> bool:
    """Return whether an inpainter, or one of this name, says which pixels go with an object.

    Its method `alpha` takes what `inpaint` takes, and returns (H, W) float32 in [0, 1]: how much of
    each pixel it would change, in the mask and beside it.
    """
    if not isinstance(inpainter, str):
        return hasattr(inpainter, "alpha")
    model = find_inpainter(inpainter)
    return model is not None and model.family == "osor"


def check_memory(name: str, needed_bytes: float) -> None:
    """Raise unless so much memory is free.

    Raises:
        WeightsError: it is not; the message states how much is needed, and what is free.
    """
    free = free_memory()
    if free is not None and free < needed_bytes:
        raise WeightsError(
            f"{name} needs {needed_bytes / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB free; "
            "close other programs, compute on a GPU (--device cuda), or choose another inpainter"
        )


class SharpInpainter:
    """What inpainters have in common that were trained to fill with detail, at one size.

    The size is the same whatever the hole: a smaller one only loses detail.
    """

    @property
    def reach_px(self) -> None:
        """Deep holes need no smaller size; see `reach_of`."""
        return

    @property
    def is_sharp(self) -> bool:
        """Fills are as sharp as the input, up to the working size."""
        return True


class SeededInpainter:
    """What inpainters have in common that draw noise: the same for every photo, by its seed."""

    _seed = 0

    def with_seed(self, seed: int) -> Self:
        """Return one that draws with another seed, and shares all else; see `with_seed`."""
        other = copy.copy(self)
        other._seed = seed
        return other


class BaseInpainter(ABC):
    """What all inpainters of this package share: a hole is checked, and an empty one is a copy."""

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Return `image` with the hole filled; see `Inpainter.inpaint`."""
        check_image_and_mask(image, mask)
        return self._inpaint(image, mask) if mask.any() else image.copy()

    @abstractmethod
    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Inpaint with a mask that is not empty."""


class NetworkInpainter(BaseInpainter):
    """An inpainter whose networks are a registered model's files.

    Args:
        name: a registered model.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "inpainter")
        self._model = model
        self._networks = {
            role: Session(self._content(model, file), name=name, device=device, threads=threads)
            for role, file in network_roles(model, on_cpu=runs_on_cpu(device)).items()
        }

    @staticmethod
    def _content(model: Model, role: str) -> bytes | Path:
        """Return a verified file, as `Session` takes it."""
        if role == "fill" and any(file.role == "weights" for file in model.files):
            verify_file(model, "weights")
            return verify_file(model, role)
        return read_file(model, role)

    @property
    def name(self) -> str:
        """Registered name."""
        return self._model.name

    @property
    def provider(self) -> str:
        """Execution provider of the networks."""
        return self._networks["fill"].provider

    @property
    def working_size(self) -> int | None:
        """Long side in px at which it works best."""
        return self._model.preprocessing.working_size_px

    @property
    def max_concurrency(self) -> int:
        """Useful number of concurrent windows: several on a GPU, where they are a batch."""
        network = self._networks["fill"]
        return 1 if network.provider == CPU else network.max_concurrency

    def _padded_hw(self, mask: Mask) -> tuple[int, int]:
        """Return the padded height and width of the network's input for a mask."""
        given = self._model.preprocessing
        sides = (max(side, given.least_side_px) for side in mask.shape)
        height, width = (-(-side // given.multiple_px) * given.multiple_px for side in sides)
        return height, width

    def _levels(self, planes: FloatArray) -> FloatArray:
        """Return a network's output, (3, H, W), as (H, W, 3) levels up to 255."""
        level = np.float32(255 / self._model.preprocessing.output_max)
        return np.asarray(planes.transpose(1, 2, 0) * level)


def pad_to(
    image: RGBImage, mask: Mask, size_hw: tuple[int, int], *, border: int
) -> tuple[RGBImage, Mask]:
    """Return an image and its mask padded on the right and bottom.

    Args:
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool. Not modified; padded like the image: copies of a hole are holes.
        size_hw: not below (H, W).
        border: padding mode, e.g. `cv2.BORDER_REPLICATE`; `cv2.BORDER_REFLECT` mirrors it with
            the last pixel repeated, again and again if need be.
    """
    down, across = size_hw[0] - mask.shape[0], size_hw[1] - mask.shape[1]
    padded = cv2.copyMakeBorder(image, 0, down, 0, across, border)
    hole = cv2.copyMakeBorder(mask.view(np.uint8), 0, down, 0, across, border)
    return np.asarray(padded, np.uint8), hole.astype(np.bool_)


def composite(image: RGBImage, mask: Mask, filled: npt.NDArray[np.float32] | RGBImage) -> RGBImage:
    """Return `image` with `filled` where `mask` is True, all other pixels unchanged.

    Args:
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool.
        filled: (H', W', 3) in [0, 255], H' >= H, W' >= W: padding is cropped. Rounded to
            the nearest level, not down.
    """
    height, width = mask.shape
    result = image.copy()
    put_levels(result, np.asarray(filled[:height, :width], np.float32), mask)
    return result


def to_planes(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return (1, C, H, W), contiguous, of an (H, W, C) image."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def scale_for(mask: Mask, long_side: int | None) -> float:
    """Return the scale, in (0, 1], at which `inpaint_scaled` inpaints; 1: nothing is scaled."""
    return 1.0 if long_side is None else min(1.0, long_side / max(mask.shape))


def inpaint_scaled(
    inpaint: Callable[[RGBImage, Mask], RGBImage],
    image: RGBImage,
    mask: Mask,
    long_side: int | None,
) -> RGBImage:
    """Inpaint at another size and scale the result back; never enlarge the input.

    Args:
        inpaint: see `Inpainter.inpaint`.
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool, True = fill.
        long_side: px, at which to inpaint; None for the image's own.

    Returns:
        (H, W, 3) uint8, as smooth as the smaller image, outside the mask too.
    """
    height, width = mask.shape
    scale = scale_for(mask, long_side)
    if scale == 1:
        return inpaint(image, mask)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small, hole = at_once(
        lambda: cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA),
        # Every small pixel that a hole pixel contributes to is hole, or the object would bleed in.
        lambda: coverage(mask, size_wh) > 0,
    )
    filled = inpaint(small, hole)
    enlarged = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def inpainter_names() -> tuple[str, ...]:
    """Return every name that `create_inpainter` knows."""
    return (*model_names("inpainter"), *METHODS)


def find_inpainter(name: str) -> Model | None:
    """Return the registered model called `name`, which may be a short name.

    None for a method, and for a pipeline of diffusers: "diffusers:" and its folder.

    Raises:
        UnknownNameError: no such inpainter; the message lists the known names.
        InputError: the name is ambiguous, and the message lists what it may mean; or not a string.
    """
    check_type("name", name, str, "the name of an inpainter")
    if name in METHODS or name.startswith(PIPELINES):
        return None
    try:
        return get_model(name, "inpainter")
    except UnknownNameError:
        raise UnknownNameError("inpainter", name, inpainter_names()) from None


def pipeline_folder(name: str) -> Path:
    """Return the folder of "diffusers:FOLDER"."""
    return Path(name.partition(":")[2]).expanduser()


def pipeline_licence(name: str) -> str:
    """Return what the folder of "diffusers:FOLDER" says about its licence, in one line."""
    folder = pipeline_folder(name)
    for path in (folder / "README.md", *sorted(folder.glob("LICEN[CS]E*"))):
        try:
            lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
        except OSError:
            continue
        if path.name == "README.md":
            lines = [line for line in lines if line.startswith(("license:", "license_name:"))]
        if said := next(filter(None, lines), ""):
            return f"{said[:100]} ({path.name})"
    return "not stated in the folder"


def create_inpainter(
    name: str = DEFAULT_INPAINTER, *, device: str = "auto", threads: int | None = None
) -> Inpainter:
    """Return the inpainter called `name`, with its networks loaded.

    Args:
        name: one of `inpainter_names()`, or "diffusers:" and the folder of a pipeline.
        device: one of `cleanplate.runtime.DEVICES`; the methods without a model run on the
            CPU whatever it is.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        InputError: an argument of another type, or an ambiguous name.
        UnknownNameError: no such inpainter; the message lists the known names.
        WeightsError: it is not installed, or damaged; the message states how to install it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    check_device(device, threads)
    model = find_inpainter(name)
    other = "pipeline" if name.startswith(PIPELINES) else "method"
    module, adapter = _FAMILIES[other if model is None else model.family]
    create: Any = getattr(importlib.import_module(f"{_MODELS}.{module}"), adapter)
    inpainter: Inpainter = (
        create(name) if name in METHODS else create(name, device=device, threads=threads)
    )
    return inpainter
