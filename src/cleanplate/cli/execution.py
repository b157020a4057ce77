"""What the commands share: checks, the run over photos, its report, and interrupts."""

import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from cleanplate.cli.console import ProgressReporter, print_note
from cleanplate.cli.installing import ask_to_pull
from cleanplate.cli.messages import count_of
from cleanplate.cli.options import ModelOptions, RemovalArguments
from cleanplate.errors import InputError, MissingExtraError, PhotoError, UnknownNameError
from cleanplate.labels import ALL, resolve_labels

if TYPE_CHECKING:
    from cleanplate.batch import Example, Job, ModelNames, PhotoResult, Resources, RunPlan
    from cleanplate.hub import ModelKind
    from cleanplate.options import RemovalOptions
    from cleanplate.remover import Remover

NOTHING_TO_REMOVE = "nothing to remove; give --remove, such as --remove person,car"

KINDS: "tuple[ModelKind, ...]" = ("segmenter", "inpainter")
"""The models of a run, as `check_models` takes them."""

_SIGNALS = ("SIGTERM", "SIGHUP")  # the second when a terminal is closed; not on Windows


class SignalInterrupt(KeyboardInterrupt):
    """Raised in the main thread when a signal other than that of Ctrl-C arrives."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


@contextmanager
def handle_interrupts(reporter: ProgressReporter, *, watching: bool = False) -> Iterator[None]:
    """Exit with the right code and a summary when interrupted, and with 1 after failures.

    SIGTERM and SIGHUP interrupt as Ctrl-C does, unless they are ignored or handled already. The
    exit code is 128 plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        reporter: of the run.
        watching: whether an interrupt is the normal end of the run.
    """
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, _raise_interrupt)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, signal.SIG_DFL)
    except KeyboardInterrupt as interrupt:
        reporter.summarise_interrupted(watching=watching)
        number = interrupt.number if isinstance(interrupt, SignalInterrupt) else signal.SIGINT
        raise typer.Exit(128 + int(number)) from None
    if reporter.failed:
        raise typer.Exit(1)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    raise SignalInterrupt(number)


def load_remover(
    models: ModelOptions, threads: int | None, examples: "tuple[Example, ...]" = ()
) -> "Remover":
    """Return a remover of the chosen models, or of the default ones; examples replace a segmenter.

    Raises:
        CleanplateError: the models or the examples cannot be loaded.
    """
    from cleanplate import batch, inpainting, segmentation
    from cleanplate import remover as remover_module

    segmenter = models.segmenter or segmentation.DEFAULT_SEGMENTER
    return remover_module.Remover(
        segmenter=batch.segmenter_of_examples(examples) if examples else segmenter,
        inpainter=models.inpainter or inpainting.DEFAULT_INPAINTER,
        device=models.device,
        threads=threads,
    )


def removal_options(
    removal: RemovalArguments, known: Collection[str], *, masked: bool = False
) -> "RemovalOptions":
    """Return the options of the removal, their classes as canonical labels.

    Args:
        removal: as given.
        known: the segmenter's labels.
        masked: whether masks of the user's say what is removed.

    Raises:
        InputError: an option cannot be used.
        UnknownNameError: a label is unknown.
    """
    from cleanplate.options import OPTIONS_OF_MASKS, RemovalOptions
    from cleanplate.segmentation import requested_labels

    settings = removal.settings()
    if masked:
        apply = ("dilation", *OPTIONS_OF_MASKS)
        return RemovalOptions(**{name: settings[name] for name in apply if name in settings})
    rules, points, boxes = removal.rules(), removal.points(), removal.boxes()
    has_names = bool(removal.names or rules.background_people or not (points or boxes))
    classes = requested_labels(removal.names, rules, known)[0] if has_names else ()
    return RemovalOptions(classes=classes, points=points, boxes=boxes, **settings)


def run_job(
    plan: "RunPlan",
    remover: "Remover",
    job: "Job",
    reporter: ProgressReporter,
    report: Path | None,
    *,
    resources: "Resources",
    journal_in: Path | None,
    later: "Iterator[RunPlan] | None" = None,
    on_result: "Callable[[PhotoResult], object]" = lambda _: None,
) -> None:
    """Execute a planned run, show its progress, and write its report.

    Args:
        plan: the photos; described at the start.
        remover: removes, or names the models that the workers load.
        job: the same for every photo.
        reporter: shows and counts the results.
        report: value of `--report`, or None.
        resources: from `ResourceOptions.resources`.
        journal_in: folder of the results, where the journal is; None: no journal.
        later: plans to execute instead of `plan`, as they come; None: only `plan`.
        on_result: called with each result.
    """
    from cleanplate import batch

    models = batch.describe_models(remover, job)
    known = remover.segmenter.labels if job.own_masks is None else ()
    if not reporter.quiet:
        everything = len(known) > 1 and job.options.classes == resolve_labels([ALL], known)
        _introduce(
            plan, "all known objects" if everything else ", ".join(job.options.classes), models
        )
    settings = {} if journal_in is None else batch.settings_in_words(job, remover)
    if resources.workers > 1:
        remover.release()  # each worker loads its own models
    with ExitStack() as stack:
        journal = None
        if journal_in is not None:
            journal = stack.enter_context(batch.Journal(journal_in, settings))
        report_files = stack.enter_context(ReportFiles(report, models, job, reporter, known))
        engine = stack.enter_context(
            batch.Engine(remover, job, resources, journal=journal, on_start=reporter.start_photo)
        )
        stack.enter_context(reporter)
        masks = None if job.dry_run else job.masks
        for part in (plan,) if later is None else later:
            planned = {} if masks is None else {photo.source: photo for photo in part.photos}
            reporter.expect(len(part.photos) + len(part.unreadable))
            if journal is not None:
                journal.remove_leftovers(part, job.masks)
            for result in engine.run(part):
                report_files.write(result)
                on_result(result)
                reporter.finish_photo(result)
                if masks is not None and result.skipped is not None:
                    mask = masks / batch.mask_name(planned[result.source])
                    reporter.unsaved_masks += not mask.exists()
            if job.fail_fast and reporter.failed:
                break
    reporter.summarise()


class ReportFiles:
    """The files of `--report`; after an error of writing, which is reported, nothing is written."""

    def __init__(
        self,
        report: Path | None,
        models: "ModelNames",
        job: "Job",
        reporter: ProgressReporter,
        known: Collection[str],
    ) -> None:
        from cleanplate.batch import PageWriter, ReportWriter, describe_settings, report_files

        self._reporter = reporter
        self._lines: ReportWriter | None = None
        self._page: PageWriter | None = None
        if report is None:
            return
        *pages, lines = report_files(report)
        settings = describe_settings(job)
        self._lines = ReportWriter(lines, models, known, settings=settings)
        for page in pages:
            self._page = PageWriter(page, _page_header(models, settings))

    def __enter__(self) -> Self:
        """Create the files."""
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

    def write(self, result: "PhotoResult", more: "Mapping[str, object] | None" = None) -> None:
        """Write the result of one photo; a full disk does not stop the run.

        Args:
            result: what became of it.
            more: fields of its line in the report beside those of every photo.
        """
        if self._lines is None:
            return
        try:
            line = self._lines.write(result, more)
            if self._page is not None:
                self._page.write(result, line)
        except PhotoError as error:
            self._reporter.fail(str(error))
            self._lines = None


def _page_header(models: "ModelNames", settings: Mapping[str, object]) -> dict[str, str]:
    """Return what the page says about the run."""
    from cleanplate.batch import flat_settings

    header = {role: name for role, name in models["models"].items() if name is not None}
    for name, value in flat_settings(settings).items():
        if value or (name == "dilation" and value == 0):
            values = value if isinstance(value, list | tuple) else [value]
            header[name] = ", ".join(map(str, values))
    return header


def wants_page(report: Path | None) -> bool:
    """Return whether `--report` asks for a page, so that thumbnails are needed."""
    from cleanplate.batch import report_files

    return report is not None and len(report_files(report)) > 1


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Raise unless a name is known, without loading what it names.

    Raises:
        UnknownNameError: it is unknown; the message lists the known ones.
    """
    if name not in known:
        raise UnknownNameError(kind, name, known)


def check_models(
    models: ModelOptions, needed: "Collection[ModelKind]" = KINDS, *, published: bool = False
) -> ModelOptions:
    """Return the models by their full names, those of a preset among them, all of which exist.

    On a terminal, offers to pull what a preset lacks.

    Args:
        models: as given.
        needed: the kinds that the run uses; only these are taken from a preset.
        published: whether the command offers the preset "published".

    Raises:
        UnknownNameError: a name is unknown; the message lists the known ones.
        InputError: the preset "published", or a model that is none of it.
        WeightsError: a model of the preset is not installed; the message says how to install it.
    """
    from cleanplate import inpainting
    from cleanplate.hub import get_model, is_available, preset_model
    from cleanplate.runtime import DEVICES

    check_name("device", models.device, DEVICES)
    names: dict[str, Any] = {}
    if models.segmenter is not None:
        names["segmenter"] = get_model(models.segmenter, "segmenter").name
    if models.inpainter is not None:
        model = inpainting.find_inpainter(models.inpainter)
        names["inpainter"] = models.inpainter if model is None else model.name
    safely, trusting = inpainting.PIPELINES
    chosen_name = names.get("inpainter", "")
    if models.trust_pickle:
        if not chosen_name.startswith(safely):
            raise InputError("--trust-pickle is for --inpainter diffusers:FOLDER only; omit it")
        names["inpainter"] = chosen_name.replace(safely, trusting, 1)
    if chosen_name.startswith(inpainting.PIPELINES):
        print_note(f"{chosen_name}: licence {inpainting.pipeline_licence(chosen_name)}")
    if models.preset == "published":
        _check_published(names, offered=published)
    if models.preset is not None:
        kinds = [kind for kind in needed if kind not in names]
        chosen = {kind: preset_model(models.preset, kind) for kind in kinds}
        missing = [model for model in chosen.values() if not is_available(model)]
        if missing:
            ask_to_pull(missing, why=f"preset {models.preset!r}")
        names |= {kind: model.name for kind, model in chosen.items()}
    return replace(models, **names)


def _check_published(names: Mapping[str, str], *, offered: bool) -> None:
    from cleanplate.hub import get_model

    if not offered:
        raise InputError("--preset published works only with 'cleanplate run'; give another")
    segmenter, inpainter = names.get("segmenter"), names.get("inpainter")
    if segmenter is not None and get_model(segmenter).converter != "torchvision_semantic":
        raise InputError(
            f"--preset published segments with torchvision's FCN or DeepLabV3, not "
            f"{segmenter}; give --segmenter deeplabv3_resnet101 or fcn_resnet101"
        )
    if inpainter is not None and not inpainter.startswith("edgeconnect."):
        raise InputError(
            f"--preset published fills with EdgeConnect, not {inpainter}; give --inpainter "
            "edgeconnect.places2, edgeconnect.celeba or edgeconnect.psv"
        )


def check_remove_or_mask(
    removal: RemovalArguments, mask: Path | None, models: ModelOptions
) -> None:
    """Refuse options that say nothing, or in two ways, about what is removed.

    Raises:
        InputError: the message names them.
    """
    if mask is None:
        if removal.is_empty:
            raise InputError(f"{NOTHING_TO_REMOVE}, or --mask")
        return
    if removal.remove:
        raise InputError(
            "--mask and --remove exclude each other: with --mask, your masks define what is "
            "removed; give one of them"
        )
    given = [*(["--segmenter"] if models.segmenter else []), *removal.given()]
    used = (
        "--dilate", "--effects", "--shadows", "--no-shadows", "--texture", "--no-texture",
        "--seed",
    )  # fmt: skip
    given = [name for name in given if name not in used]
    if given:
        raise InputError(
            f"{', '.join(given)} and --mask exclude each other: your masks define what is removed; "
            f"omit {'it' if len(given) == 1 else 'them'}"
        )


def check_server_installed() -> None:
    """Raise unless the server can be imported.

    Raises:
        MissingExtraError: a package is missing; the message says how to install it.
    """
    try:
        import cleanplate.server  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the page needs {error.name or error}; run: pip install 'cleanplate[serve]'"
        ) from error


def check_inputs_are_no_labels(inputs: Sequence[Path], remove: Sequence[str]) -> None:
    """Help those who write `--remove 3 15`, where 15 is parsed as a photo.

    Raises:
        InputError: an input does not exist, but is the name of a label.
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
    """Print what will be done, by which models and on which device."""
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
