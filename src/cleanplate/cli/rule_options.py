"""The options that say what stays of what was asked for, and what they mean together."""

from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.options import WHAT, flag
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.options import Region, Rules

MinArea = Annotated[
    str | None,
    typer.Option(
        metavar="PX|%",
        rich_help_panel=WHAT,
        help="Leave smaller objects: pixels, or a share of the photo such as 1%.",
        show_default="0",
    ),
]
MaxArea = Annotated[
    str | None,
    typer.Option(
        metavar="PX|%",
        rich_help_panel=WHAT,
        help="Leave larger objects: pixels, or a share of the photo such as 5%.",
        show_default="no limit",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        metavar="largest|N",
        rich_help_panel=WHAT,
        help="Leave the largest of the objects, or the N largest.",
        show_default=False,
    ),
]
BackgroundPeople = Annotated[
    bool,
    flag(
        "--background-people",
        panel=WHAT,
        help="Remove people, but leave the main subject: who is large, sharp and in the middle, "
        "and who stands with them.",
    ),
]
Protect = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES",
        rich_help_panel=WHAT,
        help="Objects that are never filled, not even by a margin: dog,cat. Repeatable.",
        show_default=False,
    ),
]
Only = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        rich_help_panel=WHAT,
        help="Remove only these objects of one photo, such as 1,3: the numbers of a dry run with "
        "-v, or of a report.",
        show_default=False,
    ),
]
InRegion = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,W,H",
        rich_help_panel=WHAT,
        help="Leave objects that lie mostly outside this part of the photo; pixels or shares, such "
        "as 50%,0,50%,100% for the right half.",
        show_default=False,
    ),
]


def make_rules(
    *,
    keep: str | None,
    background_people: bool,
    max_area: str | None,
    protect: list[str] | None,
    only: str | None,
    region: str | None,
    min_area: str | None = None,
) -> "Rules":
    """Return what the options mean; `min_area` is no rule, but is checked as the others are.

    Raises:
        InputError: one of them cannot be understood.
    """
    from cleanplate.options import Rules, area_px

    area_px("min_area", min_area or 0, (1, 1))
    return Rules(
        keep=0 if keep is None else _count(keep),
        background_people=background_people,
        max_area=max_area,
        protect=tuple(protect or ()),
        only=() if only is None else _numbers(only),
        region=None if region is None else _region(region),
    )


def given_rules(rules: "Rules") -> list[str]:
    """Return the options that were given."""
    options = {
        "--keep": rules.keep,
        "--background-people": rules.background_people,
        "--max-area": rules.max_area,
        "--protect": rules.protect,
        "--only": rules.only,
        "--region": rules.region,
    }
    return [option for option, value in options.items() if value]


def check_only(rules: "Rules", photos: int) -> None:
    """Refuse object numbers for more photos than one: they mean something else in each.

    Raises:
        InputError: that is so.
    """
    if rules.only and photos != 1:
        raise InputError(
            f"--only takes the object numbers of one photo, but {photos} were given; name one"
        )


def _count(text: str) -> int:
    word = text.strip().lower()
    if word == "largest":
        return 1
    if not word.isdecimal() or int(word) < 1:
        raise InputError(f"--keep takes 'largest' or a number from 1 on, got {text!r}")
    return int(word)


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--only takes object numbers from 1 on, such as 1,3, got {text!r}")
    return tuple(dict.fromkeys(int(word) for word in words))


def _region(text: str) -> "Region":
    edges = [edge.strip() for edge in text.split(",")]
    if len(edges) != 4:
        raise InputError(
            f"--region takes left, top, width and height, such as 0,50%,100%,50%, got {text!r}"
        )
    return edges[0], edges[1], edges[2], edges[3]
