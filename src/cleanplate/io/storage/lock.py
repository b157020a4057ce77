"""One run at a time on one output folder."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from cleanplate.errors import InputError, PhotoError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # by some network disks


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
