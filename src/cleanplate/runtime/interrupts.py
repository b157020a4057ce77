"""Ending a long computation before its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None]] = ContextVar("_check", default=lambda: None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Within it, in this thread, `check` is called during long runs, which end if it raises."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def check_interrupted() -> None:
    """Do nothing, or raise what the `check` of `interruptible` raises."""
    _check.get()()
