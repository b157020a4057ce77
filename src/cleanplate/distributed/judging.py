"""What to do with a photo, by what is known of it and what lies in its output's place.

The rules are those of `cleanplate.batch.Journal.judge`, for files that have no inodes.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from cleanplate.batch import FileState, Job, Verdict
from cleanplate.distributed.ledger import Former, Key, Mark
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


def judge(key: Key, job: ClusterJob, found: Mapping[str, Mark]) -> Verdict:
    """Return whether to do a photo.

    An output is never replaced unless the report knows it, it is as it was written, and its own
    photo has changed since; or a run that was killed had begun it, which may have made it.

    Args:
        key: the photo.
        job: of this run.
        found: what lies in the places of `targets_of` now.
    """
    is_there = any(found.values())
    if job.job.overwrite:
        return "new"
    if key.begun is not None:
        made = any(mark not in (None, key.begun.get(place)) for place, mark in found.items())
        if made or not is_there:
            return "changed" if made else "new"
    if key.former is None or key.former.status == "failed":
        return "exists" if is_there else "new"
    return _judge_known(key, key.former, job, found)


def _judge_known(key: Key, former: Former, job: ClusterJob, found: Mapping[str, Mark]) -> Verdict:
    """Return the verdict on a photo that was done before."""
    targets = targets_of(key.listed.relative, job.job)
    place = targets[-1] if former.status == "untouched" else targets[0]
    if found[place] is None:
        if any(found.values()):
            return "exists"
        needs_none = former.output is None and job.job.untouched == "skip"
        verdict = _compare(key, former, job) if needs_none else "new"
        return "new" if verdict == "changed" else verdict
    if former.output is None:
        return "exists"
    if not _is_same(job.output, place, found[place], former.output):
        return "edited"
    return _compare(key, former, job)


def _compare(key: Key, former: Former, job: ClusterJob) -> Verdict:
    """Return the verdict on a photo whose output is as it was written."""
    listed = key.listed
    if not _is_same(job.source, listed.relative, mark_of(listed), former.source):
        # The photo of another folder that would get the same name is no new version of it.
        own = former.photo == valid_text(job.source.url_of(listed.relative))
        return "changed" if own else "exists"
    return "done" if former.made_with == job.made_with else "other settings"


def _is_same(place: Place, relative: str, now: Mark, known: FileState | None) -> bool:
    """Return whether a file is what it was; read only if its size stayed and its time did not."""
    if now is None or known is None or now[0] != known.size:
        return False
    if now[1] == known.mtime_ns:
        return True
    return hash_bytes(place.read(relative)) == known.sha256
