"""Photos that arrive during a run: found by polling, yielded when they are complete."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cleanplate.batch.planning.photo_list import RunPlan

POLL_S = 2.0
"""Polling interval. A file whose size or modification time differs between two polls is still being
written; one that was modified longer ago than this is yielded at the first poll."""

_Mark = tuple[int, int]  # size, modification time in ns


def watch_photos(
    make_plan: Callable[[], RunPlan | None],
    *,
    poll_s: float = POLL_S,
    wait: Callable[[float], None],
) -> Iterator[RunPlan]:
    """Yield plans of the photos that are new or changed, forever.

    Args:
        make_plan: returns a plan of all photos, known ones too; None: not possible now.
        poll_s: seconds between two polls.
        wait: called with these, such as `time.sleep`.
    """
    last: dict[Path, _Mark] = {}
    yielded: dict[Path, _Mark] = {}
    unreadable: set[Path] = set()
    while True:
        plan = make_plan()
        if plan is not None:
            now = {p.source: mark for p in plan.photos if (mark := _mark(p.source)) is not None}
            settled = time.time_ns() - int(poll_s * 1e9)
            ready = tuple(
                photo
                for photo in plan.photos
                if (mark := now.get(photo.source)) is not None
                and mark != yielded.get(photo.source)
                and (mark == last.get(photo.source) or mark[1] < settled)
            )
            yielded.update((photo.source, now[photo.source]) for photo in ready)
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
