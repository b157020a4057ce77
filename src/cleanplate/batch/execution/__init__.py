"""Processing photos: one, or many in worker processes."""

from cleanplate.batch.execution.engine import (
    Engine,
    Resources,
    is_portable,
    parse_size,
    photo_pixels,
)
from cleanplate.batch.execution.in_memory import pass_bytes, run_bytes
from cleanplate.batch.execution.worker import Task, Worker, WorkerConfig
