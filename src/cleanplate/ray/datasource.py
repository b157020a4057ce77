"""The listing as a source of Ray Data: one task that yields groups while others are being done."""

from typing import Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from cleanplate.ray.grouping import Listing


class ListingSource(Datasource):
    """Yields the groups of a listing, a block each; Ray Data makes it wait when it is far ahead.

    Args:
        listing: what to list.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        """Return one task, as a listing has no parts that are known before."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(self._listing.rows, unknown)]

    def estimate_inmemory_data_size(self) -> int | None:
        """Return that it is not known."""
        return None
