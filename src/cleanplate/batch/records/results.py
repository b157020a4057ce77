"""The result of a photo, and the report: one JSON object per photo and line."""

import base64
import json
import logging
import traceback
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from cleanplate.batch.planning import PlannedPhoto, UnreadableFolder
from cleanplate.batch.records.settings import Job, ModelNames, Untouched
from cleanplate.errors import CleanplateError, PhotoError
from cleanplate.labels import VOC_LABELS, label_id
from cleanplate.types import Box

logger = logging.getLogger(__name__)

_PATHS = ("source", "target")

Status = Literal["removed", "untouched", "skipped", "failed", "would-remove", "would-copy"]
"""What became of a photo:

removed       written without the objects
untouched     nothing to remove; copied byte for byte, or what `Job.untouched` says
skipped       not read, see `SkipReason`
failed        nothing was written; the error says why
would-remove  dry run: there is something to remove
would-copy    dry run: there is nothing to remove
"""

SkipReason = Literal["exists", "done", "other settings", "edited"]
"""Why a photo was skipped:

exists          its output exists, and is not known to be written by a run
done            processed before, with the same photo and settings
other settings  its output was made with other settings
edited          its output was changed after it was made
"""


EMPTY_MASK = "the mask is empty"
NO_MASK = "it has no mask"
"""Note on a photo that is unchanged because the user's mask is empty."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object in a photo, without its mask."""

    id: int
    label: str
    score: float
    box_xyxy: Box
    area_px: int
    chosen: bool  # False: it is kept
    reason: str = ""  # why it is kept


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """WebP files; None where there is nothing to see."""

    before: bytes
    mask: bytes | None = None  # white = filled
    after: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoResult:
    """The result of one photo, or of a folder that could not be listed (`target` is None)."""

    status: Status
    source: Path
    target: Path | None
    size_hw: tuple[int, int] | None = None
    found: tuple[FoundObject, ...] = ()
    remaining: tuple[FoundObject, ...] = ()  # still detected in the filled holes
    refills: int = 0
    mask_area_px: int | None = None  # pixels filled; None where no mask was made
    effects_area_px: int | None = None  # of these, shadows and reflections
    timings_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: SkipReason | None = None  # if "done", all other fields are those of the earlier run
    kept_by: Untouched | None = None  # with the status "untouched" only
    error: str | None = None  # one line, with the file in it
    trace: str | None = None  # of an unexpected error
    thumbnails: Thumbnails | None = None  # if requested

    @property
    def mask_share(self) -> float | None:
        """Share of the photo's pixels that were filled, [0, 1]."""
        if self.size_hw is None or self.mask_area_px is None:
            return None
        return self.mask_area_px / (self.size_hw[0] * self.size_hw[1])


@dataclass(frozen=True, slots=True)
class FileState:
    """A file at one moment, or several files one after another."""

    size: int  # bytes
    mtime_ns: int  # of several files: the sum
    sha256: str


@dataclass(frozen=True, slots=True)
class ProcessedPhoto:
    """The result of one photo, with the states of the files that a journal records."""

    result: PhotoResult
    source: FileState | None = None  # before it was read
    mask: FileState | None = None  # the user's own, or plan
    output: FileState | None = None  # None: not written
    provider: Mapping[str, str | None] | None = None  # of each model, if requested


def own_masks_of(photo: PlannedPhoto, job: Job) -> tuple[Path, ...]:
    """Return the user's files on a photo: its mask, both files of its plan, or its edges.

    Empty if there are none; processing the photo will report that.
    """
    files = job.drawings
    return () if files is None else files.files_of(photo, are_plans=job.own_plans is not None)


def failed_result(
    photo: PlannedPhoto, error: Exception, timings_s: Mapping[str, float] | None = None
) -> PhotoResult:
    """Return the result of a photo that failed with `error`."""
    trace = None
    match error:
        case PhotoError():
            message = str(error)
        case CleanplateError():
            message = f"{photo.source}: {error}"
        case MemoryError():
            message = f"{photo.source}: out of memory; scale the photo down"
        case OSError():
            message = f"{error.filename or photo.source}: {error.strerror or error}"
        case _:
            trace = "".join(traceback.format_exception(error))
            logger.debug("%s failed", photo.source, exc_info=error)
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            message = f"{photo.source}: internal error ({cause}); please report it"
    return PhotoResult(
        status="failed",
        source=photo.source,
        target=photo.target,
        timings_s=timings_s or {},
        error=message,
        trace=trace,
    )


def skipped_result(photo: PlannedPhoto, why: SkipReason) -> PhotoResult:
    """Return the result of a photo that is skipped."""
    there = (place for place in photo.targets if place.exists() or place.is_symlink())
    target = next(there, photo.target)
    return PhotoResult(status="skipped", source=photo.source, target=target, skipped=why)


def unreadable_result(folder: UnreadableFolder) -> PhotoResult:
    """Return the result of a folder that could not be listed."""
    return PhotoResult(
        status="failed",
        source=folder.source,
        target=None,
        error=f"{folder.source}: folder cannot be read ({folder.cause}); check its permissions",
    )


def serialize_result(result: PhotoResult) -> str:
    """Return a result as JSON without its paths, for `parse_result`."""
    content = {name: value for name, value in asdict(result).items() if name not in _PATHS}
    if result.thumbnails is not None:
        content["thumbnails"] = {
            name: None if image is None else base64.b64encode(image).decode("ascii")
            for name, image in content["thumbnails"].items()
        }
    return json.dumps(content)


def parse_result(text: str, photo: PlannedPhoto) -> PhotoResult:
    """Parse the JSON of `serialize_result`, with the paths of `photo`.

    Raises:
        KeyError, TypeError, ValueError: it is not such JSON.
    """
    content: dict[str, Any] = json.loads(text)
    for name in ("found", "remaining"):
        content[name] = tuple(
            FoundObject(**{**instance, "box_xyxy": tuple(instance["box_xyxy"])})
            for instance in content[name]
        )
    content["size_hw"] = content["size_hw"] and tuple(content["size_hw"])
    content["notes"] = tuple(content["notes"])
    if content["thumbnails"] is not None:
        images: dict[str, Any] = {
            name: None if image is None else base64.b64decode(image)
            for name, image in content["thumbnails"].items()
        }
        content["thumbnails"] = Thumbnails(**images)
    target = photo.copy_target if content["status"] == "untouched" else photo.target
    return PhotoResult(source=photo.source, target=target, **content)


def describe_result(
    result: PhotoResult, models: ModelNames, known: Collection[str] = VOC_LABELS
) -> dict[str, object]:
    """Return the report's fields of one photo, ready for JSON.

    Every object has all of these fields:

    - photo: path of the input as given; for a folder that could not be listed, the folder's.
    - output: path of the result; null for such a folder. Written only with the statuses removed and
      untouched.
    - status: removed, untouched (copied byte for byte), skipped (not read), failed; in a dry run
      would-remove and would-copy.
    - skipped: why it was skipped: exists (its output exists), done (before, from the same
      photo with the same settings; status and all the rest are then those of that time), other
      settings (its output was made with others), edited (its output was changed since); else null.
    - size_wh: width and height of the upright photo in px; null if it was not read.
    - found: the objects of the requested labels, largest first, kept ones last:
        - id: 1, 2, ... in this photo.
        - label: canonical name.
        - label_id: published id of the label in the segmenter's label set, as `label_ids` has it;
          null for a label without.
        - score: confidence, [0, 1].
        - box_xyxy: left, top, right, bottom in px of the upright photo; right and bottom exclusive.
        - area_px: pixels of the object, before the margin.
        - removed: whether it was removed, or would be in a dry run.
        - reason: why it is kept, such as "kept: largest" or "score below 0.5"; else null.
    - remaining: what is still detected in the filled holes or at their edges; objects with
      the same fields, without "removed" and "reason".
    - refills: how often, 0 to 2, it was filled again.
    - mask_area_px: pixels that were filled; null where no mask was made.
    - effects_area_px: of these, shadows and reflections of the objects.
    - mask_share: the same as a share of the photo, [0, 1].
    - timings_s: seconds by stage, and "total"; empty for a skipped photo.
    - provider: {segmenter, inpainter}: what ran each, e.g. "CPUExecutionProvider"; null where the
      run needed none.
    - models: {segmenter, inpainter}: their registered names, or null.
    - settings: the run's options, from which 'redo' does photos again.
    - notes: statements on this photo a user should read.
    - error: why it failed, one line; null otherwise.

    Args:
        result: what an engine yields.
        models: from `describe_models`.
        known: the segmenter's labels.
    """
    size_hw = result.size_hw
    share = result.mask_share
    return {
        "photo": str(result.source),
        "output": None if result.target is None else str(result.target),
        "status": result.status,
        "skipped": result.skipped,
        "size_wh": None if size_hw is None else [size_hw[1], size_hw[0]],
        "found": [
            {
                **_describe_object(found, known),
                "removed": found.chosen,
                "reason": found.reason or None,
            }
            for found in result.found
        ],
        "remaining": [_describe_object(found, known) for found in result.remaining],
        "refills": result.refills,
        "mask_area_px": result.mask_area_px,
        "effects_area_px": result.effects_area_px,
        "mask_share": None if share is None else round(share, 6),
        "timings_s": {stage: round(spent, 4) for stage, spent in result.timings_s.items()},
        **models,
        "notes": list(result.notes),
        "error": result.error,
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

    def write(
        self, result: PhotoResult, more: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """Append the line of one photo, and return what stands in it.

        Args:
            result: what became of it.
            more: fields beside those of every photo.

        Raises:
            PhotoError: it cannot be written, for example because the disk is full.
        """
        described = describe_result(result, self._models, self._known)
        line = {**described, **(more or {}), "settings": self._settings}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        return line

    def _failure(self, error: OSError) -> PhotoError:
        cause = f"the report cannot be written ({error.strerror})"
        return PhotoError(self._path, cause, "check the folder's permissions and free space")
