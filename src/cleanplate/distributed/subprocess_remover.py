"""Photos from bytes to bytes in a subprocess, whose death affects nothing else."""

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

MAX_PHOTO_ATTEMPTS = 2
"""Attempts at a photo whose process dies: memory may have been short only then."""

_SUFFIX_CHARS = 10  # of any format's name


@dataclass(frozen=True, slots=True)
class Processed:
    """The result of a photo, with the content of its file."""

    result: PhotoResult  # both paths are the name that `SubprocessRemover.process` was given
    content: bytes | None  # of the new file; None if there is none
    provider: Mapping[str, str | None] | None  # what ran each model; None if the photo failed


class SubprocessRemover:
    """Processes photos in a worker process of the batch runs; replaces it when it dies.

    Args:
        config: of the worker.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._answers: queue.SimpleQueue[tuple[Worker, ProcessedPhoto | None]] = queue.SimpleQueue()
        self._worker = Worker(config, self._answers)

    def close(self) -> None:
        """End the worker."""
        self._worker.end()
        self._worker.wait()

    def process(self, content: bytes, name: str) -> Processed:
        """Process one photo; errors are part of the result, never raised.

        Args:
            content: the photo's file.
            name: of the photo in the result; its suffix may give the format.
        """
        done: ProcessedPhoto | None = None

        def run(photo: PlannedPhoto) -> PhotoResult:
            nonlocal done
            done = self._run(photo)
            return done.result

        path = Path(name)
        in_file = f"photo{path.suffix[:_SUFFIX_CHARS]}"
        try:
            result, made = pass_bytes(content, run, name=in_file, source=path, target=path)
        except OSError as error:  # the disk of this machine is full
            return Processed(failed_result(PlannedPhoto(path, path, path), error), None, None)
        return Processed(result, made, done.provider if done is not None else None)

    def _run(self, photo: PlannedPhoto) -> ProcessedPhoto:
        for attempt in range(1, MAX_PHOTO_ATTEMPTS + 1):
            self._worker.start(Task(photo, overwrite=True))
            done = self._answer()
            if done is not None:
                if attempt > 1:
                    note = "its first process died; the second attempt succeeded"
                    notes = (*done.result.notes, note)
                    done = replace(done, result=replace(done.result, notes=notes))
                return done
            failure = self._worker.failure()
            self.close()
            self._worker = Worker(self._config, self._answers)
            photo.target.unlink(missing_ok=True)
        return failure

    def _answer(self) -> ProcessedPhoto | None:
        while True:
            with suppress(queue.Empty):
                worker, done = self._answers.get(timeout=1.0)
                if worker is self._worker:  # the death of an earlier one may be reported late
                    return done
