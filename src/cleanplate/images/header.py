"""The size of a photo by its header, before anything is decoded."""

import warnings
from pathlib import Path


def read_size(path: Path) -> tuple[int, int] | None:
    """Return height and width in px as the file states them, not turned upright.

    Args:
        path: a file; only as much of it is read as its format needs.

    Returns:
        None where that cannot be told: `read_photo` says why.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bomb is refused by its size later, not here
            with Image.open(path) as image:
                return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
