"""Registered models: one frozen entry each, all checked by tests/hub/test_hub_registry.py."""

from collections.abc import Mapping
from types import MappingProxyType

from cleanplate.errors import UnknownNameError
from cleanplate.hub.registry import (
    ade20k,
    builtin,
    clipseg,
    inpainting,
    interactive,
    own,
    rfdetr,
    torchvision,
)
from cleanplate.hub.registry.entry import (
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    ModelKind,
    frozen_metrics,
)

__all__ = [
    "MODELS",
    "Checkpoint",
    "Licence",
    "Model",
    "ModelFile",
    "ModelKind",
    "frozen_metrics",
    "get_model",
    "model_names",
]

_GROUPS = (
    builtin.ENTRIES,
    torchvision.ENTRIES,
    rfdetr.ENTRIES,
    ade20k.ENTRIES,
    clipseg.ENTRIES,
    inpainting.ENTRIES,
    interactive.ENTRIES,
    own.ENTRIES,
)

MODELS: Mapping[str, Model] = MappingProxyType(
    {entry.name: entry for group in _GROUPS for entry in group}
)
"""Every registered model by its name."""


def model_names(kind: ModelKind | None = None) -> tuple[str, ...]:
    """Return the names of all models, or of those of one kind, the built-in ones first."""
    return tuple(model.name for model in MODELS.values() if kind in (None, model.kind))


def get_model(name: str, kind: ModelKind | None = None) -> Model:
    """Return the entry called `name`.

    Raises:
        UnknownNameError: no such entry (of this kind); the message lists those there are.
    """
    known = model_names(kind)
    if name not in known:
        raise UnknownNameError(kind or "model", name, known)
    return MODELS[name]
