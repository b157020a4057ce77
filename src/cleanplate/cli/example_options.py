"""`--like` and `--like-mask`: an example says what to remove, instead of a name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cleanplate.errors import InputError


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
    from cleanplate.batch import check_report

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
    if report is not None:
        check_report(report, stay=(*like, *like_mask))
