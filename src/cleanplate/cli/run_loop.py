"""`cleanplate run` at work: plans in, lines and report out."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.cli.console import print_note
from cleanplate.cli.progress import RunView
from cleanplate.cli.wording import count_of
from cleanplate.errors import InputError, PhotoError

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, Outcome, Plan, ReportWriter, Resources
    from cleanplate.pipeline import Remover


def run_plans(
    remover: "Remover",
    job: "Job",
    resources: "Resources",
    view: RunView,
    *,
    plan: "Plan",
    later: Iterator["Plan"] | None,
    output: Path,
    report: Path | None,
) -> None:
    """Say what will be done and do it, with a journal unless it is a dry run.

    Args:
        remover: does it, or tells the workers which models to load.
        job: the same for every photo.
        resources: how many photos at once.
        view: shows and counts what becomes of them.
        plan: what there is to do; told at the start.
        later: plans to do in its place, as they come; None: `plan` is all.
        output: folder of the results, where the journal lies.
        report: file for the report, or None.
    """
    from cleanplate import batch

    models = batch.describe_models(remover, job)
    if not view.quiet:
        everything = bool(job.labels) and len(job.labels) == len(remover.segmenter.labels)
        _introduce(plan, "all that can be found" if everything else ", ".join(job.labels), models)
    if resources.workers > 1:
        remover.release()  # the workers have models of their own
    with ExitStack() as stack:
        journal = None
        if not job.dry_run:
            journal = batch.Journal(output, batch.describe_settings(job, models))
            stack.enter_context(journal)
        writer = None
        if report is not None:
            writer = stack.enter_context(batch.ReportWriter(report, models))
        engine = stack.enter_context(
            batch.Engine(remover, job, resources, journal=journal, on_start=view.start_photo)
        )
        stack.enter_context(view)
        for part in (plan,) if later is None else later:
            view.expect(len(part.photos) + len(part.unreadable))
            if journal is not None:
                journal.remove_leftovers(part, job.masks)
            for outcome in engine.run(part):
                writer = _write_report(writer, outcome, view)
                view.finish_photo(outcome)
            if job.fail_fast and view.failed:
                break
    view.summarise()


def watch_plans(look: Callable[[], "Plan"], view: RunView) -> Iterator["Plan"]:
    """Yield what is new, for ever; what cannot be planned is told once and left for later."""
    from cleanplate import batch

    told = set()

    def look_again() -> "Plan | None":
        try:
            return look()
        except InputError as error:
            if str(error) not in told:
                told.add(str(error))
                view.fail(str(error))
            return None

    return batch.watch_photos(look_again, wait=time.sleep)


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
