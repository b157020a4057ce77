"""Many photos at once on one machine: as many workers as it carries, within its memory."""

import os
import pickle
import queue
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cleanplate.batch.execution.process_photo import do_photo
from cleanplate.batch.execution.worker import Task, Worker, WorkerConfig
from cleanplate.batch.job import Job
from cleanplate.batch.planning import PlannedPhoto, RunPlan
from cleanplate.batch.records import (
    Journal,
    PhotoResult,
    ProcessedPhoto,
    skipped_result,
    unreadable_result,
)
from cleanplate.errors import InputError
from cleanplate.io import read_size
from cleanplate.runtime import Server, is_shared, load_network, usable_cores

if TYPE_CHECKING:
    from cleanplate.remover import Remover


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run takes of its machine. `workers` times `threads` is at most the cores given."""

    workers: int  # 1: the photos are done one after the other in this process
    threads: int  # cores of each
    max_memory: int | None  # bytes, of all together; None: no bound

    @classmethod
    def for_run(
        cls,
        photos: int,
        *,
        workers: int | None = None,
        threads: int | None = None,
        max_memory: int | None = None,
        portable: bool = True,
    ) -> Self:
        """Return what suits a run on this machine.

        Args:
            photos: how many there are to do; for a handful, no further process is worth its start.
            workers: photos at once; None chooses.
            threads: cores to use in all; None takes every usable one.
            max_memory: bytes; None takes three quarters of what is free.
            portable: whether other processes can have the same models, see `is_portable`.

        Raises:
            InputError: the cores do not suffice for the workers, or the memory for one.
        """
        cores = threads or usable_cores()
        limit = default_max_memory() if max_memory is None else max_memory
        if workers is None:
            most = cores if portable else 1
            workers = worker_count(photos=photos, cores=most, max_memory=limit)
        elif workers > cores:
            raise InputError(
                f"--workers {workers} are more than the {cores} processor cores to use; give at "
                f"most {cores}"
            )
        least = WORKER_BYTES * workers + (RUN_BYTES if workers > 1 else 0)
        if max_memory is not None and limit < least:
            raise InputError(
                f"--max-memory {shown_size(limit)} is less than the {shown_size(least)} that "
                f"{workers} worker{'s'[: workers - 1]} without a photo may take; give more, or "
                "fewer --workers"
            )
        return cls(workers=workers, threads=max(1, cores // workers), max_memory=limit)


class Engine:
    """Does photos, several at once, and yields what became of each as soon as it is known.

    With one worker the photos are done in this process by the remover itself, one after the other.
    With several, each worker is a process with models of its own, and the order of the outcomes is
    that in which they finish; their content does not depend on the number of workers. Where a GPU
    computes, the networks are this process's, and those of several photos are computed together.

    Args:
        remover: as for `run_photo`. With several workers it only tells which models they load.
        job: the same for every photo.
        resources: from `Resources.for_run`.
        journal: where to look up what is done and to note what is; None keeps none, and outputs
            that exist are left alone.
        on_start: called with each photo before it is read.

    Raises:
        InputError: several workers, but a remover whose models only this process has.
    """

    def __init__(
        self,
        remover: "Remover",
        job: Job,
        resources: Resources,
        *,
        journal: Journal | None = None,
        on_start: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._remover, self._job, self._journal = remover, job, journal
        self._resources, self._on_start = resources, on_start
        self._workers: list[Worker] = []
        self._answers: queue.SimpleQueue[tuple[Worker, ProcessedPhoto | None]] = queue.SimpleQueue()
        self._order: WorkerConfig | None = None
        self._server: Server | None = None
        if resources.workers > 1:
            if not is_portable(remover):
                raise InputError(
                    "several workers need models given by name, as each loads its own; use 1 worker"
                )
            self._order = WorkerConfig(
                recipe=remover.recipe,
                threads=resources.threads,
                job=job,
                traced=journal is not None,
            )

    def __enter__(self) -> Self:
        """Return itself; workers are started when there is something to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers at once. What they have not finished is as if it had not been begun."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.wait()
        self._workers.clear()
        if self._server is not None:
            self._server.close()
            self._server = None

    def run(self, plan: RunPlan) -> Iterator[PhotoResult]:
        """Do the photos of `plan`, started in its order, and yield what became of each."""
        for folder in plan.unreadable:
            yield unreadable_result(folder)
            if self._job.fail_fast:
                return
        photos = plan.photos
        order = self._order
        for outcome in self._one_by_one(photos) if order is None else self._at_once(photos, order):
            yield outcome
            if self._job.fail_fast and outcome.status == "failed":
                return

    def _one_by_one(self, photos: Iterable[PlannedPhoto]) -> Iterator[PhotoResult]:
        limit = self._resources.max_memory
        for photo in photos:
            verdict = self._judge(photo)
            if isinstance(verdict, PhotoResult):
                yield verdict
                continue
            self._begin(photo)
            done = do_photo(
                photo,
                self._remover,
                self._job,
                overwrite=verdict.overwrite,
                traced=self._journal is not None,
            )
            if limit is not None:
                need, room = photo_need(photo.source), max(0, limit - WORKER_BYTES)
                done = _with_note(done, need, room) if need > room else done
            yield self._finish(photo, done)

    def _at_once(
        self, photos: Iterable[PlannedPhoto], order: WorkerConfig
    ) -> Iterator[PhotoResult]:
        resources = self._resources
        # For photos, besides what the processes take.
        room = (resources.max_memory or sys.maxsize) - RUN_BYTES - resources.workers * WORKER_BYTES
        waiting = iter(photos)
        task: Task | None = None  # the next one, from when it was judged until it is started
        needs: dict[Worker, int] = {}  # bytes, of the photos in work
        idle = deque(self._workers)
        while True:
            while task is None and (photo := next(waiting, None)) is not None:
                verdict = self._judge(photo)
                if isinstance(verdict, PhotoResult):
                    yield verdict
                else:
                    task, need = verdict, photo_need(photo.source)
            # In turn and not the small ones first, or a large one might never find room.
            if task is not None and (
                not needs or (len(needs) < resources.workers and sum(needs.values()) + need <= room)
            ):
                worker = idle.popleft() if idle else self._start_worker(order)
                self._begin(task.photo)
                worker.start(task)
                needs[worker] = need
                task = None
                continue
            if not needs:
                return
            worker, done = self._answers_next()
            if worker not in needs:  # it died without a photo
                self._forget(worker, idle)
                continue
            if done is None:
                done = worker.failure()
                self._forget(worker, idle)
            else:
                idle.append(worker)
            if (took := needs.pop(worker)) > room:
                done = _with_note(done, took, room)
            yield self._finish(worker.photo, done)

    def _start_worker(self, order: WorkerConfig) -> Worker:
        segmenter, inpainter, device = order.recipe
        if self._server is None and is_shared(device):
            self._server = Server(load_network)
        if self._server is not None:
            order = replace(order, server=self._server.address)
        elif device == "auto":  # which is the CPU, as was found and told here
            order = replace(order, recipe=(segmenter, inpainter, "cpu"))
        worker = Worker(order, self._answers)
        self._workers.append(worker)
        return worker

    def _forget(self, worker: Worker, idle: "deque[Worker]") -> None:
        """Let go of a worker that is dead."""
        worker.end()
        worker.wait()
        self._workers.remove(worker)
        with suppress(ValueError):
            idle.remove(worker)

    def _answers_next(self) -> tuple[Worker, ProcessedPhoto | None]:
        while True:  # with a limit, as Windows hears no Ctrl-C while it waits without one
            with suppress(queue.Empty):
                return self._answers.get(timeout=1.0)

    def _judge(self, photo: PlannedPhoto) -> Task | PhotoResult:
        """Return what to do with a photo, or what is told of it if it is left alone."""
        if self._journal is None:
            return Task(photo, overwrite=self._job.overwrite)
        verdict = self._journal.decide(photo, self._job)
        if verdict == "new":
            return Task(photo, overwrite=self._job.overwrite)
        if verdict == "changed":
            return Task(photo, overwrite=True)
        if verdict == "done":
            return self._journal.former_outcome(photo)
        outcome = skipped_result(photo, verdict)
        if verdict == "other settings":
            return replace(outcome, notes=(self._journal.difference(photo),))
        return outcome

    def _begin(self, photo: PlannedPhoto) -> None:
        if self._journal is not None:
            self._journal.begin(photo, self._job)
        self._on_start(photo.source)

    def _finish(self, photo: PlannedPhoto, done: ProcessedPhoto) -> PhotoResult:
        if self._journal is not None:
            self._journal.finish(photo, done)
        return done.outcome


def is_portable(remover: "Remover") -> bool:
    """Return whether another process can have the same models: by name, or pickled."""
    try:
        pickle.dumps(remover.recipe)
    except Exception:  # whatever a model of the caller's own raises
        return False
    return True


def run_plan(
    plan: RunPlan,
    remover: "Remover",
    job: Job,
    *,
    on_start: Callable[[Path], None] = lambda _: None,
) -> Iterator[PhotoResult]:
    """Do the photos of `plan` in order in this process; see `Engine` for more than that.

    Args:
        plan: from `plan_photos`.
        remover: its segmenter is used unless the job brings masks, its inpainter unless it is a
            dry run.
        job: the same for every photo.
        on_start: called with each photo before it is read.
    """
    resources = Resources(workers=1, threads=1, max_memory=None)
    with Engine(remover, job, resources, on_start=on_start) as engine:
        yield from engine.run(plan)


def _with_note(done: ProcessedPhoto, need: int, room: int) -> ProcessedPhoto:
    note = (
        f"takes about {shown_size(need)}, more than the {shown_size(room)} that --max-memory "
        "leaves for photos, and was done alone"
    )
    outcome = done.outcome
    return replace(done, outcome=replace(outcome, notes=(*outcome.notes, note)))


# Measured with the built-in networks on photos of 0.5 to 24 megapixels, JPEG and PNG, of which a
# third was removed: 420 to 470 MB at rest after the first photo, and 38 to 56 bytes per pixel.
RUN_BYTES = 120 << 20
"""The process that plans, hands out the photos and reports."""

WORKER_BYTES = 480 << 20
"""A worker with its libraries, its models and the arena that the networks run in."""

BYTES_PER_PIXEL = 60
"""What work on a photo takes besides."""

_USUAL_PIXELS = 12_000_000  # of a photo; decides how many workers fit

_DEFAULT_SHARE = 0.75  # of what is free at the start
_WITHOUT_KNOWING = 4 << 30  # on systems that do not tell

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that `text` means: 800M, 4G, 1.5GiB; units count by 1024.

    Raises:
        InputError: it is no size; the message shows some.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise InputError(f"{text!r} is no amount of memory; write 800M or 4G")
    return size


def shown_size(size_bytes: float) -> str:
    """Return "640 MB" or "3.2 GB", counted by 1024 as `parse_size` does."""
    if size_bytes < 1 << 30:
        return f"{size_bytes / (1 << 20):.0f} MB"
    return f"{size_bytes / (1 << 30):.1f} GB"


def default_max_memory() -> int:
    """Return what a run may take unless the user says otherwise: three quarters of what is free."""
    free = _free_bytes()
    return _WITHOUT_KNOWING if free is None else int(_DEFAULT_SHARE * free)


def photo_need(path: Path) -> int:
    """Return the bytes that working on a photo will take, by the size its header states.

    A file whose header says nothing is taken for a small one: it will be refused when it is read.
    """
    size_hw = read_size(path)
    pixels = 0 if size_hw is None else size_hw[0] * size_hw[1]
    return BYTES_PER_PIXEL * pixels


def worker_count(*, photos: int, cores: int, max_memory: int) -> int:
    """Return how many workers are worth their start on this machine: 1 for a handful of photos."""
    by_memory = max_memory // (WORKER_BYTES + _USUAL_PIXELS * BYTES_PER_PIXEL)
    return max(1, min(cores, photos // 4, by_memory))


def _free_bytes() -> int | None:
    """Return the memory that may be used without swapping; None if the system does not tell."""
    known = [free for free in (_free_of_machine(), _free_of_group()) if free is not None]
    return min(known, default=None)


def _free_of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS: half of all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _free_of_group() -> int | None:
    """Return what a container may still use (Linux, control groups version 2)."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
