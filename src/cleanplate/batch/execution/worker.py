"""A process that does photos: its own end, and how the run that started it sees it.

Processes and not threads: two fifths of the work is NumPy and Python code that holds the
interpreter's lock, and a decoder that crashes takes one photo with it instead of the run. They are
started as fresh interpreters, since ONNX Runtime does not survive a fork, and not by
`multiprocessing`, which would run the caller's main module again. Each gets its tasks pickled on
standard input and answers on standard output; the end of its input is the order to end at once,
which also comes when the run is killed, so that none is ever left behind.
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

from cleanplate.batch.execution.process_photo import do_photo
from cleanplate.batch.job import Job
from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.records import ProcessedPhoto, failed_result
from cleanplate.errors import PhotoError
from cleanplate.io import abort_writes
from cleanplate.runtime import Address, use_server
from cleanplate.threads import ONE_THREAD

if TYPE_CHECKING:
    from cleanplate.inpainting import Inpainter
    from cleanplate.segmentation import Segmenter

_BOOT = (
    "import sys; sys.path[:] = {path!r}; "
    "from cleanplate.batch.execution.worker import serve; serve()"
)
_ENDS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker needs to know before its first photo."""

    recipe: "tuple[str | Segmenter, str | Inpainter, str]"  # `Remover.recipe`
    threads: int
    job: Job
    traced: bool
    server: Address | None = None  # where the networks are computed; None: in the worker itself
    tells_provider: bool = (
        False  # whether `ProcessedPhoto.provider` is filled, which loads all models
    )


@dataclass(frozen=True, slots=True)
class Task:
    """One photo for a worker."""

    photo: PlannedPhoto
    overwrite: bool


class Worker:
    """One started process.

    Args:
        order: what it is to do with its photos.
        answers: gets (this worker, what became of its photo); None in its place when it is dead.
    """

    def __init__(
        self,
        order: WorkerConfig,
        answers: "queue.SimpleQueue[tuple[Worker, ProcessedPhoto | None]]",
    ) -> None:
        limits = {"OMP_NUM_THREADS": str(order.threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**ONE_THREAD, **os.environ, **limits},
            # A group of its own, as Ctrl-C is the run's to hear.
            process_group=None if sys.platform == "win32" else 0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._answers = answers
        self._task: Task
        self._send(order)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def photo(self) -> PlannedPhoto:
        """The photo that it was given last."""
        return self._task.photo

    def start(self, task: Task) -> None:
        """Give it a photo; it has none now."""
        self._task = task
        self._send(task)

    def failure(self) -> ProcessedPhoto:
        """Return what to tell of its photo when it died over it."""
        code = self._process.wait(_ENDS_WITHIN_S)
        reason = f"by signal {-code}" if code < 0 else f"with code {code}"
        cause = f"the process that worked on it ended {reason}"
        advice = "if memory was short, give fewer --workers or a smaller --max-memory"
        return ProcessedPhoto(
            failed_result(self.photo, PhotoError(self.photo.source, cause, advice))
        )

    def end(self) -> None:
        """Let it end at once; what it is writing is not left behind."""
        with suppress(OSError):
            self._stdin.close()

    def wait(self) -> None:
        """Wait until it has ended; kill it if it does not."""
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: WorkerConfig | Task) -> None:
        with suppress(OSError):  # it is dead, which `_listen` tells
            pickle.dump(message, self._stdin)
            self._stdin.flush()

    def _listen(self) -> None:
        stream = cast("IO[bytes]", self._process.stdout)
        while True:
            try:
                answer = pickle.load(stream)
            except Exception:  # the end, or half an answer
                break
            self._answers.put((self, answer))
        stream.close()
        self._answers.put((self, None))


def serve() -> None:
    """Do what comes on standard input until that ends; the other end is `Worker`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end(128 + signal.SIGTERM))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not get between the answers
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    order = cast("WorkerConfig", pickle.load(sys.stdin.buffer))
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    try:
        _work(order, tasks, answers)
    except OSError:  # nobody listens any more
        _end(1)


def _end(code: int) -> None:
    """End at once, whatever the other thread is doing, and leave no half file."""
    abort_writes()
    os._exit(code)


def _receive(tasks: "queue.SimpleQueue[Task]") -> None:
    while True:
        try:
            tasks.put(pickle.load(sys.stdin.buffer))
        except Exception:  # the end, or half a task
            _end(0)


def _work(order: WorkerConfig, tasks: "queue.SimpleQueue[Task]", answers: IO[bytes]) -> None:
    import cv2

    from cleanplate.batch.records import describe_models
    from cleanplate.remover import Remover

    cv2.setNumThreads(order.threads)
    use_server(order.server)
    segmenter, inpainter, device = order.recipe
    remover = Remover(
        segmenter=segmenter, inpainter=inpainter, device=device, threads=order.threads
    )
    while True:
        task = tasks.get()
        done = do_photo(
            task.photo, remover, order.job, overwrite=task.overwrite, traced=order.traced
        )
        if order.tells_provider and done.outcome.status != "failed":
            done = replace(done, provider=describe_models(remover, order.job)["provider"])
        pickle.dump(done, answers)
        answers.flush()
