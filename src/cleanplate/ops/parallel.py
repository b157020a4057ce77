"""The same work on several things at once, in threads, with the results in the things' order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def parallel_map(
    work: Callable[[Thing], Result], things: Iterable[Thing], lanes: int
) -> Iterator[Result]:
    """Yield `work(thing)` for each of `things`, in their order.

    Args:
        work: safe to call from several threads.
        things: all are taken at once.
        lanes: at most so many at a time; 1 works in this thread, one by one as they are asked for.

    Raises:
        Exception: what `work` raises, when it is that thing's turn; those not begun are left out.
    """
    if lanes == 1:
        yield from map(work, things)
        return
    with ThreadPoolExecutor(lanes) as pool:
        futures = [pool.submit(work, thing) for thing in things]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
