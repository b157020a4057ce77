"""Folders that are processed photo by photo, and reviewed by a person.

A job is a run of `cleanplate.batch` with its journal in the output folder, so that it resumes after
anything. Decisions of the review are kept beside the journal; until they are exported they change
no file.
"""

import asyncio
import functools
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from cleanplate.batch import (
    JOURNAL_FOLDER,
    Engine,
    Job,
    Journal,
    PhotoResult,
    PlannedPhoto,
    Resources,
    RunPlan,
    plan_photos,
    recorded_results,
    settings_in_words,
)
from cleanplate.errors import CleanplateError, InputError, PhotoError
from cleanplate.io import copy_photo, is_photo_name, read_photo, write_bytes_atomic
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover
from cleanplate.segmentation import requested_labels
from cleanplate.server.events import Broadcast
from cleanplate.server.sessions import PREVIEW_PX, MissingSessionError
from cleanplate.server.work import BusyError, WorkQueue

Side = Literal["before", "after"]
Review = Literal["accepted", "rejected"]

_THUMBNAIL_PX = 320
_EDITED = "edited"  # beside the journal: results of a person, until the export
_RUNS = "runs.json"  # in the root: which folders were processed, for a server after this one
_MOST_RUNS = 100  # in it
_Run = dict[str, Any]
_BUSY_WAIT_S = 1.0  # before a photo is tried again when the queue is full
_STATUS = {"removed": "cleaned", "untouched": "copied"}


class ForbiddenPathError(CleanplateError):
    """A path outside the folder that the server may use."""


def within(root: Path, path: str) -> Path:
    """Return a path below a folder, its links resolved.

    Raises:
        ForbiddenPathError: it leads out of the folder.
    """
    try:
        found = (root / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, or links in a circle
        found = root.parent
    if not found.is_relative_to(root):
        raise ForbiddenPathError(f"{path!r} is outside the folder given by --root")
    return found


def list_folder(root: Path, path: str) -> dict[str, Any]:
    """Return the folders in a folder, with the number of photos in each.

    Raises:
        ForbiddenPathError: it is outside the root.
        MissingSessionError: it does not exist.
    """
    folder = within(root, path)
    if not folder.is_dir():
        raise MissingSessionError(f"{path}: no such folder")
    shown = [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith(".")
    ]
    return {
        "path": _shown(folder, root),
        "folders": [{"name": entry.name, "photos": _count(entry)} for entry in shown],
        "photos": _count(folder),
    }


def _count(folder: Path) -> int:
    try:
        return sum(is_photo_name(entry.name) and entry.is_file() for entry in folder.iterdir())
    except OSError:
        return 0


class FolderJob:
    """One folder: its photos, their results, and a person's decisions.

    Args:
        id: its name in addresses.
        root: the folder that everything must be in.
        folder: of the photos.
        output: of the results.
        job: what to do with each photo.
        remover: does it.

    Raises:
        InputError: there is no photo, or a file would be lost.
    """

    def __init__(
        self, id: str, *, root: Path, folder: Path, output: Path, job: Job, remover: Remover
    ) -> None:
        self.id, self.folder, self.output, self.job = id, folder, output, job
        self.events = Broadcast()
        self.state = "queued"
        self.started = time.time()
        self.error = ""
        self._root, self._remover = root, remover
        plan = plan_photos([folder], output, recursive=True)
        is_inside = functools.cache(lambda path: path.resolve().is_relative_to(root))
        self.photos = [
            photo
            for photo in plan.photos
            if is_inside(photo.source if photo.source.is_symlink() else photo.source.parent)
            and is_inside(photo.target.parent)
        ]
        self._plan = RunPlan(tuple(self.photos), plan.unreadable)
        self._numbers = {photo.source: n for n, photo in enumerate(self.photos)}
        self._results: dict[int, PhotoResult] = {}
        self._edited: set[int] = set()
        if (self.output / JOURNAL_FOLDER / _EDITED).is_dir():
            self._edited = {n for n in range(len(self.photos)) if self._edited_file(n).is_file()}
        self._cancelled = False
        self._spent_s = 0.0
        self._reviews: dict[str, Review] = _read_reviews(self._review_file)
        self._reviewing = threading.Lock()

    @property
    def _review_file(self) -> Path:
        return self.output / JOURNAL_FOLDER / "review.json"

    def _edited_file(self, n: int) -> Path:
        """Where a result that a person made waits for the export."""
        target = self.photo(n).target.relative_to(self.output)
        return self.output / JOURNAL_FOLDER / _EDITED / target

    # --- the run

    async def run(self, queue: WorkQueue) -> None:
        """Process the photos, each a task of the queue, until all are done or it is cancelled."""
        ended = ""
        while not ended or (ended == "cancelled" and not self._cancelled):  # resumed meanwhile
            self.state = "running"
            self._changed()
            ended = await self._run_once(queue)
        self.state = ended
        self._changed()

    async def _run_once(self, queue: WorkQueue) -> str:
        """Return the state in which a run of the engine has ended."""
        steps = self._steps()
        try:
            while not self._cancelled:
                start = time.perf_counter()
                try:
                    result = await queue.run(lambda _: next(steps, None), _nobody_goes)
                except BusyError:
                    await asyncio.sleep(_BUSY_WAIT_S)
                    continue
                if result is None:
                    return "done"
                self._spent_s += time.perf_counter() - start
                n = self._numbers.get(result.source)
                if n is not None:
                    self._results[n] = result
                    self.events.publish("photo", self.row(n))
                self._changed()
        except CleanplateError as error:
            self.error = str(error)
            return "failed"
        finally:
            closing = queue.run(lambda _: steps.close(), _nobody_goes, must_run=True)
            await asyncio.shield(closing)
        return "cancelled"

    def _steps(self) -> Generator[PhotoResult, None, None]:
        """Yield the result of each photo; used from the queue's thread alone."""
        resources = Resources.for_run(len(self.photos), workers=1)
        with ExitStack() as stack:
            settings = settings_in_words(self.job, self._remover)
            journal = stack.enter_context(Journal(self.output, settings))
            engine = stack.enter_context(
                Engine(self._remover, self.job, resources, journal=journal)
            )
            journal.remove_leftovers(self._plan, None)
            yield from engine.run(self._plan)

    def wait_for_turn(self) -> None:
        """Become ready to run, also where cancelling has not ended yet."""
        self._cancelled = False
        if self.state != "running":
            self.state = "queued"

    def take_former(self) -> None:
        """Take from the journal what was done before the server was started."""
        for result in recorded_results(self.output, self.photos):
            self._results[self._numbers[result.source]] = result
        self.state = "done" if len(self._results) == len(self.photos) else "cancelled"

    def cancel(self) -> None:
        """End after the photo in work."""
        self._cancelled = True

    def _changed(self) -> None:
        self.events.publish("progress", self.describe())

    # --- what is shown

    def describe(self) -> dict[str, Any]:
        """Return the job as JSON can hold it."""
        statuses = Counter(self._status(n) for n in self._results)
        reviews = Counter(self._reviews.values())
        done, total = len(self._results), len(self.photos)
        new = sum(result.skipped is None for result in self._results.values())
        left = total - done
        running = self.state == "running" and new > 0
        return {
            "id": self.id,
            "folder": _shown(self.folder, self._root),
            "output": _shown(self.output, self._root),
            "labels": list(self.job.options.classes),
            "state": self.state,
            "error": self.error,
            "started": self.started,
            "eta_s": round(left * self._spent_s / done) if running else None,
            "counts": {
                "total": total,
                "done": done,
                "cleaned": statuses["cleaned"],
                "copied": statuses["copied"],
                "skipped": statuses["skipped"],
                "failed": statuses["failed"],
                "accepted": reviews["accepted"],
                "rejected": reviews["rejected"],
                "edited": len(self._edited),
            },
        }

    def _status(self, n: int) -> str:
        result = self._results.get(n)
        if result is None:
            return "pending"
        return _STATUS.get(result.status, result.status)

    def row(self, n: int) -> dict[str, Any]:
        """Return what a list shows of a photo."""
        return {**self._facts(n), "etag": self.etag(n, "after")}

    def _facts(self, n: int) -> dict[str, Any]:
        """Return what is known of a photo without a look at its files."""
        photo = self.photo(n)
        result = self._results.get(n)
        chosen = [] if result is None else [it for it in result.found if it.chosen]
        size_hw = None if result is None else result.size_hw
        return {
            "n": n,
            "name": photo.relative.as_posix(),
            "width": None if size_hw is None else size_hw[1],
            "height": None if size_hw is None else size_hw[0],
            "status": self._status(n),
            "error": None if result is None else result.error,
            "notes": [] if result is None else list(result.notes),
            "labels": dict(Counter(it.label for it in chosen)),
            "max_score": max((it.score for it in chosen), default=None),
            "share": None if result is None else result.mask_share,
            "remaining": 0 if result is None else len(result.remaining),
            "review": self._reviews.get(photo.relative.as_posix(), "none"),
            "edited": n in self._edited,
        }

    def rows(self, offset: int, limit: int, **wanted: Any) -> dict[str, Any]:
        """Return some rows, and how many there are; see `_matches`."""
        found: Sequence[int] = range(len(self.photos))
        if any(wanted.values()):
            found = [n for n in found if _matches(self._facts(n), **wanted)]
        return {"total": len(found), "rows": [self.row(n) for n in found[offset : offset + limit]]}

    def photo(self, n: int) -> PlannedPhoto:
        """Return a photo by its number.

        Raises:
            MissingSessionError: there is no such photo.
        """
        if not 0 <= n < len(self.photos):
            raise MissingSessionError(f"no such photo: {n}; there are {len(self.photos)}")
        return self.photos[n]

    def file(self, n: int, side: Side) -> Path:
        """Return the file to show: the photo, or its result.

        Raises:
            MissingSessionError: there is none, or none yet.
        """
        photo = self.photo(n)
        results = (self._edited_file(n), *photo.targets)
        paths = (photo.source,) if side == "before" else results
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise MissingSessionError("it is not done yet" if side == "after" else "it is gone")
        return found

    def etag(self, n: int, side: Side) -> str | None:
        """Return what changes whenever the file does; None if there is none."""
        try:
            found = self.file(n, side).stat()
        except (OSError, MissingSessionError):
            return None
        return f'"{self.id}-{n}-{side}-{found.st_mtime_ns}-{found.st_size}"'

    def picture(self, n: int, side: Side, *, thumbnail: bool) -> bytes:
        """Return a JPEG of a photo or its result.

        Raises:
            MissingSessionError: there is none.
            PhotoError: it cannot be read.
        """
        return _small(self.file(n, side), _THUMBNAIL_PX if thumbnail else PREVIEW_PX)

    # --- the review

    def review(self, n: int, decision: Review | None) -> dict[str, Any]:
        """Note a decision, or forget it, and return the row."""
        name = self.photo(n).relative.as_posix()
        with self._reviewing:  # each decision comes from a thread of its own
            reviews = dict(self._reviews)
            if decision is None:
                reviews.pop(name, None)
            else:
                reviews[name] = decision
            write_bytes_atomic(self._review_file, json.dumps(reviews).encode())
            self._reviews = reviews
        self._changed()
        return self.row(n)

    def replace_result(self, n: int, content: bytes) -> dict[str, Any]:
        """Take a result that a person made, and accept it."""
        write_bytes_atomic(self._edited_file(n), content)
        self._edited.add(n)
        return self.review(n, "accepted")

    def restore_result(self, n: int) -> dict[str, Any]:
        """Forget what a person did to a photo, and return the row."""
        self._edited_file(n).unlink(missing_ok=True)
        self._edited.discard(n)
        return self.review(n, None)

    def export(self, mode: Literal["original", "omit"]) -> dict[str, int]:
        """Carry out the review: edited results take their place, rejected ones go.

        Args:
            mode: what takes a rejected result's place, the original or nothing.

        Raises:
            InputError: the job is still running, or an original is gone.
        """
        if self.state in ("queued", "running"):
            raise InputError("the job is still running; wait, or cancel it")
        for photo in self.photos if mode == "original" else ():
            name = photo.relative.as_posix()
            if self._reviews.get(name) == "rejected" and not photo.source.is_file():
                raise InputError(f"{name}: the original is gone; omit rejected results")
        edited = rejected = 0
        for n, photo in enumerate(self.photos):
            is_rejected = self._reviews.get(photo.relative.as_posix()) == "rejected"
            if n in self._edited and not is_rejected:
                photo.target.parent.mkdir(parents=True, exist_ok=True)
                self._edited_file(n).replace(photo.target)
                if photo.copy is not None:
                    photo.copy.unlink(missing_ok=True)
                edited += 1
            elif is_rejected:
                results = {self._edited_file(n), *photo.targets}
                if mode == "original":
                    copy_photo(photo.source, photo.copy_target)
                    results.remove(photo.copy_target)
                for result in results:
                    result.unlink(missing_ok=True)
                rejected += 1
        self._edited.clear()
        self._changed()
        return {"rejected": rejected, "edited": edited, "kept": len(self.photos) - rejected}


class JobStore:
    """The jobs of a server.

    Args:
        remover: shared by all.
        queue: that the photos wait in.
        root: everything must be in this folder; None: there are no jobs.
    """

    def __init__(self, remover: Remover, queue: WorkQueue, root: Path | None) -> None:
        self.root = root
        self._remover, self._queue = remover, queue
        self._jobs: dict[str, FolderJob] = {}
        self._runs: list[_Run] = [] if root is None else _read_runs(root / JOURNAL_FOLDER / _RUNS)
        self._tasks: dict[Path, tuple[FolderJob, asyncio.Task[None]]] = {}  # by output
        self._planning = threading.Lock()
        self._ids = itertools.count(1)

    def check_root(self) -> Path:
        """Return the folder that jobs may use.

        Raises:
            ForbiddenPathError: the server was started without one.
        """
        if self.root is None:
            raise ForbiddenPathError("start the server with --root DIR to process folders")
        return self.root

    def plan(
        self, folder: str, output: str | None, labels: list[str], options: RemovalOptions
    ) -> FolderJob:
        """Return a job for a folder; the one there is, if it was not cancelled.

        Raises:
            ForbiddenPathError: a folder outside the root.
            InputError, UnknownNameError: something that cannot be used.
        """
        root = self.check_root()
        source = within(root, folder)
        if not source.is_dir():
            raise InputError(f"{folder}: no such folder")
        default = source.with_name(f"{source.name}-clean") if source != root else root / "clean"
        target = within(root, output) if output else default
        known = self._remover.segmenter.labels
        classes, _ = requested_labels(labels or options.classes, options.rules, known)
        wanted = Job(options=replace(options, classes=classes))
        with self._planning:
            for job in self._jobs.values():
                if job.output == target and job.state in ("queued", "running"):
                    if job.folder == source and job.job == wanted:
                        return job
                    raise InputError(f"{target.name} is in use by another job; cancel that first")
            job = self._create(source, target, wanted)
            self._forget(target)
            self._jobs[job.id] = job
            self._remember(job)
        return job

    def _create(self, folder: Path, output: Path, job: Job) -> FolderJob:
        id, root = f"j{next(self._ids)}", self.check_root()
        return FolderJob(
            id, root=root, folder=folder, output=output, job=job, remover=self._remover
        )

    def read_former(self) -> list[FolderJob]:
        """Return the runs of servers before this one, the oldest first; from any thread.

        Runs whose folder is gone, or out of the root, are left out.
        """
        found = []
        for run in self._runs if self.root is not None else ():
            with suppress(CleanplateError, OSError, TypeError, KeyError, ValueError):
                folder, output = (within(self.check_root(), run[it]) for it in ("folder", "output"))
                job = Job(options=RemovalOptions.from_json(run["options"]))
                former = self._create(folder, output, job)
                former.started = float(run["started"])
                former.take_former()
                found.append(former)
        return found

    def add_former(self, former: Sequence[FolderJob]) -> None:
        """List the runs of servers before this one, unless they were started again meanwhile."""
        taken = {job.output for job in self._jobs.values()}
        self._jobs = {job.id: job for job in former if job.output not in taken} | self._jobs

    def _remember(self, job: FolderJob) -> None:
        """Note a run, for a server after this one."""
        run: _Run = {
            "folder": _shown(job.folder, self.check_root()),
            "output": _shown(job.output, self.check_root()),
            "options": job.job.options.to_json(),
            "started": job.started,
        }
        self._write_runs([*self._runs, run])

    def _forget(self, output: Path) -> None:
        """Take the run that wrote to a folder off the list; its files stay."""
        for job in [it for it in self._jobs.values() if it.output == output]:
            job.events.end()
            del self._jobs[job.id]
        shown = _shown(output, self.check_root())
        self._write_runs([run for run in self._runs if run.get("output") != shown])

    def _write_runs(self, runs: "list[_Run]") -> None:
        self._runs = runs[-_MOST_RUNS:]
        with suppress(PhotoError):  # the root is read-only, and only folders in it are not
            path = self.check_root() / JOURNAL_FOLDER / _RUNS
            write_bytes_atomic(path, json.dumps(self._runs).encode())

    def start(self, job: FolderJob) -> None:
        """Start or resume a job."""
        job.wait_for_turn()
        former, task = self._tasks.get(job.output, (None, None))
        if task is None or task.done() or former is not job:
            self._tasks[job.output] = job, asyncio.create_task(self._run_after(task, job))

    async def _run_after(self, former: "asyncio.Task[None] | None", job: FolderJob) -> None:
        """Run a job once the run of a deleted one has left its output folder."""
        if former is not None:
            await asyncio.wait({former})
        await job.run(self._queue)

    def all(self) -> list[FolderJob]:
        """Return all jobs, the newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, id: str) -> FolderJob:
        """Return a job.

        Raises:
            MissingSessionError: there is none of this name.
        """
        job = self._jobs.get(id)
        if job is None:
            raise MissingSessionError("no such job; start it again to resume it")
        return job

    def delete(self, id: str) -> None:
        """Cancel and forget a job; its files stay."""
        job = self.get(id)
        job.cancel()
        self._forget(job.output)

    def end(self) -> None:
        """Cancel all jobs, and end their streams of events."""
        for job in self._jobs.values():
            job.cancel()
            job.events.end()


def _matches(
    row: dict[str, Any],
    *,
    state: str | None = None,
    label: str | None = None,
    review: str | None = None,
    max_score: float | None = None,
    min_share: float | None = None,
    remaining: bool = False,
) -> bool:
    """Return whether a row passes all filters that are given.

    Args:
        row: from `FolderJob.row`.
        state: its status.
        label: an object of this class was removed.
        review: "none", "accepted" or "rejected".
        max_score: its surest object has at most this score: doubtful ones.
        min_share: at least this share of the photo was filled.
        remaining: something is still detected.
    """
    return (
        (state is None or row["status"] == state)
        and (label is None or label in row["labels"])
        and (review is None or row["review"] == review)
        and (max_score is None or (row["max_score"] is not None and row["max_score"] <= max_score))
        and (min_share is None or (row["share"] or 0) >= min_share)
        and (not remaining or row["remaining"] > 0)
    )


async def _nobody_goes() -> bool:
    return False


def _shown(path: Path, root: Path) -> str:
    return "" if path == root else path.relative_to(root).as_posix()


def _read_runs(path: Path) -> list[_Run]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [run for run in found if isinstance(run, dict)] if isinstance(found, list) else []


def _read_reviews(path: Path) -> dict[str, Review]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): it for name, it in found.items() if it in ("accepted", "rejected")}


def _small(path: Path, side_px: int) -> bytes:
    """Return a JPEG of a photo, upright, of at most `side_px` on its long side."""
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side_px, side_px))
            is_plain = opened.mode in ("RGB", "L", "RGBA", "P", "LA")
            image = ImageOps.exif_transpose(opened).convert("RGB") if is_plain else None
    except Exception:  # a format that Pillow does not read
        image = None
    if image is None:
        image = Image.fromarray(np.asarray(read_photo(path).pixels))
    image.thumbnail((side_px, side_px))
    stream = BytesIO()
    image.save(stream, "JPEG", quality=82)
    return stream.getvalue()
