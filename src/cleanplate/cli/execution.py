"""What the commands that work on photos share: checks, the run itself, and its end."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cleanplate.cli.console import print_error, print_note
from cleanplate.cli.messages import count_of
from cleanplate.cli.progress import RunView
from cleanplate.cli.report_files import ReportFiles
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import ALL, resolve_labels

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, PhotoFilter, Resources, RunPlan
    from cleanplate.remover import Remover


def make_view(*, quiet: bool, verbose: bool) -> RunView:
    """Return the view of a run.

    Raises:
        InputError: both were given.
    """
    if quiet and verbose:
        raise InputError("-q and -v exclude each other; give one of them")
    return RunView(quiet=quiet, verbose=verbose)


@contextmanager
def ending_well(view: RunView, *, watching: bool = False) -> Iterator[None]:
    """Tell what an interrupt left done, and give the exit code of a run with failures.

    Args:
        view: of the run.
        watching: whether an interrupt is the way to end it.
    """
    try:
        with signals_interrupt():
            yield
    except KeyboardInterrupt as interrupt:
        if watching and view.done:
            view.summarise()
            print_note("stopped watching, nothing half-written")
        elif view.done:
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


def make_filter(
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    min_size: int | None,
    max_size: int | None,
) -> "PhotoFilter":
    """Return which photos the options of these names let through.

    Raises:
        InputError: no size lies between the two.
    """
    from cleanplate.batch import PhotoFilter

    return PhotoFilter(
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        min_size=min_size,
        max_size=max_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the options say on how much of the machine a run takes; None: by what there is."""

    workers: int | None
    threads: int | None
    max_memory: str | None

    def resources(self, photos: int, remover: "Remover") -> "Resources":
        """Return what a run of so many photos takes.

        Raises:
            InputError: the options ask for more than there is, or less than is needed.
        """
        from cleanplate import batch

        return batch.Resources.for_run(
            photos,
            workers=self.workers,
            threads=self.threads,
            max_memory=None if self.max_memory is None else batch.parse_size(self.max_memory),
            portable=batch.is_portable(remover),
        )


def run_job(
    plan: "RunPlan",
    remover: "Remover",
    job: "Job",
    view: RunView,
    report: Path | None,
    *,
    resources: "Resources",
    journal_in: Path | None,
    later: "Iterator[RunPlan] | None" = None,
) -> None:
    """Do a planned run, show it, and write its report.

    Args:
        plan: what there is to do; told at the start.
        remover: does it, or tells the workers which models to load.
        job: the same for every photo.
        view: shows and counts what becomes of the photos.
        report: what `--report` names, or None.
        resources: from `Share.resources`.
        journal_in: folder of the results, where the journal lies; None keeps none.
        later: plans to do in the place of `plan`, as they come; None: `plan` is all.
    """
    from cleanplate import batch

    models = batch.describe_models(remover, job)
    known = remover.segmenter.labels if job.own_masks is None else ()
    if not view.quiet:
        everything = len(known) > 1 and job.labels == resolve_labels([ALL], known)
        _introduce(plan, "all that can be found" if everything else ", ".join(job.labels), models)
    if resources.workers > 1:
        remover.release()  # the workers have models of their own
    with ExitStack() as stack:
        journal = None
        if journal_in is not None:
            journal = stack.enter_context(
                batch.Journal(journal_in, batch.settings_in_words(job, models))
            )
        writer = stack.enter_context(ReportFiles(report, models, job, view, known))
        engine = stack.enter_context(
            batch.Engine(remover, job, resources, journal=journal, on_start=view.start_photo)
        )
        stack.enter_context(view)
        masks = None if job.dry_run else job.masks
        for part in (plan,) if later is None else later:
            planned = {} if masks is None else {photo.source: photo for photo in part.photos}
            view.expect(len(part.photos) + len(part.unreadable))
            if journal is not None:
                journal.remove_leftovers(part, job.masks)
            for outcome in engine.run(part):
                writer.write(outcome)
                view.finish_photo(outcome)
                if masks is not None and outcome.skipped is not None:
                    mask = masks / batch.mask_name(planned[outcome.source])
                    view.unsaved_masks += not mask.exists()
            if job.fail_fast and view.failed:
                break
    view.summarise()


def wants_page(report: Path | None) -> bool:
    """Return whether `--report` asks for a page, so that thumbnails are needed."""
    from cleanplate.batch import report_files

    return report is not None and len(report_files(report)) > 1


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Raise unless a name is known; a run does not load what it does not need.

    Raises:
        UnknownNameError: it is not; the message lists those that are.
    """
    if name not in known:
        raise UnknownNameError(kind, name, known)


def check_models(
    *, device: str, segmenter: str | None = None, inpainter: str | None = None
) -> None:
    """Raise unless what is to compute is known; None is not looked at.

    Raises:
        UnknownNameError: a name is not; the message lists those that are.
    """
    from cleanplate import inpainting, segmentation
    from cleanplate.runtime import DEVICES

    check_name("device", device, DEVICES)
    if segmenter is not None:
        check_name("segmenter", segmenter, segmentation.segmenter_names())
    if inpainter is not None:
        check_name("inpainter", inpainter, inpainting.inpainter_names())


def check_inputs_are_no_labels(inputs: Sequence[Path], remove: Sequence[str]) -> None:
    """Help those who write `--remove 3 15`, where 15 is read as a photo.

    Raises:
        InputError: that is so.
    """
    for path in inputs:
        if not remove or os.path.exists(path):  # noqa: PTH110 - never raises, unlike Path.exists
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


def _introduce(plan: "RunPlan", what: str, models: "ModelNames") -> None:
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
