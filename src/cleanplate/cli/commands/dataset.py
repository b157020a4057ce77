"""`cleanplate dataset`: a dataset in, the same without some of its objects out, labels and all."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cleanplate.cli.console import ProgressReporter, print_line, print_note
from cleanplate.cli.execution import (
    NOTHING_TO_REMOVE,
    ReportFiles,
    check_models,
    check_name,
    handle_interrupts,
    load_remover,
    run_job,
    wants_page,
)
from cleanplate.cli.messages import count_of
from cleanplate.cli.options import (
    HOW,
    PHOTOS,
    RESULTS,
    WHAT,
    WORK,
    ModelOptions,
    OutputOptions,
    RemovalArguments,
    RunOptions,
    expand_options,
    flag,
    option,
)
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, PhotoResult
    from cleanplate.datasets import DatasetEditing, Editor, LabelResult

_UNUSED = (
    "like", "like_mask", "point", "box", "min_area", "max_area", "keep", "background_people",
    "protect", "only", "region", "shadows", "raw_output", "preserve_times",
)  # fmt: skip
_SHOWN_PROBLEMS = 20


@expand_options(omit=_UNUSED)
def dataset_command(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="The dataset: a folder with images and annotations, or its main file. The format "
            "is detected.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        option("--output", "-o", metavar="DIR", panel=RESULTS, help="Folder for the new dataset."),
    ],
    removal: RemovalArguments,
    mask_from: Annotated[
        str,
        option(
            metavar="annotations|detect|both",
            panel=WHAT,
            help="Masks from the annotations (in boxes without an outline, the segmenter searches "
            "for the object), from detections that annotations confirm, or from both.",
            show_default=True,
        ),
    ] = "annotations",
    unannotated: Annotated[
        str,
        option(
            metavar="keep|fill",
            panel=WHAT,
            help="What to do with detected objects that are not annotated.",
            show_default=True,
        ),
    ] = "keep",
    neighbours: Annotated[
        str,
        option(
            metavar="protect|clip|skip",
            panel=HOW,
            help="Where the mask meets annotated objects that are kept: protect cuts the mask at "
            "their outline, clip reduces their labels to what stays visible, skip leaves the image "
            "unchanged.",
            show_default=True,
        ),
    ] = "protect",
    crowds: Annotated[
        str,
        option(
            metavar="skip|fill",
            panel=HOW,
            help="Images with a crowd annotation of a removed class: leave them unchanged, or fill "
            "the crowd.",
            show_default=True,
        ),
    ] = "skip",
    min_removed: Annotated[
        float,
        option(
            metavar="0..1",
            panel=HOW,
            help="Drop the label of an object if this share of it was filled.",
            show_default=True,
        ),
    ] = 0.95,
    min_whole: Annotated[
        float,
        option(
            metavar="0..1",
            panel=HOW,
            help="Keep the label of a neighbour unchanged if this share of it is visible.",
            show_default=True,
        ),
    ] = 0.75,
    min_visible: Annotated[
        float,
        option(
            metavar="0..1",
            panel=HOW,
            help="Drop the label of a neighbour if less than this share of it is visible.",
            show_default=True,
        ),
    ] = 0.25,
    only_train: Annotated[
        bool,
        option(
            "--only-train/--all-splits",
            metavar="",
            panel=PHOTOS,
            help="Change only the training split, if there are splits; or all of them.",
            show_default="--only-train",
        ),
    ] = True,
    allow_no_derivatives: Annotated[
        bool,
        flag(
            "--allow-no-derivatives",
            panel=PHOTOS,
            help="Also change images whose licence in the dataset forbids derivatives.",
        ),
    ] = False,
    drop_empty: Annotated[
        bool,
        flag(
            "--drop-empty",
            panel=RESULTS,
            help="Exclude images in which every annotated object is removed.",
        ),
    ] = False,
    cache: Annotated[
        bool,
        flag(
            "--cache",
            panel=RESULTS,
            help="Write only the changed images, their masks and a list of them: a cache of clean "
            "plates for augmentation.",
        ),
    ] = False,
    add_plates: Annotated[
        bool,
        flag(
            "--add-plates",
            panel=RESULTS,
            help="Keep all images and labels, and add each changed image as another one, "
            "NAME__plate, with its remaining labels.",
        ),
    ] = False,
    models: ModelOptions,
    outputs: OutputOptions,
    dry_run: Annotated[
        bool,
        flag("--dry-run", panel=WORK, help="Print what would be done as a table; write nothing."),
    ] = False,
    run: RunOptions,
) -> None:
    """Remove objects from a dataset's images, and edit its annotations in step.

    Labels are edited in the format's own text: records that nothing happened to stay as they are,
    byte for byte, and so do ids, classes and the order. The dataset itself is only read. The same
    command continues where a run was stopped.

    Exit codes are those of 'run'.
    """
    reporter = ProgressReporter(run)
    if not removal.remove:
        raise InputError(NOTHING_TO_REMOVE)
    with handle_interrupts(reporter):
        from cleanplate import batch, datasets
        from cleanplate.labels import resolve_labels
        from cleanplate.options import RemovalOptions

        if cache and add_plates:
            raise InputError("--cache and --add-plates exclude each other; give one of them")
        check_name("kind of --untouched", outputs.untouched, ("copy", "link"))
        for name, value, known in (
            ("value of --mask-from", mask_from, get_args(datasets.Source)),
            ("value of --unannotated", unannotated, ("keep", "fill")),
            ("value of --neighbours", neighbours, get_args(datasets.Neighbours)),
            ("value of --crowds", crowds, get_args(datasets.Crowds)),
        ):
            check_name(name, value, known)
        editor = datasets.open_dataset(source)
        options = datasets.DatasetOptions(
            classes=resolve_labels(removal.remove, editor.classes),
            source=cast("datasets.Source", mask_from),
            neighbours=cast("datasets.Neighbours", neighbours),
            crowds=cast("datasets.Crowds", crowds),
            fill_unannotated=unannotated == "fill",
            min_removed=min_removed,
            min_whole=min_whole,
            min_visible=min_visible,
        )
        work = datasets.DatasetEditing(
            editor,
            output,
            options,
            RemovalOptions(**removal.settings()),
            only_train=only_train and editor.has_splits,
            drop_empty=drop_empty,
            allow_no_derivatives=allow_no_derivatives,
            overwrite=outputs.overwrite,
            is_cache=cache,
            adds_plates=add_plates,
        )
        if not run.quiet:
            print_note(f"{editor.format} dataset, {count_of(len(editor.images), 'image')}")
        _print_problems(editor, reporter)
        plan = work.plan(outputs.report)
        if dry_run:
            _print_table(work, reporter)
            return
        untouched = cast("batch.Untouched", "skip" if cache or add_plates else outputs.untouched)
        models = check_models(models)
        remover = load_remover(models, run.threads)
        job = batch.Job(
            masks=work.masks,
            untouched=untouched,
            overwrite=outputs.overwrite,
            fail_fast=run.fail_fast,
        )
        results: dict[Path, PhotoResult] = {}
        run_job(
            plan,
            remover,
            job,
            reporter,
            None,
            resources=run.resources(len(plan.photos), remover),
            journal_in=output,
            on_result=lambda result: results.update({result.source: result}),
        )
        if not (run.fail_fast and reporter.failed):
            models_used = batch.describe_models(remover, job)
            _edit_labels(
                work,
                results,
                reporter,
                report=outputs.report,
                job=job,
                models=models_used,
                is_cache=cache,
                link=outputs.untouched == "link",
            )


def _edit_labels(
    work: "DatasetEditing",
    results: Mapping[Path, "PhotoResult"],
    reporter: ProgressReporter,
    *,
    report: Path | None,
    job: "Job",
    models: "ModelNames",
    is_cache: bool,
    link: bool,
) -> None:
    """Write labels, or the list of plates, and the report; print what became of annotations."""
    from collections import Counter

    edits = {edit.image.relative: edit for edit in work.dropped_images()}
    outcomes: Counter[str] = Counter()
    plates: list[LabelResult] = []
    outside: list[str] = []
    with ExitStack() as stack:
        files = stack.enter_context(ReportFiles(report, models, job, reporter, ()))
        for image in work.editor.images:
            result = results.get(image.source)
            if result is None:
                continue
            labels = work.decide_labels(result, image)
            if labels.error is not None:
                reporter.fail(labels.error)
                print_note(labels.error)
            if labels.edit.is_lost or labels.edit.changes or labels.edit.mask:
                edits[image.relative] = labels.edit
            if is_cache:
                plates.append(labels)
            outcomes.update(it.outcome for it in labels.decisions)
            outside += [
                f"{image.source}: {it.annotation.key} lies outside the image"
                for it in labels.decisions
                if it.share is None
            ]
            if report is not None:
                if wants_page(report):
                    result = work.draw(labels, result)
                result = replace(result, notes=(*result.notes, *labels.notes))
                files.write(result, work.describe(labels, result))
    if is_cache:
        work.write_plates(plates)
    if not reporter.quiet:
        _print_some(outside)
    failures = work.copy_images(link=link) if work.adds_plates else []
    failures += [] if is_cache else work.write_labels(edits)
    for failure in failures:
        reporter.fail(failure)
        print_note(failure)
    if not reporter.quiet:
        summary = ", ".join(f"{outcomes[name]} {name}" for name in _OUTCOMES if outcomes[name])
        lost = 0 if work.adds_plates else sum(edit.is_lost for edit in edits.values())
        print_line(
            f"annotations: {summary or 'none changed'}"
            + (f"; {count_of(lost, 'image')} excluded" if lost else "")
        )


_OUTCOMES = ("removed", "clipped", "covered", "partial", "missed", "kept")


def _print_problems(editor: "Editor", reporter: ProgressReporter) -> None:
    """Print what is wrong with the dataset; whatever excludes images counts as a failure."""
    for error in editor.errors:
        reporter.fail(error)
    for messages in (editor.errors, () if reporter.quiet else editor.problems):
        _print_some(messages)


def _print_some(messages: Sequence[str]) -> None:
    """Print what is wrong with records, at most some of them."""
    for message in messages[:_SHOWN_PROBLEMS]:
        print_note(message)
    if len(messages) > _SHOWN_PROBLEMS:
        print_note(f"and {len(messages) - _SHOWN_PROBLEMS} more such records")


def _print_table(work: "DatasetEditing", reporter: ProgressReporter) -> None:
    """Print what would be done with each split."""
    splits, problems = work.count()
    classes = work.options.classes
    changed = "plates" if work.adds_plates else "to change"
    rows = [("split", "images", changed, *(f"{name} labels" for name in classes))]
    for split, count in splits.items():
        numbers = (count.images, count.changed, *(count.removed[name] for name in classes))
        rows.append((split, *map(str, numbers)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print_line("  ".join(cells).rstrip())
    for split, count in splits.items():
        for reason, number in count.unchanged.most_common():
            print_line(f"{split}: {count_of(number, 'image')} unchanged: {reason}")
    for problem in problems:
        reporter.fail(problem)
    _print_some(problems)
