"""The user's masks: which file belongs to which photo."""

from pathlib import Path

from cleanplate.batch.planning.photo_list import (
    PlannedPhoto,
    RunPlan,
    check_report,
    check_stay,
)
from cleanplate.errors import PhotoError
from cleanplate.io import PHOTO_SUFFIXES


class MaskFiles:
    """Finds the mask of each photo.

    Args:
        path: one mask, used for every photo; or a folder that holds them at the photos' relative
            paths, as `sub/a.png` for `sub/a.jpg`, or `sub/a.jpg.png`, which comes first. Any photo
            suffix is accepted, .png preferred.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Cached listings: folder -> time of its last change, and its names.
        self._names: dict[Path, tuple[int, frozenset[str]]] = {}

    def find(self, photo: PlannedPhoto) -> Path:
        """Return the mask of `photo`.

        Raises:
            PhotoError: there is none, or it could belong to another photo of the run.
        """
        if not self.path.is_dir():
            return self.path
        folder = self.path / photo.relative.parent
        name, stem = photo.relative.name, photo.relative.stem
        exact = self._look(folder, name)
        if exact is not None:
            return exact
        loose = self._look(folder, stem)
        if loose is None:
            looked_for = folder / (stem + ".png")
            raise PhotoError(
                photo.source, f"its mask {looked_for} does not exist", "add it, white = remove"
            )
        if photo.shares_stem:
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
        return (mask, mask.with_suffix(".json")) if are_plans else (mask,)

    def check_stay(
        self,
        plan: RunPlan,
        *,
        masks: Path | None = None,
        report: Path | None = None,
        are_plans: bool = False,
    ) -> None:
        """Refuse a run that would overwrite one of the masks.

        Args:
            plan: what will be written.
            masks: the folder that masks are saved to.
            report: file that the report will be written to.
            are_plans: whether a JSON file belongs to each mask.

        Raises:
            InputError: it would; the message names both files.
        """
        owned = [
            path for photo in plan.photos for path in self.files_of(photo, are_plans=are_plans)
        ]
        check_stay(plan, "mask", owned, masks=masks)
        if report is not None:
            check_report(report, stay=owned)

    def _look(self, folder: Path, start: str) -> Path | None:
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
