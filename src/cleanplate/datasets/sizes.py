"""Sizes of photos as they are shown, which is what labels and masks refer to."""

from pathlib import Path

from cleanplate.errors import PhotoError
from cleanplate.io import ORIENTATION_TAG, read_size

_SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height


def upright_size(photo: Path) -> tuple[int, int] | None:
    """Return height and width in px after Exif's rotation; None if they cannot be read."""
    from PIL import Image

    size_hw = read_size(photo)
    if size_hw is None:
        return None
    try:
        with Image.open(photo) as image:
            is_swapped = image.getexif().get(ORIENTATION_TAG, 1) in _SWAPPED
    except (OSError, ValueError):  # of a format that Pillow does not read
        is_swapped = False
    return size_hw[::-1] if is_swapped else size_hw


def check_mask_size(path: Path, size_hw: tuple[int, ...], photo: Path) -> None:
    """Raise unless a mask has the size of its photo, if that can be read.

    Raises:
        PhotoError: it has not.
    """
    expected = upright_size(photo)
    if expected not in (None, size_hw):
        found, wanted = (f"{it[1]} x {it[0]} px" for it in (size_hw, expected or size_hw))
        raise PhotoError(path, f"it is {found}, the upright photo is {wanted}", "export it again")
