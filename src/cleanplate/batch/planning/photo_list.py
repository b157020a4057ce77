"""What a run will read and write, planned and checked before anything starts."""

import os
import stat
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cleanplate.batch.planning.discovery import (
    Parts,
    PhotoFilter,
    Walk,
    find_wildcard,
    no_photos_message,
    notes_of,
    read_list,
    walk_folder,
    walk_pattern,
)
from cleanplate.errors import InputError
from cleanplate.io import Photo, RawOutput, is_photo_name, result_name

if TYPE_CHECKING:
    from cleanplate.plan import RemovalPlan
    from cleanplate.remover import Remover

_EVERYTHING = PhotoFilter()
_SHOWN_COLLISIONS = 3


class Request(Protocol):
    """What is removed from one photo, where that differs from photo to photo; it can be pickled."""

    @property
    def fingerprint(self) -> str:
        """Text that changes with what is asked for; a journal compares it."""
        ...

    def plan(self, photo: Photo, remover: "Remover") -> "RemovalPlan":
        """Return what to fill.

        Args:
            photo: as it was read.
            remover: does it.

        Raises:
            CleanplateError: the photo fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """One photo and where its result goes."""

    source: Path  # as the user would write it
    target: Path
    relative: Path  # path below the output folder, and of its mask below the folder of masks
    shares_stem: bool = False  # another photo of the run differs only in its suffix
    copy: Path | None = None  # where it is copied to if nothing is removed; None: to `target`
    request: Request | None = None  # what is removed from it; None: what the job says

    @property
    def targets(self) -> tuple[Path, ...]:
        """All paths that the output may have: for RAW, that of the copy too."""
        return (self.target,) if self.copy is None else (self.target, self.copy)

    @property
    def copy_target(self) -> Path:
        """Where it is copied to if nothing is removed."""
        return self.copy or self.target


@dataclass(frozen=True, slots=True)
class UnreadableFolder:
    """A folder whose photos could not be listed; it counts as one failure."""

    source: Path
    cause: str


@dataclass(frozen=True, slots=True)
class RunPlan:
    """All photos of a run, in the order in which they are done."""

    photos: tuple[PlannedPhoto, ...]
    unreadable: tuple[UnreadableFolder, ...] = ()
    ignored: int = 0  # files in folders that are not photos
    notes: tuple[str, ...] = ()  # on excluded files, to be printed once


def plan_photos(
    inputs: Sequence[Path],
    output: Path,
    *,
    recursive: bool = False,
    masks: Path | None = None,
    own_masks: Path | None = None,
    edges: Path | None = None,
    intermediate: Path | None = None,
    report: Path | None = None,
    raw_output: RawOutput = "tiff",
    photo_filter: PhotoFilter = _EVERYTHING,
    may_be_empty: bool = False,
) -> RunPlan:
    """Return what to do with `inputs`, or raise if a file would be lost or written twice.

    A named file goes to the output folder itself; a photo found in a folder, or by a pattern, to
    the same place below the output folder as it has below that folder, or below the part of the
    pattern before its first wildcard. Name and format stay, except that a camera RAW `a.nef` comes
    back as `a.tif`, or as `a.nef.tif` where another photo of the run is to be `a.tif`; if nothing
    is removed from it, it is copied under its own name. A file named twice is done once.

    Args:
        inputs: files, which are tried whatever their suffix; folders; patterns such as
            `photos/**/*.jpg`; `@list.txt` for the inputs that a text file lists, see `read_list`.
        output: folder of the results; need not exist.
        recursive: whether sub-folders are included.
        masks: folder that masks will be saved to.
        own_masks: file or folder of the user's masks.
        edges: folder of the user's edges.
        intermediate: folder that the networks' inputs will be saved to.
        report: file that the report will be written to.
        raw_output: what camera RAW files are written as.
        photo_filter: which of the photos to process.
        may_be_empty: whether no photo is accepted, as some may arrive later.

    Raises:
        InputError: an input does not exist, there is no photo at all, or the run would write over
            an input or write one file twice.
    """
    sources = tuple(_with_lists(inputs))
    used = {
        "--output": output,
        "--masks": masks,
        "--mask": own_masks,
        "--edges": edges,
        "--save-intermediate": intermediate,
    }
    _check_folders(sources, used)
    excluded = {os.path.realpath(path) for path in used.values() if path is not None}
    walk = Walk()
    photos: dict[Path, PlannedPhoto] = {}
    left_out = 0
    for source, relative in _expand(
        sources, walk, recursive=recursive, excluded=excluded, may_be_empty=may_be_empty
    ):
        if not photo_filter.takes(source, relative.parts):
            left_out += 1
            continue
        planned = PlannedPhoto(source, output / relative, relative)
        photos.setdefault(source.parent.resolve() / source.name, planned)
    if left_out and not photos and not may_be_empty:
        raise InputError(
            f"all {left_out} photos are excluded by --include, --exclude, --min-size or "
            "--max-size; give others"
        )
    if not photos and not walk.unreadable and not may_be_empty:
        raise InputError(no_photos_message(sources, walk, recursive=recursive))
    plan = _name_results(_mark_shared_stems(photos.values()), output, raw_output)
    check_writes(plan, masks=masks, intermediate=intermediate, report=report)
    return RunPlan(
        plan,
        tuple(UnreadableFolder(*folder) for folder in walk.unreadable),
        walk.ignored,
        (*notes_of(walk, left_out), *_check_case_collisions(plan, output, masks)),
    )


def mask_name(photo: PlannedPhoto) -> Path:
    """Return where the mask of `photo` lies below the folder of masks.

    That is `sub/a.png` for `sub/a.jpg`, and `sub/a.jpg.png` where a photo `sub/a.png` or the like
    is in the same run.
    """
    if photo.shares_stem:
        return photo.relative.with_name(photo.relative.name + ".png")
    return photo.relative.with_suffix(".png")


def intermediate_files(photo: PlannedPhoto, folder: Path) -> dict[str, Path]:
    """Return "masked" and "edges" -> the file for it, below the folder of `--save-intermediate`."""
    name = folder / mask_name(photo)
    return {what: name.with_name(f"{name.stem}_{what}.png") for what in ("masked", "edges")}


def report_files(report: Path) -> tuple[Path, ...]:
    """Return what `--report` writes: the lines, and for a name with .html the page before them."""
    if report.suffix.lower() in (".html", ".htm"):
        return report, report.with_suffix(".jsonl")
    return (report,)


def _with_lists(inputs: Iterable[Path]) -> Iterator[Path]:
    """Yield the inputs, and for each list (`@list.txt`) the inputs that it names."""
    for given in inputs:
        if str(given).startswith("@") and _mode(given) is None:
            listed = Path(str(given)[1:])
            if _mode(listed) is None:
                raise InputError(f"{listed}: no such list; check its spelling")
            yield from map(Path, read_list(listed))
        else:
            yield given


def _expand(
    inputs: Sequence[Path],
    walk: Walk,
    *,
    recursive: bool,
    excluded: Collection[str],
    may_be_empty: bool,
) -> Iterator[tuple[Path, Path]]:
    """Yield (source, path below the output folder) of every photo that `inputs` mean."""
    for given in inputs:
        found: Iterable[Parts]
        base, mode = given, _mode(given)
        if mode is not None and stat.S_ISREG(mode):
            yield given, Path(given.name)
            continue
        if mode is not None and stat.S_ISDIR(mode):
            found = walk_folder(given, walk, recursive=recursive, excluded=excluded)
        elif mode is not None:
            raise InputError(f"{given}: is neither a file nor a folder; name a photo")
        elif (first := find_wildcard(given)) is not None:
            base, found = walk_pattern(given, first, walk, recursive=recursive, excluded=excluded)
            found = list(found) if _is_folder(base) else []
            if not found and not walk.unreadable and not may_be_empty:
                raise InputError(f"{given}: no photo matches this pattern; check its spelling")
        else:
            raise InputError(f"{given}: no such file or folder; check its spelling")
        for parts in found:
            yield base.joinpath(*parts), Path(*parts)


def _check_folders(inputs: Sequence[Path], used: Mapping[str, Path | None]) -> None:
    """Refuse an output that is not a folder, and inputs that are folders the run writes to."""
    output = used["--output"]
    if output is not None and _mode(output) is not None and not _is_folder(output):
        raise InputError(f"{output}: is a file; --output takes a folder")
    masks = used["--masks"]
    if masks is not None and _mode(masks) is not None and not _is_folder(masks):
        raise InputError(f"{masks}: is a file; --masks takes a folder")
    own_masks = used["--mask"]
    if own_masks is not None and _mode(own_masks) is None:
        raise InputError(f"{own_masks}: no such file or folder; --mask takes a mask or a folder")
    for option in ("--output", "--masks"):
        written = used[option]
        if own_masks is not None and written is not None and _real(written) == _real(own_masks):
            raise InputError(
                f"{own_masks}: contains your masks and is also {option}: results would be taken "
                "for masks; name another folder"
            )
    folders = {os.path.realpath(path): path for path in inputs if _is_folder(path)}
    for option, path in used.items():
        given = folders.get(os.path.realpath(path)) if path is not None else None
        if given is not None:
            raise InputError(f"{given}: is an input and also {option}; name another folder")


def check_writes(
    photos: Sequence[PlannedPhoto],
    *,
    masks: Path | None,
    report: Path | None,
    intermediate: Path | None = None,
) -> None:
    """Refuse a run that would overwrite one of its inputs or write one file twice.

    Raises:
        InputError: it would; the message names both files.
    """
    sources = {_real(photo.source): photo.source for photo in photos}
    by_inode = {inode: source for source in sources.values() if (inode := _inode(source))}
    writers: dict[str, str] = {}  # real path -> what writes it
    for photo in photos:
        for target in photo.targets:
            real = _real(target)
            over = sources.get(real) or by_inode.get(_inode(target) or (0, 0))
            if over is not None and not _is_other_link(over, target):
                own = "its own output" if over == photo.source else f"the output of {photo.source}"
                raise InputError(
                    f"{over}: would be overwritten by {own}; name another output folder"
                )
            if real in writers:
                raise InputError(
                    f"{writers[real]} and {photo.source} would both be written to {target}; "
                    "run them into different output folders, or give the folder above them with -r"
                )
            writers[real] = str(photo.source)
    others: dict[str, str] = {}  # real path of another file -> what is written to it
    extra: list[tuple[str, Path, Path | None]] = []
    if masks is not None:
        extra.extend(("mask", masks / mask_name(photo), photo.source) for photo in photos)
    if intermediate is not None:
        extra.extend(
            (f"saved {what} picture", path, photo.source)
            for photo in photos
            for what, path in intermediate_files(photo, intermediate).items()
        )
    if report is not None:
        extra.extend(("report", path, None) for path in report_files(report))
    for kind, path, source in extra:
        real = _real(path)
        if real in sources:
            raise InputError(f"{path}: the {kind} would overwrite an input; name another place")
        if real in writers:
            raise InputError(
                f"{path}: the {kind} would overwrite the result of {writers[real]}; "
                "name another place"
            )
        named = f"the {kind}" if source is None else f"the {kind} of {source}"
        if real in others:
            raise InputError(
                f"{others[real]} and {named} would both be written to {path}; rename one of them"
            )
        others[real] = named
    if report is not None:
        check_report(report)


def check_stay(
    plan: RunPlan, kind: str, files: Iterable[Path], *, masks: Path | None = None
) -> None:
    """Refuse a run that would overwrite files that it uses.

    Args:
        plan: what will be written.
        kind: what to call such a file, e.g. "mask".
        files: must not be overwritten.
        masks: the folder that masks are saved to.

    Raises:
        InputError: it would; the message names both files.
    """
    owned = {_real(path): path for path in files}
    for photo in plan.photos if owned else ():
        saved = () if masks is None else (masks / mask_name(photo),)
        for target in (*photo.targets, *saved):
            if (own := owned.get(_real(target))) is not None:
                raise InputError(
                    f"{own}: the {kind} would be overwritten by the result of {photo.source}; "
                    "name another output folder"
                )


def check_report(report: Path, *, stay: Iterable[Path] = ()) -> None:
    """Refuse a report that would replace a folder, or a photo or mask by its name.

    Args:
        report: what `--report` names.
        stay: files that it must not replace, whatever their names.

    Raises:
        InputError: it would.
    """
    owned = {_real(path): path for path in stay}
    for path in report_files(report):
        if (own := owned.get(_real(path))) is not None:
            raise InputError(f"{own}: the report would overwrite it; name another place")
        if _is_folder(path):
            raise InputError(f"{path}: is a folder; --report takes a file")
        if is_photo_name(path) and _mode(path) is not None:
            raise InputError(f"{path}: the report would replace a photo or mask; name another file")


def _check_case_collisions(
    photos: Sequence[PlannedPhoto], output: Path, masks: Path | None
) -> tuple[str, ...]:
    """Refuse names that are one file on this disk; return notes on those that are on others."""
    notes = []
    places = {output: [photo.relative for photo in photos]}
    if masks is not None:
        places[masks] = [mask_name(photo) for photo in photos]
    for folder, names in places.items():
        for first, second in case_collisions(names):
            if are_one_file(first, second, folder):
                raise InputError(
                    f"{first} and {second} would be one file in {folder}, whose disk does not "
                    "distinguish them; rename one of the photos"
                )
            notes.append(
                f"{folder / first} and {folder / second} will be one file on disks that ignore "
                "upper and lower case or the Unicode form"
            )
    more = len(notes) - _SHOWN_COLLISIONS
    return tuple(notes[:_SHOWN_COLLISIONS]) + ((f"and {more} more such pairs",) if more > 0 else ())


def _mode(path: Path) -> int | None:
    """Return the file mode of `path` after links; None if it does not exist."""
    try:
        return path.stat().st_mode
    except PermissionError:
        raise InputError(
            f"{path}: permission denied; check the permissions of its folder"
        ) from None
    except OSError:
        return None


def _is_folder(path: Path) -> bool:
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _inode(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, which identify it whatever its spelling."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def _is_other_link(source: Path, target: Path) -> bool:
    """Return whether both are hard links to one file from different folders.

    Writing replaces the name `target`; the file stays under its other name.
    """
    try:
        return target.stat().st_nlink > 1 and not target.parent.samefile(source.parent)
    except OSError:
        return False


def _name_results(
    photos: Sequence[PlannedPhoto], output: Path, raw_output: RawOutput
) -> tuple[PlannedPhoto, ...]:
    """Set the targets of RAW files, whose results have other names."""
    wanted = [p.relative.with_name(result_name(p.relative.name, raw_output)) for p in photos]
    count: dict[str, int] = {}
    for place in wanted:
        key = str(place).casefold()  # a.tif and A.TIF are one file on many disks
        count[key] = count.get(key, 0) + 1

    def named(photo: PlannedPhoto, place: Path) -> PlannedPhoto:
        if place == photo.relative:
            return photo
        whole = photo.relative.with_name(photo.relative.name + place.suffix)
        free = place if count[str(place).casefold()] == 1 else whole
        return replace(photo, target=output / free, copy=output / photo.relative)

    return tuple(named(photo, place) for photo, place in zip(photos, wanted, strict=True))


def _mark_shared_stems(photos: Iterable[PlannedPhoto]) -> tuple[PlannedPhoto, ...]:
    photos = tuple(photos)
    count: dict[Path, int] = {}
    for photo in photos:
        stem = photo.relative.with_suffix("")
        count[stem] = count.get(stem, 0) + 1
    return tuple(
        PlannedPhoto(
            photo.source,
            photo.target,
            photo.relative,
            shares_stem=count[photo.relative.with_suffix("")] > 1,
        )
        for photo in photos
    )


def case_collisions(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return the pairs that differ only in upper and lower case or in their Unicode form."""
    first: dict[str, Path] = {}
    collisions = []
    for path in paths:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
        other = first.setdefault(folded, path)
        if other != path:
            collisions.append((other, path))
    return collisions


def are_one_file(first: Path, second: Path, folder: Path) -> bool:
    """Return whether both names are one file on the disk of `folder`.

    Args:
        first: below `folder`.
        second: below `folder`; a pair from `case_collisions`.
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
