"""`cleanplate run`: photos in, the same photos without the named objects out."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cleanplate.cli.console import ProgressReporter, is_terminal, name_stream_in_errors, print_note
from cleanplate.cli.execution import (
    ReportFiles,
    check_inputs_are_no_labels,
    check_models,
    check_name,
    check_remove_or_mask,
    handle_interrupts,
    load_remover,
    removal_options,
    run_job,
    wants_page,
)
from cleanplate.cli.messages import describe_details, describe_photo
from cleanplate.cli.options import (
    PHOTOS,
    RESULTS,
    WORK,
    MaskArguments,
    ModelOptions,
    OutputOptions,
    PublishedArguments,
    RemovalArguments,
    RunOptions,
    SelectionOptions,
    check_only,
    expand_options,
    flag,
    option,
)
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import Job, RunPlan
    from cleanplate.hub import ModelKind
    from cleanplate.remover import Remover

_MANY = 1_000_000  # photos that may come while watching
_STDIO = Path("-")


@expand_options()
def run_command(
    *,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...",
            help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'; @FILE for a "
            "list of them, one a line; - for one from standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="DIR",
            panel=RESULTS,
            help="Folder for the results. Names, formats and sub-folders stay (RAW: --raw-output). "
            "With - as the photo, the result goes to standard output.",
        ),
    ] = None,
    removal: RemovalArguments,
    masking: MaskArguments,
    selection: SelectionOptions,
    watch: Annotated[
        bool,
        flag("--watch", panel=PHOTOS, help="Wait for new and changed photos until Ctrl-C."),
    ] = False,
    models: ModelOptions,
    publishing: PublishedArguments,
    masks: Annotated[
        Path | None,
        option(
            metavar="DIR",
            panel=RESULTS,
            help="Save masks there as PNG, white = removed. Files of their names are replaced.",
        ),
    ] = None,
    mask_orientation: Annotated[
        str,
        option(
            metavar="upright|stored",
            panel=RESULTS,
            help="Orientation of --masks: upright, as photos are displayed; or stored, as their "
            "pixels are, for programs that ignore Exif orientation. The mask has the tag too, so "
            "that --mask reads it correctly.",
            show_default=True,
        ),
    ] = "upright",
    outputs: OutputOptions,
    dry_run: Annotated[
        bool,
        flag("--dry-run", panel=WORK, help="Detect and print only; write no photo and no mask."),
    ] = False,
    run: RunOptions,
) -> None:
    """Remove objects from photos and write the results to another folder.

    Photos in which nothing is found are copied byte for byte. The output folder keeps a journal:
    the same command resumes an interrupted run, and processes changed photos again. Other existing
    results are kept.

    Exit code 0: all done. 1: some photo failed, the others are done; or a model is missing. 2:
    wrong use, nothing was done. 130: stopped by Ctrl-C (143: by SIGTERM), nothing is half-written.
    """
    reporter = ProgressReporter(run)
    mask = masking.mask
    piped = _STDIO in inputs
    if piped:
        unused = {
            "--masks": masks,
            "--watch": watch,
            "-r": selection.recursive,
            f"--untouched {outputs.untouched}": outputs.untouched != "copy",
        }
        _check_piped(inputs, output, mask, outputs.report, unused=unused)
    elif output in (None, _STDIO):
        raise InputError("no output folder; give --output DIR")
    folder = output or Path()
    if mask_orientation != "upright" and masks is None:
        raise InputError("--mask-orientation applies to saved masks; give --masks DIR")
    rules = removal.rules()
    others = {"--mask": mask, "--segmenter": models.segmenter}
    removal.check_examples(excluded=others, report=outputs.report)
    check_remove_or_mask(removal, mask, models)
    check_inputs_are_no_labels(inputs, removal.remove or [])
    published = publishing.settings(
        models.preset,
        {
            **removal.given(),
            "--like": removal.like,
            "--mask": mask,
            "--dry-run": dry_run,
            "- (standard input)": piped,
        },
    )
    with handle_interrupts(reporter, watching=watch):
        from cleanplate import batch
        from cleanplate.io import RESULT_SUFFIXES, RawOutput

        needed: dict[ModelKind, bool] = {
            "segmenter": not (mask or removal.like),
            "inpainter": not dry_run,
        }
        kinds = [kind for kind, used in needed.items() if used]
        models = check_models(models, kinds, published=published is not None)
        check_name("raw output", outputs.raw_output, RESULT_SUFFIXES)
        check_name("mask orientation", mask_orientation, get_args(batch.MaskOrientation))
        check_name("kind of --untouched", outputs.untouched, get_args(batch.Untouched))
        raw_output = cast("RawOutput", outputs.raw_output)
        own_masks = masking.files()
        photo_filter = selection.photo_filter()

        def make_plan() -> batch.RunPlan:
            plan = batch.plan_photos(
                inputs,
                folder,
                recursive=selection.recursive,
                masks=masks,
                own_masks=mask,
                edges=publishing.edges,
                intermediate=publishing.save_intermediate,
                report=outputs.report,
                raw_output=raw_output,
                photo_filter=photo_filter,
                may_be_empty=watch,
            )
            if own_masks is not None:
                own_masks.check_stay(plan, masks=masks, report=outputs.report)
                own_masks.check_any(plan)
            if published is not None and published.edges is not None:
                published.edges.check_stay(
                    plan, masks=masks, report=outputs.report, kind="drawing of edges"
                )
            return plan

        plan = batch.RunPlan(()) if piped else make_plan()
        check_only(rules, 1 if piped else len(plan.photos))
        examples = removal.examples(plan, masks=masks)
        remover = load_remover(models, run.threads, examples)
        job = batch.Job(
            options=removal_options(removal, remover.segmenter.labels, masked=mask is not None),
            published=published,
            own_masks=own_masks,
            masks=masks,
            mask_orientation=cast("batch.MaskOrientation", mask_orientation),
            examples=examples,
            raw_output=raw_output,
            untouched=cast("batch.Untouched", outputs.untouched),
            thumbnails=wants_page(outputs.report),
            dry_run=dry_run,
            preserve_times=outputs.preserve_times,
            overwrite=outputs.overwrite,
            fail_fast=run.fail_fast,
        )
        if piped:
            _run_piped(remover, job, reporter, outputs.report)
            return
        run_job(
            plan,
            remover,
            job,
            reporter,
            outputs.report,
            resources=run.resources(_MANY if watch else len(plan.photos), remover),
            journal_in=None if dry_run else folder,
            later=_watch(make_plan, reporter) if watch else None,
        )


def _watch(make_plan: "Callable[[], RunPlan]", reporter: ProgressReporter) -> "Iterator[RunPlan]":
    """Yield plans of new photos, without end; an error of planning is reported once."""
    from cleanplate import batch

    reported = set()

    def plan_again() -> "RunPlan | None":
        try:
            return make_plan()
        except InputError as error:
            if str(error) not in reported:
                reported.add(str(error))
                reporter.fail(str(error))
            return None

    return batch.watch_photos(plan_again, wait=time.sleep)


def _check_piped(
    inputs: Sequence[Path],
    output: Path | None,
    mask: Path | None,
    report: Path | None,
    *,
    unused: Mapping[str, object | None],
) -> None:
    """Refuse options that make no sense for a single photo from standard input.

    Raises:
        InputError: more inputs, an output folder, a folder of masks, a report over a photo, one of
            `unused`, or a terminal or nothing at either end.
    """
    from cleanplate.batch import check_report

    if len(inputs) > 1:
        raise InputError("- takes one photo from standard input; omit the other inputs")
    if output not in (None, _STDIO):
        raise InputError(
            f"--output {output}: with - the result goes to standard output; omit --output and "
            "write > FILE"
        )
    given = [name for name, value in unused.items() if value]
    if given:
        raise InputError(f"{', '.join(given)} and - exclude each other; name files or folders")
    if mask is not None and mask.is_dir():
        raise InputError(f"{mask}: is a folder; with - --mask takes one file")
    if report is not None:
        check_report(report)
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None:
            raise InputError(f"standard {name} is closed; open it, or name files")
    if is_terminal(sys.stdin):
        raise InputError("standard input is a terminal; write < photo.jpg")
    if is_terminal(sys.stdout):
        raise InputError("standard output is a terminal; write > result.jpg")


def _run_piped(
    remover: "Remover", job: "Job", reporter: ProgressReporter, report: Path | None
) -> None:
    """Process the photo in standard input; messages go to standard error, on failure only they."""
    from cleanplate import batch

    models = batch.describe_models(remover, job)
    known = remover.segmenter.labels if job.own_masks is None else ()
    with ReportFiles(report, models, job, reporter, known) as report_files:
        result, content = batch.run_bytes(sys.stdin.buffer.read(), remover, job)
        report_files.write(result)
    reporter.total = 1
    if result.status == "failed":
        reporter.quiet = True
        reporter.finish_photo(result)
        return
    if not reporter.quiet:
        notes = result.notes if result.status == "removed" else ()
        details = [f"  note: {note}" for note in notes]
        if reporter.verbose:
            details = describe_details(result)
        for line in (describe_photo(result), *details):
            print_note(line)
    if content is not None:
        with name_stream_in_errors(sys.stdout):
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
