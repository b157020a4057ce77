"""Gathers the states that decide whether a photo is processed."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from cleanplate.batch import (
    Decision,
    FileState,
    InputState,
    Job,
    LastRecord,
    OutputState,
    decide_photo,
    expected_place,
    is_same,
)
from cleanplate.distributed.ledger import Key, Mark
from cleanplate.distributed.places import Listed, Place
from cleanplate.distributed.report_files import valid_text
from cleanplate.distributed.tasks import ClusterJob
from cleanplate.io import hash_bytes, result_name


def targets_of(relative: str, job: Job) -> tuple[str, ...]:
    """Return the places that may hold a photo's result; the last is that of a copy.

    A RAW `a.nef` comes back as `a.nef.tif`, whatever else there is: of millions of photos it is not
    known which have a neighbour that is to be `a.tif`.
    """
    path = PurePosixPath(relative)
    named = result_name(path.name, job.raw_output)
    if named == path.name:
        return (relative,)
    return f"{relative}{PurePosixPath(named).suffix}", relative


def mark_of(found: Listed | None) -> Mark:
    """Return what tells an output from the one that replaces it."""
    return None if found is None else (found.size, found.mtime_ns)


def decide_key(key: Key, job: ClusterJob, found: Mapping[str, Mark]) -> Decision:
    """Return whether to process a photo; see `cleanplate.batch.decide_photo`.

    Args:
        key: the photo.
        job: of this run.
        found: what lies in the places of `targets_of` now.
    """
    listed, former = key.listed, key.former
    if former is not None and former.status == "failed":
        former = None
    place = expected_place(tuple(found), "" if former is None else former.status)
    interrupted = None
    if key.begun is not None:
        begun = key.begun
        interrupted = any(mark not in (None, begun.get(it)) for it, mark in found.items())
    source = InputState(
        is_unchanged=lambda: (
            former is not None
            and _is_unchanged(job.source, listed.relative, mark_of(listed), former.source)
        ),
        is_same_path=(
            former is not None and former.photo == valid_text(job.source.url_of(listed.relative))
        ),
    )
    output = OutputState(
        exists=found[place] is not None,
        exists_elsewhere=any(mark for it, mark in found.items() if it != place),
        is_interrupted=interrupted,
        is_unchanged=lambda: (
            former is not None and _is_unchanged(job.output, place, found[place], former.output)
        ),
    )
    record = None
    if former is not None:
        record = LastRecord(
            wrote_output=former.output is not None,
            is_same_settings=former.made_with == job.made_with,
        )
    options = job.job
    return decide_photo(
        source, output, record, overwrite=options.overwrite, untouched=options.untouched
    )


def _is_unchanged(place: Place, relative: str, now: Mark, known: FileState | None) -> bool:
    return is_same(now, known, lambda: hash_bytes(place.read(relative)))
