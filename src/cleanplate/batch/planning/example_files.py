"""Examples of `--like` as files, and the segmenter that finds their objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate.batch.planning.photo_list import RunPlan, check_stay
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import sha256_of

if TYPE_CHECKING:
    from cleanplate.segmentation import ExampleSegmenter


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A photo and the mask that marks an object in it; equal if their contents are."""

    photo: Path = field(compare=False)
    mask: Path = field(compare=False)
    photo_sha256: str
    mask_sha256: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What detected the objects of a plan, and will verify the filled holes."""

    segmenter: str  # its name
    examples: tuple[Example, ...] = ()  # if it uses any


def open_examples(photos: Sequence[Path], masks: Sequence[Path]) -> tuple[Example, ...]:
    """Return examples, each with its mask.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        return tuple(
            Example(
                photo=photo,
                mask=mask,
                photo_sha256=sha256_of(photo),
                mask_sha256=sha256_of(mask),
            )
            for photo, mask in zip(photos, masks, strict=True)
        )
    except PhotoError as error:
        raise InputError(str(error)) from error


def segmenter_of_examples(examples: Sequence[Example]) -> "ExampleSegmenter":
    """Return a segmenter for the objects that are marked in some photos.

    Raises:
        InputError: a file cannot be read, or what is marked cannot be recognised.
    """
    from cleanplate.io import read_mask, read_photo
    from cleanplate.segmentation import ExampleSegmenter

    segmenters = []
    for example in examples:
        try:
            photo = read_photo(example.photo)
            mask = read_mask(example.mask, photo.size_hw)
        except PhotoError as error:
            raise InputError(str(error)) from error
        try:
            segmenters.append(ExampleSegmenter(photo.pixels, mask))
        except InputError as error:
            raise InputError(f"{example.mask}: {error}") from error
    return ExampleSegmenter.joined(segmenters)


def check_examples_stay(
    plan: RunPlan, examples: Sequence[Example], *, masks: Path | None = None
) -> None:
    """Refuse a run that would overwrite an example.

    Args:
        plan: what will be written.
        examples: must not be overwritten.
        masks: the folder that masks are saved to.

    Raises:
        InputError: it would; the message names both files.
    """
    files = [path for example in examples for path in (example.photo, example.mask)]
    check_stay(plan, "example", files, masks=masks)


def describe_examples(examples: Sequence[Example]) -> list[dict[str, str]]:
    """Return the examples for a plan's JSON."""
    return [
        {
            "photo": str(example.photo),
            "photo_sha256": example.photo_sha256,
            "mask": str(example.mask),
            "mask_sha256": example.mask_sha256,
        }
        for example in examples
    ]


def parse_examples(described: Sequence[Mapping[str, Any]]) -> tuple[Example, ...]:
    """Parse the result of `describe_examples`; the files are not read.

    Raises:
        KeyError, TypeError: it is not such a description.
    """
    return tuple(
        Example(
            photo=Path(it["photo"]),
            mask=Path(it["mask"]),
            photo_sha256=str(it["photo_sha256"]),
            mask_sha256=str(it["mask_sha256"]),
        )
        for it in described
    )


def check_unchanged(examples: Sequence[Example]) -> None:
    """Raise unless the files of examples exist and are unchanged.

    Raises:
        InputError: one is missing or changed; the message names it.
    """
    for example in examples:
        now = examples_of_run([example.photo], [example.mask])[0]
        for path, same in (
            (example.photo, now.photo_sha256 == example.photo_sha256),
            (example.mask, now.mask_sha256 == example.mask_sha256),
        ):
            if not same:
                raise InputError(
                    f"{path}: the example has changed since the masks were made from it; make them "
                    "again with 'cleanplate plan --overwrite'"
                )


def examples_of_run(
    photos: Sequence[str | Path], masks: Sequence[str | Path]
) -> tuple[Example, ...]:
    """Return the examples of an earlier run, as they are now.

    Raises:
        InputError: one is missing; the message names it.
    """
    for path in map(Path, (*photos, *masks)):
        if not path.exists():
            raise InputError(
                f"{path}: is missing, an example (--like) of the former run; restore it, or run "
                "in the folder of that run"
            )
    return open_examples([*map(Path, photos)], [*map(Path, masks)])
