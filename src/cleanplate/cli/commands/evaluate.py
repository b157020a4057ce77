"""`cleanplate evaluate`: metrics for a folder of clean plates."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import print_error, print_line
from cleanplate.cli.messages import count_of
from cleanplate.cli.options import option
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.evaluation import EvaluatedImages, Evaluation
    from cleanplate.types import RGBImage

_MAX_ROWS = 200  # of a sheet: as long a JPEG as viewers open
_SHEET_QUALITY = 88


def evaluate_command(
    *,
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="Folder of clean plates, made by any tool.",
            show_default=False,
        ),
    ],
    photos: Annotated[
        Path | None,
        option(
            metavar="DIR",
            help="Original photos. Without --masks, the pixels that differ from them are the hole.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        option(metavar="DIR", help="Masks of what was filled, as `run --masks` saves them."),
    ] = None,
    truth: Annotated[
        Path | None,
        option(metavar="DIR", help="Ground truth: photos of the background without the objects."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        option(
            metavar="NAMES",
            help="Classes that were removed: check whether they are still detected in the holes. "
            "Repeatable.",
        ),
    ] = None,
    segmenter: Annotated[
        str | None,
        option(metavar="NAME", help="Model for --remove.", show_default="deeplabv3plus_lite2.voc"),
    ] = None,
    json_file: Annotated[
        Path | None,
        option("--json", metavar="FILE", help="Write all metrics to this file."),
    ] = None,
    sheet: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Write a contact sheet to this file: every hole before and after, worst first.",
        ),
    ] = None,
) -> None:
    """Measure the quality of clean plates, against the ground truth and without it.

    Photos have the same relative paths in all folders. Exit code 1: some could not be measured.
    """
    if segmenter and not remove:
        raise InputError("--segmenter needs --remove, the classes to detect")
    for option_name, path in (("--json", json_file), ("--sheet", sheet)):
        _check_is_no_input(option_name, path, (results, photos, masks, truth))
    from cleanplate import evaluation
    from cleanplate.io import write_bytes_atomic
    from cleanplate.options import Rules
    from cleanplate.segmentation import DEFAULT_SEGMENTER, create_segmenter, requested_labels

    checker = create_segmenter(segmenter or DEFAULT_SEGMENTER) if remove else None
    labels = requested_labels(remove, Rules(), checker.labels)[0] if remove and checker else ()
    measured: list[Evaluation] = []
    rows: list[tuple[float, list[RGBImage]]] = []
    for one, images in evaluation.evaluate_folders(
        evaluation.Sources(results=results, photos=photos, masks=masks, truth=truth),
        evaluation.FeatureExtractor(),
        segmenter=checker,
        labels=labels,
    ):
        measured.append(one)
        if one.error:
            print_error(one.error)
        if sheet is not None and images is not None and one.mask_share > 0:
            rows.append((_rank(one), _row(one, images)))
    for line in _describe(measured):
        print_line(line)
    if json_file is not None:
        write_bytes_atomic(json_file, json.dumps(_to_json(measured), indent=1).encode())
    if sheet is not None and rows:
        write_bytes_atomic(sheet, _encode(rows))
    if any(one.error for one in measured):
        raise typer.Exit(1)


def _check_is_no_input(name: str, path: Path | None, folders: "Sequence[Path | None]") -> None:
    """Refuse to write over a photo that is evaluated, or beside the results as one of them."""
    from cleanplate.io import is_photo_name

    if path is None or not is_photo_name(path.name):
        return
    inside = (it for it in folders if it is not None and it.resolve() in path.resolve().parents)
    if (folder := next(inside, None)) is not None:
        raise InputError(f"{path}: {name} would be a photo of {folder}; name another place")


def _describe(measured: Sequence["Evaluation"]) -> Iterator[str]:
    from cleanplate.evaluation import table_lines

    filled = [one for one in measured if one.mask_share > 0]
    failed = sum(one.error is not None for one in measured)
    unchanged = len(measured) - len(filled) - failed
    total = count_of(len(measured), "result")
    errors = f", {failed} failed" if failed else ""
    yield f"{total}: {len(filled)} with a hole, {unchanged} unchanged{errors}"
    if filled:
        yield from table_lines(filled)
    for one in filled:
        if one.remaining:
            labels, share = ", ".join(one.remaining), one.remaining_share or 0
            yield f"still detected: {labels} in {share:.0%} of the hole: {one.name}"


def _rank(one: "Evaluation") -> float:
    """Return the sort key of a sheet: larger is worse; objects still detected count first."""
    from cleanplate.evaluation import figures_of

    figures = figures_of(one)
    unlike = figures.get("perceptual", 1 - figures.get("similarity", 1))
    return 1000 * figures.get("remaining_share", 0) + unlike


def _row(one: "Evaluation", images: "EvaluatedImages") -> "list[RGBImage]":
    from cleanplate.evaluation import figures_of, tiles_of, with_hole

    before = images.before if images.before is not None else images.result
    shown = {one.name[-40:]: before, "hole": with_hole(before, images.mask)}
    figures = [f"{name[:5]} {value:.2f}" for name, value in figures_of(one).items()]
    shown[" ".join(figures)[:48]] = images.result
    if images.truth is not None:
        shown["truth"] = images.truth
    return tiles_of(shown, images.mask)


def _encode(rows: "Iterable[tuple[float, list[RGBImage]]]") -> bytes:
    from io import BytesIO

    from PIL import Image

    from cleanplate.evaluation import sheet_of

    worst = sorted(rows, key=lambda row: -row[0])[:_MAX_ROWS]
    stream = BytesIO()
    image = Image.fromarray(sheet_of([row for _, row in worst]))
    image.save(stream, "JPEG", quality=_SHEET_QUALITY)
    return stream.getvalue()


def _to_json(measured: Sequence["Evaluation"]) -> dict[str, object]:
    from cleanplate.evaluation import figures_of, mean_figures

    return {
        "mean": {
            name: {"mean": mean, "low": low, "high": high}
            for name, (mean, low, high) in mean_figures(
                [one for one in measured if one.mask_share > 0]
            ).items()
        },
        "results": [
            {
                "name": one.name,
                "mask_share": one.mask_share,
                **figures_of(one),
                "remaining": list(one.remaining),
                "error": one.error,
            }
            for one in measured
        ],
    }
