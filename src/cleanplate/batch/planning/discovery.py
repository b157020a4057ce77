"""Find the photos in folders and by patterns, in an order that never changes; filter them."""

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cleanplate.errors import InputError
from cleanplate.io import is_photo_name, read_error, read_size

Parts = tuple[str, ...]
"""A path below the walked folder, name by name."""

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "@recycle", "#snapshot"}  # of Synology's and QNAP's disk stations
    | {"$recycle.bin", "system volume information", "__macosx"}
    | {".trash", ".trashes", ".thumbnails"}
)
"""Names in lower case of folders that hold thumbnails and deleted files."""


@dataclass(slots=True)
class Walk:
    """What a walk found besides photos."""

    ignored: int = 0  # files that are not photos by name, or hidden
    unreadable: list[tuple[Path, str]] = field(default_factory=list)  # folder, cause
    excluded: list[Path] = field(default_factory=list)  # folders this run writes to or reads from
    links: list[Path] = field(default_factory=list)  # links to folders, which are not followed
    system: list[Path] = field(default_factory=list)  # folders of the system, see SYSTEM_FOLDERS


def walk_folder(
    folder: Path, walk: Walk, *, recursive: bool, excluded: Collection[str]
) -> Iterator[Parts]:
    """Yield the photos in `folder`: its own first, then those of its sub-folders, by name.

    Hidden files count as other files, as they are copies made by the system (`._a.jpg`); hidden
    folders, and those of thumbnails and deleted files, are ignored. Links to files are like other
    photos; links to folders are listed in `walk` and not followed, so that no loop is possible and
    no photo comes twice.

    Args:
        folder: to walk.
        walk: collects everything that is not a photo.
        recursive: whether to enter sub-folders.
        excluded: real paths of folders not to enter.
    """
    return _walk(folder, (), walk, excluded, enter=lambda _: recursive, take=lambda _: True)


def walk_pattern(
    pattern: Path, first: int, walk: Walk, *, recursive: bool, excluded: Collection[str]
) -> tuple[Path, Iterator[Parts]]:
    """Return the folder before the first wildcard, and the photos below it that `pattern` matches.

    `first` is from `find_wildcard`.

    `*`, `?` and `[...]` match within a name, `**` any number of folders. A folder that matches
    means its direct photos, and with `recursive` all of them, as if it had been named.
    """
    names = pattern.parts
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


def find_wildcard(pattern: Path) -> int | None:
    """Return which part of a path is the first with a wildcard, unless a folder has that name."""
    names = pattern.parts
    for index, name in enumerate(names):
        is_pattern = any(character in name for character in "*?[")
        if is_pattern and not os.access(Path(*names[: index + 1]), os.F_OK):
            return index
    return None


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
            if enter(below) and entry.name.lower() in SYSTEM_FOLDERS:
                walk.system.append(folder / entry.name)
            elif enter(below) and not hidden:
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
    """Return whether all of `parts` matches all of `pattern`, name by name."""
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


def read_list(path: Path) -> list[str]:
    """Return the photos that a list names, each once.

    One name per line. Empty lines and those that begin with # are ignored; a line that begins
    with a quotation mark is a JSON string, for names that contain line breaks or the like.

    Raises:
        PhotoError: the file cannot be read.
        InputError: there is no name in it, or a line is not a JSON string.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise read_error(path, error) from error
    names = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith('"'):
            names.append(line)
            continue
        try:
            names.append(str(json.loads(line)))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: is not a JSON string ({error})") from error
    if not names:
        raise InputError(f"{path}: lists no photo; write one path a line")
    return list(dict.fromkeys(names))


def no_photos_message(inputs: Sequence[Path], walk: Walk, *, recursive: bool) -> str:
    """Return why a run without photos is refused."""
    named = ", ".join(str(path) for path in inputs)
    others = f" ({count_files(walk.ignored)} that are not photos)" if walk.ignored else ""
    if not recursive:
        for folder in (path for path in inputs if path.is_dir()):
            if next(walk_folder(folder, Walk(), recursive=True, excluded=()), None) is not None:
                return (
                    f"{named}: no photos here{others}, but in sub-folders; add -r to include them"
                )
    return f"{named}: no photos found{others}; name photos, or folders that contain some"


def count_files(count: int) -> str:
    """Return "1 file" or "7 files"."""
    return f"{count} file" if count == 1 else f"{count} files"


def notes_of(walk: Walk, left_out: int) -> tuple[str, ...]:
    """Return notes on what a walk excluded, and on how many photos the filter did."""
    ours = [
        f"{path}: used by this run itself, excluded from the inputs"
        for path in dict.fromkeys(walk.excluded)
    ]
    links = [
        f"{path}: a link to a folder, not followed; name it as an input to include it"
        for path in dict.fromkeys(walk.links)
    ]
    names = ", ".join(sorted({path.name for path in walk.system}))
    system = (
        [
            f"{len(walk.system)} folder{'s' * (len(walk.system) > 1)} of thumbnails or deleted "
            f"files ignored ({names}); name one as an input to include it"
        ]
        if walk.system
        else []
    )
    deselected = "1 photo" if left_out == 1 else f"{left_out} photos"
    selected = [f"{deselected} excluded by the options"] if left_out else []
    return (*ours, *links, *system, *selected)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFilter:
    """Globs and sizes. A glob without a slash is compared with each name in a path.

    A photo's path is the one below the input folder, for a named file its name.
    """

    include: tuple[str, ...] = ()  # one of them must match the photo's name or path
    exclude: tuple[str, ...] = ()  # none of them may match its path, its name or a folder's
    min_size: int | None = None  # px of the long side
    max_size: int | None = None

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            InputError: the minimum exceeds the maximum.
        """
        if None not in (self.min_size, self.max_size) and self.min_size > self.max_size:  # type: ignore[operator]
            raise InputError(
                f"--min-size {self.min_size} is above --max-size {self.max_size}; no photo can "
                "match"
            )

    def takes(self, source: Path, parts: Parts) -> bool:
        """Return whether to process a photo; its header is read only if sizes were given."""
        if any(_matches(glob, parts, folders=True) for glob in self.exclude):
            return False
        if self.include and not any(_matches(glob, parts, folders=False) for glob in self.include):
            return False
        if self.min_size is None and self.max_size is None:
            return True
        size_hw = read_size(source)
        if size_hw is None:
            return True  # reading it will report the error
        long_side = max(size_hw)
        return (self.min_size or 0) <= long_side <= (self.max_size or long_side)


def _matches(glob: str, parts: Parts, *, folders: bool) -> bool:
    wanted: Sequence[str] = [name for name in glob.split("/") if name]
    if len(wanted) == 1 and wanted[0] != "**":
        names = parts if folders else parts[-1:]
        return any(matches_pattern((name,), tuple(wanted)) for name in names)
    return matches_pattern(parts, tuple(wanted)) or (
        folders and any(matches_pattern(parts[:end], tuple(wanted)) for end in range(1, len(parts)))
    )
