"""`cleanplate run`: a folder of photos in, the same photos without the named objects out."""

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cleanplate.cli.console import print_error, print_note
from cleanplate.cli.options import flag
from cleanplate.cli.piping import PIPE, check_pipe, is_piped, run_pipe
from cleanplate.cli.progress import RunView
from cleanplate.cli.run_loop import run_plans, watch_plans
from cleanplate.cli.run_options import (
    ExcludeOption,
    IncludeOption,
    MaxMemoryOption,
    MaxSizeOption,
    MinSizeOption,
    OutputOption,
    UntouchedOption,
    WatchOption,
    WorkersOption,
)
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.cli.wording import count_of
from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import resolve_labels

if TYPE_CHECKING:
    from cleanplate.batch import Untouched


_MANY = 1_000_000  # photos that may come while watching

SHOWN_MIN_SCORE = "0.5"  # pipeline.DEFAULT_MIN_SCORE, which is heavy to import

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
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...",
            help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'; - for one from "
            "standard input.",
            show_default=False,
        ),
    ],
    output: OutputOption = None,
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
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    min_size: MinSizeOption = None,
    max_size: MaxSizeOption = None,
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
    min_area: Annotated[
        int | None,
        typer.Option(metavar="PX", min=0, help="Leave objects of fewer pixels.", show_default="0"),
    ] = None,
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
    untouched: UntouchedOption = "copy",
    watch: WatchOption = False,
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
            metavar="N", min=1, help="Processor cores to use in all.", show_default="all there are"
        ),
    ] = None,
    workers: WorkersOption = None,
    max_memory: MaxMemoryOption = None,
    verbose: Annotated[
        bool,
        flag("--verbose", "-v", help="Tell boxes, areas, notes and the time of each stage."),
    ] = False,
    quiet: Annotated[bool, flag("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Check the options, plan the run, load the models, do it; `RUN_HELP` is what users read."""
    piped = is_piped(inputs)
    if piped:
        check_pipe(
            inputs, output, mask, unused={"--masks": masks, "--watch": watch, "-r": recursive}
        )
    elif output in (None, PIPE):
        raise InputError("no folder for the results; give --output DIR")
    folder = output or Path()
    if quiet and verbose:
        raise InputError("-q and -v exclude each other; give one of them")
    _check_remove_or_mask(
        remove,
        mask,
        unused={
            "--segmenter": segmenter,
            "--min-score": min_score,
            "--min-area": min_area,
            "--grow": grow,
            "--shadows": shadows or None,
            "--verify" if verify else "--no-verify": verify,
        },
    )
    _check_inputs_are_no_labels(inputs, remove or [])
    view = RunView(quiet=quiet, verbose=verbose)
    # As in a worker, before NumPy is loaded, so that results do not depend on --workers.
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    try:
        with signals_interrupt():
            from cleanplate import batch, inpainters, pipeline, segmenters
            from cleanplate.models.runtime import DEVICES

            segmenter = segmenter or segmenters.DEFAULT_SEGMENTER
            inpainter = inpainter or inpainters.DEFAULT_INPAINTER
            # Checked here, as a run does not load what it does not need.
            _check_name("device", device, DEVICES)
            _check_name("segmenter", segmenter, segmenters.segmenter_names())
            _check_name("inpainter", inpainter, inpainters.inpainter_names())
            _check_name("kind of --untouched", untouched, get_args(batch.Untouched))
            memory = None if max_memory is None else batch.parse_size(max_memory)
            look = functools.partial(
                batch.plan_photos,
                inputs,
                folder,
                recursive=recursive,
                masks=masks,
                own_masks=mask,
                report=report,
                selection=batch.Selection(
                    include=tuple(include or ()),
                    exclude=tuple(exclude or ()),
                    min_size=min_size,
                    max_size=max_size,
                ),
                may_be_empty=watch,
            )
            plan = batch.Plan(()) if piped else look()
            remover = pipeline.Remover(
                segmenter=segmenter, inpainter=inpainter, device=device, threads=threads
            )
            job = batch.Job(
                labels=resolve_labels(remove, remover.segmenter.labels) if remove else (),
                min_score=pipeline.DEFAULT_MIN_SCORE if min_score is None else min_score,
                min_area=min_area or 0,
                grow=grow,
                shadows=shadows,
                verify=verify is not False,
                own_masks=None if mask is None else batch.MaskFiles(mask),
                masks=masks,
                untouched=cast("Untouched", untouched),
                dry_run=dry_run,
                overwrite=overwrite,
                fail_fast=fail_fast,
            )
            if piped:
                run_pipe(remover, job, view, report)
            else:
                resources = batch.Resources.for_run(
                    _MANY if watch else len(plan.photos),
                    workers=workers,
                    threads=threads,
                    max_memory=memory,
                    by_name=remover.recipe is not None,
                )
                run_plans(
                    remover,
                    job,
                    resources,
                    view,
                    plan=plan,
                    later=watch_plans(look, view) if watch else None,
                    output=folder,
                    report=report,
                )
    except KeyboardInterrupt as interrupt:
        if watch and view.done:
            view.summarise()
            print_note("stopped watching, nothing half-written")
            raise typer.Exit(exit_code_of(interrupt)) from None
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
