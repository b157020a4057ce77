"""`cleanplate video`: a clip in, the same clip without the named objects out."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from cleanplate.cli import options, rule_options
from cleanplate.cli.console import can_move_cursor, one_line, print_error, print_line, print_note
from cleanplate.cli.example_options import check_like
from cleanplate.cli.execution import check_inputs_are_no_labels, check_models
from cleanplate.cli.messages import count_of
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.errors import InputError, PhotoError
from cleanplate.labels import ALL

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cleanplate.video import VideoRemoval

VIDEO_HELP = (
    "Remove objects from a clip and write it to another file of the same kind.\n\n"
    "Every frame is looked at, and what was behind the objects is taken from the frames that show "
    "it; an inpainter fills only what none shows. Sound, subtitles, times and rotation stay. A "
    "clip in which nothing is found is copied byte for byte. Needs the extra 'video'.\n\n"
    "Exit codes are those of 'run'."
)

_NOTE_EVERY_S = 30.0  # where there is no terminal
_LEAST_SHARE = 0.005  # of the holes; less is not told
_STAGES = {"look": "looking", "fill": "filling"}


def video_command(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="The clip: .mp4, .m4v, .mov, .mkv or .webm, with H.264, HEVC, VP9 or AV1.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="The file to write, with the same ending.", show_default=False
        ),
    ],
    remove: options.Remove = None,
    like: options.Like = None,
    like_mask: options.LikeMask = None,
    segmenter: options.SegmenterName = None,
    inpainter: options.InpainterName = None,
    device: options.Device = "auto",
    min_score: options.MinScore = None,
    min_area: rule_options.MinArea = None,
    max_area: rule_options.MaxArea = None,
    keep: rule_options.Keep = None,
    background_people: rule_options.BackgroundPeople = False,
    protect: rule_options.Protect = None,
    region: rule_options.InRegion = None,
    grow: options.Grow = None,
    shadows: options.Shadows = False,
    crf: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Quality of the encoder: constant rate factor, lower is finer and larger.",
            rich_help_panel=options.RESULTS,
            show_default="16 H.264, 18 HEVC, 20 VP9 and AV1",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=options.RESULTS,
            help="Write what was done there, as one line of JSON. Replaced if it exists.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, options.flag("--overwrite", panel=options.RESULTS, help="Replace OUT if it exists.")
    ] = False,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the options, load the models, do it; `VIDEO_HELP` is what users read."""
    if quiet and verbose:
        raise InputError("-q and -v exclude each other; give one of them")
    rules = rule_options.make_rules(
        keep=keep,
        background_people=background_people,
        max_area=max_area,
        protect=protect,
        only=None,
        region=region,
        min_area=min_area,
    )
    if like or like_mask:
        others = {"--remove": remove, "--segmenter": segmenter}
        check_like(like or [], like_mask or [], excluded=others, report=report)
        remove = [ALL]
    if not (remove or background_people):
        raise InputError("nothing to remove; give --remove, such as --remove person,car")
    check_inputs_are_no_labels([source], [] if like else remove or [])
    _check_report(report, source, target)
    try:
        with signals_interrupt():
            from cleanplate import batch, inpainting, segmentation, video
            from cleanplate import remover as pipeline
            from cleanplate.options import DEFAULT_MIN_SCORE
            from cleanplate.segmentation import asked_labels

            segmenter = segmenter or segmentation.DEFAULT_SEGMENTER
            inpainter = inpainter or inpainting.DEFAULT_INPAINTER
            check_models(device=device, segmenter=segmenter, inpainter=inpainter)
            video.check_video(source, target, crf=crf, overwrite=overwrite)
            examples = batch.open_examples(like or [], like_mask or [])
            remover = pipeline.Remover(
                segmenter=batch.segmenter_of_examples(examples) if examples else segmenter,
                inpainter=inpainter,
                device=device,
                threads=threads,
            )
            labels = asked_labels(remove or (), rules, remover.segmenter.labels)[0]
            least_score = DEFAULT_MIN_SCORE if min_score is None else min_score
            if not quiet:
                finder, filler = remover.segmenter, remover.inpainter
                print_note(
                    f"segmenter {finder.name} on {finder.provider}, "
                    f"inpainter {filler.name} on {filler.provider}"
                )
            with _Bar(quiet=quiet) as bar:
                result = video.remove_from_video(
                    source,
                    target,
                    labels,
                    remover=remover,
                    min_score=least_score,
                    min_area=min_area or 0,
                    grow=grow,
                    shadows=shadows,
                    rules=rules,
                    crf=crf,
                    threads=threads,
                    overwrite=overwrite,
                    on_progress=bar.show,
                )
            settings = video.describe_video_settings(
                labels,
                min_score=least_score,
                min_area=min_area or 0,
                grow=grow,
                shadows=shadows,
                rules=rules,
            )
            if not quiet:
                _tell(result, verbose=verbose)
            if report is not None:
                _write_report(report, video.describe_video(result, remover, settings))
    except KeyboardInterrupt as interrupt:
        print_error("interrupted, nothing half-written; the same command starts anew")
        raise typer.Exit(exit_code_of(interrupt)) from None


def _check_report(report: Path | None, source: Path, target: Path) -> None:
    from cleanplate.batch import check_report

    if report is not None:
        check_report(report, stay=(source, target))


def _tell(result: "VideoRemoval", *, verbose: bool) -> None:
    """Print what became of the clip."""
    frames = count_of(result.frames, "frame")
    spent = result.timings_s["total"]
    left = _frames_with(result.left)
    stays = f"; left {left}" if left else ""
    if not result.changed:
        nothing = "nothing to remove" if left else "nothing found"
        print_line(f"{result.clip.path}: {nothing} in {frames}, copied{stays}")
    else:
        parts = [
            (result.from_frames_px, "from other frames"),
            (result.by_network_px, "by the inpainter, once for all frames"),
            (result.by_frame_px, "by the inpainter, frame by frame"),
        ]
        filled = ", ".join(
            f"{100 * result.share(pixels):.0f} % {how}"
            for pixels, how in parts
            if result.share(pixels) >= _LEAST_SHARE
        )
        print_line(
            f"{result.clip.path}: removed {_frames_with(result.found)}, filled "
            f"{result.frames_filled} of {frames}: {filled}; {spent:.1f} s{stays}"
        )
    if verbose:
        print_line(
            f"  {count_of(result.shots, 'shot')}, {count_of(result.segments, 'key frame')}, "
            f"masks steadied in {count_of(result.frames_steadied, 'frame')}"
        )
        if result.flicker is not None and result.flicker_around is not None:
            print_line(
                f"  flicker {result.flicker:.2f} grey levels in the holes, "
                f"{result.flicker_around:.2f} around them"
            )
        stages = (f"{stage} {seconds:.1f} s" for stage, seconds in result.timings_s.items())
        print_line("  " + ", ".join(stages))
    for note in result.notes:
        print_note(f"{result.clip.path}: {note}")


def _frames_with(counts: Mapping[str, int]) -> str:
    """Return "person in 12 frames, car in 3 frames", the most first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{label} in {count_of(count, 'frame')}" for label, count in ordered)


def _write_report(path: Path, line: Mapping[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    except OSError as error:
        cause = f"the report cannot be written ({error.strerror})"
        raise PhotoError(path, cause, "check the rights and the free space there") from error


class _Bar:
    """Shows how far it is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bar, if there is a terminal."""
        if can_move_cursor() and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeRemainingColumn as TimeLeft

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeLeft(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
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

    def show(self, stage: str, done: int, total: int | None) -> None:
        """Show that a frame is done."""
        words = _STAGES[stage]
        if self._progress is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(words, total=total)
            self._progress.update(self._tasks[stage], completed=done, total=total)
        elif not self._quiet and time.monotonic() - self._told > _NOTE_EVERY_S:
            self._told = time.monotonic()
            of_total = f" of {total}" if total else ""
            print_note(one_line(f"{words}: {done}{of_total} frames"))
