"""Photos that arrive while a run is on: looked for again and again, taken when they are whole."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cleanplate.batch.planning.photo_list import RunPlan

POLL_S = 2.0
"""Time between two looks. A file whose size or time of change differs between them is still being
written; one that was changed longer ago than this is taken at the first look."""

_Mark = tuple[int, int]  # size, time of change in ns


def watch_photos(
    look: Callable[[], RunPlan | None], *, poll_s: float = POLL_S, wait: Callable[[float], None]
) -> Iterator[RunPlan]:
    """Yield plans of what is new or changed since the last one, for ever.

    Args:
        look: plans everything anew, with photos that are known already; None: cannot now.
        poll_s: seconds between two looks.
        wait: called with these, such as `time.sleep`.
    """
    last: dict[Path, _Mark] = {}
    handed_on: dict[Path, _Mark] = {}
    unreadable: set[Path] = set()
    while True:
        plan = look()
        if plan is not None:
            now = {p.source: mark for p in plan.photos if (mark := _mark(p.source)) is not None}
            settled = time.time_ns() - int(poll_s * 1e9)
            ready = tuple(
                photo
                for photo in plan.photos
                if (mark := now.get(photo.source)) is not None
                and mark != handed_on.get(photo.source)
                and (mark == last.get(photo.source) or mark[1] < settled)
            )
            handed_on.update((photo.source, now[photo.source]) for photo in ready)
            last = now
            folders = tuple(f for f in plan.unreadable if f.source not in unreadable)
            unreadable.update(folder.source for folder in folders)
            if ready or folders:
                yield replace(plan, photos=ready, unreadable=folders)
        wait(poll_s)


def _mark(path: Path) -> _Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
