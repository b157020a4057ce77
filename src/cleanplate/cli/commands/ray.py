"""`cleanplate ray`: as `run`, on the machines of a Ray cluster and in object stores."""

from typing import Annotated, Any, cast

import typer

from cleanplate.cli.console import ProgressReporter, print_note
from cleanplate.cli.execution import (
    NOTHING_TO_REMOVE,
    check_models,
    check_name,
    handle_interrupts,
    removal_options,
)
from cleanplate.cli.options import (
    RESULTS,
    WORK,
    ModelOptions,
    OutputOptions,
    RemovalArguments,
    RunOptions,
    SelectionOptions,
    expand_options,
    option,
)
from cleanplate.errors import InputError

_MAX_FAILURES = 20  # in the summary; the report lists all of them
_NOTE_EVERY_S = 10.0


@expand_options(
    omit=(
        *(
            "like",
            "like_mask",
            "point",
            "box",
            "only",
            "recursive",
            "min_size",
            "max_size",
            "report",
            "untouched",
            "preserve_times",
        ),
        *("threads", "workers", "max_memory", "fail_fast", "verbose"),
    )
)
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
            help="Folder or URL for the results. Names, formats and sub-folders stay; a RAW "
            "photo a.nef comes back as a.nef.tif.",
            show_default=False,
        ),
    ],
    removal: RemovalArguments,
    selection: SelectionOptions,
    models: ModelOptions,
    outputs: OutputOptions,
    untouched: Annotated[
        str,
        option(
            metavar="copy|skip",
            panel=RESULTS,
            help="What to do with a photo in which nothing is found: copy it, or write nothing.",
            show_default=True,
        ),
    ] = "copy",
    address: Annotated[
        str | None,
        option(
            metavar="ADDRESS",
            panel=WORK,
            help="The cluster, such as 10.0.0.1:6379, or auto for the one this machine belongs to.",
            show_default="RAY_ADDRESS, else a local one is started",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option(
            metavar="N",
            min=1,
            panel=WORK,
            help="Photos to process at once, on all machines together.",
            show_default="as many as fit in the cluster, also when it grows",
        ),
    ] = None,
    cpus_per_worker: Annotated[
        float,
        option(
            metavar="N",
            panel=WORK,
            help="CPU cores, and threads, of each worker.",
            show_default="1",
        ),
    ] = 1.0,
    gpus_per_worker: Annotated[
        float,
        option(
            metavar="N",
            panel=WORK,
            help="GPUs of each worker; 0.25 lets four share one.",
            show_default="0",
        ),
    ] = 0.0,
    group: Annotated[
        int,
        option(
            "--photos-at-a-time",
            metavar="N",
            min=1,
            panel=WORK,
            help="Photos given to a worker at once, and rows in each file of the report. At most "
            "as many are processed again when a worker is killed.",
            show_default="32",
        ),
    ] = 32,
    run: RunOptions,
) -> None:
    """As 'run', on a cluster: photos of a folder or an object store, by the workers of Ray.

    All photos below IN are processed. Parquet files in OUT/.cleanplate/report record what was done:
    the same command continues where it was stopped, and processes photos again that changed since.
    Other results that exist are kept.

    Needs the extra 'ray' on every machine. Exit codes are those of 'run'.
    """
    reporter = ProgressReporter(run, note_every_s=_NOTE_EVERY_S, max_failures=_MAX_FAILURES)
    removal.rules()  # before anything is loaded
    if removal.is_empty:
        raise InputError(NOTHING_TO_REMOVE)
    from cleanplate import inpainting, segmentation
    from cleanplate.batch import Job
    from cleanplate.distributed import (
        Location,
        Workers,
        check_locations,
        connect_to_cluster,
        run_cluster,
    )
    from cleanplate.io import RESULT_SUFFIXES
    from cleanplate.remover import Remover

    models = check_models(models)
    check_name("raw output", outputs.raw_output, RESULT_SUFFIXES)
    check_name("kind of --untouched", untouched, ("copy", "skip"))
    share = Workers(count=workers, cpus=cpus_per_worker, gpus=gpus_per_worker)
    locations = Location(source), Location(output)
    check_locations(*locations)
    segmenter = models.segmenter or segmentation.DEFAULT_SEGMENTER
    inpainter = models.inpainter or inpainting.DEFAULT_INPAINTER
    remover = Remover(segmenter=segmenter, inpainter=inpainter, device=models.device)
    job = Job(
        options=removal_options(removal, remover.labels),
        raw_output=cast("Any", outputs.raw_output),
        untouched=cast("Any", untouched),
        overwrite=outputs.overwrite,
    )
    with handle_interrupts(reporter), connect_to_cluster(address):
        if not run.quiet:
            print_note(f"segmenter {segmenter}, inpainter {inpainter}, device {models.device}")
            print_note(
                f"photos below {locations[0].shown}, removing {', '.join(job.options.classes)}"
            )
        for record in run_cluster(
            *locations,
            remover,
            job,
            workers=share,
            photo_filter=selection.photo_filter(),
            group_size=group,
        ):
            reporter.finish_record(record)
        reporter.summarise()
