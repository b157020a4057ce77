"""One queue for everything that runs networks: bounded, first come first served, cancellable."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cleanplate.errors import CleanplateError
from cleanplate.runtime import interruptible

_ResultT = TypeVar("_ResultT")

_POLL_S = 0.2  # how often a waiting request is asked whether its client is still there
_MOST_WAIT_S = 60  # that a client is told to wait
_FIRST_GUESS_S = 5.0  # of the time that one task takes


class BusyError(CleanplateError):
    """The queue is full."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the server is busy; try again in {retry_after_s} s")


class CancelledError(CleanplateError):
    """The client has gone, or has cancelled its request."""


class Ticket:
    """One task in the queue."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ask the task to end at its next check."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Do nothing, unless the task was cancelled.

        Raises:
            CancelledError: it was.
        """
        if self.is_cancelled:
            raise CancelledError("cancelled")


class WorkQueue:
    """Runs tasks one at a time in a thread of its own.

    Args:
        capacity: tasks that may wait or run; more are refused.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="cleanplate-work")
        self._tickets: list[Ticket] = []  # in the queue, the running one first
        self._mean_s = _FIRST_GUESS_S

    async def run(
        self,
        task: Callable[[Ticket], _ResultT],
        is_gone: Callable[[], Awaitable[bool]],
        *,
        ticket: Ticket | None = None,
        on_wait: Callable[[int], None] = lambda _: None,
        must_run: bool = False,
    ) -> _ResultT:
        """Return what a task returns, when it is its turn.

        Args:
            task: called in the queue's thread; it calls the ticket's `check` where it can end.
            is_gone: tells whether nobody waits for the result any more.
            ticket: by which others can cancel it; None makes one.
            on_wait: called with the number of tasks before this one, once.
            must_run: wait also where too many are waiting.

        Raises:
            BusyError: too many are waiting.
            CancelledError: it was cancelled.
        """
        before = len(self._tickets)
        if before >= self._capacity and not must_run:
            raise BusyError(min(_MOST_WAIT_S, max(1, round(self._mean_s * before))))
        ticket = ticket or Ticket()
        self._tickets.append(ticket)
        on_wait(before)
        running = self._pool.submit(self._timed, task, ticket)
        future = asyncio.wrap_future(running)
        try:
            while not (await asyncio.wait({future}, timeout=_POLL_S))[0]:
                if await is_gone():
                    ticket.cancel()
                if ticket.is_cancelled and running.cancel():  # it had not begun: its place is free
                    ticket.check()
            return future.result()
        except asyncio.CancelledError:  # the server ends
            raise CancelledError("the server is shutting down") from None
        finally:
            ticket.cancel()
            self._tickets.remove(ticket)

    def __len__(self) -> int:
        """Return how many tasks wait or run."""
        return len(self._tickets)

    def _timed(self, task: Callable[[Ticket], _ResultT], ticket: Ticket) -> _ResultT:
        ticket.check()
        start = time.perf_counter()
        with interruptible(ticket.check):
            result = task(ticket)
        self._mean_s += 0.2 * (time.perf_counter() - start - self._mean_s)
        return result

    def cancel_all(self) -> None:
        """Cancel what waits, and what runs at its next check."""
        for ticket in self._tickets:
            ticket.cancel()

    def close(self) -> None:
        """End the thread after what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
