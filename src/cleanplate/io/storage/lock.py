"""One run at a time on one output folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from cleanplate.errors import InputError, PhotoError


class OutputLock:
    """Held by the run that writes to a folder; the system frees it however the process ends.

    A file left by a process that died is therefore no lock: only one that is held refuses.

    Args:
        path: the lock file, whose folder exists; it stays and holds the number of the process.
        folder: what is locked, for the message.

    Raises:
        InputError: another process holds it.
        PhotoError: the file cannot be made.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            cause = f"cannot be locked ({error.strerror})"
            raise PhotoError(folder, cause, "check the rights there") from error
        if not _try_lock(self._descriptor):
            holder = os.pread(self._descriptor, 20, 1) if hasattr(os, "pread") else b""
            os.close(self._descriptor)
            known = f" (process {holder.decode('ascii', 'replace').strip()})" if holder else ""
            raise InputError(
                f"{folder}: another run writes to it{known}; wait for its end, or name another "
                "folder"
            )
        with suppress(OSError):  # the disk is full; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f" {os.getpid()}\n".encode("ascii"))  # byte 0 is the lock's

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a network disk without locks: the journal's own locks remain
            return True
        return True
