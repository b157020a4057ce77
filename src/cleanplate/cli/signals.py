"""Ends a run in good order when the system asks for it, as Ctrl-C does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")  # the second when a terminal is closed; not on Windows


class EndedBySignalError(KeyboardInterrupt):
    """Raised where the program is when a signal other than Ctrl-C arrives."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `EndedBySignalError`, unless they are ignored or handled."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """Return 128 plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM."""
    number = interrupt.number if isinstance(interrupt, EndedBySignalError) else signal.SIGINT
    return 128 + int(number)


def _raise(number: int, frame: FrameType | None) -> None:
    raise EndedBySignalError(number)
