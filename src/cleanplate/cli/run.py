"""`cleanplate run`: a folder of photos in, the same photos without the named objects out."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import print_error, print_note
from cleanplate.cli.options import flag
from cleanplate.cli.progress import RunView
from cleanplate.cli.rules import (
    BackgroundPeople,
    InRegion,
    Keep,
    MaxArea,
    MinArea,
    Only,
    Protect,
    check_only,
    given_rules,
    make_rules,
)
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.cli.wording import count_of
from cleanplate.errors import InputError, PhotoError, UnknownNameError
from cleanplate.labels import resolve_labels

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, Outcome, Plan, ReportWriter
    from cleanplate.pipeline import Remover


SHOWN_MIN_SCORE = "0.5"  # pipeline.DEFAULT_MIN_SCORE, which is heavy to import

RUN_HELP = (
    "Remove objects from photos and write the results to another folder.\n\n"
    "Photos in which nothing is found are copied byte for byte. Results that exist are left alone, "
    "so the same command goes on where it was stopped.\n\n"
    "Exit code 0: all done. 1: some photo failed, the others are done; or a model is missing. "
    "2: wrong use, nothing was done. 130: stopped by Ctrl-C (143: by SIGTERM), nothing is "
    "half-written."
)


def run_command(
    *,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...",
            help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the results. Names, formats and sub-folders stay.",
            show_default=False,
        ),
    ],
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="What to remove: person,car or ids such as 15,7 or all. Repeatable. "
            "'cleanplate labels' lists them.",
            show_default=False,
        ),
    ] = None,
    recursive: Annotated[bool, flag("--recursive", "-r", help="Include sub-folders.")] = False,
    segmenter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What finds the objects.", show_default="deeplabv3plus_lite2.voc"
        ),
    ] = None,
    inpainter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What fills the holes: edgeconnect.photos, telea or navier-stokes.",
            show_default="edgeconnect.photos",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What computes: auto, cpu, cuda, openvino, coreml or directml.",
        ),
    ] = "auto",
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            min=0.0,
            max=1.0,
            help="Leave objects the segmenter is less sure of.",
            show_default=SHOWN_MIN_SCORE,
        ),
    ] = None,
    min_area: MinArea = None,
    max_area: MaxArea = None,
    keep: Keep = None,
    background_people: BackgroundPeople = False,
    protect: Protect = None,
    only: Only = None,
    region: InRegion = None,
    grow: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=0,
            help="Margin to remove around each object.",
            show_default="by its size",
        ),
    ] = None,
    shadows: Annotated[
        bool,
        flag(
            "--shadows", help="Remove shadows and mirror images on the ground too, where evident."
        ),
    ] = False,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            metavar="",
            help="Look at the filled holes again, and fill once more what is still found there.",
            show_default="--verify",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Save masks there as PNG, white = removed.", show_default=False
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="Remove what your own masks show in white, instead of --remove: one file for all "
            "photos, or a folder with a.png for a.jpg.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write one line of JSON per photo there. Replaced if it exists.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, flag("--dry-run", help="Find and tell only; write no photo and no mask.")
    ] = False,
    overwrite: Annotated[
        bool, flag("--overwrite", help="Replace outputs and masks that exist.")
    ] = False,
    fail_fast: Annotated[
        bool, flag("--fail-fast", help="Stop at the first photo that fails.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Processor cores to use.", show_default="all there are"
        ),
    ] = None,
    verbose: Annotated[
        bool,
        flag("--verbose", "-v", help="Tell boxes, areas, notes and the time of each stage."),
    ] = False,
    quiet: Annotated[bool, flag("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Check the options, plan the run, load the models, do it; `RUN_HELP` is what users read."""
    if quiet and verbose:
        raise InputError("-q and -v exclude each other; give one of them")
    rules = make_rules(
        keep=keep,
        background_people=background_people,
        max_area=max_area,
        protect=protect,
        only=only,
        region=region,
        min_area=min_area,
    )
    _check_remove_or_mask(
        remove or (["person"] if background_people and mask is None else None),
        mask,
        unused={
            "--segmenter": segmenter,
            "--min-score": min_score,
            "--min-area": min_area,
            **dict.fromkeys(given_rules(rules), True),
            "--grow": grow,
            "--shadows": shadows or None,
            "--verify" if verify else "--no-verify": verify,
        },
    )
    _check_inputs_are_no_labels(inputs, remove or [])
    view = RunView(quiet=quiet, verbose=verbose)
    try:
        with signals_interrupt():
            from cleanplate import batch, inpainters, pipeline, segmenters
            from cleanplate.models.runtime import DEVICES
            from cleanplate.selection import asked_labels

            segmenter = segmenter or segmenters.DEFAULT_SEGMENTER
            inpainter = inpainter or inpainters.DEFAULT_INPAINTER
            # Checked here, as a run does not load what it does not need.
            _check_name("device", device, DEVICES)
            _check_name("segmenter", segmenter, segmenters.segmenter_names())
            _check_name("inpainter", inpainter, inpainters.inpainter_names())
            plan = batch.plan_photos(
                inputs,
                output,
                recursive=recursive,
                masks=masks,
                own_masks=mask,
                report=report,
            )
            check_only(rules, len(plan.photos))
            remover = pipeline.Remover(
                segmenter=segmenter, inpainter=inpainter, device=device, threads=threads
            )
            job = batch.Job(
                labels=()
                if mask
                else asked_labels(remove or (), rules, remover.segmenter.labels)[0],
                min_score=pipeline.DEFAULT_MIN_SCORE if min_score is None else min_score,
                min_area=min_area or 0,
                rules=rules,
                grow=grow,
                shadows=shadows,
                verify=verify is not False,
                own_masks=None if mask is None else batch.MaskFiles(mask),
                masks=masks,
                dry_run=dry_run,
                overwrite=overwrite,
                fail_fast=fail_fast,
            )
            _run(plan, remover, job, view, report)
    except KeyboardInterrupt as interrupt:
        if view.done:
            view.summarise()
            print_error(
                f"interrupted: {view.done} of {count_of(view.total, 'photo')} done, nothing "
                "half-written; the same command without --overwrite does the rest"
            )
        else:
            print_error("interrupted before the first photo was done, nothing half-written")
        raise typer.Exit(exit_code_of(interrupt)) from None
    if view.failed:
        raise typer.Exit(1)


def _run(plan: "Plan", remover: "Remover", job: "Job", view: RunView, report: Path | None) -> None:
    from cleanplate.batch import ReportWriter, describe_models, run_plan

    models = describe_models(remover, job)
    view.total = len(plan.photos) + len(plan.unreadable)
    if not view.quiet:
        everything = bool(job.labels) and len(job.labels) == len(remover.segmenter.labels)
        _introduce(plan, "all that can be found" if everything else ", ".join(job.labels), models)
    with ExitStack() as stack:
        writer = None if report is None else stack.enter_context(ReportWriter(report, models))
        stack.enter_context(view)
        for outcome in run_plan(plan, remover, job, on_start=view.start_photo):
            writer = _write_report(writer, outcome, view)
            view.finish_photo(outcome)
    view.summarise()


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


def _check_name(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UnknownNameError(kind, name, known)


def _check_inputs_are_no_labels(inputs: Sequence[Path], remove: Sequence[str]) -> None:
    """Help those who write `--remove 3 15`, where 15 is read as a photo."""
    for path in inputs:
        if path.exists() or not remove:
            continue
        try:
            resolve_labels([str(path)])
        except InputError:
            continue
        names = [name.strip() for text in remove for name in text.split(",") if name.strip()]
        raise InputError(
            f"{path}: no such file or folder; if it names what to remove, write "
            f"--remove {','.join([*names, str(path)])}"
        )


def _introduce(plan: "Plan", what: str, models: "ModelNames") -> None:
    """Say once what will be done, by which models and on which device."""
    running = [
        f"{role} {name} on {models['provider'][role]}"
        for role, name in models["models"].items()
        if name is not None
    ]
    print_note(", ".join(running) or "dry run with your own masks, no model needed")
    others = f", {count_of(plan.ignored, 'other file')} ignored" if plan.ignored else ""
    removing = f", removing {what}" if what else ""
    print_note(f"{count_of(len(plan.photos), 'photo')}{others}{removing}")
    for note in plan.notes:
        print_note(note)


def _write_report(
    writer: "ReportWriter | None", outcome: "Outcome", view: RunView
) -> "ReportWriter | None":
    """Write one line; a report that cannot be written is told once and does not stop the run."""
    if writer is None:
        return None
    try:
        writer.write(outcome)
    except PhotoError as error:
        view.fail(str(error))
        return None
    return writer
