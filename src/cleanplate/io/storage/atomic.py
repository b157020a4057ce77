"""Atomic file writes: a temporary file beside the target, then a rename."""

import errno
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cleanplate.errors import PhotoError

TEMPORARY_SUFFIX = ".cleanplate-tmp"

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX), re.DOTALL)

_opening = threading.RLock()  # a signal's handler may need it while its thread has it
_open_files: set[Path] = set()  # temporary files of this process that are not renamed yet

_NAME_CHARS = 40  # of the target's name in the temporary one, to stay below 255 bytes in UTF-8

_ADVICE_BY_ERRNO = {
    errno.ENOSPC: ("the disk is full", "free some space or write to another disk"),
    errno.EDQUOT: ("the disk quota is exceeded", "free some space or write to another disk"),
    errno.EACCES: ("permission denied", "write to another folder or change its permissions"),
    errno.EPERM: ("permission denied", "write to another folder or change its permissions"),
    errno.EROFS: ("the file system is read-only", "write to another folder"),
    errno.ENAMETOOLONG: ("the file name is too long", "choose a shorter name"),
    errno.EISDIR: ("it is a folder", "give the path of a file"),
    errno.ENOTDIR: ("a parent of this path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("a parent of this path is a file, not a folder", "choose another folder"),
}


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either complete or, on any error, as it was before.

    The data go to `.NAME.RANDOM.cleanplate-tmp` in the same folder, which is created if needed, are
    forced to the disk and renamed. A symbolic link is replaced by a file. The mode is that of any
    new file (0o666 less the umask).

    Args:
        path: the file to write; replaced if it exists.
        data: its content.

    Raises:
        PhotoError: disk full, no permission, name too long, or another error of the system.
    """
    with _atomic_file(Path(path)) as stream:
        stream.write(data)


def copy_photo(source: Path, target: Path) -> None:
    """Copy a file byte for byte, with its time of modification, as `write_bytes_atomic` does.

    Nothing is done where both names mean the same file.

    Raises:
        PhotoError: the source cannot be read or the target not written; the path says which.
    """
    source, target = Path(source), Path(target)
    try:
        stream = source.open("rb")
    except OSError as error:
        raise read_error(source, error) from error
    with stream:
        with suppress(OSError):
            if target.samefile(source):
                return
        with _atomic_file(target) as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
            stat = os.fstat(stream.fileno())
            with suppress(OSError):  # some network disks refuse; the content matters
                os.utime(copy.name, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def temporary_path(target: Path) -> Path:
    """Return a name that is not taken, for a file that will be renamed to `target`."""
    return target.with_name(
        f".{target.name[:_NAME_CHARS]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    )


def read_error(path: str | Path, error: OSError) -> PhotoError:
    """Return the error for a file that cannot be opened or read."""
    cause, advice = {
        errno.ENOENT: ("there is no such file", "check the name"),
        errno.ENOTDIR: ("there is no such file", "check the name"),
        errno.EISDIR: ("it is a folder", "give the path of a file, or run on the folder"),
        errno.EACCES: ("permission denied", "change the file's permissions"),
        errno.EPERM: ("permission denied", "change the file's permissions"),
        errno.ENAMETOOLONG: ("the file name is too long", "check the name"),
    }.get(
        error.errno or 0,
        (f"it cannot be read ({error.strerror or error})", "check the disk and the path"),
    )
    return PhotoError(path, cause, advice)


def abort_writes() -> None:
    """Remove the temporary files of all threads and block further writes.

    For a process that exits at once while its threads may be writing.
    """
    _opening.acquire()  # forever
    for path in tuple(_open_files):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, older_than_s: float = 0.0) -> int:
    """Remove temporary files of killed processes from a folder, and return their number.

    Args:
        folder: nobody else may be writing photos to it now; its sub-folders are not searched.
        older_than_s: keep temporary files that were changed within this time.
    """
    removed = 0
    newest = time.time() - older_than_s
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime <= newest:
                        os.unlink(entry.path)  # noqa: PTH108 - the entry's own path
                        removed += 1
    return removed


@contextmanager
def _atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `target`; rename it on success, remove it on any error."""
    temporary = temporary_path(target)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _opening:
                _open_files.add(temporary)
                stream = temporary.open("xb")
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:  # KeyboardInterrupt too: no half files are left behind
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            _open_files.discard(temporary)
    except PhotoError:
        raise
    except OSError as error:
        cause, advice = _ADVICE_BY_ERRNO.get(
            error.errno or 0,
            (f"it cannot be written ({error.strerror or error})", "check the disk and the path"),
        )
        raise PhotoError(target, cause, advice) from error
