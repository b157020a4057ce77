"""The contract of segmenters, the base of those that run networks, and how they are made."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Collection
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cleanplate.errors import UnknownNameError
from cleanplate.hub import get_model, network_roles, read_file
from cleanplate.ops import resize
from cleanplate.options import as_names
from cleanplate.runtime import Session, runs_on_cpu, to_tensor
from cleanplate.segmentation.components import ComponentNetwork
from cleanplate.types import Instance, RGBImage, check_image

DEFAULT_SEGMENTER = "deeplabv3plus_lite2.voc"

_MODELS = "cleanplate.segmentation.models"
_FAMILIES = MappingProxyType(
    {
        "semantic": ("semantic", "SemanticSegmenter"),
        "rfdetr": ("rfdetr", "RfDetrSegmenter"),
        "clipseg": ("clipseg", "ClipSegSegmenter"),
    }
)
"""Family of models -> module and class in `models`; imported when one is created."""


class Segmenter(Protocol):
    """Finds the objects of named classes in an image.

    An implementation owns its network's size, normalisation and tiling: callers only ever see RGB
    uint8 and masks at the image's own size. `segment` may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """Registered name, as `--segmenter` takes it."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Canonical names of what can be found; empty: whatever words describe, in English."""
        ...

    @property
    def provider(self) -> str:
        """What runs it, e.g. "CPUExecutionProvider"."""
        ...

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return the objects of the asked classes, by falling area, with ids 1, 2, ...

        Args:
            image: (H, W, 3) uint8, RGB, [0, 255]. Not modified.
            labels: one or several canonical names, a subset of `self.labels`; if that is empty, any
                phrases, such as "red car": each is the label of what it describes.

        Returns:
            Instances whose masks are not empty, lie inside the image and do not overlap.

        Raises:
            InputError: `image` is not (H, W, 3) uint8; or a phrase is empty or too long.
            UnknownNameError: a label is none of `self.labels`, where these are not empty.
        """
        ...


def choose_labels(asked: Collection[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the asked labels, one or several, in the order of `known`, each once.

    Raises:
        InputError: `asked` is neither a name nor names.
        UnknownNameError: a label is none of `known`; the message lists them.
    """
    asked = as_names("labels", asked)
    for label in asked:
        if label not in known:
            raise UnknownNameError("label", label, known)
    return tuple(label for label in known if label in asked)


class NetworkSegmenter(ABC):
    """A segmenter whose networks are a registered model's files.

    Args:
        name: a registered model.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "segmenter")
        self._model = model
        roles = network_roles(model, on_cpu=runs_on_cpu(device))
        self._networks = {
            role: Session(read_file(model, file), name=name, device=device, threads=threads)
            for role, file in roles.items()
        }

    @property
    def name(self) -> str:
        """Registered name."""
        return self._model.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Canonical names of what can be found; empty: any words can be asked for."""
        return self._model.labels

    @property
    def provider(self) -> str:
        """What runs the networks."""
        return next(iter(self._networks.values())).provider

    @property
    def helpers(self) -> tuple[str, ...]:
        """Registered names of the networks that look at what its own ones find."""
        return tuple(it.model for it in vars(self).values() if isinstance(it, ComponentNetwork))

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return the objects of the asked classes; see `Segmenter.segment`."""
        check_image(image)
        asked = self._choose(labels)
        return self._find(image, asked) if asked else []

    def _choose(self, labels: Collection[str]) -> tuple[str, ...]:
        """Return what is asked for, each once."""
        return choose_labels(labels, self.labels)

    @abstractmethod
    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        """Return the objects of the labels `asked`, of which there is one at least."""

    def _input(
        self, image: RGBImage, size_hw: tuple[int, int] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return (1, 3, H, W) float32, an image as the network takes it.

        Args:
            image: (h, w, 3) uint8, RGB.
            size_hw: px to scale it to; None takes the network's own size, if it has one.
        """
        given = self._model.preprocessing
        size_hw = size_hw or given.size_hw or (image.shape[0], image.shape[1])
        scaled = resize(image, size_hw, antialias=given.resampling == "antialiased")
        return to_tensor(scaled, given.mean, given.std)

    def _channels(self, asked: tuple[str, ...]) -> list[int]:
        """Return the output's channels of some labels."""
        return [self._model.channels[self.labels.index(label)] for label in asked]


def create_segmenter(
    name: str = DEFAULT_SEGMENTER, *, device: str = "auto", threads: int | None = None
) -> Segmenter:
    """Return the segmenter called `name`, with its network loaded.

    Args:
        name: one of `model_names("segmenter")`.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        InputError: an argument of another type, or an ambiguous name.
        UnknownNameError: no such segmenter; the message lists the known names.
        WeightsError: it is not installed, or damaged; the message states how to install it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    module, adapter = _FAMILIES[get_model(name, "segmenter").family]
    create: Any = getattr(importlib.import_module(f"{_MODELS}.{module}"), adapter)
    segmenter: Segmenter = create(name, device=device, threads=threads)
    return segmenter
