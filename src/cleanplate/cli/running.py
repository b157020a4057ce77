"""What the commands that work on photos share: checks, the run itself, and its end."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from cleanplate.cli.console import print_error, print_note
from cleanplate.cli.progress import RunView
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.cli.wording import count_of
from cleanplate.errors import InputError, PhotoError, UnknownNameError
from cleanplate.labels import ALL, resolve_labels

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, Outcome, Plan
    from cleanplate.pipeline import Remover


def make_view(*, quiet: bool, verbose: bool) -> RunView:
    """Return the view of a run.

    Raises:
        InputError: both were given.
    """
    if quiet and verbose:
        raise InputError("-q and -v exclude each other; give one of them")
    return RunView(quiet=quiet, verbose=verbose)


@contextmanager
def ending_well(view: RunView) -> Iterator[None]:
    """Tell what an interrupt left done, and give the exit code of a run with failures."""
    try:
        with signals_interrupt():
            yield
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


def run_job(
    plan: "Plan",
    remover: "Remover",
    job: "Job",
    view: RunView,
    report: Path | None,
) -> None:
    """Do a planned run, show it, and write its report."""
    from cleanplate.batch import describe_models, run_plan

    models = describe_models(remover, job)
    view.total = len(plan.photos) + len(plan.unreadable)
    if not view.quiet:
        known = remover.segmenter.labels if job.labels else ()
        everything = len(known) > 1 and job.labels == resolve_labels([ALL], known)
        _introduce(plan, "all that can be found" if everything else ", ".join(job.labels), models)
    known = remover.segmenter.labels if job.own_masks is None else ()
    writer = _Report(report, models, job, view, known)
    with ExitStack() as stack:
        stack.enter_context(writer)
        stack.enter_context(view)
        for outcome in run_plan(plan, remover, job, on_start=view.start_photo):
            writer.write(outcome)
            view.finish_photo(outcome)
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


def check_inputs_are_no_labels(inputs: Sequence[Path], remove: Sequence[str]) -> None:
    """Help those who write `--remove 3 15`, where 15 is read as a photo.

    Raises:
        InputError: that is so.
    """
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


class _Report:
    """The files that `--report` names; one that cannot be written on is told once."""

    def __init__(
        self,
        report: Path | None,
        models: "ModelNames",
        job: "Job",
        view: RunView,
        known: Collection[str],
    ) -> None:
        from cleanplate.batch import PageWriter, ReportWriter, describe_settings, report_files

        self._view = view
        self._lines: ReportWriter | None = None
        self._page: PageWriter | None = None
        if report is None:
            return
        *pages, lines = report_files(report)
        settings = describe_settings(job)
        self._lines = ReportWriter(lines, models, known, settings=settings)
        for page in pages:
            self._page = PageWriter(page, _about(models, settings))

    def __enter__(self) -> Self:
        """Make the files."""
        self._stack = ExitStack()
        for writer in (self._lines, self._page):
            if writer is not None:
                self._stack.enter_context(writer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self._stack.close()

    def write(self, outcome: "Outcome") -> None:
        """Write what became of one photo; a full disk does not stop the run."""
        if self._lines is None:
            return
        try:
            line = self._lines.write(outcome)
            if self._page is not None:
                self._page.write(outcome, line)
        except PhotoError as error:
            self._view.fail(str(error))
            self._lines = None


def _about(models: "ModelNames", settings: Mapping[str, object]) -> dict[str, str]:
    """Return what the page says about the whole run."""
    about = {role: name for role, name in models["models"].items() if name is not None}
    for name, value in settings.items():
        values = value.items() if isinstance(value, dict) else [(name, value)]
        about.update((key, _plain(it)) for key, it in values if it or (key == "grow" and it == 0))
    return about


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
