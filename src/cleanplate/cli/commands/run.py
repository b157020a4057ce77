"""`cleanplate run`: a folder of photos in, the same photos without the named objects out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cleanplate.cli import options, rule_options
from cleanplate.cli.example_options import check_like
from cleanplate.cli.execution import (
    Share,
    check_inputs_are_no_labels,
    check_models,
    check_name,
    ending_well,
    make_filter,
    make_view,
    run_job,
    wants_page,
)
from cleanplate.cli.options import flag
from cleanplate.cli.pipe import PIPE, check_pipe, is_piped, run_pipe
from cleanplate.cli.progress import RunView
from cleanplate.errors import InputError
from cleanplate.labels import ALL

if TYPE_CHECKING:
    from cleanplate.batch import RunPlan

_MANY = 1_000_000  # photos that may come while watching

RUN_HELP = (
    "Remove objects from photos and write the results to another folder.\n\n"
    "Photos in which nothing is found are copied byte for byte. The output folder keeps a journal: "
    "the same command goes on where it was stopped, and does photos again that changed since. "
    "Other results that exist are left alone.\n\n"
    "Exit code 0: all done. 1: some photo failed, the others are done; or a model is missing. "
    "2: wrong use, nothing was done. 130: stopped by Ctrl-C (143: by SIGTERM), nothing is "
    "half-written."
)


def run_command(
    *,
    inputs: options.InputsOrPipe,
    output: options.OutputOrPipe = None,
    remove: options.Remove = None,
    like: options.Like = None,
    like_mask: options.LikeMask = None,
    recursive: options.Recursive = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    min_size: options.MinSize = None,
    max_size: options.MaxSize = None,
    segmenter: options.SegmenterName = None,
    inpainter: options.InpainterName = None,
    device: options.Device = "auto",
    min_score: options.MinScore = None,
    min_area: rule_options.MinArea = None,
    max_area: rule_options.MaxArea = None,
    keep: rule_options.Keep = None,
    background_people: rule_options.BackgroundPeople = False,
    protect: rule_options.Protect = None,
    only: rule_options.Only = None,
    region: rule_options.InRegion = None,
    grow: options.Grow = None,
    shadows: options.Shadows = False,
    verify: options.Verify = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.RESULTS,
            help="Save masks there as PNG, white = removed.",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            rich_help_panel=options.WHAT,
            help="Remove what your own masks show in white, instead of --remove: one file for all "
            "photos, or a folder with a.png for a.jpg.",
            show_default=False,
        ),
    ] = None,
    report: options.Report = None,
    raw_output: options.RawOutputName = "tiff",
    untouched: options.Untouched = "copy",
    watch: options.Watch = False,
    dry_run: Annotated[
        bool,
        flag(
            "--dry-run", panel=options.WORK, help="Find and tell only; write no photo and no mask."
        ),
    ] = False,
    overwrite: options.Overwrite = False,
    fail_fast: options.FailFast = False,
    threads: options.Threads = None,
    workers: options.Workers = None,
    max_memory: options.MaxMemory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the options, plan the run, load the models, do it; `RUN_HELP` is what users read."""
    view = make_view(quiet=quiet, verbose=verbose)
    piped = is_piped(inputs)
    if piped:
        unused = {
            "--masks": masks,
            "--watch": watch,
            "-r": recursive,
            f"--untouched {untouched}": untouched != "copy",
        }
        check_pipe(inputs, output, mask, report, unused=unused)
    elif output in (None, PIPE):
        raise InputError("no folder for the results; give --output DIR")
    folder = output or Path()
    rules = rule_options.make_rules(
        keep=keep,
        background_people=background_people,
        max_area=max_area,
        protect=protect,
        only=only,
        region=region,
        min_area=min_area,
    )
    if like or like_mask:
        others = {"--remove": remove, "--mask": mask, "--segmenter": segmenter}
        check_like(like or [], like_mask or [], excluded=others, report=report)
        remove = [ALL]  # of what the examples show
    _check_remove_or_mask(
        remove or (["person"] if background_people and mask is None else None),
        mask,
        unused={
            "--segmenter": segmenter,
            "--min-score": min_score,
            "--min-area": min_area,
            **dict.fromkeys(rule_options.given_rules(rules), True),
            "--grow": grow,
            "--shadows": shadows or None,
            "--verify" if verify else "--no-verify": verify,
        },
    )
    check_inputs_are_no_labels(inputs, [] if like else remove or [])
    with ending_well(view, watching=watch):
        from cleanplate import batch, inpainting, segmentation
        from cleanplate import remover as pipeline
        from cleanplate.io import RESULT_SUFFIXES, RawOutput
        from cleanplate.options import DEFAULT_MIN_SCORE
        from cleanplate.segmentation import asked_labels

        segmenter = segmenter or segmentation.DEFAULT_SEGMENTER
        inpainter = inpainter or inpainting.DEFAULT_INPAINTER
        check_models(device=device, segmenter=segmenter, inpainter=inpainter)
        check_name("raw output", raw_output, RESULT_SUFFIXES)
        check_name("kind of --untouched", untouched, get_args(batch.Untouched))
        developed_as = cast("RawOutput", raw_output)
        share = Share(workers=workers, threads=threads, max_memory=max_memory)
        own_masks = None if mask is None else batch.MaskFiles(mask)
        photo_filter = make_filter(include, exclude, min_size, max_size)

        def look() -> batch.RunPlan:
            plan = batch.plan_photos(
                inputs,
                folder,
                recursive=recursive,
                masks=masks,
                own_masks=mask,
                report=report,
                raw_output=developed_as,
                photo_filter=photo_filter,
                may_be_empty=watch,
            )
            if own_masks is not None:
                own_masks.check_stay(plan, masks=masks, report=report)
            return plan

        plan = batch.RunPlan(()) if piped else look()
        rule_options.check_only(rules, 1 if piped else len(plan.photos))
        examples = batch.open_examples(like or [], like_mask or [])
        batch.check_examples_stay(plan, examples, masks=masks)
        remover = pipeline.Remover(
            segmenter=batch.segmenter_of_examples(examples) if examples else segmenter,
            inpainter=inpainter,
            device=device,
            threads=threads,
        )
        job = batch.Job(
            labels=() if mask else asked_labels(remove or (), rules, remover.segmenter.labels)[0],
            min_score=DEFAULT_MIN_SCORE if min_score is None else min_score,
            min_area=min_area or 0,
            rules=rules,
            grow=grow,
            shadows=shadows,
            verify=verify is not False,
            own_masks=own_masks,
            masks=masks,
            examples=examples,
            raw_output=developed_as,
            untouched=cast("batch.Untouched", untouched),
            thumbnails=wants_page(report),
            dry_run=dry_run,
            overwrite=overwrite,
            fail_fast=fail_fast,
        )
        if piped:
            run_pipe(remover, job, view, report)
            return
        run_job(
            plan,
            remover,
            job,
            view,
            report,
            resources=share.resources(_MANY if watch else len(plan.photos), remover),
            journal_in=None if dry_run else folder,
            later=_watch(look, view) if watch else None,
        )


def _watch(look: "Callable[[], RunPlan]", view: RunView) -> "Iterator[RunPlan]":
    """Yield what is new, for ever; what cannot be planned is told once and left for later."""
    from cleanplate import batch

    told = set()

    def look_again() -> "RunPlan | None":
        try:
            return look()
        except InputError as error:
            if str(error) not in told:
                told.add(str(error))
                view.fail(str(error))
            return None

    return batch.watch_photos(look_again, wait=time.sleep)


def _check_remove_or_mask(
    remove: Sequence[str] | None, mask: Path | None, *, unused: Mapping[str, object | None]
) -> None:
    if mask is None:
        if not remove:
            raise InputError(
                "nothing to remove; give --remove, such as --remove person,car, or --mask"
            )
        return
    if remove:
        raise InputError(
            "--mask and --remove exclude each other: with --mask, exactly what your masks show is "
            "removed; give one of them"
        )
    given = [option for option, value in unused.items() if value is not None]
    if given:
        raise InputError(
            f"{', '.join(given)} and --mask exclude each other: your masks are used as they are; "
            f"leave {'it' if len(given) == 1 else 'them'} away"
        )
