"""Plain lines on standard output and standard error; no line is ever wrapped."""

import codecs
import io
import os
import sys
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
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


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


def _print(text: str, stream: TextIO) -> None:
    print(one_line(text), file=stream, flush=True)
