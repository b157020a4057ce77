"""The listing as a source of Ray Data: one task that yields groups while others are being done."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from cleanplate.distributed.grouping import Listing

MOST_AHEAD = 2000
"""Groups that are listed before their turn. Ray would hold small ones back by no number of them,
but keep them all in the memory of the process that started the run."""

_LOOKS_EVERY_S = 0.5
_LOOKS = 240  # without any progress; then one group more is let through, if others were lost


class Counter:
    """An actor that knows how many groups came back."""

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        """Count one more."""
        self._count += 1

    def read(self) -> int:
        """Return how many there were."""
        return self._count


class ListingSource(Datasource):
    """Yields the groups of a listing, a block each.

    Args:
        listing: what to list.
        counter: handle of a `Counter`, to wait for when the listing is far ahead.
    """

    def __init__(self, listing: Listing, counter: Any) -> None:
        self._listing, self._counter = listing, counter

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        """Return one task, as a listing has no parts that are known before."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_paced, self._listing, self._counter), unknown)]

    def estimate_inmemory_data_size(self) -> int | None:
        """Return that it is not known."""
        return None


def _paced(listing: Listing, counter: Any) -> Iterator[Any]:
    """Yield the rows of a listing, not too far ahead of those that came back."""
    done = 0
    for number, row in enumerate(listing.rows()):
        for _ in range(_LOOKS):
            if number - done < MOST_AHEAD:
                break
            before, done = done, ray.get(counter.read.remote())
            if done == before:
                time.sleep(_LOOKS_EVERY_S)
        yield row
