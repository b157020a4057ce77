"""What the inpainters that run networks have in common."""

from abc import ABC, abstractmethod

from cleanplate.hub import get_model, read_file
from cleanplate.runtime import Session
from cleanplate.types import Mask, RGBImage, check_image_and_mask


class NetworkInpainter(ABC):
    """An inpainter whose networks are a registered model's files.

    Args:
        name: a registered model.
        device: one of `cleanplate.hub.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "inpainter")
        self._name = model.name
        self._networks = {
            file.role: Session(
                read_file(model, file.role), name=name, device=device, threads=threads
            )
            for file in model.files
        }

    @property
    def name(self) -> str:
        """Registered name."""
        return self._name

    @property
    def provider(self) -> str:
        """What runs the networks."""
        return self._networks["fill"].provider

    @property
    def max_concurrency(self) -> int:
        """How many windows at a time are worth it: several on a GPU."""
        return self._networks["fill"].max_concurrency

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Return `image` with the hole filled; see `Inpainter.inpaint`."""
        check_image_and_mask(image, mask)
        return self._inpaint(image, mask) if mask.any() else image.copy()

    @abstractmethod
    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Do so for a mask that is not empty."""
