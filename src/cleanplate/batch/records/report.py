"""The report of a run: one JSON object per photo and line."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from cleanplate.batch.job import Job
from cleanplate.batch.records.results import FoundObject, PhotoResult
from cleanplate.errors import PhotoError
from cleanplate.labels import VOC_LABELS, label_id

if TYPE_CHECKING:
    from cleanplate.remover import Remover

ModelNames = dict[str, dict[str, str | None]]
"""{"models": {"segmenter": name, "inpainter": name}, "provider": the same}; None: not used."""


def describe_models(remover: "Remover", job: Job) -> ModelNames:
    """Return the names of the models that the run needs, and what runs them; None for the others.

    A segmenter is not loaded for a run with the user's own masks, nor an inpainter for a dry run.
    """
    segmenter = remover.segmenter if job.own_masks is None else None
    inpainter = None if job.dry_run or job.draft_only else remover.inpainter
    both = {"segmenter": segmenter, "inpainter": inpainter}
    return {
        "models": {role: model.name if model else None for role, model in both.items()},
        "provider": {role: model.provider if model else None for role, model in both.items()},
    }


def describe_result(
    outcome: PhotoResult, models: ModelNames, known: Collection[str] = VOC_LABELS
) -> dict[str, object]:
    """Return what the report says about one photo, ready for JSON.

    Every object has all of these fields:

    - photo: path of the input as given; for a folder that could not be listed, the folder's.
    - output: path of the result; null for such a folder. Written only with the statuses removed and
      untouched.
    - status: removed, untouched (copied byte for byte), skipped (left alone), failed; in a dry run
      would-remove and would-copy.
    - skipped: why it was left alone: exists (its output is there), done (before, from the same
      photo with the same settings; status and all the rest are then those of that time), other
      settings (its output was made with others), edited (its output was changed since); else null.
    - size_wh: width and height of the upright photo in px; null if it was not read.
    - found: the objects of the asked labels, largest first, those that stay last:
        - id: 1, 2, ... in this photo.
        - label: canonical name.
        - label_id: published id of the label in the segmenter's label set, as `label_ids` has it;
          null for a label without.
        - score: mean probability over the object, [0, 1].
        - box_xyxy: left, top, right, bottom in px of the upright photo; right and bottom exclusive.
        - area_px: pixels of the object, before the margin.
        - removed: whether it was removed, or would be in a dry run.
        - reason: why it stays, such as "kept: largest" or "score below 0.5"; null if it does not.
    - remaining: what looking again still found in the filled holes or at their edges; objects with
      the same fields, without "removed" and "reason".
    - refills: how often, 0 to 2, what was found there was filled once more.
    - mask_area_px: pixels that were filled; null where no mask was made.
    - mask_share: the same as a share of the photo, [0, 1].
    - timings_s: seconds by stage, and "total"; empty for a skipped photo.
    - provider: {segmenter, inpainter}: what ran each, e.g. "CPUExecutionProvider"; null where the
      run needed none.
    - models: {segmenter, inpainter}: their registered names, or null.
    - settings: the run's options, from which 'redo' does photos again.
    - notes: statements on this photo a user should read.
    - error: why it failed, one line; null otherwise.

    Args:
        outcome: what `run_plan` yields.
        models: from `describe_models`.
        known: the segmenter's labels.
    """
    size_hw = outcome.size_hw
    share = outcome.mask_share
    return {
        "photo": str(outcome.source),
        "output": None if outcome.target is None else str(outcome.target),
        "status": outcome.status,
        "skipped": outcome.skipped,
        "size_wh": None if size_hw is None else [size_hw[1], size_hw[0]],
        "found": [
            {
                **_describe_object(found, known),
                "removed": found.chosen,
                "reason": found.reason or None,
            }
            for found in outcome.found
        ],
        "remaining": [_describe_object(found, known) for found in outcome.remaining],
        "refills": outcome.refills,
        "mask_area_px": outcome.mask_area_px,
        "mask_share": None if share is None else round(share, 6),
        "timings_s": {stage: round(spent, 4) for stage, spent in outcome.timings_s.items()},
        **models,
        "notes": list(outcome.notes),
        "error": outcome.error,
    }


def _describe_object(found: FoundObject, known: Collection[str]) -> dict[str, object]:
    return {
        "id": found.id,
        "label": found.label,
        "label_id": label_id(found.label, known),
        "score": round(float(found.score), 4),
        "box_xyxy": [int(edge) for edge in found.box_xyxy],
        "area_px": found.area_px,
    }


class ReportWriter:
    """Writes a report line by line, each flushed, so that a run cut short leaves what was done.

    A file that exists is replaced at the start. Names that are not valid Unicode are written with
    escaped surrogates, from which Python's `os.fsencode` gives the bytes back.
    """

    def __init__(
        self,
        path: Path,
        models: ModelNames,
        known: Collection[str] = VOC_LABELS,
        *,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._path, self._models, self._known = path, models, known
        self._settings = settings

    def __enter__(self) -> Self:
        """Make the file, and its folder if there is none.

        Raises:
            PhotoError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = self._path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        with suppress(OSError):  # `write` has said it; closing only tries the same bytes again
            self._file.close()

    def write(self, outcome: PhotoResult) -> Mapping[str, object]:
        """Append the line of one photo, and return what stands in it.

        Raises:
            PhotoError: it cannot be written, for example because the disk is full.
        """
        described = describe_result(outcome, self._models, self._known)
        line = {**described, "settings": self._settings}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        return line

    def _failure(self, error: OSError) -> PhotoError:
        cause = f"the report cannot be written ({error.strerror})"
        return PhotoError(self._path, cause, "check the rights and the free space there")
