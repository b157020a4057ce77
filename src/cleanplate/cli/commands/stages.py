"""`cleanplate mask` and `cleanplate fill`: a run in two stages, with a look in between."""

from pathlib import Path
from typing import Annotated, cast

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
from cleanplate.errors import InputError
from cleanplate.labels import ALL

MASK_HELP = (
    "Find the objects and write masks, for 'fill' to fill.\n\n"
    "For every photo there is a mask to paint on (a.png for a.jpg; white is filled) and a JSON "
    "file with the objects found, in which the remove of each may be set to true or false. Both "
    "stages together give exactly what 'run' gives, if nothing was changed in between."
)

FILL_HELP = (
    "Fill the masks that 'mask' wrote, as they are now, and write the photos.\n\n"
    "The options that say what is removed were given to 'mask'. Exit codes are those of 'run'."
)


def mask_command(
    *,
    inputs: options.Inputs,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=options.RESULTS,
            help="Folder for the masks. Sub-folders stay.",
            show_default=False,
        ),
    ],
    remove: options.Remove = None,
    like: options.Like = None,
    like_mask: options.LikeMask = None,
    recursive: options.Recursive = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    min_size: options.MinSize = None,
    max_size: options.MaxSize = None,
    segmenter: options.SegmenterName = None,
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
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    fail_fast: options.FailFast = False,
    threads: options.Threads = None,
    workers: options.Workers = None,
    max_memory: options.MaxMemory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Do the first stage; `MASK_HELP` is what users read."""
    view = make_view(quiet=quiet, verbose=verbose)
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
        others = {"--remove": remove, "--segmenter": segmenter}
        check_like(like or [], like_mask or [], excluded=others, report=report)
        remove = [ALL]  # of what the examples show
    if not (remove or background_people):
        raise InputError("nothing to remove; give --remove, such as --remove person,car")
    check_inputs_are_no_labels(inputs, [] if like else remove or [])
    with ending_well(view):
        from cleanplate import batch, segmentation
        from cleanplate import remover as pipeline
        from cleanplate.options import DEFAULT_MIN_SCORE
        from cleanplate.segmentation import asked_labels

        segmenter = segmenter or segmentation.DEFAULT_SEGMENTER
        check_models(device=device, segmenter=segmenter)
        share = Share(workers=workers, threads=threads, max_memory=max_memory)
        plan = batch.plan_photos(
            inputs,
            output,
            recursive=recursive,
            report=report,
            photo_filter=make_filter(include, exclude, min_size, max_size),
        )
        plan = batch.plan_of_masks(plan, output, report=report)
        rule_options.check_only(rules, len(plan.photos))
        examples = batch.open_examples(like or [], like_mask or [])
        batch.check_examples_stay(plan, examples)
        remover = pipeline.Remover(
            segmenter=batch.segmenter_of_examples(examples) if examples else segmenter,
            device=device,
            threads=threads,
        )
        job = batch.Job(
            labels=asked_labels(remove or (), rules, remover.segmenter.labels)[0],
            min_score=DEFAULT_MIN_SCORE if min_score is None else min_score,
            min_area=min_area or 0,
            rules=rules,
            grow=grow,
            shadows=shadows,
            verify=verify is not False,
            draft_only=True,
            examples=examples,
            thumbnails=wants_page(report),
            overwrite=overwrite,
            fail_fast=fail_fast,
        )
        resources = share.resources(len(plan.photos), remover)
        run_job(plan, remover, job, view, report, resources=resources, journal_in=None)


def fill_command(
    *,
    inputs: options.Inputs,
    masks: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.WHAT,
            help="Folder that 'mask' wrote its masks to.",
            show_default=False,
        ),
    ],
    output: options.Output,
    recursive: options.Recursive = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    min_size: options.MinSize = None,
    max_size: options.MaxSize = None,
    inpainter: options.InpainterName = None,
    device: options.Device = "auto",
    report: options.Report = None,
    raw_output: options.RawOutputName = "tiff",
    overwrite: options.Overwrite = False,
    fail_fast: options.FailFast = False,
    threads: options.Threads = None,
    workers: options.Workers = None,
    max_memory: options.MaxMemory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Do the second stage; `FILL_HELP` is what users read."""
    view = make_view(quiet=quiet, verbose=verbose)
    if not masks.is_dir():
        raise InputError(f"{masks}: no such folder; 'cleanplate mask' makes one")
    with ending_well(view):
        from cleanplate import batch, inpainting, segmentation
        from cleanplate import remover as pipeline
        from cleanplate.io import RESULT_SUFFIXES, RawOutput

        check_name("raw output", raw_output, RESULT_SUFFIXES)
        developed_as = cast("RawOutput", raw_output)
        inpainter = inpainter or inpainting.DEFAULT_INPAINTER
        check_models(device=device, inpainter=inpainter)
        share = Share(workers=workers, threads=threads, max_memory=max_memory)
        plan = batch.plan_photos(
            inputs,
            output,
            recursive=recursive,
            own_masks=masks,
            report=report,
            raw_output=developed_as,
            photo_filter=make_filter(include, exclude, min_size, max_size),
        )
        drafts = batch.MaskFiles(masks)
        drafts.check_stay(plan, report=report, are_drafts=True)
        made_by = batch.maker_of_drafts(plan, drafts)
        examples = () if made_by is None else made_by.examples
        batch.check_unchanged(examples)
        segmenter = segmentation.DEFAULT_SEGMENTER if made_by is None else made_by.segmenter
        remover = pipeline.Remover(
            segmenter=batch.segmenter_of_examples(examples) if examples else segmenter,
            inpainter=inpainter,
            device=device,
            threads=threads,
        )
        job = batch.Job(
            own_drafts=drafts,
            examples=examples,
            raw_output=developed_as,
            thumbnails=wants_page(report),
            overwrite=overwrite,
            fail_fast=fail_fast,
        )
        resources = share.resources(len(plan.photos), remover)
        run_job(plan, remover, job, view, report, resources=resources, journal_in=output)
