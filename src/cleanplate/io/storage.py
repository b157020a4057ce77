"""Atomic writes, copies and links, hashes, and the lock of an output folder."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cleanplate.errors import InputError, PhotoError

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


def copy_times(source: Path, target: Path) -> tuple[str, ...]:
    """Give `target` the times of access and modification of `source`; return a note if refused."""
    try:
        stat = source.stat()
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    except OSError as error:  # some network disks
        return (f"the time of modification was not set: {error.strerror}",)
    return ()


def temporary_path(target: Path) -> Path:
    """Return a name that is not taken, for a file that will be renamed to `target`."""
    return target.with_name(
        f".{target.name[:_NAME_CHARS]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    )


def read_error(path: str | Path, error: OSError) -> PhotoError:
    """Return the error for a file that cannot be opened or read."""
    cause, advice = {
        errno.ENOENT: ("no such file", "check the name"),
        errno.ENOTDIR: ("no such file", "check the name"),
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
        raise _write_error(target, error) from error


def _write_error(path: Path, error: OSError) -> PhotoError:
    cause, advice = _ADVICE_BY_ERRNO.get(
        error.errno or 0,
        (f"it cannot be written ({error.strerror or error})", "check the disk and the path"),
    )
    return PhotoError(path, cause, advice)


@contextmanager
def reserve_name(paths: Iterable[Path]) -> Iterator[Path]:
    """Take the first of some names that is free, as an empty file; remove it if it stays empty.

    Raises:
        PhotoError: it cannot be written.
    """
    for path in paths:
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        except OSError as error:
            raise _write_error(path, error) from error
        try:
            yield path
        finally:
            with suppress(OSError):
                if path.stat().st_size == 0:
                    path.unlink()
        return


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def hash_files(*paths: Path, algorithm: str = "sha256") -> tuple[str, tuple[os.stat_result, ...]]:
    """Return the hash of files, one after another, and the status of each as it was opened.

    Args:
        paths: files; their contents are hashed as if they were one.
        algorithm: as `hashlib` names it.

    Returns:
        The hash in hexadecimal, and the status of each file.

    Raises:
        OSError: one cannot be read.
    """
    digest, stats = hashlib.new(algorithm, usedforsecurity=False), []
    for path in paths:
        with path.open("rb") as stream:
            stats.append(os.fstat(stream.fileno()))
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest(), tuple(stats)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        return hash_files(path)[0]
    except OSError as error:
        raise read_error(path, error) from error


COPIED_NOTE = "it could not be linked (another disk, or links are not supported) and was copied"
"""What `link_photo` notes where it made a copy."""

_FICLONE = 0x40049409  # linux/fs.h: share all blocks of one file with another (Btrfs, XFS)


def link_photo(source: Path, target: Path) -> tuple[str, ...]:
    """Give a file a second name without a second copy, and return notes on what that means.

    Where the disk can share blocks, `target` is an independent file. Elsewhere it is a hard link:
    whoever edits the one in place edits the other. Where neither can be, as on another disk, it is
    a copy. An existing target is replaced, atomically.

    Raises:
        PhotoError: the source cannot be read or the target not written.
    """
    source, target = Path(source).resolve(), Path(target)
    with suppress(OSError):
        if target.samefile(source):
            return ()
    if target.is_dir() or not source.is_file():
        copy_photo(source, target)  # says what is wrong
        return ()
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
    for make, notes in (
        (_reflink, ()),
        (_hard_link, (f"a hard link to {source}: editing one of them in place edits both",)),
    ):
        temporary = temporary_path(target)
        try:
            make(source, temporary)
            temporary.replace(target)
        except OSError:
            continue
        else:
            return notes
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    copy_photo(source, target)
    return (COPIED_NOTE,)


def _hard_link(source: Path, target: Path) -> None:
    target.hardlink_to(source)


def _reflink(source: Path, target: Path) -> None:
    if sys.platform != "linux":
        raise OSError("only on Linux")
    import fcntl
    import os

    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        stat = os.fstat(old.fileno())
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))


_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # by some network disks


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file, which stays, once no other process or thread does.

    Where the disk has no locks, nothing is held.

    Args:
        path: its folder exists.

    Raises:
        OSError: it cannot be made.
    """
    from filelock import FileLock  # 70 ms

    lock = FileLock(path)
    try:
        lock.acquire()
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    try:
        yield
    finally:
        lock.release()


class OutputLock:
    """Held by the run that writes to a folder; the system frees it however the process ends.

    A file left by a process that died is therefore no lock: only one that is held refuses. Where
    the disk has no locks, those of the journal's database remain.

    Args:
        path: the lock file, whose folder exists; it stays. A file of the same name with the suffix
            .pid holds the number of the process.
        folder: what is locked, for the message.

    Raises:
        InputError: another process holds it.
        PhotoError: the file cannot be made.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        from filelock import FileLock, Timeout  # 70 ms, which only runs with a journal need

        holder = path.with_suffix(".pid")
        # Released by `release` from any thread.
        self._lock = FileLock(path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            known = ""
            with suppress(OSError):
                known = holder.read_text(encoding="ascii", errors="replace").strip()
            raise InputError(
                f"{folder}: another run writes to it{known and f' (process {known})'}; wait for "
                "its end, or name another folder"
            ) from error
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                cause = f"cannot be locked ({error.strerror or error})"
                raise PhotoError(folder, cause, "check the folder's permissions") from error
        with suppress(OSError):  # the disk is full; the lock holds all the same
            holder.write_text(str(os.getpid()), encoding="ascii")

    def release(self) -> None:
        """Let others in."""
        self._lock.release()
