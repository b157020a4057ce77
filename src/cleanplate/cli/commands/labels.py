"""`cleanplate labels`: what can be removed, and by which words."""

from typing import Annotated

import typer

from cleanplate.cli.console import print_line
from cleanplate.labels import VOC_LABELS, aliases_of, label_ids


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
        from cleanplate.hub import get_model

        labels = get_model(segmenter, "segmenter").labels
    if not labels:
        print_line(f"{segmenter} takes any words, such as --remove 'red car'")
        return
    ids = label_ids(labels)
    width = max(len(label) for label in labels)
    print_line(f" id  {'name':<{width}}  also")
    for label in labels:
        also = ", ".join(aliases_of(label, labels))
        print_line(f"{ids.get(label, ''):>3}  {label:<{width}}  {also}".rstrip())
