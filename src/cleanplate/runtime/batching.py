"""Batching of concurrent calls whose inputs have the same shapes.

A GPU takes hardly longer for eight small images than for one. No call waits for a batch to fill: a
call on an idle network runs at once, and the calls queued meanwhile form the next batch, which one
of their threads runs for all.
"""

import itertools
import logging
import threading
from collections.abc import Sequence

import numpy as np

from cleanplate.errors import DeviceError
from cleanplate.runtime.network import Run, Tensor

logger = logging.getLogger(__name__)

MAX_IN_BATCH = 32
"""Largest batch, in calls."""

_MAX_VALUES = 8_000_000  # of a batch's inputs: 30 windows of 256x256 px, 4 tiles of 768x768 px


class _Call:
    """One caller's inputs, and their outputs or error."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.shapes = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        self.values = sum(tensor.size for tensor in tensors)
        self.outputs: list[Tensor] | None = None
        self.error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.outputs is not None or self.error is not None


class Batcher:
    """Runs one network for many threads, one batch at a time.

    Args:
        run: computes a batch along the first axis of inputs and outputs; its elements are
            independent.
        most: calls in one batch.
    """

    def __init__(self, run: Run, *, most: int = MAX_IN_BATCH) -> None:
        self._run, self._most = run, most
        self._most_values = _MAX_VALUES
        self._waiting: list[_Call] = []
        self._busy = False
        self._changed = threading.Condition()

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs for inputs whose first axes have the same length, mostly 1.

        Raises:
            Exception: what `run` raises for these inputs alone.
        """
        call = _Call(tensors)
        with self._changed:
            self._waiting.append(call)
            self._changed.wait_for(lambda: call.is_done or not self._busy)
            if not call.is_done:
                self._busy = True
                batch = self._take(call)
        if not call.is_done:
            try:
                self._compute(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if call.error is not None:
            raise call.error
        return call.outputs or []

    def _take(self, first: _Call) -> list[_Call]:
        """Return a call with the oldest compatible ones, removed from the queue."""
        room = max(1, min(self._most, self._most_values // max(1, first.values)))
        others = [call for call in self._waiting if call is not first]
        batch = [first, *[call for call in others if call.shapes == first.shapes][: room - 1]]
        self._waiting = [call for call in self._waiting if call not in batch]
        return batch

    def _compute(self, batch: list[_Call]) -> None:
        try:
            if len(batch) == 1:
                batch[0].outputs = self._run(batch[0].tensors)
                return
            together = [
                np.concatenate(tensors)
                for tensors in zip(*(call.tensors for call in batch), strict=True)
            ]
            outputs = self._run(together)
            length = len(batch[0].tensors[0])
            for start, call in zip(itertools.count(step=length), batch, strict=False):
                call.outputs = [output[start : start + length] for output in outputs]
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            # One call's error must not fail the others, and single calls take less memory.
            logger.info("a batch of %d failed (%s); its calls run one by one", len(batch), error)
            if isinstance(error, DeviceError):  # out of memory: limit the batch size
                self._most_values = batch[0].values * len(batch) // 2
            for call in batch:
                self._compute([call])
