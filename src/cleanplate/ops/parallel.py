"""Map a function over items in threads, with the results in order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], max_concurrency: int
) -> Iterator[Result]:
    """Yield `function(item)` for each of `items`, in their order.

    Args:
        function: thread-safe.
        items: consumed at once, except with a `max_concurrency` of 1.
        max_concurrency: >= 1, the number of threads; 1 uses the caller's thread and is lazy.

    Raises:
        Exception: whatever `function` raises, at that item's turn; calls not begun are cancelled.
    """
    if max_concurrency == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(max_concurrency) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
