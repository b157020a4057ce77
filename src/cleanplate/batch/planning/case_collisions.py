"""Names that some disks take for one: `A.JPG` and `a.jpg`, or two spellings of one letter."""

import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path


def case_collisions(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return the pairs that differ only in upper and lower case or in their Unicode form."""
    first: dict[str, Path] = {}
    twins = []
    for path in paths:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
        other = first.setdefault(folded, path)
        if other != path:
            twins.append((other, path))
    return twins


def are_one_file(first: Path, second: Path, folder: Path) -> bool:
    """Return whether the disk that holds `folder` would take both names for one.

    Args:
        first: below `folder`.
        second: below `folder`; differs as `case_collisions` tells.
        folder: need not exist.
    """
    alike = [unicodedata.normalize("NFC", str(path)) for path in (first, second)]
    if alike[0] == alike[1]:  # macOS takes all forms for one, the others none
        return sys.platform == "darwin"
    return _ignores_case(folder)


def _ignores_case(folder: Path) -> bool:
    """Return whether the disk ignores case, by the first folder above that has letters in it."""
    folder = folder.absolute()
    for path in (folder, *folder.parents):
        swapped = path.with_name(path.name.swapcase()) if path.name else path
        if swapped != path and path.exists():
            try:
                return swapped.samefile(path)
            except OSError:
                return False
    return sys.platform in ("win32", "darwin")
