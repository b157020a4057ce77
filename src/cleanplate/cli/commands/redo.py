"""`cleanplate redo`: the photos that a person rejected, done again with other options."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cleanplate.cli import options, rule_options
from cleanplate.cli.example_options import check_like
from cleanplate.cli.execution import (
    Share,
    check_models,
    ending_well,
    make_view,
    run_job,
    wants_page,
)
from cleanplate.errors import InputError
from cleanplate.labels import ALL

if TYPE_CHECKING:
    from cleanplate.batch import Example, Job, ReportLine, RunPlan

REDO_HELP = (
    "Do photos of a former run again, with other options, and replace their results.\n\n"
    "The list is what the report's page saves, or any text file with a photo per line, named as in "
    "the report. Inputs, places and options come from the report; what is given here replaces "
    "them. Rules are replaced as a whole, if any is given."
)


def redo_command(
    *,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the results.", show_default=False)
    ],
    listed: Annotated[
        Path,
        typer.Option(
            "--list",
            metavar="FILE",
            rich_help_panel=options.PHOTOS,
            help="The photos to do again.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            rich_help_panel=options.PHOTOS,
            help="The report of the run, its lines.",
            show_default="OUT/report.jsonl",
        ),
    ] = None,
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
    only: rule_options.Only = None,
    region: rule_options.InRegion = None,
    grow: options.Grow = None,
    shadows: Annotated[
        bool | None,
        typer.Option(
            "--shadows/--no-shadows",
            metavar="",
            rich_help_panel=options.HOW,
            help="Remove shadows and mirror images on the ground too, where evident.",
            show_default="as before",
        ),
    ] = None,
    verify: options.Verify = None,
    report: options.Report = None,
    fail_fast: options.FailFast = False,
    threads: options.Threads = None,
    workers: options.Workers = None,
    max_memory: options.MaxMemory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Read the report, change the options, and run; `REDO_HELP` is what users read."""
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
    changes: dict[str, Any] = {
        "min_score": min_score,
        "min_area": min_area,
        "rules": rules if rule_options.given_rules(rules) else None,
        "grow": grow,
        "shadows": shadows,
        "verify": verify,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    with ending_well(view):
        from cleanplate import batch, inpainting, segmentation
        from cleanplate import remover as pipeline
        from cleanplate.segmentation import asked_labels

        check_models(device=device, segmenter=segmenter, inpainter=inpainter)
        source = source or output / "report.jsonl"
        _check_report(report, source, listed)
        names = batch.read_list(listed)
        plan, line = batch.plan_redo(names, batch.read_report(source), output, report=report)
        job = batch.job_of(line["settings"])
        _check_masks_stay(job, plan, report)
        rule_options.check_only(changes.get("rules", job.rules), len(plan.photos))
        what: dict[str, object] = {"remove": remove, "like": like, "segmenter": segmenter}
        _check_finding(job, [*changes, *(name for name, value in what.items() if value)])
        models = line["models"]
        if like:
            examples, remove = batch.open_examples(like, like_mask or []), [ALL]
        else:
            examples = () if remove else _former_examples(line, segmenter)
        batch.check_examples_stay(plan, examples)
        former = None if _went_by_examples(line) else models["segmenter"]
        remover = pipeline.Remover(
            segmenter=batch.segmenter_of_examples(examples)
            if examples
            else segmenter or former or segmentation.DEFAULT_SEGMENTER,
            inpainter=inpainter or models["inpainter"] or inpainting.DEFAULT_INPAINTER,
            device=device,
            threads=threads,
        )
        job = replace(
            job,
            **changes,
            examples=examples,
            thumbnails=wants_page(report),
            fail_fast=fail_fast,
        )
        if job.own_masks is None and job.own_drafts is None:
            known = remover.segmenter.labels
            job = replace(job, labels=asked_labels(remove or job.labels, job.rules, known)[0])
        share = Share(workers=workers, threads=threads, max_memory=max_memory)
        resources = share.resources(len(plan.photos), remover)
        run_job(plan, remover, job, view, report, resources=resources, journal_in=output)


def _check_report(report: Path | None, source: Path, listed: Path) -> None:
    from cleanplate.batch import report_files

    written = [] if report is None else [path.resolve() for path in report_files(report)]
    if source.resolve() in written:
        raise InputError(f"{report}: would replace the report of the former run; name another file")
    if listed.resolve() in written:
        raise InputError(f"{report}: would replace the list of photos; name another file")


def _check_masks_stay(job: "Job", plan: "RunPlan", report: Path | None) -> None:
    files = job.own_drafts or job.own_masks
    if files is not None:
        files.check_stay(plan, report=report, are_drafts=job.own_drafts is not None)


def _went_by_examples(line: "ReportLine") -> bool:
    return bool(line["settings"].get("like"))


def _former_examples(line: "ReportLine", segmenter: str | None) -> "tuple[Example, ...]":
    """Return the examples that photos were done by, as they are now; none if by something else."""
    from cleanplate.batch import examples_of_run

    if not _went_by_examples(line):
        return ()
    if segmenter is not None:
        raise InputError(
            "--segmenter: the photos were done by an example (--like); say with --remove what this "
            "segmenter is to find"
        )
    return examples_of_run(line["settings"]["like"], line["settings"]["like_mask"])


def _check_finding(job: "Job", changes: list[str]) -> None:
    """Refuse options on finding for photos that were filled from masks."""
    if job.own_masks is None and job.own_drafts is None:
        return
    given = [f"--{name.replace('_', '-')}" for name in changes]
    if given:
        raise InputError(
            f"{', '.join(given)}: the photos were filled from masks, which are used again as they "
            "are now; paint on them instead"
        )
