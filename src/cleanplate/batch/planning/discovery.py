"""Finds the photos that folders and patterns hold, in an order that never changes."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cleanplate.io import is_photo_name

Parts = tuple[str, ...]
"""A path below the walked folder, name by name."""


@dataclass(slots=True)
class Walk:
    """What walking came across besides photos."""

    ignored: int = 0  # files that are not photos by name, or hidden
    unreadable: list[tuple[Path, str]] = field(default_factory=list)  # folder, cause
    excluded: list[Path] = field(default_factory=list)  # folders this run writes to or reads from
    links: list[Path] = field(default_factory=list)  # links to folders, which are not followed


def walk_folder(
    folder: Path, walk: Walk, *, recursive: bool, excluded: Collection[str]
) -> Iterator[Parts]:
    """Yield the photos in `folder`: its own first, then those of its sub-folders, by name.

    Hidden files count as other files and hidden folders are passed over, as the system's own copies
    lie there (`._a.jpg`, `.thumbnails`). Links to files are photos like any other; links to folders
    are listed in `walk` and not followed, so that no loop is possible and no photo comes twice.

    Args:
        folder: where to look.
        walk: collects what is not a photo.
        recursive: whether to look into sub-folders.
        excluded: real paths of folders not to look into.
    """
    return _walk(folder, (), walk, excluded, enter=lambda _: recursive, take=lambda _: True)


def walk_pattern(
    pattern: Path, walk: Walk, *, recursive: bool, excluded: Collection[str]
) -> tuple[Path, Iterator[Parts]]:
    """Return the folder before the first wildcard, and the photos below it that `pattern` matches.

    `*`, `?` and `[...]` match within a name, `**` any number of folders. A folder that matches
    stands for its direct photos, and with `recursive` for all, as if it had been named.
    """
    names = pattern.parts
    first = next(index for index, name in enumerate(names) if has_wildcard(name))
    wanted = names[first:]

    def take(parts: Parts) -> bool:
        folders = range(1, len(parts)) if recursive else (len(parts) - 1,)
        return matches_pattern(parts, wanted) or any(
            matches_pattern(parts[:k], wanted) for k in folders if k
        )

    def enter(parts: Parts) -> bool:
        # A file in this folder may match, or the folder (or with -r one above) does.
        above = range(1, len(parts) + 1) if recursive else (len(parts),)
        return _may_match_below(parts, wanted) or any(
            matches_pattern(parts[:k], wanted) for k in above
        )

    base = Path(*names[:first])
    return base, _walk(base, (), walk, excluded, enter=enter, take=take)


def has_wildcard(name: str) -> bool:
    """Return whether `name` holds a character that makes it a pattern."""
    return any(character in name for character in "*?[")


def _walk(
    folder: Path,
    parts: Parts,
    walk: Walk,
    excluded: Collection[str],
    *,
    enter: Callable[[Parts], bool],
    take: Callable[[Parts], bool],
) -> Iterator[Parts]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        walk.unreadable.append((folder, error.strerror or type(error).__name__))
        return
    folders = []
    for entry in entries:
        below = (*parts, entry.name)
        hidden = entry.name.startswith(".")
        if _is_folder(entry):
            if enter(below) and not hidden:
                folders.append((entry, below))
        elif take(below):
            if not hidden and is_photo_name(Path(entry.name)) and _is_file(entry):
                yield below
            else:
                walk.ignored += 1
    for entry, below in folders:
        path = folder / entry.name
        if os.path.realpath(path) in excluded:
            walk.excluded.append(path)
        elif entry.is_symlink():
            walk.links.append(path)
        else:
            yield from _walk(path, below, walk, excluded, enter=enter, take=take)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether to read `entry`: also a broken link, to report it; never a pipe or device."""
    try:
        return entry.is_file() or not Path(entry.path).exists()
    except OSError:
        return True


def matches_pattern(parts: Parts, pattern: Parts) -> bool:
    """Return whether the whole of `parts` matches the whole of `pattern`, name by name."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(matches_pattern(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and matches_pattern(parts[1:], pattern[1:])


def _may_match_below(parts: Parts, pattern: Parts) -> bool:
    """Return whether something inside the folder `parts` could match `pattern`."""
    if not pattern:
        return False
    if not parts or pattern[0] == "**":
        return True
    return fnmatch(parts[0], pattern[0]) and _may_match_below(parts[1:], pattern[1:])
