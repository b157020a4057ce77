"""`cleanplate labels`: what can be removed, and by which words."""

from typing import Annotated

import typer

from cleanplate.cli.console import print_line
from cleanplate.labels import VOC_LABELS, aliases_of, label_id


def labels_command(
    segmenter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="List what this segmenter finds.",
            show_default="the built-in one",
        ),
    ] = None,
) -> None:
    """List what can be removed: id, name and the other words that mean it."""
    labels: tuple[str, ...] = VOC_LABELS
    if segmenter is not None:
        from cleanplate.models.registry import get_model

        labels = get_model(segmenter, "segmenter").labels
    width = max(len(label) for label in labels)
    print_line(f"id  {'name':<{width}}  also")
    for label in labels:
        number = label_id(label)
        also = ", ".join(aliases_of(label))
        print_line(f"{'' if number is None else number:>2}  {label:<{width}}  {also}".rstrip())
