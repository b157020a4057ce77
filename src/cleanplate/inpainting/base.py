"""The contract of inpainters, and the base of those that run networks."""

from abc import ABC, abstractmethod
from typing import Protocol

from cleanplate.hub import get_model, read_file
from cleanplate.runtime import Session
from cleanplate.types import Mask, RGBImage, check_image_and_mask

DEFAULT_REACH_PX = 32.0
"""Chosen on contact sheets of EdgeConnect's fills."""


class Inpainter(Protocol):
    """Fills the masked pixels of an image.

    An implementation owns its network's padding, normalisation and mask polarity: callers only ever
    see RGB uint8 and True = remove. `inpaint` is thread-safe.

    Optional properties: `reach_px`, `is_sharp`, `max_concurrency`; see the functions below.
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


class NetworkInpainter(ABC):
    """An inpainter whose networks are a registered model's files.

    Args:
        name: a registered model.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "inpainter")
        self._name, self._given = model.name, model.preprocessing
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
        """Execution provider of the networks."""
        return self._networks["fill"].provider

    @property
    def working_size(self) -> int | None:
        """Long side in px at which it works best."""
        return self._given.working_size_px

    @property
    def max_concurrency(self) -> int:
        """Useful number of concurrent windows: several on a GPU."""
        return self._networks["fill"].max_concurrency

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Return `image` with the hole filled; see `Inpainter.inpaint`."""
        check_image_and_mask(image, mask)
        return self._inpaint(image, mask) if mask.any() else image.copy()

    def _padded_hw(self, mask: Mask) -> tuple[int, int]:
        """Return the padded height and width of the network's input for a mask."""
        multiple, least = self._given.multiple_px, self._given.least_side_px
        height, width = (-(-max(side, least) // multiple) * multiple for side in mask.shape)
        return height, width

    @abstractmethod
    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Inpaint with a mask that is not empty."""
