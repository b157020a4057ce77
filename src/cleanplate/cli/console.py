"""Plain lines on standard output and standard error; no line is ever wrapped."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def print_line(text: str) -> None:
    """Print a result."""
    _print(text, sys.stdout)


def print_note(text: str) -> None:
    """Print a message on standard error."""
    _print(text, sys.stderr)


def print_error(text: str) -> None:
    """Print an error on standard error."""
    _print(f"cleanplate: error: {text}", sys.stderr)


def one_line(text: str) -> str:
    """Return `text` with control characters escaped: file names may contain any of them."""
    return text.translate(_ESCAPES)


def can_move_cursor() -> bool:
    """Return whether standard error is a terminal that can show a progress bar."""
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; a closed stream is None."""
    return stream is not None and stream.isatty()


def reserve_std_fds() -> None:
    """Open the null device at file descriptors 0 to 2 that are closed.

    Otherwise a file opened later would get one of them: libraries would print into it, and worker
    processes could not be started.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def configure_stdio_errors() -> None:
    """Make both streams print file names that are not valid text, as their bytes.

    Characters that the terminal's encoding lacks are escaped.
    """
    codecs.register_error("cleanplate", _encode_or_escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="cleanplate")


def _encode_or_escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    with name_stream_in_errors(stream):
        print(one_line(text), file=stream, flush=True)


@contextmanager
def name_stream_in_errors(stream: TextIO) -> Iterator[None]:
    """Add the name of standard output or error to errors of writing to it."""
    try:
        yield
    except OSError as error:
        name = "standard output" if stream is sys.stdout else "standard error"
        raise OSError(error.errno, error.strerror, name) from error
