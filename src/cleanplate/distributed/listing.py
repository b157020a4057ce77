"""The photos of a run as a stream of small groups, listed while others are processed."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cleanplate.batch import PhotoFilter
from cleanplate.distributed.history import ListedPhoto, RunHistory
from cleanplate.distributed.location import FileInfo, Location
from cleanplate.io import is_photo_name

if TYPE_CHECKING:
    import pyarrow

ALL_PHOTOS = PhotoFilter()
"""Selects all photos."""

END = "end"
"""Name of the last row of a listing: `keys` then holds the pickled number of groups before it."""

FAILED = "failed"
"""Name of a row instead of `END`: `keys` then holds why the listing ended early."""

LOST = "lost"
"""Name of a row instead of a group that no actor could finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which photos a pass over the input yields, and in groups of what size."""

    source: Location
    output: Location
    run: str
    pass_number: int  # from 1; photos that have a row of this run are excluded
    group_size: int  # photos sent to an actor at once
    photo_filter: PhotoFilter = ALL_PHOTOS

    def photos(self) -> Iterator[ListedPhoto]:
        """Yield the photos.

        Raises:
            OSError: the input or the report cannot be read.
        """
        with RunHistory(self.output, self.run) as history:
            for file in photos_below(self.source, self.output, self.photo_filter):
                photo = history.look_up(file)
                if photo is not None:
                    yield photo

    def rows(self) -> "Iterator[pyarrow.Table]":
        """Yield a row for each group, for `PhotoActor`, and a last one with their number."""
        count = 0
        try:
            group: list[ListedPhoto] = []
            for photo in self.photos():
                group.append(photo)
                if len(group) == self.group_size:
                    yield _row(f"part-{self.run}-{self.pass_number}-{count:07}", group)
                    count, group = count + 1, []
            if group:
                yield _row(f"part-{self.run}-{self.pass_number}-{count:07}", group)
                count += 1
        except OSError as error:
            yield _row(FAILED, " ".join(str(error).split()))
            return
        yield _row(END, count)


def photos_below(
    source: Location, output: Location, photo_filter: PhotoFilter
) -> Iterator[FileInfo]:
    """Yield the photos below a location, in the store's order.

    As in the batch runs, hidden files and folders are excluded, and the output if it is inside.

    Raises:
        OSError: the location cannot be listed.
    """
    inside = output.below(source)
    for file in source.list():
        relative = file.relative
        if inside and relative.startswith(inside + "/"):
            continue
        parts = PurePosixPath(relative).parts
        if not parts or not is_photo_name(parts[-1]) or relative.endswith("/"):
            continue
        if any(part.startswith(".") and part != ".." for part in parts):
            continue
        if photo_filter.takes(Path(), parts):
            yield file


def _row(name: str, content: object) -> Any:
    import pyarrow as pa

    return pa.table({"name": [name], "keys": pa.array([pickle.dumps(content)], pa.binary())})
