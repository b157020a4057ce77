"""How much memory there is, and how much one photo will take."""

import os
import re
from pathlib import Path

from cleanplate.errors import InputError
from cleanplate.io import read_size

# Measured with the built-in networks on photos of 0.5 to 24 megapixels, JPEG and PNG, of which a
# third was removed: 420 to 470 MB at rest after the first photo, and 38 to 56 bytes per pixel.
RUN_BYTES = 120 << 20
"""The process that plans, hands out the photos and reports."""

WORKER_BYTES = 480 << 20
"""A worker with its libraries, its models and the arena that the networks run in."""

BYTES_PER_PIXEL = 60
"""What work on a photo takes besides."""

_USUAL_PIXELS = 12_000_000  # of a photo; decides how many workers fit

_DEFAULT_SHARE = 0.75  # of what is free at the start
_WITHOUT_KNOWING = 4 << 30  # on systems that do not tell

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that `text` means: 800M, 4G, 1.5GiB; units count by 1024.

    Raises:
        InputError: it is no size; the message shows some.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise InputError(f"{text!r} is no amount of memory; write 800M or 4G")
    return size


def shown_size(size_bytes: float) -> str:
    """Return "640 MB" or "3.2 GB", counted by 1024 as `parse_size` does."""
    if size_bytes < 1 << 30:
        return f"{size_bytes / (1 << 20):.0f} MB"
    return f"{size_bytes / (1 << 30):.1f} GB"


def default_max_memory() -> int:
    """Return what a run may take unless the user says otherwise: three quarters of what is free."""
    free = _free_bytes()
    return _WITHOUT_KNOWING if free is None else int(_DEFAULT_SHARE * free)


def photo_need(path: Path) -> int:
    """Return the bytes that working on a photo will take, by the size its header states.

    A file whose header says nothing is taken for a small one: it will be refused when it is read.
    """
    size_hw = read_size(path)
    pixels = 0 if size_hw is None else size_hw[0] * size_hw[1]
    return BYTES_PER_PIXEL * pixels


def worker_count(*, photos: int, cores: int, max_memory: int) -> int:
    """Return how many workers are worth their start on this machine: 1 for a handful of photos."""
    by_memory = max_memory // (WORKER_BYTES + _USUAL_PIXELS * BYTES_PER_PIXEL)
    return max(1, min(cores, photos // 4, by_memory))


def _free_bytes() -> int | None:
    """Return the memory that may be used without swapping; None if the system does not tell."""
    known = [free for free in (_free_of_machine(), _free_of_group()) if free is not None]
    return min(known, default=None)


def _free_of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS: half of all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _free_of_group() -> int | None:
    """Return what a container may still use (Linux, control groups version 2)."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
