"""`cleanplate plan`: the first of two stages, which finds objects and writes masks to edit."""

from pathlib import Path
from typing import Annotated

from cleanplate.cli.console import ProgressReporter
from cleanplate.cli.execution import (
    NOTHING_TO_REMOVE,
    check_inputs_are_no_labels,
    check_models,
    handle_interrupts,
    load_remover,
    removal_options,
    run_job,
    wants_page,
)
from cleanplate.cli.options import (
    RESULTS,
    Inputs,
    ModelOptions,
    OutputOptions,
    RemovalArguments,
    RunOptions,
    SelectionOptions,
    check_only,
    expand_options,
    option,
)
from cleanplate.errors import InputError


@expand_options(omit=("inpainter", "trust_pickle", "raw_output", "untouched", "preserve_times"))
def plan_command(
    *,
    inputs: Inputs,
    output: Annotated[
        Path,
        option(
            "--output",
            "-o",
            metavar="DIR",
            panel=RESULTS,
            help="Folder for the masks. Sub-folders stay.",
        ),
    ],
    removal: RemovalArguments,
    selection: SelectionOptions,
    models: ModelOptions,
    outputs: OutputOptions,
    run: RunOptions,
) -> None:
    """Find the objects and write masks, for 'fill' to fill.

    For every photo there is a mask to paint on (a.png for a.jpg; white is filled) and a JSON file
    with the objects found, in which the remove of each may be set to true or false. Both stages
    together give exactly what 'run' gives, if nothing was changed in between.
    """
    reporter = ProgressReporter(run)
    rules = removal.rules()
    removal.check_examples(excluded={"--segmenter": models.segmenter}, report=outputs.report)
    if removal.is_empty:
        raise InputError(NOTHING_TO_REMOVE)
    check_inputs_are_no_labels(inputs, removal.remove or [])
    with handle_interrupts(reporter):
        from cleanplate import batch

        models = check_models(models, [] if removal.like else ["segmenter"])
        plan = batch.plan_photos(
            inputs,
            output,
            recursive=selection.recursive,
            report=outputs.report,
            photo_filter=selection.photo_filter(),
        )
        plan = batch.plan_of_masks(plan, output, report=outputs.report)
        check_only(rules, len(plan.photos))
        examples = removal.examples(plan)
        remover = load_remover(models, run.threads, examples)
        job = batch.Job(
            options=removal_options(removal, remover.segmenter.labels),
            plan_only=True,
            examples=examples,
            thumbnails=wants_page(outputs.report),
            overwrite=outputs.overwrite,
            fail_fast=run.fail_fast,
        )
        resources = run.resources(len(plan.photos), remover)
        run_job(plan, remover, job, reporter, outputs.report, resources=resources, journal_in=None)
