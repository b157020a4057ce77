"""Photos from bytes to bytes in a process that may die without taking anything else with it."""

import queue
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cleanplate.batch import (
    PhotoResult,
    PlannedPhoto,
    ProcessedPhoto,
    Task,
    Worker,
    WorkerConfig,
    failed_result,
    pass_bytes,
)

TRIES = 2
"""How often a photo is tried whose process dies over it: memory may have been short just then."""

_SUFFIX_CHARS = 10  # of any format's name


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a photo."""

    outcome: PhotoResult  # both paths are the name that `IsolatedRemover.do` was given
    content: bytes | None  # of the new file; None if there is none
    provider: Mapping[str, str | None] | None  # what ran each model; None if the photo failed


class IsolatedRemover:
    """Does photos with a worker process of the batch runs; starts another one when it dies.

    Args:
        order: what the worker is to do with every photo.
    """

    def __init__(self, order: WorkerConfig) -> None:
        self._order = order
        self._answers: queue.SimpleQueue[tuple[Worker, ProcessedPhoto | None]] = queue.SimpleQueue()
        self._worker = Worker(order, self._answers)

    def close(self) -> None:
        """End the worker."""
        self._worker.end()
        self._worker.wait()

    def do(self, content: bytes, name: str) -> Result:
        """Do one photo; whatever goes wrong with it is told in the outcome, never raised.

        Args:
            content: the photo's file.
            name: what to call it in the outcome; its suffix may tell the format.
        """
        done: ProcessedPhoto | None = None

        def run(photo: PlannedPhoto) -> PhotoResult:
            nonlocal done
            done = self._run(photo)
            return done.outcome

        called = Path(name)
        in_file = f"photo{called.suffix[:_SUFFIX_CHARS]}"
        try:
            outcome, result = pass_bytes(content, run, name=in_file, source=called, target=called)
        except OSError as error:  # no room for the photo on this machine's disk
            return Result(failed_result(PlannedPhoto(called, called, called), error), None, None)
        return Result(outcome, result, done.provider if done is not None else None)

    def _run(self, photo: PlannedPhoto) -> ProcessedPhoto:
        for trial in range(1, TRIES + 1):
            self._worker.start(Task(photo, overwrite=True))
            done = self._answer()
            if done is not None:
                if trial > 1:
                    note = "a first process ended over it; the second try went well"
                    notes = (*done.outcome.notes, note)
                    done = replace(done, outcome=replace(done.outcome, notes=notes))
                return done
            failure = self._worker.failure()
            self.close()
            self._worker = Worker(self._order, self._answers)
            photo.target.unlink(missing_ok=True)
        return failure

    def _answer(self) -> ProcessedPhoto | None:
        while True:
            with suppress(queue.Empty):
                worker, done = self._answers.get(timeout=1.0)
                if worker is self._worker:  # an earlier one may still tell that it is dead
                    return done
