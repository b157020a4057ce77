"""What became of a photo: the record that the report, the page and the journal are made of."""

import base64
import json
import logging
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cleanplate.batch.job import Job, Untouched
from cleanplate.batch.planning import PlannedPhoto, UnreadableFolder
from cleanplate.batch.records.thumbnails import Thumbnails
from cleanplate.errors import CleanplateError, PhotoError
from cleanplate.types import Box

logger = logging.getLogger(__name__)

_PATHS = ("source", "target")

Status = Literal["removed", "untouched", "skipped", "failed", "would-remove", "would-copy"]
"""What became of a photo:

removed       written without the objects
untouched     nothing to remove; copied byte for byte, or what `Job.untouched` says
skipped       left alone, see `SkipReason`; the photo was not read
failed        nothing was written; the error says why
would-remove  dry run: there is something to remove
would-copy    dry run: there is nothing to remove
"""

SkipReason = Literal["exists", "done", "other settings", "edited"]
"""Why a photo was left alone:

exists          its output is there, and no run is known to have made it
done            made before from the same photo with the same settings
other settings  its output was made with other settings
edited          its output was changed after it was made
"""


EMPTY_MASK = "the mask is empty"
"""The note on a photo that stays as it is because the user's mask shows nothing."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object in a photo, without its mask."""

    id: int
    label: str
    score: float
    box_xyxy: Box
    area_px: int
    chosen: bool  # False: it stays
    reason: str = ""  # why it stays


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoResult:
    """What became of one photo, or of a folder that could not be listed (then `target` is None)."""

    status: Status
    source: Path
    target: Path | None
    size_hw: tuple[int, int] | None = None
    found: tuple[FoundObject, ...] = ()
    remaining: tuple[
        FoundObject, ...
    ] = ()  # seen in the filled holes when they were looked at again
    refills: int = 0
    mask_area_px: int | None = None  # pixels filled; None where no mask was made
    timings_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: SkipReason | None = None  # why; if "done", the rest is what the former run had
    kept_by: Untouched | None = None  # with the status "untouched" only
    error: str | None = None  # one line, with the file in it
    trace: str | None = None  # of an error nobody expected
    thumbnails: Thumbnails | None = None  # if the job asks for them

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
    """The outcome of one photo, with the states of the files that a journal records."""

    outcome: PhotoResult
    source: FileState | None = None  # before it was read
    mask: FileState | None = None  # the user's own, or draft
    output: FileState | None = None  # None: not written
    provider: Mapping[str, str | None] | None = None  # of each model, if requested


def own_masks_of(photo: PlannedPhoto, job: Job) -> tuple[Path, ...]:
    """Return the files that give a photo's mask: the user's mask, or both files of a draft.

    Empty if there are none; processing the photo will report that.
    """
    files = job.own_drafts or job.own_masks
    return () if files is None else files.files_of(photo, are_drafts=job.own_drafts is not None)


def failed_result(
    photo: PlannedPhoto, error: Exception, timings_s: Mapping[str, float] | None = None
) -> PhotoResult:
    """Return what is told of a photo that `error` stopped."""
    trace = None
    match error:
        case PhotoError():
            message = str(error)
        case CleanplateError():
            message = f"{photo.source}: {error}"
        case MemoryError():
            message = f"{photo.source}: not enough memory for a photo of this size; make it smaller"
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
    """Return what is told of a photo that is left alone."""
    there = (place for place in photo.targets if place.exists() or place.is_symlink())
    target = next(there, photo.target)
    return PhotoResult(status="skipped", source=photo.source, target=target, skipped=why)


def unreadable_result(folder: UnreadableFolder) -> PhotoResult:
    """Return what is told of a folder that could not be listed."""
    return PhotoResult(
        status="failed",
        source=folder.source,
        target=None,
        error=f"{folder.source}: folder cannot be read ({folder.cause}); check its rights",
    )


def serialize_result(outcome: PhotoResult) -> str:
    """Return an outcome as JSON, without the paths, for `parse_result`."""
    content = {name: value for name, value in asdict(outcome).items() if name not in _PATHS}
    if outcome.thumbnails is not None:
        content["thumbnails"] = {
            name: None if picture is None else base64.b64encode(picture).decode("ascii")
            for name, picture in content["thumbnails"].items()
        }
    return json.dumps(content)


def parse_result(text: str, photo: PlannedPhoto) -> PhotoResult:
    """Return what `serialize_result` made JSON of, for a photo that is now planned like this.

    Raises:
        KeyError, TypeError, ValueError: it is no such JSON.
    """
    content: dict[str, Any] = json.loads(text)
    for name in ("found", "remaining"):
        content[name] = tuple(
            FoundObject(**{**thing, "box_xyxy": tuple(thing["box_xyxy"])})
            for thing in content[name]
        )
    content["size_hw"] = content["size_hw"] and tuple(content["size_hw"])
    content["notes"] = tuple(content["notes"])
    if content["thumbnails"] is not None:
        pictures: dict[str, Any] = {
            name: None if picture is None else base64.b64decode(picture)
            for name, picture in content["thumbnails"].items()
        }
        content["thumbnails"] = Thumbnails(**pictures)
    target = photo.copy_target if content["status"] == "untouched" else photo.target
    return PhotoResult(source=photo.source, target=target, **content)
