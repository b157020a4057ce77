"""The photos of a run as a stream of small groups, listed while others are being done."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cleanplate.batch import PhotoFilter
from cleanplate.distributed.ledger import Key, Ledger
from cleanplate.distributed.places import Listed, Place
from cleanplate.io import is_photo_name

if TYPE_CHECKING:
    import pyarrow

EVERYTHING = PhotoFilter()
"""Lets all photos through."""

END = "end"
"""Name of the last row of a listing: `keys` then holds the pickled number of groups before it."""

FAILED = "failed"
"""Name of a row in the place of `END`: `keys` then holds why the listing ended early."""

LOST = "lost"
"""Name of a row in the place of a group over which one actor after the other was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which photos a pass over the input hands out, and in what portions."""

    source: Place
    output: Place
    run: str
    tour: int  # the how-manieth pass of the run; photos with a row of this run are passed over
    group: int  # photos given to an actor at once
    photo_filter: PhotoFilter = EVERYTHING

    def photos(self) -> Iterator[Key]:
        """Yield the photos.

        Raises:
            OSError: the input or the report cannot be read.
        """
        with Ledger(self.output, self.run) as ledger:
            for listed in photos_below(self.source, self.output, self.photo_filter):
                key = ledger.key_of(listed)
                if key is not None:
                    yield key

    def rows(self) -> "Iterator[pyarrow.Table]":
        """Yield a row per group for `Cleaner`, and one that tells how many there were."""
        count = 0
        try:
            group: list[Key] = []
            for key in self.photos():
                group.append(key)
                if len(group) == self.group:
                    yield _row(f"part-{self.run}-{self.tour}-{count:07}", group)
                    count, group = count + 1, []
            if group:
                yield _row(f"part-{self.run}-{self.tour}-{count:07}", group)
                count += 1
        except OSError as error:
            yield _row(FAILED, " ".join(str(error).split()))
            return
        yield _row(END, count)


def photos_below(source: Place, output: Place, photo_filter: PhotoFilter) -> Iterator[Listed]:
    """Yield the photos of a place, in the store's order.

    As in a folder that is walked, hidden files and what lies in hidden folders is passed over, and
    so is the output if it lies inside.

    Raises:
        OSError: the place cannot be listed.
    """
    inside = output.below(source)
    for listed in source.list():
        relative = listed.relative
        if inside and relative.startswith(inside + "/"):
            continue
        parts = PurePosixPath(relative).parts
        if not parts or not is_photo_name(parts[-1]) or relative.endswith("/"):
            continue
        if any(part.startswith(".") and part != ".." for part in parts):
            continue
        if photo_filter.takes(Path(), parts):
            yield listed


def _row(name: str, content: object) -> Any:
    import pyarrow as pa

    return pa.table({"name": [name], "keys": pa.array([pickle.dumps(content)], pa.binary())})
