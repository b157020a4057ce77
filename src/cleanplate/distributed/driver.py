"""A run on a cluster: the listing, the actors, and what becomes of groups that get lost."""

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
from cleanplate.distributed.cleaner import TOLD, TRIES, Cleaner, make_row
from cleanplate.distributed.cluster import (
    actor_options,
    first_cause,
    here,
    here_only,
    import_ray,
    small_blocks,
)
from cleanplate.distributed.grouping import END, EVERYTHING, FAILED, LOST, Listing
from cleanplate.distributed.judging import targets_of
from cleanplate.distributed.model_transfer import hashes_of, pack_models
from cleanplate.distributed.places import Place, name_of
from cleanplate.distributed.report_files import REPORT_FOLDER, STARTED_FOLDER, write_part
from cleanplate.distributed.tasks import Actor, ClusterJob, Workers
from cleanplate.errors import CleanplateError, InputError, PhotoError
from cleanplate.io import TEMPORARY_SUFFIX
from cleanplate.remover import Remover

DEFAULT_GROUP = 32
"""Photos given to a worker at once. Of a worker that is killed, so many are begun anew at most."""

_TOURS = 2  # passes over the input: the second does what got lost, photo by photo
_MOST_ERRORS = 20  # groups in a row that cannot be finished, before the run is; a store is gone
_ROWS_GIVEN_UP = 1000  # rows in one file
_ONE_WORKER = Workers()

Told = Mapping[str, Any]
"""What a run tells of a photo: photo, output, status, skipped, error and notes of its row."""


def run_cluster(
    source: Place | str,
    output: Place | str,
    remover: Remover,
    job: Job,
    *,
    workers: Workers = _ONE_WORKER,
    photo_filter: PhotoFilter = EVERYTHING,
    group: int = DEFAULT_GROUP,
) -> Iterator[Told]:
    """Do all photos below a place on the cluster that Ray is connected to, or starts here.

    Yields what became of each photo as groups of them are finished. The rows of the report, which
    the next run goes on from, are Parquet files in `.cleanplate/report` below `output`.

    Args:
        source: folder or URL of the photos; all below it, hidden ones left out.
        output: folder or URL of the results, at the same places.
        remover: tells which models the workers load, and is used to understand the labels.
        job: what to do with every photo. Masks and drafts in files are not for clusters.
        workers: how many, and what each takes.
        photo_filter: which photos to do; without sizes.
        group: photos given to a worker at once.

    Raises:
        InputError: the output would overwrite the input, or an option is not for clusters.
        MissingExtraError: Ray is not installed.
        CleanplateError: a worker cannot load the models.
        PhotoError: the input or the report cannot be read or the output not written.
    """
    source, output = (it if isinstance(it, Place) else Place(it) for it in (source, output))
    check_places(source, output)
    _check_job(remover, job, photo_filter)
    ray = import_ray()
    cluster_job, actor = _prepare(source, output, remover, job, workers)
    [trouble] = here_only(_try_places, source, output)
    if trouble is not None:
        raise trouble
    listing = Listing(
        source=source,
        output=output,
        run=cluster_job.run,
        tour=1,
        group=group,
        photo_filter=photo_filter,
    )
    for tour in range(1, _TOURS + 1):
        listing = replace(listing, tour=tour, group=group if tour == 1 else 1)
        seen = _Seen()
        try:
            for name, content in _rows(listing, cluster_job, actor, workers):
                if name not in (END, FAILED, LOST):
                    yield from content
                seen.count(name, content)
                if seen.failure is not None:
                    break
        except ray.exceptions.RayError as error:
            raise first_cause(error) from error
        if seen.failure is not None:
            raise PhotoError(
                source.shown, f"the run ended early ({seen.failure})", "start it again to go on"
            )
        if seen.is_whole:
            break
    else:
        [told] = here_only(_give_up, replace(listing, tour=_TOURS + 1), cluster_job)
        yield from told
    here_only(_tidy, output)


def check_places(source: Place, output: Place) -> None:
    """Refuse an output that is, or holds, the input.

    Raises:
        InputError: that is so.
    """
    if source.below(output) == "":
        raise InputError(f"{output.shown}: is input and output; name another folder for the output")
    if source.below(output) is not None:
        raise InputError(
            f"{source.shown}: lies in the output {output.shown}, so that results could overwrite "
            "photos; name another folder for the output"
        )


@dataclass(slots=True)
class _Seen:
    """Counts the groups of a pass that came back."""

    groups: int = 0
    expected: int | None = None  # None: the listing has not ended
    failure: str | None = None
    errors: int = 0  # groups in a row that no actor could finish

    @property
    def is_whole(self) -> bool:
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
            if self.errors >= _MOST_ERRORS:
                self.failure = f"{self.errors} groups of photos one after the other: {content}"


def _check_job(remover: Remover, job: Job, photo_filter: PhotoFilter) -> None:
    if job.own_masks or job.own_drafts or job.masks or job.draft_only or job.dry_run:
        raise InputError("masks, drafts and dry runs are not for clusters; use the batch runs")
    if job.untouched == "link":
        raise InputError("--untouched link: object stores have no links; give copy or skip")
    if photo_filter.min_size or photo_filter.max_size:
        raise InputError("photos cannot be chosen by size on a cluster; leave the sizes away")
    if not is_portable(remover):
        raise InputError("workers need models given by name, as each loads its own")


def _prepare(
    source: Place, output: Place, remover: Remover, job: Job, workers: Workers
) -> tuple[ClusterJob, Actor]:
    segmenter, inpainter, _ = remover.recipe
    # On the CPU, as this machine only looks up names and labels; it may have no other device.
    local = Remover(segmenter=segmenter, inpainter=inpainter, device="cpu", threads=1)
    models = describe_models(local, job)
    cluster_job = ClusterJob(
        source=source,
        output=output,
        job=job,
        settings=describe_settings(job),
        made_with=json.dumps(settings_in_words(job, models), sort_keys=True),
        run=f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}",
        models=models["models"],
        known=tuple(local.segmenter.labels),
    )
    return cluster_job, make_actor(remover, job, workers)


def make_actor(remover: Remover, job: Job, workers: Workers) -> Actor:
    """Return how actors make the like of a remover; its models are put into Ray's object store."""
    packed = pack_models(remover.recipe[:2])
    return Actor(
        recipe=remover.recipe,
        job=job,
        threads=workers.threads,
        packed=[import_ray().put(packed)] if packed else [],
        hashes=hashes_of(packed),
    )


def _rows(
    listing: Listing, job: ClusterJob, actor: Actor, workers: Workers
) -> Iterator[tuple[str, Any]]:
    """Yield the name of each group that comes back, and what is told of its photos."""
    from ray.data import read_datasource

    from cleanplate.distributed.datasource import Counter, ListingSource

    counter = import_ray().remote(num_cpus=0, label_selector=here())(Counter).remote()
    with small_blocks():
        groups = read_datasource(
            ListingSource(listing, counter),
            num_cpus=0,
            override_num_blocks=1,
            label_selector=here(),
        )
        rows = groups.map_batches(
            Cleaner,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_kwargs={"job": job, "actor": actor},
            **actor_options(workers),
        )
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in table.to_pylist():
                counter.add.remote()
                yield row["name"], pickle.loads(row["told"])


def _try_places(source: Place, output: Place) -> CleanplateError | None:
    """Return why a run cannot read the one or write the other; None if it can."""
    try:
        source.check_exists()
        trial = f"{JOURNAL_FOLDER}/trial-{secrets.token_hex(3)}"
        output.write(trial, b"")
        output.remove(trial)
    except CleanplateError as error:
        return error
    except Exception as error:  # whatever a store's library raises
        cause = f"cannot be written ({' '.join(str(error).split())})"
        return PhotoError(output.shown, cause, "check name and rights")
    return None


def _give_up(listing: Listing, job: ClusterJob) -> list[Told]:
    """Report the photos that no worker survived as failed; return what is told of them."""
    rows: list[Told] = []
    for key in listing.photos():
        relative = key.listed.relative
        name = Path(name_of(relative))
        cause = f"every worker that had it was killed, {_TOURS * TRIES} in all"
        error = PhotoError(name, cause, "look for memory running short on the machines")
        outcome = failed_result(PlannedPhoto(name, name, name), error)
        rows.append(make_row(job, relative, outcome, targets_of(relative, job.job)[0]))
    for start in range(0, len(rows), _ROWS_GIVEN_UP):
        part = rows[start : start + _ROWS_GIVEN_UP]
        write_part(job.output, f"part-{job.run}-{listing.tour}-{start:07}", part)
    return [{column: row[column] for column in TOLD} for row in rows]


def _tidy(output: Place) -> None:
    """Remove the notes of what was begun, as all of it has its row by now, and half files."""
    for folder in (STARTED_FOLDER, REPORT_FOLDER):
        for listed in output.list(folder):
            if folder == STARTED_FOLDER or listed.relative.endswith(TEMPORARY_SUFFIX):
                output.remove(listed.relative)
