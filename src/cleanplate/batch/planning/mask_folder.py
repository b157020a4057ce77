"""The user's masks: which file belongs to which photo."""

from pathlib import Path

from cleanplate.batch.planning.photo_list import (
    PlannedPhoto,
    RunPlan,
    check_report,
    check_stay,
)
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import PHOTO_SUFFIXES, MaskReading


class MaskFiles:
    """Finds the mask of each photo.

    Args:
        path: one mask, used for every photo; or a folder that holds them at the photos' relative
            paths, as `sub/a.png` for `sub/a.jpg`, or `sub/a.jpg.png`, which comes first. Any photo
            suffix is accepted, .png preferred.
        name: file names of the masks in a folder instead, such as "{stem}_mask.png"; {stem} and
            {name} are those of the photo.
        reading: how the masks say what is removed.

    Raises:
        InputError: `name` has other fields.
    """

    def __init__(
        self, path: Path, *, name: str | None = None, reading: MaskReading | None = None
    ) -> None:
        self.path, self.name, self.reading = path, name, reading or MaskReading()
        if name is not None:
            _named(name, Path("a.jpg"))  # raises
        # Cached listings: folder -> time of its last change, and its names.
        self._names: dict[Path, tuple[int, frozenset[str]]] = {}

    def find(self, photo: PlannedPhoto) -> Path | None:
        """Return the mask of `photo`; None if the folder has none.

        Raises:
            PhotoError: it could belong to another photo of the run.
        """
        if not self.path.is_dir():
            return self.path
        folder = self.path / photo.relative.parent
        if self.name is not None:
            named = _named(self.name, photo.relative)
            return folder / named if named in self._listing(folder) else None
        name, stem = photo.relative.name, photo.relative.stem
        exact = self._find_mask(folder, name)
        if exact is not None:
            return exact
        loose = self._find_mask(folder, stem)
        if loose is not None and photo.shares_stem:
            raise PhotoError(
                photo.source,
                f"{loose} could be the mask of any photo called {stem}",
                f"rename it to {name}.png or similar, so that it includes the photo's full name",
            )
        return loose

    def files_of(self, photo: PlannedPhoto, *, are_plans: bool) -> tuple[Path, ...]:
        """Return the mask of `photo`, or both files of a plan; none where `find` raises."""
        try:
            mask = self.find(photo)
        except PhotoError:  # processing the photo will report it
            return ()
        if mask is None:
            return ()
        return (mask, mask.with_suffix(".json")) if are_plans else (mask,)

    def check_stay(
        self,
        plan: RunPlan,
        *,
        masks: Path | None = None,
        report: Path | None = None,
        are_plans: bool = False,
        kind: str = "mask",
    ) -> None:
        """Refuse a run that would overwrite one of the masks.

        Args:
            plan: what will be written.
            masks: the folder that masks are saved to.
            report: file that the report will be written to.
            are_plans: whether a JSON file belongs to each mask.
            kind: what to call one in the message.

        Raises:
            InputError: it would; the message names both files.
        """
        owned = [
            path for photo in plan.photos for path in self.files_of(photo, are_plans=are_plans)
        ]
        check_stay(plan, kind, owned, masks=masks)
        if report is not None:
            check_report(report, stay=owned)

    def check_any(self, plan: RunPlan) -> None:
        """Refuse a run in which no photo has a mask.

        Raises:
            InputError: the message names a file that was looked for.
        """
        photos = [photo.relative for photo in plan.photos]
        if photos and not any(self.files_of(photo, are_plans=False) for photo in plan.photos):
            looked_for = photos[0].parent / _named(self.name or "{stem}.png", photos[0])
            raise InputError(
                f"{self.path}: no mask of any of these photos, such as {looked_for} for "
                f"{photos[0]}; name another folder, or give --mask-name"
            )

    def _find_mask(self, folder: Path, start: str) -> Path | None:
        """Return the first file in `folder` named `start` plus a photo suffix, .png before all."""
        names = self._listing(folder)
        for suffix in (".png", *sorted(PHOTO_SUFFIXES)):
            for candidate in (start + suffix, start + suffix.upper()):
                if candidate in names:
                    return folder / candidate
        return None

    def _listing(self, folder: Path) -> frozenset[str]:
        try:
            changed_ns = folder.stat().st_mtime_ns  # masks may be added while a run goes on
            if self._names.get(folder, (None,))[0] != changed_ns:
                names = frozenset(path.name for path in folder.iterdir())
                self._names[folder] = (changed_ns, names)
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            cause = f"folder of masks cannot be read ({error.strerror})"
            raise PhotoError(folder, cause, "check its permissions") from error
        return self._names[folder][1]


def _named(template: str, photo: Path) -> str:
    """Return the name of a photo's mask."""
    try:
        return template.format(stem=photo.stem, name=photo.name)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"--mask-name takes {{stem}} and {{name}}, as in '{{stem}}_mask.png', got {template!r}"
        ) from error
