"""The contract every segmenter keeps (tests/segmentation/test_segmenter_contract.py)."""

from collections.abc import Collection
from typing import Protocol

from cleanplate.errors import UnknownNameError
from cleanplate.types import Instance, RGBImage


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
            labels: canonical names, a subset of `self.labels`; if that is empty, any phrases, such
                as "red car": each is the label of what it describes.

        Returns:
            Instances whose masks are not empty, lie inside the image and do not overlap.

        Raises:
            InputError: `image` is not (H, W, 3) uint8; or a phrase is empty or too long.
            UnknownNameError: a label is none of `self.labels`, where these are not empty.
        """
        ...


def choose_labels(asked: Collection[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the asked labels in the order of `known`, each once.

    Raises:
        UnknownNameError: a label is none of `known`; the message lists them.
    """
    for label in asked:
        if label not in known:
            raise UnknownNameError("label", label, known)
    return tuple(label for label in known if label in asked)
