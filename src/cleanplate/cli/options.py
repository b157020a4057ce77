"""The options that several commands have, each declared once."""

from pathlib import Path
from typing import Annotated, Any

import typer

SHOWN_MIN_SCORE = "0.5"  # DEFAULT_MIN_SCORE, which is heavy to import


WHAT, PHOTOS, HOW, RESULTS, WORK = (
    "What is removed",
    "Which photos",
    "How",
    "Results",
    "The run",
)
"""Headings that `--help` groups options under."""


def flag(*names: str, panel: str | None = None, help: str) -> Any:
    """Return an option that is on or off; its type says nothing, so the help leaves it out."""
    return typer.Option(*names, rich_help_panel=panel, help=help, metavar="")


Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN...",
        help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'.",
        show_default=False,
    ),
]
InputsOrPipe = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN...",
        help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'; - for one from "
        "standard input.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Folder for the results. Names, formats and sub-folders stay (RAW: --raw-output).",
        show_default=False,
    ),
]
OutputOrPipe = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Folder for the results. Names, formats and sub-folders stay (RAW: --raw-output). "
        "With - as the photo, the result goes to standard output.",
        show_default=False,
    ),
]
Remove = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES",
        rich_help_panel=WHAT,
        help="What to remove: person,car or ids such as 15,7 or all. Repeatable. "
        "'cleanplate labels' lists them.",
        show_default=False,
    ),
]
Like = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=WHAT,
        help="Remove the object that is marked in this photo, instead of --remove, wherever it "
        "is found. Repeatable.",
        show_default=False,
    ),
]
LikeMask = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=WHAT,
        help="The mask that marks it, white = the object; one for each --like.",
        show_default=False,
    ),
]
RawOutputName = Annotated[
    str,
    typer.Option(
        "--raw-output",
        metavar="tiff|jpeg",
        rich_help_panel=RESULTS,
        help="What camera RAW photos are written as: tiff, of 16 bits, or jpeg. One in which "
        "nothing is found is copied as it is.",
    ),
]
Recursive = Annotated[bool, flag("--recursive", "-r", panel=PHOTOS, help="Include sub-folders.")]
SegmenterName = Annotated[
    str | None,
    typer.Option(
        "--segmenter",
        metavar="NAME",
        rich_help_panel=HOW,
        help="What finds the objects; 'cleanplate models list' names them.",
        show_default="deeplabv3plus_lite2.voc",
    ),
]
InpainterName = Annotated[
    str | None,
    typer.Option(
        "--inpainter",
        metavar="NAME",
        rich_help_panel=HOW,
        help="What fills the holes: telea, navier-stokes, or a network that 'cleanplate models "
        "list' names.",
        show_default="edgeconnect.photos",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel=HOW,
        help="What computes: auto, cpu, cuda, cuda-fp16, openvino, coreml or directml.",
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        min=0.0,
        max=1.0,
        rich_help_panel=WHAT,
        help="Leave objects the segmenter is less sure of.",
        show_default=SHOWN_MIN_SCORE,
    ),
]
Grow = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        min=0,
        rich_help_panel=HOW,
        help="Margin to remove around each object.",
        show_default="by its size",
    ),
]
Shadows = Annotated[
    bool,
    flag(
        "--shadows",
        panel=HOW,
        help="Remove shadows and mirror images on the ground too, where evident.",
    ),
]
Verify = Annotated[
    bool | None,
    typer.Option(
        "--verify/--no-verify",
        metavar="",
        rich_help_panel=HOW,
        help="Look at the filled holes again, and fill once more what is still found there.",
        show_default="--verify",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=RESULTS,
        help="Write one line of JSON per photo there. With a name that ends in .html: a page with "
        "thumbnails to look through, and the lines beside it. Replaced if it exists.",
        show_default=False,
    ),
]
Overwrite = Annotated[
    bool, flag("--overwrite", panel=RESULTS, help="Replace outputs and masks that exist.")
]
FailFast = Annotated[
    bool, flag("--fail-fast", panel=WORK, help="Stop at the first photo that fails.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=WORK,
        help="Processor cores to use in all.",
        show_default="all there are",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=WORK,
        help="Photos to work on at once; they share the processor cores.",
        show_default="by cores, memory and photos",
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        rich_help_panel=WORK,
        help="Memory to use at most, such as 800M or 4G. A photo that needs more is done alone.",
        show_default="3/4 of what is free",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=PHOTOS,
        help="Do only photos whose name, or path below the input, matches: '*.jpg', 'a/**'. "
        "Repeatable.",
        show_default=False,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=PHOTOS,
        help="Leave out photos whose name, folder or path matches. Repeatable.",
        show_default=False,
    ),
]
MinSize = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        min=1,
        rich_help_panel=PHOTOS,
        help="Leave out photos with a shorter long side.",
        show_default=False,
    ),
]
MaxSize = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        min=1,
        rich_help_panel=PHOTOS,
        help="Leave out photos with a longer long side.",
        show_default=False,
    ),
]
Untouched = Annotated[
    str,
    typer.Option(
        metavar="copy|link|skip",
        rich_help_panel=RESULTS,
        help="What to do with a photo in which nothing is found: copy it; link it, which takes no "
        "room (where the disk cannot share blocks, editing one in place edits both); or write "
        "nothing.",
    ),
]
Watch = Annotated[
    bool,
    flag("--watch", panel=PHOTOS, help="Go on looking for new and changed photos until Ctrl-C."),
]
Verbose = Annotated[
    bool,
    flag(
        "--verbose", "-v", panel=WORK, help="Tell boxes, areas, notes and the time of each stage."
    ),
]
Quiet = Annotated[bool, flag("--quiet", "-q", panel=WORK, help="Print errors only.")]
