"""Types of the registry's entries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

ModelKind = Literal[
    "segmenter", "inpainter", "prompter", "effects", "divider", "recognizer", "outliner"
]

Resampling = Literal["antialiased", "bilinear"]
"""Antialiased or plain bilinear interpolation."""

Commercial = Literal["yes", "no", "unclear"]
"""Whether the licence of the weights permits commercial use.

"yes": their publisher grants it. "no": their publisher forbids it. "unclear": nothing is stated for
the weights, or it contradicts the terms of the photos they were trained on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Licence of the weights."""

    spdx: str  # id of the weights' licence; "NOASSERTION" if their publisher states none
    commercial: Commercial
    note: str  # the same in plain words, with who said so; no full stop at the end
    # What it forbids to do with the weights; such a licence is accepted before installing.
    restrictions: str = ""

    @property
    def words(self) -> str:
        """Its name, for tables."""
        return "not stated" if self.spdx == "NOASSERTION" else self.spdx.removeprefix("LicenseRef-")


class TensorSpec(NamedTuple):
    """An input or output of a network."""

    dtype: str
    # A letter or None: any size; "N": any number, or 1; a tuple: one of its numbers.
    shape: tuple[int | str | tuple[int, ...] | None, ...]
    meaning: str = ""  # what it holds: channels, range, polarity


RGB = TensorSpec("float32", ("N", 3, "H", "W"), "RGB in [0, 1]")
"""What most networks take or return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One ONNX file that runs, or (role "weights") the weights of the file "fill"."""

    # What the file does in its model: "segment", "edges", "fill"; "segment_cpu" the same on a CPU.
    role: str
    filename: str
    sha256: str | None = None  # None: made on the user's machine, from a checkpoint or by training
    size_bytes: int | None = None
    url: str | None = None  # pinned to a commit or release; None: built in, or made from one
    # What it takes and returns, in the file's order.
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A file of a training framework from which a model's ONNX files are made."""

    filename: str  # unique in the registry; the publisher's own name may not be
    url: str | None  # None: its publisher offers no address that a program may fetch
    size_bytes: int | None = None
    estimated_bytes: int | None = None  # of its parameters, where no size is published
    # What its publisher states: "sha256:<64 hex>" or "md5:<32 hex>".
    # None only where nothing is stated: then the file can be imported, not pulled.
    checksum: str | None = None
    published_as: str | None = None  # the publisher's name, where that is another

    @property
    def published_name(self) -> str:
        """The name under which its publisher offers it."""
        return self.published_as or self.filename


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Preprocessing of a photo for a network; channels are in the order R, G, B."""

    size_hw: tuple[int, int] | None = None  # px; the full photo is resized to it; None: see below
    keeps_aspect: bool = False  # it is resized to fit into that, and padded with zeros
    short_side_px: int | None = None  # the full photo is resized to this short side; None: any
    working_size_px: int | None = None  # of an inpainter: the long side that suits it best
    multiple_px: int = 1  # both sides are padded to multiples of it
    least_side_px: int = 1  # and to this at least
    resampling: Resampling = "antialiased"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # subtracted from RGB in [0, 1]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)  # what that is divided by
    output_max: float = 1.0  # of an inpainter: what its network returns for full brightness

    @property
    def square_px(self) -> int:
        """Side of the square to which the full photo is resized.

        Raises:
            ValueError: it is resized to no square.
        """
        if self.size_hw is None or self.size_hw[0] != self.size_hw[1]:
            raise ValueError(f"{self.size_hw} is not the size of a square")
        return self.size_hw[0]


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of R, G and B over ImageNet, in [0, 1]: normalization of encoders pretrained on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model and what a user must know before using it."""

    name: str  # "<architecture>.<training set>"
    kind: ModelKind
    family: str  # which adapter runs it, see `segmenters` and `inpainters`
    files: tuple[ModelFile, ...]
    is_built_in: bool = False  # its files are in the package
    checkpoints: tuple[Checkpoint, ...] = ()  # what `files` are made from
    converter: str | None = None  # a module of `models.convert`; set where there are checkpoints
    pages: tuple[str, ...] = ()  # where a person finds the files
    labels: tuple[str, ...] = ()  # what a segmenter finds; empty: any words, or no segmenter
    channels: tuple[int, ...] = ()  # of the network's output, one for each label
    preprocessing: Preprocessing = Preprocessing()
    calibration: tuple[float, float] = (1, 0)  # slope and offset of a score's logit
    # Of a segmenter that runs at several scales, by training/calibration.py: weights of
    # `SemanticSegmenter.small_features`, and the offset, of the logit that an object is right which
    # only closer passes saw. The default is fitted to the built-in segmenter.
    small_objects: tuple[float, ...] = (0.173, 0.481, 0.301, -0.254, -0.547, -1.297, 0.807, -2.764)
    licence: Licence
    source: str  # the paper the architecture is from, and the weights' publisher
    recipe: str  # how these weights were made
    training_photos: str  # training photos and their licences
    choose: str  # when to choose it, in plain words, with its limits
    # {"data, size": {"metric_unit": value}}; the key names who measured
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def advice(self) -> str:
        """When to choose it: the beginning of `choose`, for tables."""
        return self.choose.partition(";")[0]

    @property
    def published_at(self) -> str:
        """The pages where a person finds the files, for a sentence."""
        return " and ".join(self.pages)

    @property
    def size_bytes(self) -> int | None:
        """Bytes to download, or bytes in the package; None if unknown, see `is_size_estimated`."""
        sizes = [
            file.size_bytes or (file.estimated_bytes if isinstance(file, Checkpoint) else None)
            for file in self.checkpoints or self.files
        ]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    @property
    def is_size_estimated(self) -> bool:
        """Whether `size_bytes` is that of the parameters, since no size is published."""
        return any(file.estimated_bytes for file in self.checkpoints)

    @property
    def can_be_pulled(self) -> bool:
        """Whether every file it needs has an address and a checksum."""
        if self.checkpoints:
            return all(file.url and file.checksum for file in self.checkpoints)
        return all(file.url and file.sha256 for file in self.files)


def frozen_metrics(metrics: dict[str, dict[str, float]]) -> Mapping[str, Mapping[str, float]]:
    """Return a read-only view of `metrics`."""
    return MappingProxyType({data: MappingProxyType(values) for data, values in metrics.items()})
