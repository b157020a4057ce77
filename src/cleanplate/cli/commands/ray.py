"""`cleanplate ray`: what `run` does, on the machines of a Ray cluster and in object stores."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from cleanplate.cli import options, rule_options
from cleanplate.cli.console import print_error, print_line, print_note
from cleanplate.cli.execution import check_models, check_name, make_filter
from cleanplate.cli.messages import COUNTED, count_of, told_difference
from cleanplate.cli.options import flag
from cleanplate.cli.signals import exit_code_of, signals_interrupt
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import Job
    from cleanplate.distributed import Place
    from cleanplate.remover import Remover

RAY_HELP = (
    "Do what 'run' does on a cluster: photos of a folder or an object store, by the workers of Ray."
    "\n\nAll photos below IN are done. What was done stands in Parquet files in "
    "OUT/.cleanplate/report: the same command goes on where it was stopped, and does photos again "
    "that changed since. Other results that exist are left alone.\n\n"
    "Needs the extra 'ray' on every machine. Exit codes as for 'run'."
)

_MOST_FAILURES = 20  # listed at the end; the report has them all
_EVERY_S = 10.0  # a line on what is done


def ray_command(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Folder of the photos: a path, or a URL such as s3://bucket/photos or gs://...",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Folder for the results, likewise. Names, formats and sub-folders stay; a RAW "
            "photo a.nef comes back as a.nef.tif.",
            show_default=False,
        ),
    ],
    remove: options.Remove = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    segmenter: options.SegmenterName = None,
    inpainter: options.InpainterName = None,
    device: options.Device = "auto",
    min_score: options.MinScore = None,
    min_area: rule_options.MinArea = None,
    max_area: rule_options.MaxArea = None,
    keep: rule_options.Keep = None,
    background_people: rule_options.BackgroundPeople = False,
    protect: rule_options.Protect = None,
    region: rule_options.InRegion = None,
    grow: options.Grow = None,
    shadows: options.Shadows = False,
    verify: options.Verify = None,
    raw_output: options.RawOutputName = "tiff",
    untouched: Annotated[
        str,
        typer.Option(
            metavar="copy|skip",
            rich_help_panel=options.RESULTS,
            help="What to do with a photo in which nothing is found: copy it, or write nothing.",
        ),
    ] = "copy",
    overwrite: Annotated[
        bool, flag("--overwrite", panel=options.RESULTS, help="Replace outputs that exist.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=options.WORK,
            help="The cluster, such as 10.0.0.1:6379 or auto for the one this machine is part of.",
            show_default="RAY_ADDRESS, else one is started on this machine alone",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=options.WORK,
            help="Photos to work on at once, on all machines together.",
            show_default="as many as the cluster carries, also when it grows",
        ),
    ] = None,
    cpus_per_worker: Annotated[
        float,
        typer.Option(
            metavar="N",
            rich_help_panel=options.WORK,
            help="Processor cores of each worker; also its threads.",
            show_default="1",
        ),
    ] = 1.0,
    gpus_per_worker: Annotated[
        float,
        typer.Option(
            metavar="N",
            rich_help_panel=options.WORK,
            help="GPUs of each worker; 0.25 lets four share one.",
            show_default="0",
        ),
    ] = 0.0,
    group: Annotated[
        int,
        typer.Option(
            "--photos-at-a-time",
            metavar="N",
            min=1,
            rich_help_panel=options.WORK,
            help="Photos given to a worker at once, and rows in each file of the report. So many "
            "are begun anew at most when a worker is killed.",
            show_default="32",
        ),
    ] = 32,
    quiet: options.Quiet = False,
) -> None:
    """Check the options and let `run_cluster` do the rest; `RAY_HELP` is what users read."""
    rules = rule_options.make_rules(
        keep=keep,
        background_people=background_people,
        max_area=max_area,
        protect=protect,
        only=None,
        region=region,
        min_area=min_area,
    )
    if not remove and not background_people:
        raise InputError("nothing to remove; give --remove, such as --remove person,car")
    from cleanplate import inpainting, segmentation
    from cleanplate import remover as pipeline
    from cleanplate.batch import Job
    from cleanplate.distributed import Place, Workers, check_places, connected, run_cluster
    from cleanplate.io import RESULT_SUFFIXES
    from cleanplate.options import DEFAULT_MIN_SCORE
    from cleanplate.segmentation import asked_labels

    segmenter = segmenter or segmentation.DEFAULT_SEGMENTER
    inpainter = inpainter or inpainting.DEFAULT_INPAINTER
    check_models(device=device, segmenter=segmenter, inpainter=inpainter)
    check_name("raw output", raw_output, RESULT_SUFFIXES)
    check_name("kind of --untouched", untouched, ("copy", "skip"))
    share = Workers(count=workers, cpus=cpus_per_worker, gpus=gpus_per_worker)
    places = Place(source), Place(output)
    check_places(*places)
    # On the CPU, as this machine only looks up the labels.
    known = segmentation.create_segmenter(segmenter, device="cpu", threads=1).labels
    job = Job(
        labels=asked_labels(remove or (), rules, known)[0],
        min_score=DEFAULT_MIN_SCORE if min_score is None else min_score,
        min_area=min_area or 0,
        rules=rules,
        grow=grow,
        shadows=shadows,
        verify=verify is not False,
        raw_output=cast("Any", raw_output),
        untouched=cast("Any", untouched),
        overwrite=overwrite,
    )
    remover = pipeline.Remover(segmenter=segmenter, inpainter=inpainter, device=device)
    view = _View(quiet=quiet)
    try:
        with signals_interrupt(), connected(address):
            view.introduce(places[0], job, remover)
            for told in run_cluster(
                *places,
                remover,
                job,
                workers=share,
                photo_filter=make_filter(include, exclude, None, None),
                group=group,
            ):
                view.finish_photo(told)
    except KeyboardInterrupt as interrupt:
        view.summarise()
        print_error(
            f"interrupted: {count_of(sum(view.counts.values()), 'photo')} done, nothing "
            "half-written; the same command without --overwrite does the rest"
        )
        raise typer.Exit(exit_code_of(interrupt)) from None
    view.summarise()
    if view.failures or view.counts["failed"]:
        raise typer.Exit(1)


class _View:
    """Counts what became of photos, and tells it in a line now and then."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []  # the first of them
        self._differences: Counter[str] = Counter()
        self._start = self._told_at = time.perf_counter()

    def introduce(self, source: "Place", job: "Job", remover: "Remover") -> None:
        """Say what will be done."""
        segmenter, inpainter, device = remover.recipe
        if not self._quiet:
            print_note(f"segmenter {segmenter}, inpainter {inpainter}, device {device}")
            print_note(f"photos below {source.shown}, removing {', '.join(job.labels)}")

    def finish_photo(self, told: Mapping[str, Any]) -> None:
        """Count what became of a photo."""
        self.counts[told["skipped"] or told["status"]] += 1
        if told["skipped"] == "other settings":
            self._differences.update(told["notes"])
        if told["status"] == "failed" and len(self.failures) < _MOST_FAILURES:
            self.failures.append(told["error"])
            if self._quiet:
                print_error(told["error"])
        now = time.perf_counter()
        if now - self._told_at >= _EVERY_S and not self._quiet:
            self._told_at = now
            print_note(f"{count_of(sum(self.counts.values()), 'photo')} so far, {self._rate()}")

    def summarise(self) -> None:
        """Print the counts, the time, and the first failures with their causes."""
        if self._quiet:
            return
        parts = [f"{self.counts[status]} {word}" for status, word in COUNTED.items()]
        told = ", ".join(part for part in parts if not part.startswith("0 ")) or "none to do"
        spent = time.perf_counter() - self._start
        total = count_of(sum(self.counts.values()), "photo")
        print_line(f"{total}: {told}; {spent:.1f} s, {self._rate()}")
        for difference, count in self._differences.most_common():
            print_line(told_difference(count, difference))
        if self.failures:
            print_error(f"{self.counts['failed']} failed:")
            for cause in self.failures:
                print_note(f"  {cause}")
            more = self.counts["failed"] - len(self.failures)
            if more > 0:
                print_note(f"  and {more} more, which the report tells")

    def _rate(self) -> str:
        worked = sum(self.counts[status] for status in ("removed", "untouched", "failed"))
        return f"{worked / max(time.perf_counter() - self._start, 1e-6):.1f} photos/s"
