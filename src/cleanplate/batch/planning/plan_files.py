"""Removal plans as files: for each photo a mask to paint on, and a JSON file with the objects.

The mask is a PNG, white = filled. The JSON beside it, of the same name, holds everything that the
second stage needs; docs/masks.md describes its fields. Of these, "remove" of each object is meant
to be edited.
"""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cleanplate import __version__
from cleanplate.batch.planning.example_files import (
    Provenance,
    describe_examples,
    parse_examples,
)
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import (
    PlannedPhoto,
    RunPlan,
    check_writes,
    mask_name,
)
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import Photo, read_error, read_mask, sha256_of, write_bytes_atomic, write_mask
from cleanplate.labels import VOC_LABELS, label_id
from cleanplate.ops import bounding_box, decode_rle, encode_rle, union
from cleanplate.options import RemovalOptions
from cleanplate.plan import RemovalPlan, alpha_effects, edit_plan, plan_masks
from cleanplate.segmentation import Complete, EffectsDetector, Selection
from cleanplate.types import Box, Instance, Mask

_FORMAT = 3  # of the JSON; another one is refused

_REMAKE = "make it again with 'cleanplate plan --overwrite'"


def plan_of_masks(plan: RunPlan, folder: Path, *, report: Path | None = None) -> RunPlan:
    """Return a plan whose targets are the masks of the photos, below `folder`.

    Raises:
        InputError: one would be written over a photo, or the report over one.
    """
    photos = tuple(
        replace(photo, target=folder / mask_name(photo), copy=None) for photo in plan.photos
    )
    check_writes(photos, masks=None, report=report)
    return replace(plan, photos=photos)


def write_plan(
    path: Path,
    source: Path,
    plan: RemovalPlan,
    *,
    found_by: Provenance,
    known: Collection[str] = VOC_LABELS,
) -> None:
    """Write a plan's JSON and then its mask, as only the mask marks the work as done.

    Args:
        path: the mask; the JSON goes beside it.
        source: the photo's file, which is read once more for its SHA-256.
        plan: of that photo.
        found_by: what found the objects.
        known: its labels.

    Raises:
        PhotoError: a file cannot be written, or the photo no longer be read.
    """
    height, width = plan.mask.shape
    objects = sorted((*plan.instances, *plan.kept), key=lambda instance: instance.id)
    going = {instance.id for instance in plan.instances}
    head = {
        "cleanplate": __version__,
        "format": _FORMAT,
        "photo": str(source),
        "photo_sha256": sha256_of(source),
        "size_wh": [width, height],
        "models": {"segmenter": found_by.segmenter},
        "like": describe_examples(found_by.examples),
        "settings": plan.options.to_json(),
    }
    described = [
        {
            "id": instance.id,
            "remove": instance.id in going,
            "label": instance.label,
            "label_id": label_id(instance.label, known),
            "score": instance.score,
            "box_xyxy": list(instance.box_xyxy),
            "area_px": instance.area_px,
            "chosen": instance.id in going,
            "reason": instance.reason or None,
            "protected": instance.id in plan.protected,
        }
        for instance in objects
    ]
    outlines = {
        str(instance.id): encode_rle(instance.box_xyxy, instance.mask, (height, width))
        for instance in objects
    }
    casts = {
        str(cast.id): encode_rle(cast.box_xyxy, cast.mask, (height, width)) for cast in plan.casts
    }
    text = json.dumps(head, indent=2).removesuffix("\n}")
    text += f',\n  "objects": {_lines("[", described, "]")}'
    text += f',\n  "outlines": {_lines("{", outlines, "}")}'
    text += f',\n  "effects": {_lines("{", casts, "}")}'
    found = alpha_effects(plan)
    if found is not None:
        box = left, top, right, bottom = bounding_box(found)
        counts = encode_rle(box, found[top:bottom, left:right], (height, width))
        text += f',\n  "effects_of_inpainter": {json.dumps(counts)}'
    text += "\n}\n"
    write_bytes_atomic(path.with_suffix(".json"), text.encode())
    write_mask(path, plan.mask, plan.effects)


def check_place(path: Path) -> None:
    """Raise if a file that is no plan has the name of the JSON beside a mask.

    A plan without its mask is of a killed run, and is replaced.

    Raises:
        PhotoError: it has.
    """
    described = path.with_suffix(".json")
    try:
        is_plan = "cleanplate" in json.loads(described.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, TypeError, ValueError):
        is_plan = False
    if not is_plan:
        raise PhotoError(
            described, "another file has the plan's name", "name another folder, or --overwrite"
        )


def read_plan(
    photo: PlannedPhoto,
    image: Photo,
    masks: MaskFiles,
    *,
    again: Provenance,
    complete: Complete,
    detector: Callable[[], EffectsDetector],
) -> RemovalPlan:
    """Return the plan of a photo, as a person may have edited it.

    Args:
        photo: whose plan it is.
        image: the same, read.
        masks: where plans lie.
        again: the models that recheck the filled holes.
        complete: of `Outliner`; this and the next are used only for an object that was switched on.
        detector: gives what finds effects.

    Raises:
        PhotoError: there is none, it is not of this photo, or it cannot be understood; or it is to
            be looked at again by what found its objects, and that is another one.
    """
    path = masks.find(photo)
    if path is None:
        raise PhotoError(photo.source, "it has no plan", "make it with 'cleanplate plan'")
    described = path.with_suffix(".json")
    content = _load(described)
    digest = content.get("photo_sha256")
    if digest != sha256_of(photo.source):
        raise PhotoError(
            photo.source,
            f"{described} was made from another photo, {content.get('photo')}, or this one has "
            "changed since",
            _REMAKE,
        )
    size_hw = image.size_hw
    mask = read_mask(path, size_hw)
    try:
        plan, remove = _parse(content, image)
        plan, found_by = (
            edit_plan(
                image.pixels, plan, remove=remove, mask=mask, complete=complete, detector=detector
            ),
            _found_by(content),
        )
    except InputError as error:
        raise PhotoError(described, str(error), f"correct it, or {_REMAKE}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        cause = f"not a file of 'cleanplate plan' ({type(error).__name__}: {error})"
        raise PhotoError(described, cause, f"correct it, or {_REMAKE}") from error
    if plan.options.verify and found_by != again:
        made, rechecks = found_by.segmenter, again.segmenter
        raise PhotoError(
            photo.source,
            f"its mask was made with the segmenter {made}, and this run rechecks with {rechecks}"
            if made != rechecks
            else "its mask was made with other examples than this run rechecks with",
            "fill these masks in a separate run",
        )
    return plan


def provenance_of_plans(plan: RunPlan, masks: MaskFiles) -> Provenance | None:
    """Return what the first readable file of a run says was used, None without any."""
    for photo in plan.photos:
        for described in masks.files_of(photo, are_plans=True)[1:]:
            with suppress(PhotoError, KeyError, TypeError):
                return _found_by(_load(described))
    return None


def _found_by(content: Mapping[str, Any]) -> Provenance:
    return Provenance(str(content["models"]["segmenter"]), parse_examples(content["like"]))


def _lines(start: str, entries: list[Any] | dict[str, Any], end: str) -> str:
    """Return a list or an object as JSON with one line for each entry."""
    pairs = entries.items() if isinstance(entries, dict) else ((None, entry) for entry in entries)
    lines = [
        "    " + (f'"{key}": ' if key is not None else "") + json.dumps(value)
        for key, value in pairs
    ]
    return f"{start}\n" + ",\n".join(lines) + f"\n  {end}" if lines else start + end


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise PhotoError(
            path, "no such file", "make it with 'cleanplate plan', or use run --mask"
        ) from error
    except OSError as error:
        raise read_error(path, error) from error
    except ValueError as error:
        raise PhotoError(
            path, f"it is not valid JSON ({error})", f"correct it, or {_REMAKE}"
        ) from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != _FORMAT:
        cause = f"its format is {version}, not {_FORMAT}"
        raise PhotoError(path, cause, _REMAKE)
    return dict(content)


def _parse(content: Mapping[str, Any], image: Photo) -> tuple[RemovalPlan, dict[int, bool]]:
    """Return the plan as it was written, and what is to be removed now."""
    options = RemovalOptions.from_json(content["settings"])
    objects: list[Instance] = []
    kept: list[Instance] = []
    protected: set[int] = set()
    remove: dict[int, bool] = {}
    for entry in content["objects"]:
        number = _typed(entry, "id", int)
        remove[number] = _typed(entry, "remove", bool)
        box, mask = _outline(content["outlines"][str(number)], entry["box_xyxy"], image.size_hw)
        reason = entry["reason"] or ""
        instance = Instance(number, str(entry["label"]), float(entry["score"]), box, mask, reason)
        (objects if _typed(entry, "chosen", bool) else kept).append(instance)
        if _typed(entry, "protected", bool):
            protected.add(number)
    missing = content["outlines"].keys() - {str(number) for number in remove}
    if missing:
        raise InputError(f"object {min(missing)} is missing; to keep it, set its remove to false")
    selection = Selection(tuple(objects), tuple(kept), frozenset(protected))
    by_id = {instance.id: instance for instance in (*objects, *kept)}
    casts = []
    for key, counts in content["effects"].items():
        if counts:
            box, mask = decode_rle(counts, image.size_hw)
            casts.append(replace(by_id[int(key)], box_xyxy=box, mask=mask))
    mask, effects = plan_masks(image.size_hw, selection, casts, options, wraps=image.wraps)
    counts = content.get("effects_of_inpainter")
    if counts is not None:
        found = union([decode_rle(counts, image.size_hw)], image.size_hw)
        mask, effects = mask | found, found if effects is None else effects | found
    plan = RemovalPlan(
        mask=mask,
        effects=effects,
        casts=tuple(casts),
        instances=selection.chosen,
        kept=selection.kept,
        protected=selection.protected,
        options=options,
        wraps=image.wraps,
        transparent=image.transparent,
    )
    return plan, remove


def _outline(counts: list[int], given: list[int], size_hw: tuple[int, int]) -> tuple[Box, Mask]:
    """Return an object's mask in the very box it had, which need not be tight."""
    (left, top, right, bottom), mask = decode_rle(counts, size_hw)
    x0, y0, x1, y1 = given
    if not (0 <= x0 <= left and 0 <= y0 <= top and right <= x1 and bottom <= y1):
        raise InputError(f"box_xyxy {given} does not contain the outline")
    x1, y1 = min(x1, size_hw[1]), min(y1, size_hw[0])
    return (x0, y0, x1, y1), np.pad(mask, ((top - y0, y1 - bottom), (left - x0, x1 - right)))


def _typed(entry: Mapping[str, Any], key: str, kind: Callable[..., Any]) -> Any:
    value = entry[key]
    if type(value) is not kind:
        raise InputError(f"{key} must be {_KINDS[kind]}, got {json.dumps(value)}")
    return value


_KINDS: dict[Callable[..., Any], str] = {bool: "true or false", int: "an integer"}
