"""Edits a dataset: plans its images for the batch engine, then edits its labels by what was filled.

The engine writes each image's mask before the image, and keeps a journal; the labels are made from
both at the end. A run that was killed at any moment is continued by the same command.
"""

import filecmp
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from cleanplate.batch import (
    JOURNAL_FOLDER,
    PhotoResult,
    PlannedPhoto,
    RunPlan,
    check_writes,
    make_thumbnails,
)
from cleanplate.datasets.annotations import (
    Annotation,
    AnnotationEdit,
    CroppedMask,
    DatasetImage,
    Outcome,
    region_of,
)
from cleanplate.datasets.editor import PLATE_END, Editor, is_training, plate_path
from cleanplate.datasets.requests import AnnotatedPhoto, LazyRequest
from cleanplate.datasets.rules import DatasetOptions, ImageEdit, blocking_crowds, decide
from cleanplate.errors import CleanplateError, InputError, PhotoError
from cleanplate.io import (
    copy_photo,
    hash_bytes,
    link_photo,
    read_mask,
    read_photo,
    sha256_of,
    write_bytes_atomic,
)
from cleanplate.options import RemovalOptions
from cleanplate.types import Mask, Removal, RGBImage

_CARRIED = (".md", ".txt", ".yaml", ".yml", ".names", "")  # README, LICENSE, data.yaml ...
PLATES_FILE = "plates.json"
"""List of the plates in a cache."""

_SHOWN = 3  # annotations in a note

COLOURS: Mapping[Outcome, tuple[int, int, int]] = {
    "kept": (60, 200, 60),
    "removed": (230, 40, 40),
    "partial": (230, 60, 220),
    "missed": (230, 60, 220),
    "covered": (240, 150, 20),
    "clipped": (240, 200, 20),
}
"""RGB in which annotations are drawn, by what becomes of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelResult:
    """What became of an image and its labels."""

    edit: ImageEdit
    decisions: tuple[AnnotationEdit, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None  # why its labels are missing


@dataclass(slots=True)
class SplitCount:
    """What would be done with one split."""

    images: int = 0
    changed: int = 0
    removed: Counter[str] = field(default_factory=Counter)  # annotations, by class
    unchanged: Counter[str] = field(default_factory=Counter)  # images, by reason


class DatasetEditing:
    """The work on one dataset.

    Args:
        editor: of the dataset.
        output: folder of the result.
        options: what is removed, and the rules.
        removal: margin, effects and recheck.
        only_train: whether images of other splits stay as they are.
        drop_empty: whether images are left out that show nothing but what is removed.
        allow_no_derivatives: change images, too, whose licence forbids changed copies.
        overwrite: whether label files of the output may be replaced that no run wrote.
        is_cache: write only the plates, their masks and a list of them, for augmentation.
        adds_plates: keep all images and labels, and add the plates as further images.

    Raises:
        InputError: the output would be written into the dataset, or over it; or no image is for
            training; or plates would be added to a dataset that has some.
    """

    def __init__(
        self,
        editor: Editor,
        output: Path,
        options: DatasetOptions,
        removal: RemovalOptions,
        *,
        only_train: bool = True,
        drop_empty: bool = False,
        allow_no_derivatives: bool = False,
        overwrite: bool = False,
        is_cache: bool = False,
        adds_plates: bool = False,
    ) -> None:
        self.editor, self.output, self.options, self.removal = editor, output, options, removal
        self._only_train, self._drop_empty = only_train, drop_empty
        self._allow_no_derivatives, self._overwrite = allow_no_derivatives, overwrite
        self.adds_plates, self._is_cache = adds_plates, is_cache
        inside, outside = Path(os.path.realpath(output)), Path(os.path.realpath(editor.root))
        if inside == outside or outside in inside.parents or inside in outside.parents:
            raise InputError(
                f"{output}: the output and the dataset contain each other; name another folder"
            )
        if only_train and editor.images and not any(is_training(it.split) for it in editor.images):
            splits = ", ".join(sorted({str(it.split) for it in editor.images}))
            raise InputError(f"no image is in the training split, only {splits}; give --all-splits")
        plate = next((it for it in editor.images if it.relative.stem.endswith(PLATE_END)), None)
        if adds_plates and plate is not None:
            raise InputError(f"{plate.source} is a plate; name the dataset without plates")
        self.masks = output / "masks" if is_cache else output / JOURNAL_FOLDER / "masks"
        self._manifest = output / JOURNAL_FOLDER / "labels.json"

    def plan(self, report: Path | None = None) -> RunPlan:
        """Return what the engine is to do.

        Raises:
            InputError: something would be written twice, over a file of the dataset, or over labels
                that were not written by a run or were changed since.
        """
        self._check_labels()
        photos = tuple(
            PlannedPhoto(
                image.source,
                self.output / (plate_path(image.relative) if self.adds_plates else image.relative),
                image.relative,
                shares_stem=True,  # masks are called as the image, and .png
                request=LazyRequest(self._request, image),
            )
            for image in self.editor.images
            if not self._is_dropped(image)
        )
        check_writes(photos, masks=self.masks, report=report)
        return RunPlan(photos)

    def count(self) -> tuple[dict[str, SplitCount], list[str]]:
        """Return what would be done, by split, and what is wrong with annotations."""
        splits: dict[str, SplitCount] = {}
        problems: list[str] = []
        for image in self.editor.images:
            count = splits.setdefault(image.split or "all", SplitCount())
            count.images += 1
            try:
                annotations = self.editor.read(image)
            except CleanplateError as error:
                problems.append(str(error))
                count.unchanged["cannot be read"] += 1
                continue
            if not image.source.is_file():
                problems.append(f"{image.source}: no such file")
                count.unchanged["cannot be read"] += 1
                continue
            asked = [it.label for it in annotations if it.label in self.options.classes]
            reason = self._reason_unchanged(image, annotations)
            if reason is not None:
                count.unchanged[reason] += 1
            elif asked or self.options.fill_unannotated:
                count.changed += 1
                count.removed.update(asked)
        return splits, problems

    def decide_labels(self, result: PhotoResult, image: DatasetImage) -> LabelResult:
        """Return what becomes of an image's labels, from what was filled in it."""
        lost = ImageEdit(image=image, is_lost=True)
        if result.status == "failed":
            return LabelResult(edit=lost)
        try:
            annotations = self.editor.read(image)
            reason = self._reason_unchanged(image, annotations)
            if result.size_hw is None:
                if reason is not None:
                    return LabelResult(edit=ImageEdit(image=image))
                cause = "its output was not made by a run"
                raise PhotoError(image.source, cause, "give --overwrite to make it again")
            path = self.masks / (str(image.relative) + ".png")
            was_filled = result.status == "removed"
            mask: Mask = np.zeros(result.size_hw, np.bool_)
            if was_filled:
                mask = read_mask(path, result.size_hw)
            planned = {it.id - 1 for it in result.found if it.chosen}
            decisions = decide(annotations, mask, planned, self.options)
        except CleanplateError as error:
            return LabelResult(edit=lost, error=str(error))
        if reason is not None:
            notes = () if reason == _OTHER_SPLIT else (f"not changed: {reason}",)
            return LabelResult(edit=ImageEdit(image=image), notes=notes)
        removed = {it.annotation.label for it in decisions if it.outcome == "removed"}
        edit = ImageEdit(
            image=image,
            changes={it.annotation.key: it for it in decisions if it.is_change},
            removed_labels=removed,
            classes_left={it.annotation.label for it in decisions if not it.is_dropped},
            mask=path if was_filled else None,
            options=self.options,
        )
        return LabelResult(edit=edit, decisions=tuple(decisions), notes=_notes(decisions))

    def dropped_images(self) -> list[ImageEdit]:
        """Return edits that take the images out of the labels that show nothing else."""
        images = (image for image in self.editor.images if self._is_dropped(image))
        return [ImageEdit(image=image, is_lost=True) for image in images]

    def write_plates(self, results: Sequence[LabelResult]) -> None:
        """Write the list of plates that `cleanplate.integrations` reads.

        Args:
            results: of all images that have not failed.
        """
        images = {
            it.edit.image.relative.as_posix(): {
                "id": it.edit.image.number,
                "has_plate": it.edit.mask is not None,
                "dropped": [list(one.annotation.box) for one in it.decisions if one.is_dropped],
            }
            for it in results
            if not it.edit.is_lost
        }
        content = {"classes": list(self.options.classes), "images": images}
        write_bytes_atomic(self.output / PLATES_FILE, json.dumps(content, indent=0).encode())

    def copy_images(self, *, link: bool = False) -> list[str]:
        """Copy the images beside which plates are added; return what went wrong.

        Images that are missing were reported before; those that are there already stay.

        Args:
            link: share blocks or link instead, where the disk can; see `cleanplate.io.link_photo`.
        """
        failures = []
        for image in self.editor.images:
            target = self.output / image.relative
            if not image.source.is_file():
                continue
            try:
                if target.is_file() and not self._overwrite:
                    if not filecmp.cmp(image.source, target):
                        cause = "it exists and is another image"
                        raise PhotoError(target, cause, "give --overwrite to replace it")
                else:
                    (link_photo if link else copy_photo)(image.source, target)
            except CleanplateError as error:
                failures.append(str(error))
        return failures

    def write_labels(self, edits: Mapping[Path, ImageEdit]) -> list[str]:
        """Write the edited files, and copy the dataset's descriptions; return what went wrong."""
        known, failures = self._written_labels(), []
        edited = self.editor.with_plates if self.adds_plates else self.editor.edited
        for relative, content in edited(edits):
            target = self.output / relative
            try:
                before = target.read_bytes() if target.is_file() else None
                is_free = self._overwrite or before in (None, content)
                if not is_free and known.get(relative.as_posix()) != hash_bytes(before or b""):
                    raise PhotoError(target, *_CHANGED_LABELS)
                if before != content:
                    write_bytes_atomic(target, content)
                known[relative.as_posix()] = hash_bytes(content)
            except CleanplateError as error:
                failures.append(str(error))
        write_bytes_atomic(self._manifest, json.dumps(known, indent=0).encode())
        skipped = self.editor.label_files() | {image.relative for image in self.editor.images}
        for source in sorted(self.editor.root.iterdir()):
            relative = source.relative_to(self.editor.root)
            target = self.output / relative
            is_text = source.suffix.lower() in _CARRIED and source.is_file()
            if is_text and relative not in skipped and not target.exists():
                copy_photo(source, target)
        return failures

    def _written_labels(self) -> dict[str, str]:
        """Return the SHA-256 of the label files that runs wrote to the output, by path."""
        if not self._manifest.is_file():
            return {}
        written: dict[str, str] = json.loads(self._manifest.read_bytes())
        return written

    def _check_labels(self) -> None:
        """Refuse what `write_labels` could only refuse after all images were written."""
        if self._overwrite or self._is_cache:
            return
        written: dict[str, str | None] = {**self._written_labels()}
        if not self._manifest.parent.exists():  # a run that was killed may have written labels
            written |= dict.fromkeys(it.as_posix() for it in self.editor.label_files())
        for relative, digest in written.items():
            target = self.output / relative
            if target.is_file() and sha256_of(target) != digest:
                raise PhotoError(target, *_CHANGED_LABELS)

    def describe(self, labels: LabelResult, result: PhotoResult) -> dict[str, object]:
        """Return what the report says about an image's labels, ready for JSON.

        - split: of the image; null without splits.
        - annotations: those of which something was filled or that were to be removed; the others
          are not listed. Each has annotation, label, outcome (see `Outcome`), filled_share.
        - annotations_kept: how many stay as they were.
        - sha256_before, sha256_after: of the image's files; null where there is none.
        - dataset_options: the rules.
        """
        reported = [
            it for it in labels.decisions if it.is_change or it.outcome != "kept" or it.share
        ]
        return {
            "split": labels.edit.image.split,
            "annotations": [
                {
                    "annotation": it.annotation.key,
                    "label": it.annotation.label,
                    "outcome": it.outcome,
                    "filled_share": None if it.share is None else round(it.share, 4),
                }
                for it in reported
            ],
            "annotations_kept": sum(
                it.outcome == "kept" and not it.hidden for it in labels.decisions
            ),
            "sha256_before": _hash(result.source),
            "sha256_after": None if labels.edit.is_lost else _hash(result.target),
            "dataset_options": self.options.to_json(),
        }

    def draw(self, labels: LabelResult, result: PhotoResult) -> PhotoResult:
        """Return a result with thumbnails in which the annotations are drawn, before and after."""
        if result.status != "removed" or result.target is None or labels.edit.mask is None:
            return result
        before = read_photo(result.source).pixels
        after = read_photo(result.target).pixels
        mask = read_mask(labels.edit.mask, (before.shape[0], before.shape[1]))
        drawn = Removal(draw_annotations(after, labels.decisions, after=True), mask)
        thumbnails = make_thumbnails(draw_annotations(before, labels.decisions), drawn)
        return replace(result, thumbnails=thumbnails)

    def _request(self, image: DatasetImage) -> AnnotatedPhoto:
        """Return what is removed from an image."""
        error: CleanplateError | None = None
        annotations: list[Annotation] = []
        try:
            annotations = self.editor.read(image)
        except CleanplateError as failure:
            error = failure
        return AnnotatedPhoto(
            annotations=tuple(annotations),
            options=self.options,
            removal=self.removal,
            is_edited=self._reason_unchanged(image, annotations) is None,
            error=error,
        )

    def _reason_unchanged(self, image: DatasetImage, annotations: list[Annotation]) -> str | None:
        """Return why an image stays as it is, whatever it shows; None if it does not."""
        if self._only_train and not is_training(image.split):
            return _OTHER_SPLIT
        if image.licence is not None and not self._allow_no_derivatives:
            asked = any(it.label in self.options.classes for it in annotations)
            return f"its licence forbids changed copies ({image.licence})" if asked else None
        if blocking_crowds(annotations, self.options):
            return "it has a crowd annotation of a removed class"
        return None

    def _is_dropped(self, image: DatasetImage) -> bool:
        if not self._drop_empty or (self._only_train and not is_training(image.split)):
            return False
        try:
            labels = {it.label for it in self.editor.read(image)}
        except CleanplateError:
            return False
        return bool(labels) and labels <= set(self.options.classes)


_CHANGED_LABELS = (
    "it exists and was changed since a run wrote it, or by no run",
    "move it away, or give --overwrite to replace it",
)
_OTHER_SPLIT = "it is not in the training split"


def draw_annotations(
    image: RGBImage, decisions: tuple[AnnotationEdit, ...], *, after: bool = False
) -> RGBImage:
    """Return an image with annotations drawn on it, in the colour of what becomes of them.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        decisions: the annotations.
        after: draw what is left of them.
    """
    drawn = np.ascontiguousarray(image.copy())
    thick = max(1, round(max(image.shape[:2]) / 160))
    for decision in decisions:
        annotation = decision.annotation
        if after and decision.is_dropped:
            continue
        colour = COLOURS[decision.outcome]
        if after and decision.visible is not None:
            annotation = replace(annotation, outline=CroppedMask(*decision.visible))
        region = region_of(annotation, (image.shape[0], image.shape[1]))
        if region is None:
            left, top, right, bottom = (round(edge) for edge in annotation.box)
            cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colour, thick)
            continue
        contours, _ = cv2.findContours(
            region[1].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE,
            offset=region[0][:2],
        )  # fmt: skip
        cv2.drawContours(drawn, contours, -1, colour, thick)
    return drawn


def _notes(decisions: list[AnnotationEdit]) -> tuple[str, ...]:
    """Return what a person should know about the labels of an image."""
    notes = []
    for outcome, words in (
        ("removed", "labels dropped"),
        ("clipped", "labels clipped"),
        ("covered", "labels of covered objects dropped"),
        ("partial", "only partly filled, label kept"),
        ("missed", "not found, label kept"),
    ):
        names = [
            f"{it.annotation.key} ({it.annotation.label})"
            for it in decisions
            if it.outcome == outcome
        ]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            notes.append(f"{words}: {', '.join(names[:_SHOWN])}{more}")
    empty = [it.annotation.key for it in decisions if it.share is None]
    if empty:
        notes.append(f"outside the image: {', '.join(empty[:_SHOWN])}")
    return tuple(notes)


def _hash(path: Path | None) -> str | None:
    return sha256_of(path) if path is not None and path.is_file() else None
