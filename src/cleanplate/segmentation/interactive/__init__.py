"""Interactive segmenters (prompters): they segment the object marked by points or a box.

None is built in; `cleanplate models pull NAME` installs one. Its objects are removed like
those of a segmenter:

    prompter = create_prompter()
    prepared = prompter.set_image(image)
    instance = instance_of(prompter.predict(prepared, points=[(310, 205, True)]))
    margin = default_dilation_px(instance)
    (left, top, right, bottom), hole = dilate_instance(instance, image.shape[:2], margin)
    mask = np.zeros(image.shape[:2], bool)
    mask[top:bottom, left:right] = hole
    removal = remover.fill(image, mask)

with `default_dilation_px` and `dilate_instance` of `cleanplate.ops`, which add the margin that
`Remover.fill` leaves to its caller.
"""

import importlib
from types import MappingProxyType
from typing import Any

from cleanplate.hub import get_model, is_available, model_names
from cleanplate.segmentation.interactive.prompts import (
    OUTLINED,
    InteractiveSegmenter,
    Outline,
    Prepared,
    PromptPoint,
    instance_of,
)

DEFAULT_PROMPTER = "sam21_hiera_tiny.sav"

__all__ = [
    "DEFAULT_PROMPTER",
    "OUTLINED",
    "InteractiveSegmenter",
    "Outline",
    "Prepared",
    "PromptPoint",
    "create_prompter",
    "installed_prompter",
    "instance_of",
]

_FAMILIES = MappingProxyType({"sam": ("sam", "SamPrompter"), "sam2": ("sam", "Sam2Prompter")})
"""Family of models -> module and class of this package; imported when one is created."""


def installed_prompter() -> str | None:
    """Return the name of an installed prompter, preferring the default one; None without any."""
    names = (DEFAULT_PROMPTER, *model_names("prompter"))
    return next((name for name in names if is_available(get_model(name))), None)


def create_prompter(
    name: str = DEFAULT_PROMPTER, *, device: str = "auto", threads: int | None = None
) -> InteractiveSegmenter:
    """Return the prompter called `name`, with its networks loaded.

    Args:
        name: one of `model_names("prompter")`.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        InputError: an argument of another type, or an ambiguous name.
        UnknownNameError: no such prompter; the message lists the known names.
        WeightsError: it is not installed, or damaged; the message states how to install it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    module, adapter = _FAMILIES[get_model(name, "prompter").family]
    create: Any = getattr(importlib.import_module(f"{__name__}.{module}"), adapter)
    prompter: InteractiveSegmenter = create(name, device=device, threads=threads)
    return prompter
