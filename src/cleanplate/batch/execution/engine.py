"""Many photos at once on one machine, within its cores and memory."""

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

from cleanplate.batch.execution.steps import process_photo
from cleanplate.batch.execution.worker import Task, Worker, WorkerConfig
from cleanplate.batch.planning import PlannedPhoto, RunPlan
from cleanplate.batch.records import (
    Job,
    Journal,
    PhotoResult,
    ProcessedPhoto,
    skipped_result,
    unreadable_result,
)
from cleanplate.errors import InputError
from cleanplate.io import read_size
from cleanplate.runtime import Server, free_memory, is_shared, load_network, usable_cores

if TYPE_CHECKING:
    from cleanplate.remover import Remover


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Resources of a run. `workers` times `threads` is at most the number of cores given."""

    workers: int  # 1: photos are processed one after another in this process
    threads: int  # cores of each
    max_memory: int | None  # bytes, in total; None: no limit

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
        """Choose the resources of a run on this machine.

        Args:
            photos: how many; a few are processed without starting another process.
            workers: photos at once; None chooses.
            threads: cores to use in all; None takes every usable one.
            max_memory: bytes; None takes three quarters of what is free.
            portable: whether other processes can load the same models, see `is_portable`.

        Raises:
            InputError: there are fewer cores than workers, or too little memory for one.
        """
        cores = threads or usable_cores()
        limit = default_max_memory() if max_memory is None else max_memory
        if workers is None:
            most = cores if portable else 1
            workers = worker_count(photos=photos, cores=most, max_memory=limit)
        elif workers > cores:
            raise InputError(
                f"--workers {workers} exceed the {cores} available processor cores; give at "
                f"most {cores}"
            )
        least = WORKER_BYTES * workers + (RUN_BYTES if workers > 1 else 0)
        if max_memory is not None and limit < least:
            raise InputError(
                f"--max-memory {format_size(limit)} is less than the {format_size(least)} that "
                f"{workers} worker{'s'[: workers - 1]} without a photo may take; give more, or "
                "fewer --workers"
            )
        return cls(workers=workers, threads=max(1, cores // workers), max_memory=limit)


class Engine:
    """Processes photos, several at once, and yields the result of each when it is finished.

    With one worker, the remover processes the photos in this process, one after another. With
    several, each worker is a process that loads the models, and results come in the order in which
    they finish; their content does not depend on the number of workers. On a GPU, this process runs
    the networks for all workers and batches their inputs.

    Args:
        remover: as for `process_photo`. With several workers it only names the models to load.
        job: the same for every photo.
        resources: from `Resources.for_run`.
        journal: records of earlier runs and of this one; without it, photos whose outputs exist are
            skipped.
        on_start: called with each photo before it is read.

    Raises:
        InputError: several workers, but models that cannot be sent to another process.
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
        self._config: WorkerConfig | None = None
        self._server: Server | None = None
        if resources.workers > 1:
            if not is_portable(remover):
                raise InputError(
                    "several workers need models given by name, as each loads its own; use 1 worker"
                )
            self._config = WorkerConfig(
                models=remover.config,
                threads=resources.threads,
                job=job,
                traced=journal is not None,
            )

    def __enter__(self) -> Self:
        """Return self; workers are started with the first photos."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers immediately; unfinished photos leave no files."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.wait()
        self._workers.clear()
        if self._server is not None:
            self._server.close()
            self._server = None

    def run(self, plan: RunPlan) -> Iterator[PhotoResult]:
        """Process the photos of `plan`, started in its order, and yield their results."""
        for folder in plan.unreadable:
            yield unreadable_result(folder)
            if self._job.fail_fast:
                return
        if self._config is not None:
            yield from self._run_workers(plan.photos, self._config)
            return
        limit = self._resources.max_memory
        for photo in plan.photos:
            decision = self._decide(photo)
            if isinstance(decision, PhotoResult):
                yield decision
                continue
            self._begin(photo)
            done = process_photo(
                photo,
                self._remover,
                self._job,
                overwrite=decision.overwrite,
                traced=self._journal is not None,
            )
            if limit is not None:
                need, room = photo_bytes(photo.source), max(0, limit - WORKER_BYTES)
                done = _with_note(done, need, room) if need > room else done
            yield self._finish(photo, done)
            if self._job.fail_fast and done.result.status == "failed":
                return

    def _run_workers(
        self, photos: Iterable[PlannedPhoto], worker_config: WorkerConfig
    ) -> Iterator[PhotoResult]:
        resources = self._resources
        # Memory left for photos.
        room = (resources.max_memory or sys.maxsize) - RUN_BYTES - resources.workers * WORKER_BYTES
        waiting = iter(photos)
        task: Task | None = None  # the next one to start
        needs: dict[Worker, int] = {}  # bytes, of the photos in work
        idle = deque(self._workers)
        while True:
            while task is None and (photo := next(waiting, None)) is not None:
                decision = self._decide(photo)
                if isinstance(decision, PhotoResult):
                    yield decision
                else:
                    task, need = decision, photo_bytes(photo.source)
            # In order and not small ones first, or a large one might never fit.
            if task is not None and (
                not needs or (len(needs) < resources.workers and sum(needs.values()) + need <= room)
            ):
                worker = idle.popleft() if idle else self._start_worker(worker_config)
                self._begin(task.photo)
                worker.start(task)
                needs[worker] = need
                task = None
                continue
            if not needs:
                return
            worker, done = self._answers_next()
            if worker not in needs:  # it died while idle
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
            if self._job.fail_fast and done.result.status == "failed":
                return

    def _start_worker(self, worker_config: WorkerConfig) -> Worker:
        segmenter, inpainter, device = worker_config.models
        if self._server is None and is_shared(device):
            self._server = Server(load_network)
        if self._server is not None:
            worker_config = replace(worker_config, server=self._server.address)
        elif device == "auto":  # the CPU, as this process has detected
            worker_config = replace(worker_config, models=(segmenter, inpainter, "cpu"))
        worker = Worker(worker_config, self._answers)
        self._workers.append(worker)
        return worker

    def _forget(self, worker: Worker, idle: "deque[Worker]") -> None:
        """Remove a dead worker."""
        worker.end()
        worker.wait()
        self._workers.remove(worker)
        with suppress(ValueError):
            idle.remove(worker)

    def _answers_next(self) -> tuple[Worker, ProcessedPhoto | None]:
        while True:  # with a timeout: without one, Windows does not handle Ctrl-C
            with suppress(queue.Empty):
                return self._answers.get(timeout=1.0)

    def _decide(self, photo: PlannedPhoto) -> Task | PhotoResult:
        """Return the task of a photo, or its result if it is skipped."""
        if self._journal is None:
            return Task(photo, overwrite=self._job.overwrite)
        decision = self._journal.decide(photo, self._job)
        if decision == "new":
            return Task(photo, overwrite=self._job.overwrite)
        if decision == "changed":
            return Task(photo, overwrite=True)
        if decision == "done":
            return self._journal.former_result(photo)
        result = skipped_result(photo, decision)
        if decision == "edited" and photo.request is not None:  # its labels follow what was filled
            result = replace(self._journal.former_result(photo), skipped=decision)
        if decision == "other settings":
            result = replace(result, notes=(self._journal.difference(photo),))
        return result

    def _begin(self, photo: PlannedPhoto) -> None:
        if self._journal is not None:
            self._journal.begin(photo, self._job)
        self._on_start(photo.source)

    def _finish(self, photo: PlannedPhoto, done: ProcessedPhoto) -> PhotoResult:
        if self._journal is not None:
            self._journal.finish(photo, done)
        return done.result


def is_portable(remover: "Remover") -> bool:
    """Return whether another process can load the same models: by name, or pickled."""
    try:
        pickle.dumps(remover.config)
    except Exception:  # whatever a custom model raises
        return False
    return True


def _with_note(done: ProcessedPhoto, need: int, room: int) -> ProcessedPhoto:
    note = (
        f"takes about {format_size(need)}, more than the {format_size(room)} that --max-memory "
        "leaves for photos; it was processed alone"
    )
    result = done.result
    return replace(done, result=replace(result, notes=(*result.notes, note)))


# Measured with the built-in networks on photos of 0.5 to 24 megapixels, JPEG and PNG, of which a
# third was removed: 420 to 470 MB at rest after the first photo, and 38 to 56 bytes per pixel.
RUN_BYTES = 120 << 20
"""Memory of the process that plans, distributes the photos and reports."""

WORKER_BYTES = 480 << 20
"""Memory of a worker: libraries, models and the memory pool of the networks."""

BYTES_PER_PIXEL = 60
"""Additional memory for a photo being processed."""

_USUAL_PIXELS = 12_000_000  # of a photo; decides how many workers fit

_DEFAULT_SHARE = 0.75  # of the memory that is free at the start
_DEFAULT_BYTES = 4 << 30  # if free memory is unknown

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Parse a size such as 800M, 4G or 1.5GiB (units of 1024) into bytes.

    Raises:
        InputError: it is not a size; the message shows examples.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise InputError(f"{text!r} is not an amount of memory; write 800M or 4G")
    return size


def format_size(size_bytes: float) -> str:
    """Return "640 MB" or "3.2 GB", in units of 1024."""
    if size_bytes < 1 << 30:
        return f"{size_bytes / (1 << 20):.0f} MB"
    return f"{size_bytes / (1 << 30):.1f} GB"


def default_max_memory() -> int:
    """Return the default memory limit in bytes: three quarters of the free memory."""
    free = free_memory()
    return _DEFAULT_BYTES if free is None else int(_DEFAULT_SHARE * free)


def photo_bytes(path: Path) -> int:
    """Estimate the memory in bytes to process a photo, from the size in its header.

    A file without a readable header counts as 0; reading it will fail.
    """
    size_hw = read_size(path)
    pixels = 0 if size_hw is None else size_hw[0] * size_hw[1]
    return BYTES_PER_PIXEL * pixels


def photo_pixels(max_memory: int | None) -> int:
    """Return how many pixels a photo may have to be processed in so much memory.

    Args:
        max_memory: bytes; None takes three quarters of what is free.
    """
    limit = default_max_memory() if max_memory is None else max_memory
    return max(1, (limit - WORKER_BYTES) // BYTES_PER_PIXEL)


def worker_count(*, photos: int, cores: int, max_memory: int) -> int:
    """Return how many workers to start on this machine: 1 for a few photos."""
    by_memory = max_memory // (WORKER_BYTES + _USUAL_PIXELS * BYTES_PER_PIXEL)
    return max(1, min(cores, photos // 4, by_memory))
