"""The contract every inpainter keeps (tests/inpainting/test_inpainter_contract.py)."""

from typing import Protocol

from cleanplate.types import Mask, RGBImage

DEFAULT_REACH_PX = 32.0
"""Chosen by looking at sheets of EdgeConnect's fills."""


class Inpainter(Protocol):
    """Fills the masked pixels of an image.

    An implementation owns its network's padding, normalisation and mask polarity: callers only ever
    see RGB uint8 and True = remove. `inpaint` may be called from several threads at once.

    Optional properties: `reach_px`, `is_sharp`, `max_concurrency`; see the functions below.
    """

    @property
    def name(self) -> str:
        """Registered name, as `--inpainter` takes it."""
        ...

    @property
    def provider(self) -> str:
        """What runs it, e.g. "CPUExecutionProvider" or "OpenCV"."""
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

    Windows with deeper holes are given to it smaller. An inpainter states it as `reach_px`, None if
    it fills deep holes as well as others; without that property it is `DEFAULT_REACH_PX`.
    """
    reach_px: float | None = getattr(inpainter, "reach_px", DEFAULT_REACH_PX)
    return reach_px


def is_sharp(inpainter: Inpainter) -> bool:
    """Return whether an inpainter's fills are as sharp as the image that it is given.

    Where such a fill is not enlarged, it is left as it is; into all others the photo's own texture
    is carried. An inpainter states it as `is_sharp`; without that property its fills are smooth.
    """
    sharp: bool = getattr(inpainter, "is_sharp", False)
    return sharp


def max_concurrency(inpainter: Inpainter) -> int:
    """Return how many windows an inpainter should fill at once, from as many threads.

    Its property `max_concurrency`, or 1 without one.
    """
    limit: int = getattr(inpainter, "max_concurrency", 1)
    return limit
