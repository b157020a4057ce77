"""`cleanplate fill`: the second of two stages, which fills the masks that `plan` wrote."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

from cleanplate.cli.console import ProgressReporter
from cleanplate.cli.execution import (
    check_models,
    check_name,
    handle_interrupts,
    load_remover,
    run_job,
    wants_page,
)
from cleanplate.cli.options import (
    RESULTS,
    WHAT,
    Inputs,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SelectionOptions,
    expand_options,
    option,
)
from cleanplate.errors import InputError


@expand_options(omit=("segmenter", "untouched"))
def fill_command(
    *,
    inputs: Inputs,
    masks: Annotated[
        Path,
        option(metavar="DIR", panel=WHAT, help="Folder that 'plan' wrote its masks to."),
    ],
    output: Annotated[
        Path,
        option(
            "--output",
            "-o",
            metavar="DIR",
            panel=RESULTS,
            help="Folder for the results. Names, formats and sub-folders stay (RAW: --raw-output).",
        ),
    ],
    selection: SelectionOptions,
    models: ModelOptions,
    outputs: OutputOptions,
    run: RunOptions,
) -> None:
    """Fill the masks that 'plan' wrote, as they are now, and write the photos.

    The options that say what is removed were given to 'plan'. Exit codes are those of 'run'.
    """
    reporter = ProgressReporter(run)
    if not masks.is_dir():
        raise InputError(f"{masks}: no such folder; 'cleanplate plan' makes one")
    with handle_interrupts(reporter):
        from cleanplate import batch
        from cleanplate.io import RESULT_SUFFIXES, RawOutput

        check_name("raw output", outputs.raw_output, RESULT_SUFFIXES)
        raw_output = cast("RawOutput", outputs.raw_output)
        models = check_models(models, ["inpainter"])
        plan = batch.plan_photos(
            inputs,
            output,
            recursive=selection.recursive,
            own_masks=masks,
            report=outputs.report,
            raw_output=raw_output,
            photo_filter=selection.photo_filter(),
        )
        plans = batch.MaskFiles(masks)
        plans.check_stay(plan, report=outputs.report, are_plans=True)
        made_by = batch.provenance_of_plans(plan, plans)
        examples = () if made_by is None else made_by.examples
        batch.check_unchanged(examples)
        if made_by is not None:
            models = replace(models, segmenter=made_by.segmenter)
        remover = load_remover(models, run.threads, examples)
        job = batch.Job(
            own_plans=plans,
            examples=examples,
            raw_output=raw_output,
            thumbnails=wants_page(outputs.report),
            preserve_times=outputs.preserve_times,
            overwrite=outputs.overwrite,
            fail_fast=run.fail_fast,
        )
        resources = run.resources(len(plan.photos), remover)
        run_job(
            plan, remover, job, reporter, outputs.report, resources=resources, journal_in=output
        )
