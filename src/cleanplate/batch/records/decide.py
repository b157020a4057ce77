"""What to do with a photo that earlier runs may have processed: one set of rules for all runs.

The journal of a folder and the report of a cluster both gather the states of the files and ask
`decide_photo`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Literal, TypeVar

from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.records.results import FileState, SkipReason, own_masks_of
from cleanplate.batch.records.settings import Job, Untouched
from cleanplate.io import hash_bytes, hash_files

Decision = SkipReason | Literal["new", "changed"]
"""Skip a photo, process it, or process it again because it or its mask has changed."""

_Place = TypeVar("_Place")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """How a photo compares with the last record of its output."""

    is_unchanged: Callable[[], bool]  # also its mask; called only if it decides: it may read files
    is_same_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputState:
    """What lies in the places of a photo's output."""

    exists: bool  # a file where the last record expects it; without a record: anywhere
    exists_elsewhere: bool = False  # a file in another of its places
    is_folder: bool = False  # one of the places is taken by a folder
    is_interrupted: bool | None = None  # written by a killed run? None: no killed run had begun it
    is_unchanged: Callable[[], bool] = lambda: False  # since it was written; see `InputState`


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRecord:
    """What the last run that processed a photo, and did not fail, recorded of it."""

    wrote_output: bool
    is_same_settings: bool


def decide_photo(
    photo: InputState,
    output: OutputState,
    record: LastRecord | None,
    *,
    overwrite: bool,
    untouched: Untouched,
) -> Decision:
    """Return whether to process a photo.

    An output is never replaced unless a run is known to have written it, it is as it was written,
    and its own photo or mask has changed since; or a killed run had left it.

    Args:
        photo: compared with `record`.
        output: compared with `record`.
        record: None if no run has processed the photo.
        overwrite: whether any output may be replaced.
        untouched: what this run does with photos that have nothing to remove.
    """
    if overwrite or output.is_folder:  # processing will report the folder
        return "new"
    if output.is_interrupted:
        return "changed"
    if not output.exists and not output.exists_elsewhere:
        was_begun = output.is_interrupted is not None
        if record is None or was_begun or record.wrote_output or untouched != "skip":
            return "new"
        decision = _compare(photo, record)
        return "new" if decision == "changed" else decision
    if record is not None and record.wrote_output and output.exists:
        return _compare(photo, record) if output.is_unchanged() else "edited"
    return "exists"


def _compare(photo: InputState, record: LastRecord) -> Decision:
    """Return the decision on a photo whose output is as recorded."""
    if not photo.is_unchanged():
        return "changed" if photo.is_same_path else "exists"  # or of another folder, same name
    return "done" if record.is_same_settings else "other settings"


def expected_place(places: Sequence[_Place], status: str) -> _Place:
    """Return where a photo's output was written, of the places it may have.

    Args:
        places: that of a result, and where it differs that of a copy.
        status: of the last record.
    """
    return places[-1] if status == "untouched" else places[0]


def is_same(
    now: tuple[int, int] | None, known: FileState | None, hash_now: Callable[[], str | None]
) -> bool:
    """Return whether files are unchanged; they are read only if size is equal and time is not.

    Args:
        now: size in bytes and time of modification in ns; None if a file does not exist.
        known: as recorded.
        hash_now: returns the SHA-256; None if a file cannot be read.
    """
    if now is None or known is None or now[0] != known.size:
        return False
    return now[1] == known.mtime_ns or hash_now() == known.sha256


def state_of(*paths: Path) -> FileState | None:
    """Return the state of a file, or of several as one; None if there is none or it is unreadable.

    Args:
        paths: files, hashed one after another.
    """
    if not paths:
        return None
    try:
        sha256, stats = hash_files(*paths)
    except (OSError, ValueError):
        return None
    return FileState(*size_and_time(stats), sha256)


def mask_state_of(photo: PlannedPhoto, job: Job) -> FileState | None:
    """Return the state of what says what is removed: the user's mask or plan, or the request."""
    if photo.request is None:
        return state_of(*own_masks_of(photo, job))
    fingerprint = photo.request.fingerprint.encode()
    return FileState(len(fingerprint), 0, hash_bytes(fingerprint))


def size_and_time(stats: Iterable[stat_result]) -> tuple[int, int]:
    """Return the total size of files in bytes, and the sum of their times in ns."""
    stats = tuple(stats)
    return sum(stat.st_size for stat in stats), sum(stat.st_mtime_ns for stat in stats)
