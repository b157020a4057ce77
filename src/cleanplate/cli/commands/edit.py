"""`cleanplate edit`: one photo, in place or to another file, for programs that call it."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import ProgressReporter, print_line, print_note
from cleanplate.cli.execution import (
    check_models,
    check_remove_or_mask,
    check_server_installed,
    handle_interrupts,
    load_remover,
    removal_options,
    run_job,
)
from cleanplate.cli.options import (
    RESULTS,
    WHAT,
    MaskArguments,
    ModelOptions,
    OutputOptions,
    RemovalArguments,
    RunOptions,
    check_only,
    expand_options,
    flag,
    option,
)
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import PlannedPhoto
    from cleanplate.hub import ModelKind
    from cleanplate.io import RawOutput


@expand_options(omit=("mask_name", "report", "raw_output", "untouched", "workers", "fail_fast"))
def edit_command(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The photo.", show_default=False)],
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            panel=RESULTS,
            help="File for the result, in the photo's format; of a camera RAW, .tif or .jpg.",
        ),
    ] = None,
    in_place: Annotated[
        bool,
        flag("--in-place", panel=RESULTS, help="Replace the photo itself, when all has succeeded."),
    ] = False,
    beside: Annotated[
        bool,
        flag(
            "--beside",
            panel=RESULTS,
            help="Write NAME-clean beside the photo; NAME-clean-2 and so on if that exists.",
        ),
    ] = False,
    gui: Annotated[
        bool,
        flag(
            "--gui",
            panel=WHAT,
            help="Instead of --remove: open the photo in the browser, and wait until a result is "
            "accepted or the page is closed.",
        ),
    ] = False,
    removal: RemovalArguments,
    masking: MaskArguments,
    models: ModelOptions,
    outputs: OutputOptions,
    run: RunOptions,
) -> None:
    """Remove objects from one photo, for photo editors and file managers that call a program.

    The result is written completely or not at all. Where nothing is found, the photo stays as it
    is, and --output becomes a copy of it.

    Exit code 0: done, also if nothing was found. 1: failed. 2: wrong use. 130: cancelled on the
    page, or stopped by Ctrl-C (143: by SIGTERM). With any code but 0, neither the photo nor
    --output was touched.
    """
    reporter = ProgressReporter(run)
    mask = masking.mask
    if gui:
        _check_gui(removal, masking)
        with handle_interrupts(reporter):
            photo, raw_output = _plan(
                file, output, in_place=in_place, beside=beside, overwrite=outputs.overwrite
            )
            _edit_on_page(photo, raw_output, check_models(models), outputs, run, beside=beside)
            return
    others = {"--mask": mask, "--segmenter": models.segmenter}
    removal.check_examples(excluded=others, report=None)
    check_remove_or_mask(removal, mask, models)
    check_only(removal.rules(), 1)
    with handle_interrupts(reporter):
        from cleanplate import batch

        photo, raw_output = _plan(
            file, output, in_place=in_place, beside=beside, overwrite=outputs.overwrite
        )
        needed: list[ModelKind] = ["inpainter"]
        if not (mask or removal.like):
            needed.append("segmenter")
        models = check_models(models, needed)
        plan = batch.RunPlan((photo,))
        own_masks = masking.files()
        if own_masks is not None:
            if not own_masks.path.is_file():
                raise InputError(f"{own_masks.path}: no such file; --mask takes a mask file")
            own_masks.check_stay(plan)
        examples = removal.examples(plan)
        remover = load_remover(models, run.threads, examples)
        job = batch.Job(
            options=removal_options(removal, remover.segmenter.labels, masked=mask is not None),
            own_masks=own_masks,
            examples=examples,
            raw_output=raw_output,
            untouched="skip" if in_place else "copy",
            preserve_times=outputs.preserve_times,
            overwrite=True,
        )
        mode = _mode_of(photo)
        resources = run.resources(1, remover)
        with _reserved(photo, beside=beside) as written:
            plan = batch.RunPlan((written,))
            run_job(plan, remover, job, reporter, None, resources=resources, journal_in=None)
        if mode is not None:
            photo.target.chmod(mode)


def _check_gui(removal: RemovalArguments, masking: MaskArguments) -> None:
    """Refuse options that the page replaces.

    Raises:
        InputError: one is given.
    """
    given = removal.given() | {
        "--remove": removal.remove, "--like": removal.like, "--mask": masking.mask
    }  # fmt: skip
    names = [name for name, value in given.items() if value]
    if names:
        raise InputError(
            f"{', '.join(names)} and --gui exclude each other: on the page, you select objects"
        )


def _edit_on_page(
    photo: "PlannedPhoto",
    raw_output: "RawOutput",
    models: ModelOptions,
    outputs: OutputOptions,
    run: RunOptions,
    *,
    beside: bool,
) -> None:
    """Let a person edit the photo on the page, and write what is accepted.

    Raises:
        InputError: a camera RAW is to become a JPEG.
        PhotoError: the photo cannot be read, or the result not written.
        typer.Exit: it was cancelled.
    """
    check_server_installed()
    from cleanplate.io import copy_times, write_bytes_atomic
    from cleanplate.server import edit_photo

    if raw_output == "jpeg":
        raise InputError(f"{photo.target}: --gui writes a camera RAW as .tif; name it so")
    result = edit_photo(
        load_remover(models, run.threads),
        photo.source.name,
        photo.source.read_bytes(),
        announce=lambda address: print_note(f"{photo.source} is open at {address}"),
    )
    if result is None:
        print_note("cancelled; nothing was written")
        raise typer.Exit(130)
    mode = _mode_of(photo)
    with _reserved(photo, beside=beside) as written:
        write_bytes_atomic(written.target, result)
    if outputs.preserve_times:
        copy_times(photo.source, written.target)
    if mode is not None:
        written.target.chmod(mode)
    if not run.quiet:
        print_line(f"wrote {written.target}")


def _mode_of(photo: "PlannedPhoto") -> int | None:
    """Return the permissions that a photo keeps when it is replaced; None for another file."""
    is_replaced = photo.target == photo.source.resolve()
    return stat.S_IMODE(photo.source.stat().st_mode) if is_replaced else None


def _plan(
    file: Path, output: Path | None, *, in_place: bool, beside: bool, overwrite: bool
) -> "tuple[PlannedPhoto, RawOutput]":
    """Return the photo, where it goes, and what a camera RAW becomes.

    Raises:
        InputError: no photo, no place or two, a place that is taken, or another format's ending.
    """
    from cleanplate.batch import PlannedPhoto
    from cleanplate.io import check_result_name, read_format

    if not file.is_file():
        raise InputError(f"{file}: no such photo; give one file, or use 'run' for folders")
    if in_place + beside + (output is not None) != 1:
        raise InputError("give one place for the result: --output FILE, --in-place or --beside")
    if in_place:
        target = file.resolve()  # the photo, not a link to it, is replaced
    elif output is None:
        target = next(path for path in _names_beside(file) if not path.exists())
    else:
        target = output
        if target.is_dir():
            raise InputError(f"{target}: is a folder; give a file")
        if target.exists() and target.samefile(file):
            raise InputError(f"{target}: is the photo itself; give --in-place to replace it")
        if target.exists() and not overwrite:
            raise InputError(f"{target}: already exists; give --overwrite to replace it")
    photo_format = read_format(file)
    if in_place and photo_format == "RAW":
        raise InputError(f"{file}: a camera RAW is not replaced; give --output NAME.tif")
    raw_output = check_result_name(target, file, photo_format)
    photo = PlannedPhoto(file, target, Path(file.name))
    return photo, raw_output if photo_format == "RAW" else "tiff"


@contextmanager
def _reserved(photo: "PlannedPhoto", *, beside: bool) -> "Iterator[PlannedPhoto]":
    """Give a result beside its photo the first free name, before another process takes it."""
    from cleanplate.io import reserve_name

    if not beside:
        yield photo
        return
    with reserve_name(_names_beside(photo.source)) as target:
        yield replace(photo, target=target)


def _names_beside(file: Path) -> Iterator[Path]:
    """Yield NAME-clean, then NAME-clean-2 and so on."""
    from cleanplate.io import result_name

    result = file.with_name(result_name(file.name, "tiff"))
    for end in chain(["-clean"], (f"-clean-{number}" for number in count(2))):
        yield result.with_name(f"{result.stem}{end}{result.suffix}")
