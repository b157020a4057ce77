"""Segmenters by name."""

from cleanplate.errors import UnknownNameError
from cleanplate.models.registry import MODELS
from cleanplate.segmenters.base import Segmenter

DEFAULT_SEGMENTER = "deeplabv3plus_lite2.voc"

__all__ = ["DEFAULT_SEGMENTER", "Segmenter", "create_segmenter", "segmenter_names"]


def segmenter_names() -> tuple[str, ...]:
    """Return every name that `create_segmenter` knows."""
    return tuple(name for name, model in MODELS.items() if model.kind == "segmenter")


def create_segmenter(
    name: str = DEFAULT_SEGMENTER, *, device: str = "auto", threads: int | None = None
) -> Segmenter:
    """Return the segmenter called `name`, its network loaded.

    Args:
        name: one of `segmenter_names()`.
        device: one of `cleanplate.models.runtime.DEVICES`.
        threads: CPU threads of one run; None takes every usable core.

    Raises:
        UnknownNameError: no such segmenter; the message lists those there are.
        DeviceError, MissingRuntimeError, WeightsError: see `cleanplate.models.runtime.Session`.
    """
    if name not in segmenter_names():
        raise UnknownNameError("segmenter", name, segmenter_names())
    from cleanplate.segmenters.deeplab import DeepLabSegmenter

    return DeepLabSegmenter(name, device=device, threads=threads)
