"""What a run shows while it goes: a bar on a terminal, a line per photo elsewhere."""

import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cleanplate.cli.console import (
    can_move_cursor,
    is_terminal,
    one_line,
    print_error,
    print_line,
    print_note,
)
from cleanplate.cli.messages import (
    COUNTED,
    cause_of,
    count_of,
    describe_details,
    describe_photo,
    list_counts,
    told_difference,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from cleanplate.batch import PhotoResult


_SKIPPED = ("done", "exists", "other settings", "edited")
_MOST_NAMES = 5  # of doubtful photos in the summary; the report has them all


class RunView:
    """Shows a run and counts what became of its photos.

    Lines about photos go to standard output, unless both streams are terminals: then the bar alone
    is shown, and `verbose` prints the lines above it. Errors go to standard error: at once when
    `quiet`, which prints nothing else, otherwise at the end.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.total = 0
        self.counts: Counter[str] = Counter()
        self.unsaved_masks = 0  # asked for, but not made, as their photos were left alone
        self._removed: Counter[str] = Counter()  # objects by label
        self._left: Counter[str] = Counter()
        self._doubtful: list[str] = []  # photos that still show something in a filled hole
        self._differences: Counter[str] = Counter()  # settings, then and now -> photos
        self._failures: list[str] = []
        self._progress: Progress | None = None
        self._start = time.perf_counter()

    @property
    def done(self) -> int:
        """Number of photos that were looked at, whatever became of them."""
        return sum(self.counts.values())

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self._failures)

    def __enter__(self) -> Self:
        """Show the bar, if there is a terminal."""
        self._start = time.perf_counter()
        if can_move_cursor() and not self.quiet:
            self._progress = _make_bar()
            self._bar = self._progress.add_task("", total=self.total, rate="", photo="")
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()

    def expect(self, photos: int) -> None:
        """Count further photos as to be done."""
        self.total += photos
        if self._progress is not None:
            self._progress.update(self._bar, total=self.total)

    def start_photo(self, source: Path) -> None:
        """Show that a photo is being worked on."""
        if self._progress is not None:
            self._progress.update(self._bar, photo=one_line(source.name))

    def finish_photo(self, outcome: "PhotoResult") -> None:
        """Show and count what became of a photo."""
        self.counts[outcome.skipped or outcome.kept_by or outcome.status] += 1
        if outcome.skipped == "other settings":
            self._differences.update(outcome.notes)
        if outcome.skipped is None:
            for thing in outcome.found:
                (self._removed if thing.chosen else self._left)[thing.label] += 1
            if outcome.remaining:
                self._doubtful.append(str(outcome.source))
        if outcome.status == "failed":
            self.fail(cause_of(outcome))
        if self._progress is not None:
            self._progress.update(self._bar, advance=1, rate=self._rate())
        if not self.quiet:
            lines = [describe_photo(outcome)]
            if self.verbose:
                lines.extend(describe_details(outcome))
            self._show(lines)

    def fail(self, cause: str) -> None:
        """Note an error; it is listed at the end, or printed now if nothing else is."""
        self._failures.append(cause)
        if self.quiet:
            print_error(cause)

    def summarise(self) -> None:
        """Print the counts, the time, and every failure with its cause."""
        if self.quiet:
            return
        parts = [f"{self.counts[status]} {word}" for status, word in COUNTED.items()]
        if self.done < self.total:
            parts.append(f"{self.total - self.done} not tried")
        told = ", ".join(part for part in parts if not part.startswith("0 "))
        spent = time.perf_counter() - self._start
        print_line(f"{count_of(self.total, 'photo')}: {told}; {spent:.1f} s, {self._rate()}")
        if self.total > 1:  # of one photo, its own line says as much
            self._tell_objects()
        for difference, count in self._differences.most_common():
            print_line(told_difference(count, difference))
        if self.unsaved_masks:
            print_line(
                f"{count_of(self.unsaved_masks, 'mask')} not saved, for photos that were left "
                "alone; --overwrite does them anew"
            )
        if self._doubtful:
            shown = ", ".join(self._doubtful[:_MOST_NAMES])
            more = len(self._doubtful) - _MOST_NAMES
            shown += f" and {more} more" if more > 0 else ""
            print_line(
                f"{count_of(len(self._doubtful), 'photo')} may still show something that was to be "
                f"removed (-v and --report tell where): {shown}"
            )
        if self._failures:
            print_error(f"{len(self._failures)} failed:")
            for cause in self._failures:
                print_note(f"  {cause}")

    def _tell_objects(self) -> None:
        """Print how many objects of each label went and stayed."""
        verb = "removed" if self.counts["removed"] else "to remove"
        told = [
            f"{words} {list_counts(counts)}"
            for words, counts in ((verb, self._removed), ("left", self._left))
            if counts
        ]
        if told:
            print_line("objects: " + "; ".join(told))

    def _rate(self) -> str:
        worked = self.done - sum(self.counts[why] for why in _SKIPPED)
        return f"{worked / max(time.perf_counter() - self._start, 1e-6):.1f} photos/s"

    def _show(self, lines: list[str]) -> None:
        above_bar = self._progress is not None and is_terminal(sys.stdout)
        for line in lines:
            if not above_bar:
                print_line(line)
            elif self.verbose and self._progress is not None:
                self._progress.console.print(
                    one_line(line), markup=False, highlight=False, soft_wrap=True
                )


def _make_bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeft(),
        TextColumn("{task.fields[photo]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
