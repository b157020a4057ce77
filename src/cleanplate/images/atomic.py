"""Files that appear whole or not at all: a temporary file beside the target, then a rename."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cleanplate.errors import PhotoError

TEMPORARY_SUFFIX = ".cleanplate-tmp"

_NAME_CHARS = 40  # of the target's name in the temporary one, to stay below 255 bytes in UTF-8

_ADVICE_BY_ERRNO = {
    errno.ENOSPC: ("the disk is full", "free some space or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or write to another disk"),
    errno.EACCES: ("no permission to write there", "write to another folder or change its rights"),
    errno.EPERM: ("no permission to write there", "write to another folder or change its rights"),
    errno.EROFS: ("that disk is read-only", "write to another folder"),
    errno.ENAMETOOLONG: ("the file name is too long", "choose a shorter name"),
    errno.EISDIR: ("that is a folder", "name a file"),
    errno.ENOTDIR: ("a part of that path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("a part of that path is a file, not a folder", "choose another folder"),
}


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either complete or, on any error, as it was before.

    The data go to `.NAME.RANDOM.cleanplate-tmp` in the same folder, which is made if need be, are
    forced to the disk and renamed. A symbolic link is replaced by a file. The mode is that of any
    new file (0o666 less the umask).

    Args:
        path: the file to write; replaced if it exists.
        data: its content.

    Raises:
        PhotoError: disk full, no permission, name too long, or another error of the system.
    """
    with _whole_or_nothing(Path(path)) as stream:
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
        raise reading_error(source, error) from error
    with stream:
        with suppress(OSError):
            if target.samefile(source):
                return
        with _whole_or_nothing(target) as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
            stat = os.fstat(stream.fileno())
            with suppress(OSError):  # some network disks refuse; the content matters
                os.utime(copy.name, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def reading_error(path: str | Path, error: OSError) -> PhotoError:
    """Return what to tell the user about a file that cannot be opened or read."""
    cause, advice = {
        errno.ENOENT: ("there is no such file", "check the name"),
        errno.ENOTDIR: ("there is no such file", "check the name"),
        errno.EISDIR: ("that is a folder", "name a file, or run on the folder"),
        errno.EACCES: ("no permission to read it", "change the file's rights"),
        errno.EPERM: ("no permission to read it", "change the file's rights"),
        errno.ENAMETOOLONG: ("the file name is too long", "check the name"),
    }.get(
        error.errno or 0,
        (f"it cannot be read ({error.strerror or error})", "check the disk and the name"),
    )
    return PhotoError(path, cause, advice)


@contextmanager
def _whole_or_nothing(target: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `target`; rename it on success, remove it on any error."""
    temporary = target.with_name(
        f".{target.name[:_NAME_CHARS]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    )
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:  # KeyboardInterrupt too: no half files are left behind
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except PhotoError:
        raise
    except OSError as error:
        cause, advice = _ADVICE_BY_ERRNO.get(
            error.errno or 0,
            (f"it cannot be written ({error.strerror or error})", "check the disk and the name"),
        )
        raise PhotoError(target, cause, advice) from error
