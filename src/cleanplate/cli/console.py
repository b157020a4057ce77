"""Standard output and error: lines that are never wrapped, and the progress of a run."""

import codecs
import io
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from cleanplate.cli.messages import (
    STATUS_TEXTS,
    cause_of,
    count_of,
    describe_details,
    describe_difference,
    describe_photo,
    list_counts,
)
from cleanplate.cli.options import RunOptions

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cleanplate.batch import PhotoResult

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def print_line(text: str) -> None:
    """Print a result."""
    _print(text, sys.stdout)


def print_note(text: str) -> None:
    """Print a message on standard error."""
    _print(text, sys.stderr)


def print_error(text: str) -> None:
    """Print an error on standard error."""
    _print(f"cleanplate: error: {text}", sys.stderr)


def one_line(text: str) -> str:
    """Return `text` with control characters escaped: file names may contain any of them."""
    return text.translate(_ESCAPES)


def can_move_cursor() -> bool:
    """Return whether standard error is a terminal that can show a progress bar."""
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; a closed stream is None."""
    return stream is not None and stream.isatty()


def reserve_std_fds() -> None:
    """Open the null device at file descriptors 0 to 2 that are closed.

    Otherwise a file opened later would get one of them: libraries would print into it, and worker
    processes could not be started.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def configure_stdio_errors() -> None:
    """Make both streams print file names that are not valid text, as their bytes.

    Characters that the terminal's encoding lacks are escaped.
    """
    codecs.register_error("cleanplate", _encode_or_escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="cleanplate")


def _encode_or_escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    with name_stream_in_errors(stream):
        print(one_line(text), file=stream, flush=True)


@contextmanager
def name_stream_in_errors(stream: TextIO) -> Iterator[None]:
    """Add the name of standard output or error to errors of writing to it."""
    try:
        yield
    except OSError as error:
        _discard(stream)
        name = "standard output" if stream is sys.stdout else "standard error"
        raise OSError(error.errno, error.strerror, name) from error


def _discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: Python would fail to write it at exit, code 120."""
    with suppress(OSError):  # a stream without a descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


_SKIPPED = ("done", "exists", "other settings", "edited")
_MAX_NAMES = 5  # of photos in the summary to check; the report lists all of them


_LONG_S = 10.0  # from this time per object, the cost is printed


class ProgressReporter:
    """Show the progress of a run over photos, a clip or a cluster, and count its photos.

    Lines about photos go to standard output, unless both streams are terminals: then only the bar
    is shown, and `verbose` prints the lines above it. Errors go to standard error: at once when
    `quiet`, which prints nothing else, otherwise at the end.

    Args:
        options: `quiet` and `verbose` are used.
        note_every_s: seconds between two notes on standard error for `advance` and `finish_record`,
            where no bar is shown.
        max_failures: how many failures the summary lists; None: all.

    Raises:
        InputError: `quiet` and `verbose` are both set.
    """

    def __init__(
        self, options: RunOptions, *, note_every_s: float = 30.0, max_failures: int | None = None
    ) -> None:
        options.check()
        self.quiet, self.verbose = options.quiet, options.verbose
        self.total = 0
        self.counts: Counter[str] = Counter()
        self._without_mask = 0
        self.unsaved_masks = 0  # requested, but not made because their photos were skipped
        self._note_every_s, self._max_failures = note_every_s, max_failures
        self._with_losses = 0  # photos that lost data
        self._losses: Counter[str] = Counter()  # what was lost -> photos
        self._removed: Counter[str] = Counter()  # objects by label
        self._kept: Counter[str] = Counter()
        self._is_cost_shown = False
        self._remaining: list[str] = []  # photos in which something is still detected in a hole
        self._differences: Counter[str] = Counter()  # settings, then and now -> photos
        self._failures: list[str] = []
        self._failure_count = 0
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._start = self._noted_at = time.perf_counter()

    @property
    def done(self) -> int:
        """Number of photos that were processed, whatever the result."""
        return sum(self.counts.values())

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return self._failure_count > 0

    def __enter__(self) -> Self:
        """Show the bar, if there is a terminal."""
        self._start = self._noted_at = time.perf_counter()
        if can_move_cursor() and not self.quiet:
            self._progress = _make_bar()
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()

    def expect(self, photos: int) -> None:
        """Add photos to the total."""
        self.total += photos
        self._update_bar("", total=self.total)

    def start_photo(self, source: Path) -> None:
        """Show which photo is in progress."""
        self._update_bar("", item=one_line(source.name))

    def finish_photo(self, result: "PhotoResult") -> None:
        """Show and count the result of a photo."""
        from cleanplate.batch import NO_MASK

        self._count(
            result.skipped or result.kept_by or result.status,
            differences=result.notes if result.skipped == "other settings" else (),
            cause=cause_of(result) if result.status == "failed" else None,
        )
        if result.skipped is None:
            for instance in result.found:
                (self._removed if instance.chosen else self._kept)[instance.label] += 1
            self._without_mask += NO_MASK in result.notes
            self._count_losses(result.status, result.notes)
            if result.remaining:
                self._remaining.append(str(result.source))
        self._update_bar("", advance=1, rate=self._rate())
        if not self.quiet:
            lines = [describe_photo(result)]
            if self.verbose:
                lines.extend(describe_details(result))
            lines.extend(self._cost(result))
            self._print_lines(lines)

    def _cost(self, result: "PhotoResult") -> list[str]:
        """Return, once and if it is long, what an object costs: timed on the first photo."""
        objects = sum(instance.chosen for instance in result.found)
        what = "an object takes about" if objects else "the mask of a photo takes about"
        left = self.total - self.done
        spent_s = result.timings_s.get("mask", 0) + result.timings_s.get("fill", 0)
        if self._is_cost_shown or result.skipped is not None or not result.mask_area_px or left < 1:
            return []
        self._is_cost_shown = True
        seconds = spent_s / max(1, objects)
        if seconds < _LONG_S:
            return []
        return [f"{what} {seconds:.0f} s on this machine; photos left: {left}"]

    def finish_record(self, record: Mapping[str, Any]) -> None:
        """Count a photo that another machine processed, by its line in the report."""
        self._count(
            record["skipped"] or record["status"],
            differences=record["notes"] if record["skipped"] == "other settings" else (),
            cause=record["error"] if record["status"] == "failed" else None,
        )
        self._count_losses(record["status"], record["notes"])
        self._note(f"{count_of(self.done, 'photo')} so far, {self._rate()}")

    def advance(self, stage: str, done: int, total: int | None) -> None:
        """Show how many frames of a clip a stage has done; None: the total is unknown."""
        self._update_bar(stage, completed=done, total=total)
        self._note(f"{stage}: {done}{f' of {total}' if total else ''} frames")

    def fail(self, cause: str) -> None:
        """Record an error; it is listed in the summary, or printed now if `quiet`."""
        self._failure_count += 1
        if self._max_failures is not None and len(self._failures) >= self._max_failures:
            return
        self._failures.append(cause)
        if self.quiet:
            print_error(cause)

    def summarise(self) -> None:
        """Print the counts, the time, and the failures with their causes."""
        if self.quiet:
            return
        total = max(self.total, self.done)
        parts = [f"{self.counts[status]} {text}" for status, text in STATUS_TEXTS.items()]
        parts.append(f"{total - self.done} not processed")
        counts = ", ".join(part for part in parts if not part.startswith("0 ")) or "none to process"
        elapsed = time.perf_counter() - self._start
        print_line(f"{count_of(total, 'photo')}: {counts}; {elapsed:.1f} s, {self._rate()}")
        if total > 1:  # the line of a single photo says it already
            self._print_objects()
        for difference, count in self._differences.most_common():
            print_line(describe_difference(count, difference))
        if self.unsaved_masks:
            print_line(
                f"{count_of(self.unsaved_masks, 'mask')} not saved, of skipped photos; "
                "--overwrite processes them again"
            )
        if self._without_mask:
            print_line(f"{count_of(self._without_mask, 'photo')} without a mask")
        if self._with_losses:
            kinds = ", ".join(f"{what} {count}" for what, count in self._losses.most_common())
            print_line(
                f"{count_of(self._with_losses, 'photo')} lost data that cannot be carried over "
                f"(-v and --report name it): {kinds}"
            )
        if self._remaining:
            shown = ", ".join(self._remaining[:_MAX_NAMES])
            more = len(self._remaining) - _MAX_NAMES
            shown += f" and {more} more" if more > 0 else ""
            print_line(
                f"{count_of(len(self._remaining), 'photo')} may still show an object that was to "
                f"be removed (-v and --report show where): {shown}"
            )
        if self._failures:
            print_error(f"{self._failure_count} failed:")
            for cause in self._failures:
                print_note(f"  {cause}")
            more = self._failure_count - len(self._failures)
            if more > 0:
                print_note(f"  and {more} more, listed in the report")

    def summarise_interrupted(self, *, watching: bool = False) -> None:
        """Print what was done before an interrupt; in a run that watches, it is the normal end."""
        if self.done:
            self.summarise()
        if watching and self.done:
            print_note("stopped watching, nothing half-written")
        elif self.done:
            of_total = f" of {count_of(self.total, 'photo')}" if self.total else " photos"
            print_error(
                f"interrupted: {self.done}{of_total} done, nothing half-written; the same command "
                "without --overwrite resumes it"
            )
        else:
            print_error("interrupted, nothing half-written; run the same command again")

    def _count(self, status: str, *, differences: Iterable[str], cause: str | None) -> None:
        self.counts[status] += 1
        self._differences.update(differences)
        if cause is not None:
            self.fail(cause)

    def _count_losses(self, status: str, notes: Iterable[str]) -> None:
        from cleanplate.io import lost_in

        lost = {what for what in map(lost_in, notes) if what} if status == "removed" else set()
        self._losses.update(lost)
        self._with_losses += bool(lost)

    def _print_objects(self) -> None:
        """Print how many objects of each label were removed and kept."""
        verb = "removed" if self.counts["removed"] else "to remove"
        parts = [
            f"{words} {list_counts(counts)}"
            for words, counts in ((verb, self._removed), ("kept", self._kept))
            if counts
        ]
        if parts:
            print_line("objects: " + "; ".join(parts))

    def _rate(self) -> str:
        processed = self.done - sum(self.counts[status] for status in _SKIPPED)
        return f"{processed / max(time.perf_counter() - self._start, 1e-6):.1f} photos/s"

    def _update_bar(self, stage: str, **values: Any) -> None:
        if self._progress is None:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=None, rate="", item="")
        self._progress.update(self._tasks[stage], **values)

    def _note(self, text: str) -> None:
        """Print a note, unless the bar shows as much or the last note is recent."""
        now = time.perf_counter()
        if self._progress is None and not self.quiet and now - self._noted_at > self._note_every_s:
            self._noted_at = now
            print_note(text)

    def _print_lines(self, lines: list[str]) -> None:
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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeft(),
        TextColumn("{task.fields[item]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
