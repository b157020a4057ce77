"""Pairs of a segmenter and an inpainter under one name."""

from types import MappingProxyType

from cleanplate.errors import UnknownNameError, WeightsError
from cleanplate.hub.registry import get_model
from cleanplate.hub.store import install_hint, is_available

_PRESETS = MappingProxyType(
    {
        "fast": (("deeplabv3plus_lite2.voc",), ("edgeconnect.photos",)),
        "best": (
            (
                "rfdetr_seg_large.coco",
                "rfdetr_seg_medium.coco",
                "rfdetr_seg_small.coco",
                "rfdetr_seg_nano.coco",
            ),
            ("lama.places", "big_lama.places"),
        ),
    }
)
"""Preset -> its segmenters and its inpainters; of each, the first that is installed is used."""

PRESETS = tuple(_PRESETS)
"""Names that `preset_models` knows."""


def preset_models(name: str) -> tuple[str, str]:
    """Return the names of the segmenter and the inpainter of a preset.

    Args:
        name: "fast", the built-in models, or "best", the largest installed RF-DETR-Seg and LaMa.

    Raises:
        UnknownNameError: no such preset.
        WeightsError: models of the preset are not installed; the message states how to
            install them, and the licence of each.
    """
    if name not in _PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    chosen, missing = [], []
    for names in _PRESETS[name]:
        candidates = [get_model(candidate) for candidate in names]
        installed = next((model for model in candidates if is_available(model)), None)
        if installed is None:
            missing.append(candidates[0])
        else:
            chosen.append(installed.name)
    if missing:
        advice = ", and ".join(
            f"{install_hint(model)} (licence {model.licence.spdx}, commercial use: "
            f"{model.licence.commercial})"
            for model in missing
        )
        raise WeightsError(
            f"preset {name!r} needs {' and '.join(model.name for model in missing)}; {advice}"
        )
    segmenter, inpainter = chosen
    return segmenter, inpainter
