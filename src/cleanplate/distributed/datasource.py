"""The listing as a Ray Data source: one task that yields groups while others are processed."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from cleanplate.distributed.listing import Listing

MAX_GROUPS_AHEAD = 2000
"""Groups listed ahead of those that came back. Ray does not limit the number of small ones, and
would keep them all in the memory of the process that started the run."""

_POLL_S = 0.5
_MAX_POLLS = 240  # without progress; then one group more is yielded, as others may be lost


class ListingSource(Datasource):
    """Yields the groups of a listing, a block each.

    Args:
        listing: what to list.
        counter: handle of a `Counter`, polled while the listing is far ahead.
    """

    def __init__(self, listing: Listing, counter: Any) -> None:
        self._listing, self._counter = listing, counter

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        """Return one task, as a listing cannot be divided in advance."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_paced, self._listing, self._counter), unknown)]

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: the size is not known."""
        return None


def _paced(listing: Listing, counter: Any) -> Iterator[Any]:
    """Yield the rows of a listing, at most `MAX_GROUPS_AHEAD` of those that came back."""
    done = 0
    for number, row in enumerate(listing.rows()):
        for _ in range(_MAX_POLLS):
            if number - done < MAX_GROUPS_AHEAD:
                break
            before, done = done, ray.get(counter.read.remote())
            if done == before:
                time.sleep(_POLL_S)
        yield row
