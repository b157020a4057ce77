"""A run on a cluster: it connects the listing with the actors, and repeats lost groups."""

import json
import pickle
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cleanplate.batch import (
    JOURNAL_FOLDER,
    Job,
    PhotoFilter,
    PlannedPhoto,
    describe_models,
    describe_settings,
    failed_result,
    is_portable,
    settings_in_words,
)
from cleanplate.distributed.actor import MAX_GROUP_ATTEMPTS, STATUS_COLUMNS, PhotoActor, make_row
from cleanplate.distributed.cluster import (
    Counter,
    actor_options,
    first_cause,
    here,
    import_ray,
    one_row_blocks,
    run_here,
)
from cleanplate.distributed.config import ClusterJob, RemoverFactory, Workers
from cleanplate.distributed.history import targets_of
from cleanplate.distributed.listing import ALL_PHOTOS, END, FAILED, LOST, Listing
from cleanplate.distributed.location import Location, name_of
from cleanplate.distributed.model_transfer import hashes_of, pack_models
from cleanplate.distributed.parquet_report import REPORT_FOLDER, STARTED_FOLDER, write_part
from cleanplate.errors import CleanplateError, InputError, PhotoError
from cleanplate.io import TEMPORARY_SUFFIX
from cleanplate.remover import Remover

DEFAULT_GROUP_SIZE = 32
"""Photos sent to a worker at once, and the most that are repeated when it is killed."""

MAX_PASSES = 2  # over the input: the second processes lost groups, photo by photo
_MAX_ERRORS = 20  # consecutive groups that cannot be finished; then a store must be gone
_ROWS_PER_FILE = 1000  # rows in one file
_ONE_WORKER = Workers()

PhotoStatus = Mapping[str, Any]
"""Part of a photo's row in the report: photo, output, status, skipped, error and notes."""


def run_cluster(
    source: Location | str,
    output: Location | str,
    remover: Remover,
    job: Job,
    *,
    workers: Workers = _ONE_WORKER,
    photo_filter: PhotoFilter = ALL_PHOTOS,
    group_size: int = DEFAULT_GROUP_SIZE,
) -> Iterator[PhotoStatus]:
    """Process all photos below a location on the cluster that Ray is connected to, or starts.

    Yields the status of each photo as groups are finished. The rows of the report, from which the
    next run resumes, are Parquet files in `.cleanplate/report` below `output`.

    Args:
        source: folder or URL of the photos; all below it but hidden ones.
        output: folder or URL of the results, at the same relative paths.
        remover: whose models the workers load; its segmenter gives the labels.
        job: what to do with every photo. Masks and plans in files are not supported.
        workers: how many, and the resources of each.
        photo_filter: which photos to process; sizes are not supported.
        group_size: photos sent to a worker at once.

    Raises:
        InputError: the output would overwrite the input, or an option is not supported.
        MissingExtraError: Ray is not installed.
        CleanplateError: a worker cannot load the models.
        PhotoError: the input or the report cannot be read or the output not written.
    """
    source, output = (it if isinstance(it, Location) else Location(it) for it in (source, output))
    check_locations(source, output)
    _check_job(remover, job, photo_filter)
    ray = import_ray()
    cluster_job, factory = _prepare(source, output, remover, job, workers)
    failure = run_here(_try_locations, source, output)
    if failure is not None:
        raise failure
    listing = Listing(
        source=source,
        output=output,
        run=cluster_job.run,
        pass_number=1,
        group_size=group_size,
        photo_filter=photo_filter,
    )
    for pass_number in range(1, MAX_PASSES + 1):
        listing = replace(
            listing, pass_number=pass_number, group_size=group_size if pass_number == 1 else 1
        )
        progress = _PassProgress()
        try:
            for name, content in _rows(listing, cluster_job, factory, workers):
                if name not in (END, FAILED, LOST):
                    yield from content
                progress.count(name, content)
                if progress.failure is not None:
                    break
        except ray.exceptions.RayError as error:
            raise first_cause(error) from error
        if progress.failure is not None:
            raise PhotoError(
                source.shown,
                f"the run ended early ({progress.failure})",
                "run the same command again to resume",
            )
        if progress.is_complete:
            break
    else:
        statuses = run_here(_report_lost, replace(listing, pass_number=MAX_PASSES + 1), cluster_job)
        yield from statuses
    run_here(_clean_up, output)


def check_locations(source: Location, output: Location) -> None:
    """Refuse an output that is, or contains, the input.

    Raises:
        InputError: it is.
    """
    if source.below(output) == "":
        raise InputError(
            f"{output.shown}: is both input and output; name another folder for the output"
        )
    if source.below(output) is not None:
        raise InputError(
            f"{source.shown}: is inside the output {output.shown}, so that results could overwrite "
            "photos; name another folder for the output"
        )


@dataclass(slots=True)
class _PassProgress:
    """The groups of a pass that came back."""

    groups: int = 0
    expected: int | None = None  # None: the listing has not ended
    failure: str | None = None
    errors: int = 0  # consecutive groups that no actor could finish

    @property
    def is_complete(self) -> bool:
        return self.groups == self.expected

    def count(self, name: str, content: Any) -> None:
        if name == END:
            self.expected = content
        elif name == FAILED:
            self.failure = content
        elif name != LOST:
            self.groups, self.errors = self.groups + 1, 0
        elif content:
            self.errors += 1
            if self.errors >= _MAX_ERRORS:
                self.failure = f"{self.errors} consecutive groups of photos: {content}"


def _check_job(remover: Remover, job: Job, photo_filter: PhotoFilter) -> None:
    if job.own_masks or job.own_plans or job.masks or job.plan_only or job.dry_run:
        raise InputError(
            "masks, plans and dry runs are not supported on clusters; use 'cleanplate run'"
        )
    if job.untouched == "link":
        raise InputError("--untouched link: object stores have no links; give copy or skip")
    if photo_filter.min_size or photo_filter.max_size:
        raise InputError(
            "photos cannot be selected by size on a cluster; omit --min-size and --max-size"
        )
    if not is_portable(remover):
        raise InputError("workers need models given by name, as each loads its own")


def _prepare(
    source: Location, output: Location, remover: Remover, job: Job, workers: Workers
) -> tuple[ClusterJob, RemoverFactory]:
    segmenter, inpainter, _ = remover.config
    # On the CPU: this machine only looks up names, and may have no other device.
    local = Remover(segmenter=segmenter, inpainter=inpainter, device="cpu", threads=1)
    cluster_job = ClusterJob(
        source=source,
        output=output,
        job=job,
        settings=describe_settings(job),
        made_with=json.dumps(settings_in_words(job, local), sort_keys=True),
        run=f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}",
        models=describe_models(local, job)["models"],
        known=remover.labels,
    )
    return cluster_job, make_factory(remover, job, workers)


def make_factory(remover: Remover, job: Job, workers: Workers) -> RemoverFactory:
    """Return how actors make an equal remover; its models are put into Ray's object store."""
    packed = pack_models(remover.config[:2])
    return RemoverFactory(
        models=remover.config,
        job=job,
        threads=workers.threads,
        packed=[import_ray().put(packed)] if packed else [],
        hashes=hashes_of(packed),
    )


def _rows(
    listing: Listing, job: ClusterJob, factory: RemoverFactory, workers: Workers
) -> Iterator[tuple[str, Any]]:
    """Yield the name of each group that comes back, and the status of its photos."""
    from ray.data import read_datasource

    from cleanplate.distributed.datasource import ListingSource

    counter = import_ray().remote(num_cpus=0, label_selector=here())(Counter).remote()
    with one_row_blocks():
        groups = read_datasource(
            ListingSource(listing, counter),
            num_cpus=0,
            override_num_blocks=1,
            label_selector=here(),
        )
        rows = groups.map_batches(
            PhotoActor,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_kwargs={"job": job, "factory": factory},
            **actor_options(workers),
        )
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in table.to_pylist():
                counter.add.remote()
                yield row["name"], pickle.loads(row["content"])


def _try_locations(source: Location, output: Location) -> CleanplateError | None:
    """Return why a run cannot read the source or write the output; None if it can."""
    try:
        source.check_exists()
        test_file = f"{JOURNAL_FOLDER}/test-{secrets.token_hex(3)}"
        output.write(test_file, b"")
        output.remove(test_file)
    except CleanplateError as error:
        return error
    except Exception as error:  # whatever a store's library raises
        cause = f"cannot be written ({' '.join(str(error).split())})"
        return PhotoError(output.shown, cause, "check its name and permissions")
    return None


def _report_lost(listing: Listing, job: ClusterJob) -> list[PhotoStatus]:
    """Report the photos that killed every worker as failed; return their status."""
    rows: list[PhotoStatus] = []
    for photo in listing.photos():
        relative = photo.file.relative
        name = Path(name_of(relative))
        attempts = MAX_PASSES * MAX_GROUP_ATTEMPTS
        cause = f"every worker that processed it was killed, {attempts} in all"
        error = PhotoError(name, cause, "check the memory of the machines")
        result = failed_result(PlannedPhoto(name, name, name), error)
        rows.append(make_row(job, relative, result, targets_of(relative, job.job)[0]))
    for start in range(0, len(rows), _ROWS_PER_FILE):
        part = rows[start : start + _ROWS_PER_FILE]
        write_part(job.output, f"part-{job.run}-{listing.pass_number}-{start:07}", part)
    return [{column: row[column] for column in STATUS_COLUMNS} for row in rows]


def _clean_up(output: Location) -> None:
    """Remove the records of started photos, all of which have a row now, and temporary files."""
    for folder in (STARTED_FOLDER, REPORT_FOLDER):
        for file in output.list(folder):
            if folder == STARTED_FOLDER or file.relative.endswith(TEMPORARY_SUFFIX):
                output.remove(file.relative)
