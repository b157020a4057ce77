"""What the segmenters that run networks have in common."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from cleanplate.hub import get_model, read_file
from cleanplate.runtime import Session
from cleanplate.segmentation.base import choose_labels
from cleanplate.types import Instance, RGBImage, check_image


class NetworkSegmenter(ABC):
    """A segmenter whose networks are a registered model's files.

    Args:
        name: a registered model.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "segmenter")
        self._name, self._labels = model.name, model.labels
        self._networks = {
            file.role: Session(
                read_file(model, file.role), name=name, device=device, threads=threads
            )
            for file in model.files
            if file.filename.endswith(".onnx")
        }

    @property
    def name(self) -> str:
        """Registered name."""
        return self._name

    @property
    def labels(self) -> tuple[str, ...]:
        """Canonical names of what can be found; empty: any words can be asked for."""
        return self._labels

    @property
    def provider(self) -> str:
        """What runs the networks."""
        return next(iter(self._networks.values())).provider

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return the objects of the asked classes; see `Segmenter.segment`."""
        check_image(image)
        asked = self._choose(labels)
        return self._find(image, asked) if asked else []

    def _choose(self, labels: Collection[str]) -> tuple[str, ...]:
        """Return what is asked for, each once."""
        return choose_labels(labels, self._labels)

    @abstractmethod
    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        """Return the objects of the labels `asked`, of which there is one at least."""
