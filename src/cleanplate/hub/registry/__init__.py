"""Registered models: one frozen entry each, all checked by tests/hub/test_hub_registry.py."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.hub.registry import builtin, inpainting, interactive, own, segmentation
from cleanplate.hub.registry.entry import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    ModelKind,
    Preprocessing,
    TensorSpec,
    frozen_metrics,
)
from cleanplate.options import check_type

_GROUPS = (
    builtin.ENTRIES,
    segmentation.ENTRIES,
    inpainting.ENTRIES,
    interactive.ENTRIES,
    own.ENTRIES,
)

MODELS: Mapping[str, Model] = MappingProxyType(
    {entry.name: entry for group in _GROUPS for entry in group}
)
"""Every registered model by its name."""

_SHORT_NAMES = MappingProxyType({"rfdetr": "rfdetr_seg_large.coco"})


def model_names(kind: ModelKind | None = None) -> tuple[str, ...]:
    """Return the names of all models, or of those of one kind, as `list_models` does."""
    return tuple(model.name for model in list_models(kind))


def get_model(name: str, kind: ModelKind | None = None) -> Model:
    """Return the entry called `name`.

    Args:
        name: its full name, such as "lama.places", or a beginning of it that ends before a "." or
            "_" and is shared by no other entry (of this kind), such as "lama"; "rfdetr" is the
            largest RF-DETR.
        kind: only entries of this kind; None searches all.

    Raises:
        UnknownNameError: no such entry; the message lists the known ones.
        InputError: the name is ambiguous, and the message lists what it may mean; or not a string.
    """
    check_type("name", name, str, "the name of a model")
    known = model_names(kind)
    full = _SHORT_NAMES.get(name, name)
    matching = (
        [full] if full in known else [k for k in known if k.startswith((f"{name}.", f"{name}_"))]
    )
    if len(matching) == 1:
        return MODELS[matching[0]]
    if not matching:
        raise UnknownNameError(kind or "model", name, known)
    matching.sort(
        key=lambda it: (not MODELS[it].is_built_in, MODELS[it].licence.commercial != "yes")
    )
    raise InputError(f"{kind or 'model'} {name!r} is ambiguous: {', '.join(matching)}")


def list_models(
    kind: ModelKind | None = None, *, commercial_only: bool = False
) -> tuple[Model, ...]:
    """Return the registered models, the built-in ones first.

    Args:
        kind: "segmenter", "inpainter", "prompter", "effects", "divider", "recognizer" or
            "outliner"; None returns all.
        commercial_only: only those whose publisher grants commercial use of the weights.

    Raises:
        UnknownNameError: no such kind.
        InputError: an argument of another type.
    """
    check_type("commercial_only", commercial_only, bool, "True or False")
    kinds = get_args(ModelKind)
    if kind is not None:
        check_type("kind", kind, str, f"one of {', '.join(kinds)}, or None")
        if kind not in kinds:
            raise UnknownNameError("kind", kind, kinds)
    return tuple(
        model
        for model in MODELS.values()
        if kind in (None, model.kind) and (not commercial_only or model.licence.commercial == "yes")
    )
