"""One photo's work with what a journal keeps of its files: sizes, times and hashes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cleanplate.batch.job import Job
from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.records.results import Outcome
from cleanplate.io import hash_files


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was at one moment, or several files one after the other."""

    size: int  # bytes
    mtime_ns: int  # of several files: the sum
    sha256: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one photo, with the states of the files that a journal was to keep."""

    outcome: Outcome
    source: FileState | None = None  # as it was before it was read
    mask: FileState | None = None  # the user's own, or draft
    output: FileState | None = None  # None: not written
    provider: Mapping[str, str | None] | None = None  # what ran each model, if a worker tells it


def own_masks_of(photo: PlannedPhoto, job: Job) -> tuple[Path, ...]:
    """Return the files that say what is filled in a photo: a mask, or both files of a draft.

    None where there are none, which the work itself will tell.
    """
    files = job.own_drafts or job.own_masks
    return () if files is None else files.files_of(photo, are_drafts=job.own_drafts is not None)


def state_of(*paths: Path) -> FileState | None:
    """Return the state of a file, or of several as of one; None without any that can be read."""
    if not paths:
        return None
    try:
        sha256, stats = hash_files(*paths)
    except (OSError, ValueError):
        return None
    return FileState(*size_and_time(stats), sha256)


def size_and_time(stats: Iterable[os.stat_result]) -> tuple[int, int]:
    """Return the bytes of some files, and a number that changes with any of their times."""
    stats = tuple(stats)
    return sum(stat.st_size for stat in stats), sum(stat.st_mtime_ns for stat in stats)
