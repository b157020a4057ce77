"""Options of `cleanplate run` on which photos are done, how many at once, and what is kept."""

from pathlib import Path
from typing import Annotated

import typer

from cleanplate.cli.options import flag

WorkersOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Photos to work on at once; they share the processor cores.",
        show_default="by cores, memory and photos",
    ),
]
MaxMemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory to use at most, such as 800M or 4G. A photo that needs more is done alone.",
        show_default="3/4 of what is free",
    ),
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Do only photos whose name, or path below the input, matches: '*.jpg', 'a/**'. "
        "Repeatable.",
        show_default=False,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Leave out photos whose name, folder or path matches. Repeatable.",
        show_default=False,
    ),
]
MinSizeOption = Annotated[
    int | None,
    typer.Option(
        metavar="PX", min=1, help="Leave out photos with a shorter long side.", show_default=False
    ),
]
MaxSizeOption = Annotated[
    int | None,
    typer.Option(
        metavar="PX", min=1, help="Leave out photos with a longer long side.", show_default=False
    ),
]
UntouchedOption = Annotated[
    str,
    typer.Option(
        metavar="copy|link|skip",
        help="What to do with a photo in which nothing is found: copy it; link it, which takes no "
        "room (where the disk cannot share blocks, editing one in place edits both); or write "
        "nothing.",
    ),
]
WatchOption = Annotated[
    bool,
    flag("--watch", help="Go on looking for new and changed photos until Ctrl-C."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Folder for the results. Names, formats and sub-folders stay. With - as the photo, "
        "the result goes to standard output.",
        show_default=False,
    ),
]
