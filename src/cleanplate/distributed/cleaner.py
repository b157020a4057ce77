"""What an actor does: a group of photos from store to store, and their rows of the report."""

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
from cleanplate.distributed.grouping import END, FAILED, LOST
from cleanplate.distributed.isolated import IsolatedRemover, Result
from cleanplate.distributed.judging import decide_key, mark_of, targets_of
from cleanplate.distributed.ledger import Key, Mark, marks_of, read_started, write_started
from cleanplate.distributed.places import is_usable, name_of
from cleanplate.distributed.report_files import (
    REPORT_FOLDER,
    STARTED_FOLDER,
    Record,
    full_row,
    read_part,
    report_row,
    valid_text,
    write_part,
)
from cleanplate.distributed.tasks import Actor, ClusterJob
from cleanplate.errors import PhotoError
from cleanplate.io import hash_bytes

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Any]
"""One photo in the report, see `cleanplate.distributed.report_files`."""

TOLD = ("photo", "output", "status", "skipped", "error", "notes")
"""Columns of a row that the run is told of every photo."""

TRIES = 3
"""How often a group is begun; then it is done photo by photo, and each of them so often."""

_AT_ONCE = 8  # looks at the store, readings and writings of one actor at the same time
_AHEAD = 2  # photos read while one is worked on
_BEHIND = 4  # photos being written meanwhile


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen before a photo is done."""

    found: Mapping[str, Mark]  # place of an output -> what lies there
    verdict: Decision | None = None
    error: Exception | None = None  # then there is no verdict

    @property
    def is_to_do(self) -> bool:
        return self.verdict in ("new", "changed")


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A photo's file, and how long reading it took."""

    content: bytes
    spent_s: float


class Cleaner:
    """Does groups of photos for Ray Data; models are loaded once, by its worker process.

    Args:
        job: what every actor of the run needs to know.
        actor: how it makes its remover.
    """

    def __init__(self, job: ClusterJob, actor: Actor) -> None:
        self._job = job
        self._remover: IsolatedRemover | None = None
        self._trouble = ""  # told with the first group, as Ray would print pages of it
        try:
            self._remover = actor.start()
        except Exception as error:
            self._trouble = " ".join(str(error).split()) or type(error).__name__
        self._pool = ThreadPoolExecutor(_AT_ONCE)

    def close(self) -> None:
        """End the worker process; an actor's ends with the actor."""
        self._pool.shutdown()
        if self._remover is not None:
            self._remover.close()

    def __call__(self, group: "pyarrow.Table") -> "pyarrow.Table":
        """Do one group.

        Args:
            group: one row: its name, and `keys`, a pickled list of `Key`.

        Returns:
            One row: the name, and `told`, pickled: of each photo a dict of the columns `TOLD`. With
            the name `LOST` it is why the group could not be finished, or nothing if actors died;
            with the name `FAILED`, why this actor cannot do any.
        """
        import pyarrow as pa

        [name], [keys] = group["name"].to_pylist(), group["keys"].to_pylist()
        if name in (END, FAILED):
            return pa.table({"name": [name], "told": pa.array([keys], pa.binary())})
        if self._remover is None:
            told = pickle.dumps(self._trouble)
            return pa.table({"name": [FAILED], "told": pa.array([told], pa.binary())})
        answer: object
        try:
            rows = self._do_group(name, pickle.loads(keys), self._remover)
        except Exception as error:  # whatever a store's library raises
            name, answer = LOST, " ".join(f"{type(error).__name__}: {error}".split())
        else:
            answer = [{column: row[column] for column in TOLD} for row in rows or ()]
            name = LOST if rows is None else name
        told = pickle.dumps(answer)
        return pa.table({"name": [name], "told": pa.array([told], pa.binary())})

    def _do_group(
        self, name: str, keys: Sequence[Key], remover: IsolatedRemover
    ) -> Sequence[Row] | None:
        output = self._job.output
        if output.stat(f"{REPORT_FOLDER}/{name}.parquet") is not None:
            return read_part(output, name, TOLD)  # an actor did it and was killed before it told
        before = read_started(output, name)
        tries = 1
        if before is not None:  # an actor began it and was killed
            tries = before["tries"] + 1
            if tries > TRIES:
                return None
            marks = {relative: marks_of(it) for relative, it in before["photos"].items()}
            keys = [
                key if key.begun else replace(key, begun=marks.get(valid_text(key.listed.relative)))
                for key in keys
            ]
        looks = list(self._pool.map(self._look, keys))
        pairs = list(zip(keys, looks, strict=True))
        to_do = [(key, look) for key, look in pairs if look.is_to_do]
        if to_do:
            begun = {key.listed.relative: key.begun or look.found for key, look in to_do}
            write_started(output, name, begun, tries=tries)
        rows = [self._left_alone(key, look) for key, look in pairs if not look.is_to_do]
        rows += self._do_photos([key for key, _ in to_do], remover)
        write_part(output, name, rows)
        if to_do:
            output.remove(f"{STARTED_FOLDER}/{name}.json")
        return rows

    def _look(self, key: Key) -> _Look:
        job, relative = self._job, key.listed.relative
        if not is_usable(relative):
            cause = "such a name cannot be a path below another folder"
            error = PhotoError(job.source.url_of(relative), cause, "give the object another key")
            return _Look({}, error=error)
        found: dict[str, Mark] = {}
        try:
            for place in targets_of(relative, job.job):
                found[place] = mark_of(job.output.stat(place))
            return _Look(found, decide_key(key, job, found))
        except OSError as error:
            return _Look(found, error=error)

    def _do_photos(self, keys: Sequence[Key], remover: IsolatedRemover) -> list[Row]:
        """Do photos one after the other, while the next are read and the last is written."""
        waiting, coming = deque(keys), deque[tuple[Key, Future[_Fetched]]]()
        rows: list[Future[Row]] = []
        while waiting or coming:
            while waiting and len(coming) <= _AHEAD:
                key = waiting.popleft()
                coming.append((key, self._pool.submit(self._fetch, key)))
            key, fetching = coming.popleft()
            fetched = None
            try:
                fetched = fetching.result()
                result = remover.do(fetched.content, name_of(key.listed.relative))
            except Exception as error:
                result = Result(_failed(key, error), None, None)
            rows.append(self._pool.submit(self._store, key, fetched, result))
            if len(rows) > _BEHIND:  # or photos would pile up before a slow store
                rows[-_BEHIND].result()
        return [row.result() for row in rows]

    def _fetch(self, key: Key) -> _Fetched:
        start, relative = time.perf_counter(), key.listed.relative
        if key.begun is not None:
            for place in targets_of(relative, self._job.job):
                self._job.output.remove_leftovers(place)
        result, copy = targets_of(relative, self._job.job)[0], relative
        if result != copy and self._job.source.stat(result) is not None:
            raise PhotoError(
                self._job.source.url_of(relative),
                f"its result would get the name of another photo, {name_of(result)}",
                "rename one of them",
            )
        content = self._job.source.read(relative)
        return _Fetched(content, time.perf_counter() - start)

    def _store(self, key: Key, fetched: _Fetched | None, result: Result) -> Row:
        """Write what was made of a photo, and return its row."""
        job, outcome = self._job, result.outcome
        targets = targets_of(key.listed.relative, job.job)
        target = targets[-1] if outcome.status == "untouched" else targets[0]
        written = None
        if result.content is not None and outcome.status in ("removed", "untouched"):
            start = time.perf_counter()
            try:
                job.output.write(target, result.content)
                there = job.output.stat(target)
            except Exception as error:
                outcome = _failed(key, error)
            else:
                outcome = self._with_store(outcome, fetched, time.perf_counter() - start)
                if there is not None:
                    written = _state(result.content, there.mtime_ns)
        source = None if fetched is None else _state(fetched.content, key.listed.mtime_ns)
        return make_row(
            job,
            key.listed.relative,
            outcome,
            target,
            provider=result.provider,
            source=source,
            output=written,
        )

    def _with_store(
        self, outcome: PhotoResult, fetched: _Fetched | None, writing_s: float
    ) -> PhotoResult:
        """Return an outcome whose times have those of the store too, beside the total."""
        reading_s = 0.0 if fetched is None else fetched.spent_s
        times = {**outcome.timings_s, "fetch": reading_s, "store": writing_s}
        return replace(outcome, timings_s=times)

    def _left_alone(self, key: Key, look: _Look) -> Row:
        relative = key.listed.relative
        targets = targets_of(relative, self._job.job)
        if look.error is not None:
            return make_row(self._job, relative, _failed(key, look.error), targets[0])
        target = next((place for place in targets if look.found[place] is not None), targets[0])
        notes: tuple[str, ...] = ()
        if look.verdict == "other settings" and key.former is not None:
            then, now = json.loads(key.former.made_with), json.loads(self._job.made_with)
            notes = (difference_in_words(then, now),)
        name = Path(name_of(relative))
        why: Any = look.verdict
        outcome = PhotoResult(status="skipped", source=name, target=name, skipped=why, notes=notes)
        return make_row(self._job, relative, outcome, target)


def make_row(
    job: ClusterJob,
    relative: str,
    outcome: PhotoResult,
    target: str,
    *,
    provider: Mapping[str, str | None] | None = None,
    source: FileState | None = None,
    output: FileState | None = None,
) -> Row:
    """Return a photo's row of the report.

    Args:
        job: of the run.
        relative: the photo's place below the input.
        outcome: what became of it; its paths are placeholders.
        target: place of its result below the output.
        provider: what ran each model.
        source: the photo as it was read.
        output: its result as it was written.
    """
    models: Any = {
        "models": job.models,
        "provider": provider or {"segmenter": None, "inpainter": None},
    }
    photo = job.source.url_of(relative)
    line = describe_result(outcome, models, job.known)
    line |= {"photo": photo, "output": job.output.url_of(target)}
    if outcome.error is not None:
        cause = outcome.error.removeprefix(f"{outcome.source}: ")
        line["error"] = cause if cause.startswith(photo) else f"{photo}: {cause}"
    record = Record(
        source=source, output=output, made_with=job.made_with, run=job.run, finished=time.time()
    )
    return full_row(report_row(line, job.settings), relative, record)


def _failed(key: Key, error: Exception) -> PhotoResult:
    name = Path(name_of(key.listed.relative))
    return failed_result(PlannedPhoto(name, name, name), error)


def _state(content: bytes, mtime_ns: int) -> FileState:
    return FileState(len(content), mtime_ns, hash_bytes(content))
