"""Which of the photos that were found are to be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cleanplate.batch.planning.discovery import Parts, matches_pattern
from cleanplate.errors import InputError
from cleanplate.io import read_size


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFilter:
    """Globs and sizes. A glob without a slash is compared with each name in a path on its own.

    A photo's path is the one below the input folder, for a named file its name.
    """

    include: tuple[str, ...] = ()  # one of them has to match the photo's name or path
    exclude: tuple[str, ...] = ()  # none of them may match its path, its name or a folder's
    min_size: int | None = None  # px of the long side
    max_size: int | None = None

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            InputError: no size lies between them.
        """
        if None not in (self.min_size, self.max_size) and self.min_size > self.max_size:  # type: ignore[operator]
            raise InputError(
                f"--min-size {self.min_size} is above --max-size {self.max_size}; no photo is both"
            )

    def takes(self, source: Path, parts: Parts) -> bool:
        """Return whether to do a photo; its header is read only if sizes were given."""
        if any(_matches(glob, parts, folders=True) for glob in self.exclude):
            return False
        if self.include and not any(_matches(glob, parts, folders=False) for glob in self.include):
            return False
        if self.min_size is None and self.max_size is None:
            return True
        size_hw = read_size(source)
        if size_hw is None:
            return True  # it will fail with the reason
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
