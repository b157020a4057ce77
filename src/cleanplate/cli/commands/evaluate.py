"""`cleanplate evaluate`: how good a folder of clean plates is."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import print_error, print_line
from cleanplate.cli.messages import count_of
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.evaluation import Evaluation, Pictures
    from cleanplate.types import RGBImage

_MOST_ROWS = 200  # of a sheet: as long a JPEG as viewers open
_SHEET_QUALITY = 88


def evaluate_command(
    *,
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="Folder of clean plates, by whatever tool they were made.",
            show_default=False,
        ),
    ],
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The photos before. Without --masks, what differs from them is the hole.",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What was filled, in white, as `run --masks` saves it.",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Photos of what is really behind the objects.", show_default=False
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="What was to go: the holes are looked at for it again. Repeatable.",
            show_default=False,
        ),
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What looks for it.", show_default="deeplabv3plus_lite2.voc"
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all figures there.", show_default=False),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a picture there: every hole before and after, the worst first.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure how good clean plates are: against the truth, and by themselves.

    Photos lie at the same relative paths in all folders. Exit code 1: some could not be measured.
    """
    if segmenter and not remove:
        raise InputError("--segmenter looks for what was to go; name it with --remove")
    from cleanplate import evaluation
    from cleanplate.evaluation import FeatureExtractor
    from cleanplate.io import write_bytes_atomic
    from cleanplate.options import Rules
    from cleanplate.segmentation import DEFAULT_SEGMENTER, asked_labels, create_segmenter

    looker = create_segmenter(segmenter or DEFAULT_SEGMENTER) if remove else None
    labels = asked_labels(remove, Rules(), looker.labels)[0] if remove and looker else ()
    done: list[Evaluation] = []
    rows: list[tuple[float, list[RGBImage]]] = []
    for one, pictures in evaluation.evaluate_folders(
        evaluation.Sources(results=results, photos=photos, masks=masks, truth=truth),
        FeatureExtractor(),
        segmenter=looker,
        labels=labels,
    ):
        done.append(one)
        if one.error:
            print_error(one.error)
        if sheet is not None and pictures is not None and one.mask_share > 0:
            rows.append((_badness(one), _row(one, pictures)))
    for line in _tell(done):
        print_line(line)
    if json_file is not None:
        write_bytes_atomic(json_file, json.dumps(_as_json(done), indent=1).encode())
    if sheet is not None and rows:
        write_bytes_atomic(sheet, _encode(rows))
    if any(one.error for one in done):
        raise typer.Exit(1)


def _tell(done: Sequence["Evaluation"]) -> Iterator[str]:
    from cleanplate.evaluation import table_lines

    filled = [one for one in done if one.mask_share > 0]
    failed = sum(one.error is not None for one in done)
    unchanged = len(done) - len(filled) - failed
    told = f"{count_of(len(done), 'result')}: {len(filled)} with a hole, {unchanged} unchanged"
    yield told + (f", {failed} failed" if failed else "")
    if filled:
        yield from table_lines(filled)
    doubtful = [one for one in filled if one.remaining]
    for one in doubtful:
        share = one.remaining_share or 0
        yield f"still shows {', '.join(one.remaining)} in {share:.0%} of the hole: {one.name}"


def _badness(one: "Evaluation") -> float:
    """Return what a sheet is sorted by: what remains first, then the distance to the best."""
    if one.truth is not None:
        return (one.remaining_share or 0) * 1000 + one.truth.perceptual
    similarity = one.look.similarity if one.look is not None else 1
    return (one.remaining_share or 0) * 1000 + (1 - similarity)


def _row(one: "Evaluation", pictures: "Pictures") -> "list[RGBImage]":
    from cleanplate.evaluation import figures_of, tiles_of, with_hole

    before = pictures.before if pictures.before is not None else pictures.result
    shown = {one.name[-40:]: before, "hole": with_hole(before, pictures.mask)}
    figures = [f"{name[:5]} {value:.2f}" for name, value in figures_of(one).items()]
    shown[" ".join(figures)[:48]] = pictures.result
    if pictures.truth is not None:
        shown["truth"] = pictures.truth
    return tiles_of(shown, pictures.mask)


def _encode(rows: "Iterable[tuple[float, list[RGBImage]]]") -> bytes:
    from io import BytesIO

    from PIL import Image

    from cleanplate.evaluation import sheet_of

    worst = sorted(rows, key=lambda row: -row[0])[:_MOST_ROWS]
    stream = BytesIO()
    picture = Image.fromarray(sheet_of([row for _, row in worst]))
    picture.save(stream, "JPEG", quality=_SHEET_QUALITY)
    return stream.getvalue()


def _as_json(done: Sequence["Evaluation"]) -> dict[str, object]:
    from cleanplate.evaluation import figures_of, mean_figures

    return {
        "mean": {
            name: {"mean": mean, "low": low, "high": high}
            for name, (mean, low, high) in mean_figures(
                [one for one in done if one.mask_share > 0]
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
            for one in done
        ],
    }
