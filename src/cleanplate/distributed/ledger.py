"""What former runs did with each photo, looked up while the input is listed.

The Parquet files of the report are the journal of a cluster. They are read once into a database on
the disk of the machine that lists, so that millions of photos take no memory.
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
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cleanplate.batch import FileState
from cleanplate.distributed.places import Listed, Place
from cleanplate.distributed.report_files import REPORT_FOLDER, STARTED_FOLDER, read_part, valid_text

Mark = tuple[int, int] | None
"""Size and time of what lay in an output's place when its photo was begun; None: nothing."""

_COLUMNS = (
    "relative", "photo", "status", "made_with", "run", "finished",
    "source_size", "source_mtime_ns", "source_sha256",
    "output_size", "output_mtime_ns", "output_sha256",
)  # fmt: skip
_AT_ONCE = 32  # files read at the same time
_PART_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What the last run that did a photo noted of it."""

    photo: str  # its URL
    status: str  # removed, untouched or failed
    made_with: str
    source: FileState | None
    output: FileState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A photo to look at, with all that is known of it."""

    listed: Listed
    former: Former | None = None
    begun: Mapping[str, Mark] | None = None  # by a run that was killed: target -> what lay there


class Ledger:
    """Knows the former runs on an output folder.

    Args:
        output: the folder.
        run: the run that is going on; photos that have a row of it already are passed over.

    Raises:
        OSError: the report cannot be listed or read.
    """

    def __init__(self, output: Place, run: str) -> None:
        self._output, self._run = output, run

    def __enter__(self) -> Self:
        """Read the report of all runs."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cleanplate-"))
            path = Path(folder) / "ledger.sqlite"
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            stack.callback(self._database.close)
            self._database.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE parts (name TEXT PRIMARY KEY) WITHOUT ROWID;"
                "CREATE TABLE done (relative TEXT PRIMARY KEY, finished REAL, row TEXT)"
                " WITHOUT ROWID;"
                "CREATE TABLE begun (relative TEXT PRIMARY KEY, started REAL, marks TEXT)"
                " WITHOUT ROWID;"
                "CREATE TABLE handled (relative TEXT PRIMARY KEY) WITHOUT ROWID;"
                "BEGIN"
            )
            with ThreadPoolExecutor(_AT_ONCE) as pool:
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

    def key_of(self, listed: Listed) -> Key | None:
        """Return a photo with what is known of it; None if this run has its row already."""
        name = (valid_text(listed.relative),)
        find = self._database.execute
        if find("SELECT 1 FROM handled WHERE relative = ?", name).fetchone():
            return None
        done = find("SELECT finished, row FROM done WHERE relative = ?", name).fetchone()
        begun = find("SELECT started, marks FROM begun WHERE relative = ?", name).fetchone()
        if begun is not None and done is not None and done[0] >= begun[0]:
            begun = None
        return Key(
            listed=listed,
            former=None if done is None else _former(json.loads(done[1])),
            begun=None if begun is None else marks_of(json.loads(begun[1])),
        )

    def _load_parts(self, pool: ThreadPoolExecutor) -> None:
        for names in _groups(self._names(REPORT_FOLDER, _PART_SUFFIX)):
            read = pool.map(lambda name: read_part(self._output, name, _COLUMNS), names)
            for name, rows in zip(names, read, strict=True):
                self._database.execute("INSERT OR IGNORE INTO parts VALUES (?)", (name,))
                for row in rows:
                    self._enter(row)

    def _enter(self, row: Mapping[str, Any]) -> None:
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
                for relative, marks in (content or {"photos": {}})["photos"].items():
                    # The first start counts: what lay there before any run did.
                    self._database.execute(
                        "INSERT INTO begun VALUES (?, ?, ?) ON CONFLICT (relative) DO UPDATE SET "
                        "started = excluded.started, marks = excluded.marks "
                        "WHERE excluded.started < started",
                        (relative, content["time"] if content else 0.0, json.dumps(marks)),
                    )

    def _names(self, folder: str, suffix: str) -> Iterator[str]:
        for listed in self._output.list(folder):
            if listed.relative.endswith(suffix):
                yield listed.relative.removeprefix(f"{folder}/").removesuffix(suffix)


def read_started(output: Place, name: str) -> dict[str, Any] | None:
    """Return {"time", "tries", "photos": {relative: {target: mark}}}; None if there is no such."""
    try:
        content: dict[str, Any] = json.loads(output.read(f"{STARTED_FOLDER}/{name}.json"))
    except (OSError, ValueError):
        return None
    return content


def write_started(
    output: Place, name: str, marks: Mapping[str, Mapping[str, Mark]], *, tries: int
) -> None:
    """Note that photos are begun, for the how-manieth time, and what lay in their outputs' places.

    Raises:
        OSError: it cannot be written.
    """
    photos = {valid_text(relative): places for relative, places in marks.items()}
    content = json.dumps({"time": time.time(), "tries": tries, "photos": photos})
    output.write(f"{STARTED_FOLDER}/{name}.json", content.encode())


def marks_of(places: Mapping[str, Any]) -> dict[str, Mark]:
    """Return marks as they were before they became JSON."""
    return {place: None if mark is None else (mark[0], mark[1]) for place, mark in places.items()}


def _former(row: Mapping[str, Any]) -> Former:
    return Former(
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
    while group := list(islice(names, _AT_ONCE)):
        yield group
