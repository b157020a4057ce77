"""Links instead of copies: a reflink where the file system can, else a hard link."""

import sys
from contextlib import suppress
from pathlib import Path

from cleanplate.io.storage.atomic import copy_photo, temporary_path

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
