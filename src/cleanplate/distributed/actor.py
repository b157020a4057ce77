"""What a Ray actor does: reads a group of photos, processes it, writes results and report rows."""

import json
import pickle
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate.batch import (
    Decision,
    FileState,
    PhotoResult,
    PlannedPhoto,
    describe_result,
    difference_in_words,
    failed_result,
)
from cleanplate.distributed.config import ClusterJob, RemoverFactory
from cleanplate.distributed.history import (
    FileStamp,
    ListedPhoto,
    decide_listed,
    parse_stamps,
    read_started,
    stamp_of,
    targets_of,
    write_started,
)
from cleanplate.distributed.listing import END, FAILED, LOST
from cleanplate.distributed.location import is_valid_key, name_of
from cleanplate.distributed.parquet_report import (
    REPORT_FOLDER,
    STARTED_FOLDER,
    Record,
    full_row,
    read_part,
    report_row,
    valid_text,
    write_part,
)
from cleanplate.distributed.subprocess_remover import Processed, SubprocessRemover
from cleanplate.errors import PhotoError
from cleanplate.io import hash_bytes

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Any]
"""One photo in the report, see `cleanplate.distributed.parquet_report`."""

STATUS_COLUMNS = ("photo", "output", "status", "skipped", "error", "notes")
"""Columns of a row that `run_cluster` yields of every photo."""

MAX_GROUP_ATTEMPTS = 3
"""Attempts at a group; after them it is processed photo by photo, each with as many attempts."""

_CONCURRENCY = 8  # requests to the stores that one actor makes at the same time
_READ_AHEAD = 2  # photos read while one is processed
_WRITE_BEHIND = 4  # photos being written meanwhile


@dataclass(frozen=True, slots=True)
class _Check:
    """The state of a photo before it is processed."""

    found: Mapping[str, FileStamp]  # place of an output -> the file there
    decision: Decision | None = None
    error: Exception | None = None  # if there is no decision

    @property
    def is_to_process(self) -> bool:
        return self.decision in ("new", "changed")


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A photo's file, and how long reading it took."""

    content: bytes
    elapsed_s: float


class PhotoActor:
    """Processes groups of photos for Ray Data; its worker process loads the models once.

    Args:
        job: the same for every actor of the run.
        factory: makes its remover.
    """

    def __init__(self, job: ClusterJob, factory: RemoverFactory) -> None:
        self._job = job
        self._remover: SubprocessRemover | None = None
        self._failure = ""  # reported with the first group, as Ray would print pages of it
        try:
            self._remover = factory.start()
        except Exception as error:
            self._failure = " ".join(str(error).split()) or type(error).__name__
        self._pool = ThreadPoolExecutor(_CONCURRENCY)

    def close(self) -> None:
        """End the worker process, which otherwise ends with the actor."""
        self._pool.shutdown()
        if self._remover is not None:
            self._remover.close()

    def __call__(self, group: "pyarrow.Table") -> "pyarrow.Table":
        """Process one group.

        Args:
            group: one row: its name, and `keys`, a pickled list of `ListedPhoto`.

        Returns:
            One row: the name, and `content`, pickled: a dict of `STATUS_COLUMNS` for each photo.
            With the name `LOST` it is why the group could not be finished, or nothing if actors
            died; with the name `FAILED`, why this actor cannot process any.
        """
        import pyarrow as pa

        [name], [keys] = group["name"].to_pylist(), group["keys"].to_pylist()
        if name in (END, FAILED):
            return pa.table({"name": [name], "content": pa.array([keys], pa.binary())})
        if self._remover is None:
            content = pickle.dumps(self._failure)
            return pa.table({"name": [FAILED], "content": pa.array([content], pa.binary())})
        answer: object
        try:
            rows = self._process_group(name, pickle.loads(keys), self._remover)
        except Exception as error:  # whatever a store's library raises
            name, answer = LOST, " ".join(f"{type(error).__name__}: {error}".split())
        else:
            answer = [{column: row[column] for column in STATUS_COLUMNS} for row in rows or ()]
            name = LOST if rows is None else name
        content = pickle.dumps(answer)
        return pa.table({"name": [name], "content": pa.array([content], pa.binary())})

    def _process_group(
        self, name: str, photos: Sequence[ListedPhoto], remover: SubprocessRemover
    ) -> Sequence[Row] | None:
        output = self._job.output
        if output.stat(f"{REPORT_FOLDER}/{name}.parquet") is not None:
            return read_part(output, name, STATUS_COLUMNS)  # of an actor killed before it answered
        before = read_started(output, name)
        attempts = 1
        if before is not None:  # an actor started it and was killed
            attempts = before["tries"] + 1
            if attempts > MAX_GROUP_ATTEMPTS:
                return None
            started = {name: parse_stamps(stamps) for name, stamps in before["photos"].items()}
            photos = [
                photo
                if photo.started
                else replace(photo, started=started.get(valid_text(photo.file.relative)))
                for photo in photos
            ]
        pairs = list(zip(photos, self._pool.map(self._check, photos), strict=True))
        to_process = [(photo, check) for photo, check in pairs if check.is_to_process]
        if to_process:
            stamps = {
                photo.file.relative: photo.started or check.found for photo, check in to_process
            }
            write_started(output, name, stamps, attempts=attempts)
        rows = [self._skip(photo, check) for photo, check in pairs if not check.is_to_process]
        rows += self._process_photos([photo for photo, _ in to_process], remover)
        write_part(output, name, rows)
        if to_process:
            output.remove(f"{STARTED_FOLDER}/{name}.json")
        return rows

    def _check(self, photo: ListedPhoto) -> _Check:
        job, relative = self._job, photo.file.relative
        if not is_valid_key(relative):
            cause = "the key is not a valid file path"
            error = PhotoError(job.source.url_of(relative), cause, "rename the object")
            return _Check({}, error=error)
        found: dict[str, FileStamp] = {}
        try:
            for target in targets_of(relative, job.job):
                found[target] = stamp_of(job.output.stat(target))
            return _Check(found, decide_listed(photo, job, found))
        except OSError as error:
            return _Check(found, error=error)

    def _process_photos(
        self, photos: Sequence[ListedPhoto], remover: SubprocessRemover
    ) -> list[Row]:
        """Process photos one after another, while the next are read and the last are written."""
        waiting, reading = deque(photos), deque[tuple[ListedPhoto, Future[_Fetched]]]()
        rows: list[Future[Row]] = []
        while waiting or reading:
            while waiting and len(reading) <= _READ_AHEAD:
                photo = waiting.popleft()
                reading.append((photo, self._pool.submit(self._fetch, photo)))
            photo, fetching = reading.popleft()
            fetched = None
            try:
                fetched = fetching.result()
                processed = remover.process(fetched.content, name_of(photo.file.relative))
            except Exception as error:
                processed = Processed(_failed(photo, error), None, None)
            rows.append(self._pool.submit(self._store, photo, fetched, processed))
            if len(rows) > _WRITE_BEHIND:  # or photos would pile up before a slow store
                rows[-_WRITE_BEHIND].result()
        return [row.result() for row in rows]

    def _fetch(self, photo: ListedPhoto) -> _Fetched:
        start, relative = time.perf_counter(), photo.file.relative
        if photo.started is not None:
            for target in targets_of(relative, self._job.job):
                self._job.output.remove_leftovers(target)
        target = targets_of(relative, self._job.job)[0]
        if target != relative and self._job.source.stat(target) is not None:
            raise PhotoError(
                self._job.source.url_of(relative),
                f"its result would get the name of another photo, {name_of(target)}",
                "rename one of them",
            )
        content = self._job.source.read(relative)
        return _Fetched(content, time.perf_counter() - start)

    def _store(self, photo: ListedPhoto, fetched: _Fetched | None, processed: Processed) -> Row:
        """Write the result of a photo, and return its row."""
        job, result = self._job, processed.result
        targets = targets_of(photo.file.relative, job.job)
        target = targets[-1] if result.status == "untouched" else targets[0]
        written = None
        if processed.content is not None and result.status in ("removed", "untouched"):
            start = time.perf_counter()
            try:
                job.output.write(target, processed.content)
                there = job.output.stat(target)
            except Exception as error:
                result = _failed(photo, error)
            else:
                times = {
                    **result.timings_s,  # whose total is that of the worker process
                    "fetch": 0.0 if fetched is None else fetched.elapsed_s,
                    "store": time.perf_counter() - start,
                }
                result = replace(result, timings_s=times)
                if there is not None:
                    written = _state(processed.content, there.mtime_ns)
        source = None if fetched is None else _state(fetched.content, photo.file.mtime_ns)
        return make_row(
            job,
            photo.file.relative,
            result,
            target,
            provider=processed.provider,
            source=source,
            output=written,
        )

    def _skip(self, photo: ListedPhoto, check: _Check) -> Row:
        """Return the row of a photo that is not processed."""
        relative = photo.file.relative
        targets = targets_of(relative, self._job.job)
        if check.error is not None:
            return make_row(self._job, relative, _failed(photo, check.error), targets[0])
        target = next((it for it in targets if check.found[it] is not None), targets[0])
        notes: tuple[str, ...] = ()
        if check.decision == "other settings" and photo.reported is not None:
            then, now = json.loads(photo.reported.made_with), json.loads(self._job.made_with)
            notes = (difference_in_words(then, now),)
        name = Path(name_of(relative))
        reason: Any = check.decision
        result = PhotoResult(
            status="skipped", source=name, target=name, skipped=reason, notes=notes
        )
        return make_row(self._job, relative, result, target)


def make_row(
    job: ClusterJob,
    relative: str,
    result: PhotoResult,
    target: str,
    *,
    provider: Mapping[str, str | None] | None = None,
    source: FileState | None = None,
    output: FileState | None = None,
) -> Row:
    """Return a photo's row of the report.

    Args:
        job: of the run.
        relative: the photo's path below the input.
        result: its paths are placeholders.
        target: path of its result below the output.
        provider: what ran each model.
        source: the photo as it was read.
        output: its result as it was written.
    """
    models: Any = {
        "models": job.models,
        "provider": provider or {"segmenter": None, "inpainter": None},
    }
    photo = job.source.url_of(relative)
    line = describe_result(result, models, job.known)
    line |= {"photo": photo, "output": job.output.url_of(target)}
    if result.error is not None:
        cause = result.error.removeprefix(f"{result.source}: ")
        line["error"] = cause if cause.startswith(photo) else f"{photo}: {cause}"
    record = Record(
        source=source, output=output, made_with=job.made_with, run=job.run, finished=time.time()
    )
    return full_row(report_row(line, job.settings), relative, record)


def _failed(photo: ListedPhoto, error: Exception) -> PhotoResult:
    name = Path(name_of(photo.file.relative))
    return failed_result(PlannedPhoto(name, name, name), error)


def _state(content: bytes, mtime_ns: int) -> FileState:
    return FileState(len(content), mtime_ns, hash_bytes(content))
