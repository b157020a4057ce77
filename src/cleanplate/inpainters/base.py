"""The contract every inpainter keeps (tests/inpainters/test_inpainter_contract.py)."""

from typing import Protocol

from cleanplate.types import Mask, RGBImage


class Inpainter(Protocol):
    """Fills the masked pixels of an image.

    An implementation owns its network's padding, normalisation and mask polarity: callers only ever
    see RGB uint8 and True = remove. `inpaint` may be called from several threads at once.
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
