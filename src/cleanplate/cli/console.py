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
    """Print, on standard error, what is going on."""
    _print(text, sys.stderr)


def print_error(text: str) -> None:
    """Print, on standard error, what went wrong."""
    _print(f"cleanplate: error: {text}", sys.stderr)


def one_line(text: str) -> str:
    """Return `text` with control characters escaped: names of files may hold any of them."""
    return text.translate(_ESCAPES)


def can_move_cursor() -> bool:
    """Return whether standard error is a terminal on which a bar can be shown."""
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; one that is closed is None."""
    return stream is not None and stream.isatty()


def occupy_closed_streams() -> None:
    """Let no file that is opened later be standard input, output or error, if one is closed.

    What a library prints would be written into it, and workers could not be started.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def survive_any_file_name() -> None:
    """Let both streams print names that are no valid text, as the bytes they are.

    A character that the terminal's encoding lacks is escaped.
    """
    codecs.register_error("cleanplate", _encode_somehow)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="cleanplate")


def _encode_somehow(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    with naming(stream):
        print(one_line(text), file=stream, flush=True)


@contextmanager
def naming(stream: TextIO) -> Iterator[None]:
    """Let an error of writing to standard output or error name it."""
    try:
        yield
    except OSError as error:
        name = "standard output" if stream is sys.stdout else "standard error"
        raise OSError(error.errno, error.strerror, name) from error
