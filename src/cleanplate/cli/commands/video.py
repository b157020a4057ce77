"""`cleanplate video`: a clip in, the same clip without the named objects out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import ProgressReporter, print_line, print_note
from cleanplate.cli.execution import (
    KINDS,
    NOTHING_TO_REMOVE,
    check_inputs_are_no_labels,
    check_models,
    handle_interrupts,
    load_remover,
    removal_options,
)
from cleanplate.cli.messages import count_of
from cleanplate.cli.options import (
    RESULTS,
    ModelOptions,
    RemovalArguments,
    RunOptions,
    expand_options,
    flag,
    option,
)
from cleanplate.errors import InputError, PhotoError

if TYPE_CHECKING:
    from cleanplate.video import VideoRemoval

_MIN_SHARE = 0.005  # of the holes; less is not printed
_STAGES = {"detect": "finding", "fill": "filling"}


@expand_options(
    omit=("point", "box", "only", "verify", "texture", "seed", "workers", "max_memory", "fail_fast")
)
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
            metavar="OUT", help="The file to write, with the same extension.", show_default=False
        ),
    ],
    removal: RemovalArguments,
    models: ModelOptions,
    crf: Annotated[
        int | None,
        option(
            metavar="N",
            min=0,
            panel=RESULTS,
            help="Constant rate factor of the encoder; lower is better quality and larger files.",
            show_default="16 H.264, 18 HEVC, 20 VP9 and AV1",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        option(
            metavar="FILE",
            panel=RESULTS,
            help="Write one line of JSON about the clip to this file. Replaced if it exists.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, flag("--overwrite", panel=RESULTS, help="Replace OUT if it exists.")
    ] = False,
    run: RunOptions,
) -> None:
    """Remove objects from a clip and write it to another file of the same kind.

    Objects are detected in every frame, and the background behind them is taken from the frames
    that show it; an inpainter fills only what no frame shows. Sound, subtitles, times and rotation
    stay. A clip in which nothing is found is copied byte for byte. Needs the extra 'video'.

    Exit codes are those of 'run'.
    """
    reporter = ProgressReporter(run)
    removal.rules()  # before anything is loaded
    removal.check_examples(excluded={"--segmenter": models.segmenter}, report=report)
    if removal.is_empty:
        raise InputError(NOTHING_TO_REMOVE)
    check_inputs_are_no_labels([source], removal.remove or [])
    _check_report(report, source, target)
    with handle_interrupts(reporter):
        from cleanplate import video

        models = check_models(models, ["inpainter"] if removal.like else KINDS)
        video.check_video(source, target, crf=crf, overwrite=overwrite)
        examples = removal.examples()
        remover = load_remover(models, run.threads, examples)
        options = removal_options(removal, remover.segmenter.labels)
        if not run.quiet:
            segmenter, inpainter = remover.segmenter, remover.inpainter
            print_note(
                f"segmenter {segmenter.name} on {segmenter.provider}, "
                f"inpainter {inpainter.name} on {inpainter.provider}"
            )
        with reporter:
            result = video.remove_from_video(
                source,
                target,
                options=options,
                remover=remover,
                crf=crf,
                threads=run.threads,
                overwrite=overwrite,
                on_progress=lambda stage, done, total: reporter.advance(
                    _STAGES[stage], done, total
                ),
            )
        if not run.quiet:
            _print_result(result, verbose=run.verbose)
        if report is not None:
            described = video.describe_video_settings(options)
            _write_report(report, video.describe_video(result, remover, described))


def _check_report(report: Path | None, source: Path, target: Path) -> None:
    from cleanplate.batch import check_report

    if report is not None:
        check_report(report, stay=(source, target))


def _print_result(result: "VideoRemoval", *, verbose: bool) -> None:
    frames = count_of(result.frames, "frame")
    elapsed = result.timings_s["total"]
    kept = _frames_with(result.kept)
    rest = f"; kept {kept}" if kept else ""
    if not result.changed:
        nothing = "nothing to remove" if kept else "nothing found"
        print_line(f"{result.clip.path}: {nothing} in {frames}, copied{rest}")
    else:
        parts = [
            (result.from_frames_px, "from other frames"),
            (result.by_network_px, "by the inpainter, once for all frames"),
            (result.by_frame_px, "by the inpainter, frame by frame"),
        ]
        filled = ", ".join(
            f"{100 * result.share(pixels):.0f} % {how}"
            for pixels, how in parts
            if result.share(pixels) >= _MIN_SHARE
        )
        print_line(
            f"{result.clip.path}: removed {_frames_with(result.found)}, filled "
            f"{result.frames_filled} of {frames}: {filled}; {elapsed:.1f} s{rest}"
        )
    if verbose:
        print_line(
            f"  {count_of(result.shots, 'shot')}, {count_of(result.segments, 'key frame')}, "
            f"masks stabilised in {count_of(result.frames_steadied, 'frame')}"
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
        advice = "check the folder's permissions and free space"
        raise PhotoError(path, cause, advice) from error
