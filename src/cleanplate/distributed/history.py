"""What earlier runs on a cluster did with each photo, and what to do with it now.

The Parquet files of the report are the journal of a cluster. They are read once into a database on
the disk of the machine that lists the input, so that millions of photos take no memory.
"""

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

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
from cleanplate.distributed.config import ClusterJob
from cleanplate.distributed.location import FileInfo, Location
from cleanplate.distributed.parquet_report import (
    REPORT_FOLDER,
    STARTED_FOLDER,
    read_part,
    valid_text,
)
from cleanplate.io import hash_bytes, result_name

FileStamp = tuple[int, int] | None
"""Size and time of a file in an output's place; None: there is none."""

_COLUMNS = (
    "relative", "photo", "status", "made_with", "run", "finished",
    "source_size", "source_mtime_ns", "source_sha256",
    "output_size", "output_mtime_ns", "output_sha256",
)  # fmt: skip
_CONCURRENCY = 32  # files read at the same time
_PART_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPhoto:
    """What the last run that processed a photo recorded of it."""

    photo: str  # its URL
    status: str  # removed, untouched or failed
    made_with: str
    source: FileState | None
    output: FileState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPhoto:
    """A photo of the input, with what earlier runs recorded of it."""

    file: FileInfo
    reported: ReportedPhoto | None = None
    # Of a run that was killed while it processed the photo: target -> the file there before.
    started: Mapping[str, FileStamp] | None = None


class RunHistory:
    """The earlier runs on an output folder.

    Args:
        output: the folder.
        run: the current run; photos that have a row of it already are excluded.

    Raises:
        OSError: the report cannot be listed or read.
    """

    def __init__(self, output: Location, run: str) -> None:
        self._output, self._run = output, run

    def __enter__(self) -> Self:
        """Read the report of all runs."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cleanplate-"))
            path = Path(folder) / "history.sqlite"
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            stack.callback(self._database.close)
            self._database.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE parts (name TEXT PRIMARY KEY) WITHOUT ROWID;"
                "CREATE TABLE done (relative TEXT PRIMARY KEY, finished REAL, row TEXT)"
                " WITHOUT ROWID;"
                "CREATE TABLE started (relative TEXT PRIMARY KEY, time REAL, stamps TEXT)"
                " WITHOUT ROWID;"
                "CREATE TABLE handled (relative TEXT PRIMARY KEY) WITHOUT ROWID;"
                "BEGIN"
            )
            with ThreadPoolExecutor(_CONCURRENCY) as pool:
                self._load_parts(pool)
                self._load_started(pool)
            self._database.execute("COMMIT")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete the database."""
        self._stack.close()

    def look_up(self, file: FileInfo) -> ListedPhoto | None:
        """Return a photo with what is recorded of it; None if this run has its row already."""
        name = (valid_text(file.relative),)
        find = self._database.execute
        if find("SELECT 1 FROM handled WHERE relative = ?", name).fetchone():
            return None
        done = find("SELECT finished, row FROM done WHERE relative = ?", name).fetchone()
        started = find("SELECT time, stamps FROM started WHERE relative = ?", name).fetchone()
        if started is not None and done is not None and done[0] >= started[0]:
            started = None
        return ListedPhoto(
            file=file,
            reported=None if done is None else _reported(json.loads(done[1])),
            started=None if started is None else parse_stamps(json.loads(started[1])),
        )

    def _load_parts(self, pool: ThreadPoolExecutor) -> None:
        for names in _groups(self._names(REPORT_FOLDER, _PART_SUFFIX)):
            read = pool.map(lambda name: read_part(self._output, name, _COLUMNS), names)
            for name, rows in zip(names, read, strict=True):
                self._database.execute("INSERT OR IGNORE INTO parts VALUES (?)", (name,))
                for row in rows:
                    self._insert(row)

    def _insert(self, row: Mapping[str, Any]) -> None:
        if row["run"] == self._run:
            self._database.execute("INSERT OR IGNORE INTO handled VALUES (?)", (row["relative"],))
        if row["status"] in ("removed", "untouched", "failed"):
            self._database.execute(
                "INSERT INTO done VALUES (?, ?, ?) ON CONFLICT (relative) DO UPDATE SET "
                "finished = excluded.finished, row = excluded.row "
                "WHERE excluded.finished >= finished",
                (row["relative"], row["finished"], json.dumps(row)),
            )

    def _load_started(self, pool: ThreadPoolExecutor) -> None:
        for names in _groups(self._names(STARTED_FOLDER, ".json")):
            unfinished = [
                name
                for name in names
                if not self._database.execute(
                    "SELECT 1 FROM parts WHERE name = ?", (name,)
                ).fetchone()
            ]
            for content in pool.map(lambda name: read_started(self._output, name), unfinished):
                for relative, stamps in (content or {"photos": {}})["photos"].items():
                    # The first start counts: the files that were there before any run.
                    self._database.execute(
                        "INSERT INTO started VALUES (?, ?, ?) ON CONFLICT (relative) DO UPDATE SET "
                        "time = excluded.time, stamps = excluded.stamps "
                        "WHERE excluded.time < time",
                        (relative, content["time"] if content else 0.0, json.dumps(stamps)),
                    )

    def _names(self, folder: str, suffix: str) -> Iterator[str]:
        for file in self._output.list(folder):
            if file.relative.endswith(suffix):
                yield file.relative.removeprefix(f"{folder}/").removesuffix(suffix)


def read_started(output: Location, name: str) -> dict[str, Any] | None:
    """Return {"time", "tries", "photos": {relative: {target: stamp}}}; None if there is none."""
    try:
        content: dict[str, Any] = json.loads(output.read(f"{STARTED_FOLDER}/{name}.json"))
    except (OSError, ValueError):
        return None
    return content


def write_started(
    output: Location, name: str, stamps: Mapping[str, Mapping[str, FileStamp]], *, attempts: int
) -> None:
    """Record that a group of photos is being processed.

    Args:
        output: the output folder.
        name: of the group.
        stamps: path of a photo -> target -> the file there before.
        attempts: how often the group has been started, 1 for the first time.

    Raises:
        OSError: it cannot be written.
    """
    photos = {valid_text(relative): targets for relative, targets in stamps.items()}
    content = json.dumps({"time": time.time(), "tries": attempts, "photos": photos})
    output.write(f"{STARTED_FOLDER}/{name}.json", content.encode())


def parse_stamps(targets: Mapping[str, Any]) -> dict[str, FileStamp]:
    """Return the stamps of some targets from JSON."""
    return {it: None if stamp is None else (stamp[0], stamp[1]) for it, stamp in targets.items()}


def targets_of(relative: str, job: Job) -> tuple[str, ...]:
    """Return the paths that a photo's output may have; the last is that of a copy.

    The result of a RAW file `a.nef` is always `a.nef.tif`: among millions of photos it is not known
    whether another one is to be `a.tif`.
    """
    path = PurePosixPath(relative)
    name = result_name(path.name, job.raw_output)
    if name == path.name:
        return (relative,)
    return f"{relative}{PurePosixPath(name).suffix}", relative


def stamp_of(file: FileInfo | None) -> FileStamp:
    """Return what distinguishes a file from the one that replaces it."""
    return None if file is None else (file.size, file.mtime_ns)


def decide_listed(photo: ListedPhoto, job: ClusterJob, found: Mapping[str, FileStamp]) -> Decision:
    """Return whether to process a photo; see `cleanplate.batch.decide_photo`.

    Args:
        photo: of the input.
        job: of this run.
        found: the files at `targets_of` now.
    """
    file, last = photo.file, photo.reported
    if last is not None and last.status == "failed":
        last = None
    target = expected_place(tuple(found), "" if last is None else last.status)
    started = photo.started
    source = InputState(
        is_unchanged=lambda: (
            last is not None
            and _is_unchanged(job.source, file.relative, stamp_of(file), last.source)
        ),
        is_same_path=last is not None
        and last.photo == valid_text(job.source.url_of(file.relative)),
    )
    output = OutputState(
        exists=found[target] is not None,
        exists_elsewhere=any(stamp for it, stamp in found.items() if it != target),
        is_interrupted=None
        if started is None
        else any(stamp not in (None, started.get(it)) for it, stamp in found.items()),
        is_unchanged=lambda: (
            last is not None and _is_unchanged(job.output, target, found[target], last.output)
        ),
    )
    record = None
    if last is not None:
        record = LastRecord(
            wrote_output=last.output is not None, is_same_settings=last.made_with == job.made_with
        )
    options = job.job
    return decide_photo(
        source, output, record, overwrite=options.overwrite, untouched=options.untouched
    )


def _is_unchanged(
    location: Location, relative: str, now: FileStamp, known: FileState | None
) -> bool:
    return is_same(now, known, lambda: hash_bytes(location.read(relative)))


def _reported(row: Mapping[str, Any]) -> ReportedPhoto:
    return ReportedPhoto(
        photo=row["photo"],
        status=row["status"],
        made_with=row["made_with"],
        source=_state(row, "source"),
        output=_state(row, "output"),
    )


def _state(row: Mapping[str, Any], kind: str) -> FileState | None:
    size, mtime_ns, sha256 = (row[f"{kind}_{name}"] for name in ("size", "mtime_ns", "sha256"))
    return None if sha256 is None else FileState(size, mtime_ns, sha256)


def _groups(names: Iterator[str]) -> Iterator[list[str]]:
    while group := list(islice(names, _CONCURRENCY)):
        yield group
