"""The addresses of jobs: folders to process, and their review."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from cleanplate.options import RemovalOptions
from cleanplate.server.answers import answer_picture
from cleanplate.server.jobs import FolderJob, Review, Side, list_folder
from cleanplate.server.state import Shared, app_of

jobs = APIRouter(tags=["jobs"])

_MOST_ROWS = 200


def requested_job(request: Request, id: str) -> FolderJob:
    """Return the job that an address names.

    Raises:
        MissingSessionError: there is none.
    """
    return app_of(request).jobs.get(id)


Found = Annotated[FolderJob, Depends(requested_job)]


class JobRequest(BaseModel):
    """A folder below the server's root, and what to remove; `output` is NAME-clean beside it."""

    model_config = ConfigDict(extra="forbid")
    folder: str
    output: str | None = None
    labels: list[str] = []
    options: dict[str, Any] = {}


class ExportRequest(BaseModel):
    """What takes the place of rejected results: the original, or nothing."""

    model_config = ConfigDict(extra="forbid")
    rejected: Literal["original", "omit"] = "original"


@jobs.get("/v1/folders")
async def read_folder(app: Shared, path: str = "") -> dict[str, Any]:
    """List a folder below the root."""
    return await asyncio.to_thread(list_folder, app.jobs.check_root(), path)


@jobs.post("/v1/jobs", status_code=201)
async def start_job(app: Shared, wanted: JobRequest) -> dict[str, Any]:
    """Process a folder; what an earlier run of the same settings has done is not done again."""
    options = RemovalOptions.from_json(wanted.options)
    job = await asyncio.to_thread(
        app.jobs.plan, wanted.folder, wanted.output, wanted.labels, options
    )
    app.jobs.start(job)
    return job.describe()


@jobs.get("/v1/jobs")
async def read_jobs(app: Shared) -> list[dict[str, Any]]:
    """List the jobs, the newest first, also those of servers before this one."""
    return [job.describe() for job in app.jobs.all()]


@jobs.get("/v1/jobs/{id}")
async def read_job(job: Found) -> dict[str, Any]:
    """Return a job."""
    return job.describe()


@jobs.delete("/v1/jobs/{id}", status_code=204)
async def delete_job(app: Shared, job: Found) -> None:
    """Cancel and forget a job; its files stay."""
    app.jobs.delete(job.id)


@jobs.post("/v1/jobs/{id}/cancel")
async def cancel_job(job: Found) -> dict[str, Any]:
    """End a job after the photo in work."""
    job.cancel()
    return job.describe()


@jobs.post("/v1/jobs/{id}/resume")
async def resume_job(app: Shared, job: Found) -> dict[str, Any]:
    """Go on with a job that was cancelled or has failed."""
    app.jobs.start(job)
    return job.describe()


@jobs.get("/v1/jobs/{id}/events")
async def read_job_events(request: Request, job: Found) -> StreamingResponse:
    """Stream "progress" (the job, as it is first) and "photo" (its row) as server-sent events."""
    return job.events.stream(request, job.describe)


@jobs.get("/v1/jobs/{id}/photos")
async def read_photos(
    job: Found,
    *,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 100,
    state: str | None = None,
    label: str | None = None,
    review: str | None = None,
    max_score: float | None = None,
    min_share: float | None = None,
    remaining: bool = False,
) -> dict[str, Any]:
    """List photos; filters combine."""
    return await asyncio.to_thread(
        job.rows,
        offset,
        limit,
        state=state,
        label=label,
        review=review,
        max_score=max_score,
        min_share=min_share,
        remaining=remaining,
    )


@jobs.get("/v1/jobs/{id}/photos/{n}")
async def read_row(job: Found, n: int) -> dict[str, Any]:
    """Return what the list shows of a photo."""
    return job.row(n)


@jobs.get("/v1/jobs/{id}/photos/{n}/{kind}")
async def read_picture(
    request: Request,
    job: Found,
    *,
    n: int,
    kind: Literal["thumbnail", "preview"],
    side: Side = "after",
) -> Response:
    """Return a JPEG of a photo or its result."""
    return await answer_picture(
        request,
        job.etag(n, side),
        lambda: job.picture(n, side, thumbnail=kind == "thumbnail"),
        cache="private, no-cache",
    )


@jobs.post("/v1/jobs/{id}/photos/{n}/{decision}")
async def review_photo(
    job: Found, n: int, decision: Literal["accept", "reject", "reset", "restore"]
) -> dict[str, Any]:
    """Note a decision, or forget it: reset; restore forgets what was edited by hand as well."""
    if decision == "restore":
        return await asyncio.to_thread(job.restore_result, n)
    decisions: dict[str, Review] = {"accept": "accepted", "reject": "rejected"}
    return await asyncio.to_thread(job.review, n, decisions.get(decision))


@jobs.post("/v1/jobs/{id}/export")
async def export_job(job: Found, wanted: ExportRequest) -> dict[str, int]:
    """Carry out the review; until now it changed no file."""
    return await asyncio.to_thread(job.export, wanted.rejected)
