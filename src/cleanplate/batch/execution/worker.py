"""A process that works on photos: its main function, and its handle in the run that starts it.

Processes and not threads: two fifths of the work is NumPy and Python code that holds the
interpreter's lock, and a crashing decoder costs one photo instead of the run. They are
started as fresh interpreters, since ONNX Runtime does not survive a fork, and not by
`multiprocessing`, which would run the caller's main module again. Each reads pickled tasks from
standard input and writes results to standard output; it exits when its input ends, which also
happens when the run is killed, so that no process is left behind.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, cast

from cleanplate.batch.execution.steps import process_photo
from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.records import Job, ProcessedPhoto, failed_result
from cleanplate.errors import PhotoError
from cleanplate.io import abort_writes
from cleanplate.runtime import Address, use_server
from cleanplate.threads import ONE_THREAD, keep_freed_memory

if TYPE_CHECKING:
    from cleanplate.inpainting import Inpainter
    from cleanplate.segmentation import Segmenter

_BOOT = (
    "import sys; sys.path[:] = {path!r}; "
    "from cleanplate.batch.execution.worker import run_worker; run_worker()"
)
_ENDS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Configuration of a worker, sent before its first photo."""

    models: "tuple[str | Segmenter, str | Inpainter, str]"  # `Remover.config`
    threads: int
    job: Job
    traced: bool
    server: Address | None = None  # runs the networks; None: the worker does
    reports_provider: bool = False  # fill `ProcessedPhoto.provider`, which loads all models


@dataclass(frozen=True, slots=True)
class Task:
    """One photo for a worker."""

    photo: PlannedPhoto
    overwrite: bool


class Worker:
    """One started process.

    Args:
        config: its configuration.
        answers: receives (this worker, result of its photo), and (this worker, None) if it dies.
    """

    def __init__(
        self,
        config: WorkerConfig,
        answers: "queue.SimpleQueue[tuple[Worker, ProcessedPhoto | None]]",
    ) -> None:
        limits = {"OMP_NUM_THREADS": str(config.threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**ONE_THREAD, **os.environ, **limits},
            # A separate process group: only the run handles Ctrl-C.
            process_group=None if sys.platform == "win32" else 0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._answers = answers
        self._task: Task
        self._send(config)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def photo(self) -> PlannedPhoto:
        """The photo that it was given last."""
        return self._task.photo

    def start(self, task: Task) -> None:
        """Send it a photo; it must be idle."""
        self._task = task
        self._send(task)

    def failure(self) -> ProcessedPhoto:
        """Return the result of its photo after the process died."""
        code = self._process.wait(_ENDS_WITHIN_S)
        reason = f"by signal {-code}" if code < 0 else f"with code {code}"
        cause = f"the process that worked on it died {reason}"
        advice = "if memory ran out, give fewer --workers or a smaller --max-memory"
        return ProcessedPhoto(
            failed_result(self.photo, PhotoError(self.photo.source, cause, advice))
        )

    def end(self) -> None:
        """Make it exit immediately, without leaving partial files."""
        with suppress(OSError):
            self._stdin.close()

    def wait(self) -> None:
        """Wait until it has exited; kill it if it does not."""
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: WorkerConfig | Task) -> None:
        with suppress(OSError):  # it is dead, which `_listen` reports
            pickle.dump(message, self._stdin)
            self._stdin.flush()

    def _listen(self) -> None:
        stream = cast("IO[bytes]", self._process.stdout)
        while True:
            try:
                answer = pickle.load(stream)
            except Exception:  # end of file, or an incomplete answer
                break
            self._answers.put((self, answer))
        stream.close()
        self._answers.put((self, None))


def run_worker() -> None:
    """Process tasks from standard input until it ends; the counterpart of `Worker`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end(128 + signal.SIGTERM))
    keep_freed_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of other code must not mix with the answers
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    config = cast("WorkerConfig", pickle.load(sys.stdin.buffer))
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    try:
        _work(config, tasks, answers)
    except OSError:  # the run has exited
        _end(1)


def _end(code: int) -> None:
    """Exit immediately, whatever the other thread is doing, and leave no partial file."""
    abort_writes()
    os._exit(code)


def _receive(tasks: "queue.SimpleQueue[Task]") -> None:
    while True:
        try:
            tasks.put(pickle.load(sys.stdin.buffer))
        except Exception:  # end of file, or an incomplete task
            _end(0)


def _work(config: WorkerConfig, tasks: "queue.SimpleQueue[Task]", answers: IO[bytes]) -> None:
    import cv2

    from cleanplate.batch.records import describe_models
    from cleanplate.remover import Remover

    cv2.setNumThreads(config.threads)
    use_server(config.server)
    segmenter, inpainter, device = config.models
    remover = Remover(
        segmenter=segmenter, inpainter=inpainter, device=device, threads=config.threads
    )
    while True:
        task = tasks.get()
        done = process_photo(
            task.photo, remover, config.job, overwrite=task.overwrite, traced=config.traced
        )
        if config.reports_provider and done.result.status != "failed":
            done = replace(done, provider=describe_models(remover, config.job)["provider"])
        pickle.dump(done, answers)
        answers.flush()
