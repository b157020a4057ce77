"""Models of each kind under one name: `--preset`."""

from collections.abc import Mapping
from types import MappingProxyType

from cleanplate.errors import UnknownNameError
from cleanplate.hub.registry import Model, ModelKind, get_model
from cleanplate.hub.store import is_available

_RFDETR = tuple(f"rfdetr_seg_{size}.coco" for size in ("large", "medium", "small", "nano"))
_PRESETS: Mapping[str, Mapping[ModelKind, tuple[str, ...]]] = MappingProxyType(
    {
        "fast": {"segmenter": ("deeplabv3plus_lite2.voc",), "inpainter": ("edgeconnect.photos",)},
        "published": {
            "segmenter": ("deeplabv3_resnet101.coco_voc", "fcn_resnet101.coco_voc"),
            "inpainter": ("edgeconnect.places2",),
        },
        "best": {
            "segmenter": _RFDETR,
            "inpainter": ("osor.sdxl", "lama.places", "big_lama.places"),
        },
    }
)
"""Preset -> kind -> its models, the best first."""

PRESETS = tuple(_PRESETS)
"""Names that `preset_model` knows."""


def preset_model(preset: str, kind: ModelKind) -> Model:
    """Return the best model of a preset that is installed; if none is, the one to install.

    Args:
        preset: "fast", the built-in models; "best", RF-DETR-Seg, and OSOR or LaMa; or "published",
            DeepLabV3 or FCN, and EdgeConnect with the weights of its authors.
        kind: "segmenter" or "inpainter".

    Raises:
        UnknownNameError: no such preset.
    """
    if preset not in _PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    models = [get_model(name) for name in _PRESETS[preset][kind]]
    pullable = (model for model in models if model.is_built_in or model.can_be_pulled)
    to_install = next(pullable, models[0])
    return next((model for model in models if is_available(model)), to_install)
