"""`cleanplate redo`: photos that a person rejected, processed again with other options."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import ProgressReporter
from cleanplate.cli.execution import (
    check_models,
    handle_interrupts,
    load_remover,
    run_job,
    wants_page,
)
from cleanplate.cli.options import (
    PHOTOS,
    ModelOptions,
    OutputOptions,
    RemovalArguments,
    RunOptions,
    check_only,
    expand_options,
    option,
)
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import Example, Job, ReportLine, RunPlan


@expand_options(
    omit=("point", "box", "preset", "raw_output", "untouched", "preserve_times", "overwrite")
)
def redo_command(
    *,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the results.", show_default=False)
    ],
    listed: Annotated[
        Path,
        option("--list", metavar="FILE", panel=PHOTOS, help="The photos to process again."),
    ],
    source: Annotated[
        Path | None,
        option(
            "--from",
            metavar="FILE",
            panel=PHOTOS,
            help="Report of the run (its JSON lines).",
            show_default="OUT/report.jsonl",
        ),
    ] = None,
    removal: RemovalArguments,
    models: ModelOptions,
    outputs: OutputOptions,
    run: RunOptions,
) -> None:
    """Process photos of a former run again, with other options, and replace their results.

    The list is what the report's page saves, or any text file with a photo per line, named as in
    the report. Inputs, outputs and options come from the report; options given here replace them.
    If any rule is given, all former rules are dropped.
    """
    reporter = ProgressReporter(run)
    changes = removal.settings()
    report = outputs.report
    removal.check_examples(excluded={"--segmenter": models.segmenter}, report=report)
    with handle_interrupts(reporter):
        from cleanplate import batch
        from cleanplate.segmentation import requested_labels

        models = check_models(models)
        source = source or output / "report.jsonl"
        _check_report(report, source, listed)
        names = batch.read_list(listed)
        plan, line = batch.plan_redo(names, batch.read_report(source), output, report=report)
        job = batch.job_of(line["settings"])
        _check_masks_stay(job, plan, report)
        check_only(changes.get("rules", job.options.rules), len(plan.photos))
        what = {"--remove": removal.remove, "--like": removal.like, "--segmenter": models.segmenter}
        given = [*(name for name, value in what.items() if value), *removal.given()]
        _check_not_from_masks(job, given)
        examples = removal.examples(plan)
        if not (examples or removal.remove):
            examples = _former_examples(line, models.segmenter)
            batch.check_examples_stay(plan, examples)
        former = line["models"]
        models = replace(
            models,
            segmenter=models.segmenter or (None if _used_examples(line) else former["segmenter"]),
            inpainter=models.inpainter or _without_pickles(former["inpainter"]),
        )
        remover = load_remover(models, run.threads, examples)
        job = replace(
            job,
            options=replace(job.options, **changes),
            examples=examples,
            thumbnails=wants_page(report),
            fail_fast=run.fail_fast,
        )
        if job.own_masks is None and job.own_plans is None:
            known = remover.segmenter.labels
            classes = removal.names or job.options.classes
            labels = requested_labels(classes, job.options.rules, known)[0]
            job = replace(job, options=replace(job.options, classes=labels))
        resources = run.resources(len(plan.photos), remover)
        run_job(plan, remover, job, reporter, report, resources=resources, journal_in=output)


def _check_report(report: Path | None, source: Path, listed: Path) -> None:
    from cleanplate.batch import report_files

    written = [] if report is None else [path.resolve() for path in report_files(report)]
    if source.resolve() in written:
        raise InputError(f"{report}: would replace the report of the former run; name another file")
    if listed.resolve() in written:
        raise InputError(f"{report}: would replace the list of photos; name another file")


def _check_masks_stay(job: "Job", plan: "RunPlan", report: Path | None) -> None:
    files = job.own_plans or job.own_masks
    if files is not None:
        files.check_stay(plan, report=report, are_plans=job.own_plans is not None)


def _without_pickles(inpainter: str) -> str:
    """Return a report's inpainter, but never one that reads pickles: these may run code."""
    from cleanplate.inpainting import PIPELINES

    safely, trusting = PIPELINES
    return (
        safely + inpainter.removeprefix(trusting) if inpainter.startswith(trusting) else inpainter
    )


def _used_examples(line: "ReportLine") -> bool:
    return bool(line["settings"].get("like"))


def _former_examples(line: "ReportLine", segmenter: str | None) -> "tuple[Example, ...]":
    """Return the examples that the former run used, as they are now; none if it used none."""
    from cleanplate.batch import examples_of_run

    if not _used_examples(line):
        return ()
    if segmenter is not None:
        raise InputError("--segmenter: the former run used an example (--like); give --remove too")
    return examples_of_run(line["settings"]["like"], line["settings"]["like_mask"])


def _check_not_from_masks(job: "Job", given: list[str]) -> None:
    """Refuse options about finding objects for photos that were found or filled without them."""
    how = [name for name in given if name not in ("--remove", "--segmenter")]
    if how and job.published is not None:
        raise InputError(
            f"{', '.join(how)}: the photos were made with --preset published, which excludes "
            "this; use 'run' without it"
        )
    if given and (job.own_masks is not None or job.own_plans is not None):
        raise InputError(
            f"{', '.join(given)}: the photos were filled from masks, which are used again as they "
            "are now; edit the masks instead"
        )
