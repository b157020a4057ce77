"""`--like` and `--like-mask`: an example says what to remove, instead of a name."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.errors import InputError, PhotoError

if TYPE_CHECKING:
    from cleanplate.segmenters.example import ExampleSegmenter


def check_like(
    like: Sequence[Path],
    like_mask: Sequence[Path],
    *,
    excluded: Mapping[str, object | None],
    report: Path | None,
) -> None:
    """Refuse examples without masks, and options that cannot go with them.

    Args:
        like: the examples.
        like_mask: their masks, in the same order.
        excluded: the values of the options that say in another way what to remove.
        report: a file that will be replaced.

    Raises:
        InputError: see above.
    """
    if len(like) != len(like_mask):
        raise InputError(
            "--like and --like-mask belong together, one mask for each example; got "
            f"{len(like)} and {len(like_mask)}"
        )
    given = [option for option, value in excluded.items() if value]
    if given:
        raise InputError(
            f"--like and {' and '.join(given)} exclude each other: the example says what is "
            "removed; give one of them"
        )
    for path in (*like, *like_mask):
        if report is not None and os.path.realpath(report) == os.path.realpath(path):
            raise InputError(f"{path}: the report would overwrite it; name another place")


def segmenter_of_examples(like: Sequence[Path], like_mask: Sequence[Path]) -> "ExampleSegmenter":
    """Return what finds the objects that are marked in some photos.

    Raises:
        InputError: a file cannot be read, or what is marked cannot be recognised.
    """
    from cleanplate.images import read_mask, read_photo
    from cleanplate.segmenters.example import ExampleSegmenter

    segmenters = []
    for path, mask_path in zip(like, like_mask, strict=True):
        try:
            photo = read_photo(path)
            mask = read_mask(mask_path, photo.size_hw)
        except PhotoError as error:
            raise InputError(str(error)) from error
        try:
            segmenters.append(ExampleSegmenter(photo.pixels, mask))
        except InputError as error:
            raise InputError(f"{mask_path}: {error}") from error
    return ExampleSegmenter.joined(segmenters)
