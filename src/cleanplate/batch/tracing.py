"""One photo's work with what a journal keeps of its files: sizes, times and hashes."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.running import Job, Outcome, run_photo
from cleanplate.errors import PhotoError

if TYPE_CHECKING:
    from cleanplate.pipeline import Remover


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was at one moment."""

    size: int  # bytes
    mtime_ns: int
    sha256: str

    def looks_like(self, stat: os.stat_result) -> bool:
        """Return whether a file is unchanged as far as its size and time of change tell."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one photo, with the states of the files that a journal was to keep."""

    outcome: Outcome
    source: FileState | None = None  # as it was before it was read
    mask: FileState | None = None  # the user's own
    output: FileState | None = None  # None: not written


def do_photo(
    photo: PlannedPhoto, remover: "Remover", job: Job, *, overwrite: bool, traced: bool
) -> Done:
    """Do one photo.

    Args:
        photo: what to do.
        remover: does it.
        job: as for `run_photo`.
        overwrite: whether its outputs may be replaced, whatever the job says.
        traced: whether to look at the files for a journal.
    """
    if overwrite and not job.overwrite:
        job = replace(job, overwrite=True)
    if not traced:
        return Done(run_photo(photo, remover, job))
    # Before it is read: whoever changes it meanwhile makes it another one for the next run.
    source, mask = state_of(photo.source), state_of(own_mask_of(photo, job))
    outcome = run_photo(photo, remover, job)
    written = outcome.status in ("removed", "untouched")
    return Done(outcome, source, mask, state_of(photo.target) if written else None)


def own_mask_of(photo: PlannedPhoto, job: Job) -> Path | None:
    """Return the user's mask of a photo; None if there is none, which the work itself will tell."""
    if job.own_masks is None:
        return None
    try:
        return job.own_masks.find(photo)
    except PhotoError:
        return None


def state_of(path: Path | None) -> FileState | None:
    """Return the state of a file; None where it cannot be read."""
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
    return FileState(stat.st_size, stat.st_mtime_ns, sha256)
