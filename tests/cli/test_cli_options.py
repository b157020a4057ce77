"""The declarations that commands share, and the reporter of their progress."""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import pytest
import typer

from cleanplate.batch import FoundObject, PhotoResult
from cleanplate.cli import app
from cleanplate.cli.console import ProgressReporter
from cleanplate.cli.options import RunOptions, expand_options, option
from cleanplate.errors import InputError

SHARED = {"run", "plan", "fill", "redo", "video", "ray"}


@dataclass(frozen=True, kw_only=True)
class Group:
    first: Annotated[int, option()] = 1
    second: Annotated[int, option()] = 2


def test_a_group_is_expanded_into_its_options_and_given_as_one_object():
    received = []

    @expand_options(omit=("second",))
    def command(*, path: Annotated[str, option()], group: Group) -> None:
        """Do it.

        In two
        lines.
        """
        received.append((path, group))

    assert list(inspect.signature(command).parameters) == ["path", "first"]
    assert command.__doc__ == "Do it.\n\nIn two lines."
    command(path="a", first=5)
    assert received == [("a", Group(first=5, second=2))]


def test_an_option_says_the_same_in_every_command_that_shares_it():
    texts: dict[str, set[str]] = {}
    for command in app.registered_commands:
        if command.name not in SHARED:
            continue
        for parameter in inspect.signature(command.callback).parameters.values():
            [info] = get_args(parameter.annotation)[1:]
            if isinstance(info, typer.models.OptionInfo):
                texts.setdefault(parameter.name, set()).add(info.help)
    assert len(texts) > 30
    own = {"masks", "output", "overwrite", "report", "untouched", "workers"}
    assert {name for name, helps in texts.items() if len(helps) > 1} == own


def record(status, *, skipped=None, notes=(), error=None):
    return {"status": status, "skipped": skipped, "notes": notes, "error": error}


def test_a_cluster_lists_the_first_failures_only(capsys):
    reporter = ProgressReporter(RunOptions(), max_failures=2)
    reporter.finish_record(record("removed"))
    reporter.finish_record(record("untouched", skipped="other settings", notes=["--dilate 3"]))
    for number in range(3):
        reporter.finish_record(record("failed", error=f"{number}.png"))
    reporter.summarise()
    out, err = capsys.readouterr()
    assert out.startswith("5 photos: 1 removed, 1 skipped (made with other settings), 3 failed; ")
    assert re.search("1 photo skipped.*: --dilate 3; --overwrite", out)
    assert "3 failed:\n  0.png\n  1.png\n  and 1 more, " in err
    assert reporter.failed


def test_the_summary_counts_what_photos_lost(capsys):
    gain_map, depth = (f"its {what} is not carried over" for what in ("HDR gain map", "depth map"))
    with ProgressReporter(RunOptions()) as reporter:
        for status, *notes in (
            ("removed", gain_map, depth),
            ("removed", gain_map, "its thumbnail is removed"),
            ("removed", "its thumbnail is removed"),
            ("untouched", gain_map),
        ):
            reporter.finish_record(record(status, notes=notes))
    reporter.summarise()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "lost" in line)
    assert line.startswith("2 photos lost data")
    assert line.endswith(": HDR gain map 2, depth map 1")


def test_a_clip_notes_its_frames_where_there_is_no_terminal(capsys):
    reporter = ProgressReporter(RunOptions(), note_every_s=0)
    with reporter:
        reporter.advance("finding", 3, 10)
        reporter.advance("filling", 4, None)
    assert capsys.readouterr().err == "finding: 3 of 10 frames\nfilling: 4 frames\n"


@pytest.mark.parametrize(
    ("fill_s", "objects", "message"),
    [(80.0, 2, ["an object takes about 40 s"]), (2.0, 2, []), (80.0, 0, ["mask", "80 s"])],
)
def test_the_cost_is_told_once_after_the_first_photo(capsys, fill_s, objects, message):
    found = [FoundObject(n, "cat", 0.9, (0, 0, 2, 2), 4, chosen=n < 2) for n in range(objects + 1)]
    reporter = ProgressReporter(RunOptions())
    reporter.expect(3)
    for name in ("a.png", "b.png", "c.png"):
        reporter.finish_photo(
            PhotoResult(
                status="removed", source=Path(name), target=Path(name), size_hw=(9, 9),
                found=tuple(found if objects else ()), mask_area_px=8,
                timings_s={"fill": fill_s, "total": fill_s},
            )
        )  # fmt: skip
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    costs = [line for line in lines if "on this machine" in line]
    assert len(costs) == bool(message)
    assert all(word in line for line in costs for word in [*message, "left: 2"])


def test_quiet_and_verbose_exclude_each_other():
    with pytest.raises(InputError, match="exclude each other"):
        ProgressReporter(RunOptions(quiet=True, verbose=True))
