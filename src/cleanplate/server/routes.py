"""The addresses of the API: one photo at once, sessions, and what the server offers."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

import cv2
import numpy as np
from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from cleanplate import __version__
from cleanplate.errors import InputError
from cleanplate.hub import is_available, list_models
from cleanplate.inpainting import METHODS
from cleanplate.io import PHOTO_SUFFIXES, Photo, read_mask, read_photo
from cleanplate.labels import aliases_of
from cleanplate.options import RemovalOptions
from cleanplate.segmentation import installed_prompter
from cleanplate.server.answers import (
    MEDIA_TYPES,
    AsciiResponse,
    answer_picture,
    notes_header,
    problem,
)
from cleanplate.server.edits import Coordinate, Edits
from cleanplate.server.job_routes import jobs
from cleanplate.server.sessions import (
    EditSession,
    SessionFill,
    describe_instance,
    describe_plan,
    download_name,
    encode_result,
    preview_size,
    stoppable,
)
from cleanplate.server.state import App, Shared, app_of
from cleanplate.server.work import Ticket
from cleanplate.types import Removal, RGBImage

_UNCHANGING = "private, max-age=3600"  # what a browser may do with tiles and previews
_CANCELLING_POLL_S = 0.1  # until what was cancelled has ended


def session_of(request: Request, id: str) -> EditSession:
    """Return the session that an address names.

    Raises:
        MissingSessionError: there is none.
    """
    return app_of(request).sessions.get(id)


Opened = Annotated[EditSession, Depends(session_of)]
Labels = Annotated[list[str], Form(description="Class names; commas separate several.")]
OptionsText = Annotated[str, Form(description="RemovalOptions as JSON.")]

server = APIRouter(tags=["server"])
photos = APIRouter(tags=["one photo"])
sessions = APIRouter(prefix="/v1/sessions", tags=["sessions"])


def add_routes(app: FastAPI) -> None:
    """Add all addresses."""
    for router in (server, photos, sessions, jobs):
        app.include_router(router)


# --- the server


@server.get("/healthz")
async def read_health() -> dict[str, str]:
    """Tell that the server answers; needs no token."""
    return {"status": "ok", "version": __version__}


@server.get("/v1/info")
async def read_info(app: Shared) -> dict[str, Any]:
    """Tell which models run, and what is allowed; loads none."""
    segmenter, inpainter, device = app.remover.config
    return {
        "version": __version__,
        "segmenter": segmenter if isinstance(segmenter, str) else segmenter.name,
        "inpainter": inpainter if isinstance(inpainter, str) else inpainter.name,
        "prompter": installed_prompter(),
        "device": device,
        "jobs": app.config.root is not None,
        "suffixes": sorted(PHOTO_SUFFIXES),
        "limits": {"body_bytes": app.config.max_body, "pixels": app.max_pixels},
    }


@server.post("/v1/tickets", status_code=201)
async def make_ticket(app: Shared) -> dict[str, str]:
    """Return the path under which a browser can be let in, once."""
    return {"path": f"/?token={app.access.new_ticket()}"}


@server.get("/v1/labels")
async def read_labels(app: Shared) -> dict[str, Any]:
    """List what can be found, with everyday words for it."""
    labels = app.remover.labels
    return {"labels": [{"name": name, "words": list(aliases_of(name, labels))} for name in labels]}


@server.get("/v1/models")
async def read_models() -> dict[str, Any]:
    """List the models that are known, and whether each is installed."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for model in list_models():
        groups.setdefault(f"{model.kind}s", []).append(
            {
                "name": model.name,
                "installed": is_available(model),
                "licence": model.licence.spdx,
                "commercial": model.licence.commercial,
                "advice": model.advice,
            }
        )
    for method in METHODS:  # of OpenCV
        groups["inpainters"].append(
            {
                "name": method,
                "installed": True,
                "licence": "Apache-2.0",
                "commercial": "yes",
                "advice": "thin holes",
            }
        )
    return groups


# --- one photo


@photos.post("/v1/remove")
async def remove(
    request: Request,
    app: Shared,
    *,
    image: Annotated[UploadFile, File()],
    labels: Labels = [],  # noqa: B006  # FastAPI copies it
    options: OptionsText = "{}",
    mask: Annotated[UploadFile | None, File(description="Instead of labels.")] = None,
    format: Literal["file", "json"] = "file",
) -> Response:
    """Remove objects from a photo; the answer is the photo's file, or JSON with ?format=json.

    `Accept: application/json` asks for JSON too.
    """
    wanted = _options(labels, options)
    accepted = request.headers.get("accept", "")
    as_json = format == "json" or accepted.partition(";")[0].strip() == "application/json"

    def work(ticket: Ticket) -> Response:
        content = image.file.read()
        photo = _opened(content, image, app)
        ticket.check()
        own = (
            None
            if mask is None
            else read_mask(mask.file.read(), photo.size_hw, max_pixels=app.max_pixels)
        )
        remover = stoppable(app.remover, ticket)
        removal = remover(photo, options=wanted, mask=own)
        ticket.check()
        if as_json:
            return AsciiResponse(_describe(removal))
        return _file(*encode_result(content, photo, removal), photo)

    return await app.work(work, request)


@photos.post("/v1/fill")
async def fill(
    request: Request,
    app: Shared,
    image: Annotated[UploadFile, File()],
    mask: Annotated[UploadFile, File()],
    seed: Annotated[int, Form(ge=0, description="As in RemovalOptions.")] = 0,
) -> Response:
    """Fill exactly the white pixels of a mask."""

    def work(ticket: Ticket) -> Response:
        content = image.file.read()
        photo = _opened(content, image, app)
        own = read_mask(mask.file.read(), photo.size_hw, max_pixels=app.max_pixels)
        remover = stoppable(app.remover, ticket)
        removal: Removal[RGBImage] = remover.fill(photo, own, seed=seed)
        ticket.check()
        return _file(*encode_result(content, photo, removal), photo)

    return await app.work(work, request)


@photos.post("/v1/find")
async def find(
    request: Request,
    app: Shared,
    image: Annotated[UploadFile, File()],
    labels: Labels = [],  # noqa: B006
    options: OptionsText = "{}",
) -> dict[str, Any]:
    """Find objects, with their outlines, shadows and reflections; change nothing."""
    wanted = _options(labels or ["all"], options)

    def work(ticket: Ticket) -> dict[str, Any]:
        photo = _opened(image.file.read(), image, app)
        ticket.check()
        plan = app.remover.plan(photo, options=wanted)
        return {
            "width": photo.size_hw[1],
            "height": photo.size_hw[0],
            "objects": describe_plan(plan, [it.id for it in plan.instances]),
        }

    return await app.work(work, request)


# --- sessions


class FindRequest(BaseModel):
    """What to detect; without labels, everything, and people in the background are suggested."""

    model_config = ConfigDict(extra="forbid")
    labels: list[str] = []
    options: dict[str, Any] = {}


class OutlineRequest(BaseModel):
    """Points (x, y, 1 on the object or 0 beside it) and a box (x, y, width, height), in px."""

    model_config = ConfigDict(extra="forbid")
    points: list[tuple[Coordinate, Coordinate, int]] = Field(default=[], max_length=100)
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None


class MaskRequest(BaseModel):
    """The edits whose mask is wanted."""

    model_config = ConfigDict(extra="forbid")
    edits: Edits = Edits()


class FillRequest(BaseModel):
    """What to fill, and how."""

    model_config = ConfigDict(extra="forbid")
    edits: Edits = Edits()
    inpainter: str | None = None
    verify: bool | None = None
    seed: int = Field(default=0, ge=0)


@sessions.post("", status_code=201)
async def open_session(
    request: Request, app: Shared, image: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Upload a photo once, to edit it."""

    def create() -> EditSession:
        return app.sessions.create(_name_of(image), image.file.read())

    async with app.opening:
        session = await asyncio.to_thread(create)
    return session.describe()


class FromJob(BaseModel):
    """A photo of a job, to edit it."""

    model_config = ConfigDict(extra="forbid")
    job: str
    photo: int


@sessions.post("/from-job", status_code=201)
async def open_from_job(app: Shared, wanted: FromJob) -> dict[str, Any]:
    """Open a photo of a job, to edit it; the export takes the fill that is accepted."""
    job = app.jobs.get(wanted.job)
    photo = job.photo(wanted.photo)

    def create() -> EditSession:
        session = app.sessions.create(photo.source.name, photo.source.read_bytes())
        session.accept = lambda content: job.replace_result(wanted.photo, content)
        return session

    async with app.opening:
        return (await asyncio.to_thread(create)).describe()


class AcceptRequest(BaseModel):
    """The fill that is accepted."""

    model_config = ConfigDict(extra="forbid")
    n: int


@sessions.post("/{id}/accept")
async def accept_fill(session: Opened, wanted: AcceptRequest) -> dict[str, Any]:
    """Make a fill the result of the job, or of the command, that opened the photo."""
    if session.accept is None:
        raise InputError("this photo was uploaded; download its result")
    path, _ = session.result(wanted.n, "photo")
    content = await asyncio.to_thread(path.read_bytes)
    return await asyncio.to_thread(session.accept, content)


@sessions.post("/{id}/cancel", status_code=204)
async def cancel_edit(session: Opened) -> None:
    """End the command that opened the photo, without a result."""
    if session.cancel is None:
        raise InputError("no command is waiting for this photo; close the page")
    session.cancel()


@sessions.get("/{id}")
async def read_session(session: Opened) -> dict[str, Any]:
    """Return a session."""
    return await asyncio.to_thread(session.describe)


@sessions.delete("/{id}", status_code=204)
async def delete_session(app: Shared, session: Opened) -> None:
    """Delete a session and its files."""
    app.sessions.delete(session.id)


@sessions.post("/{id}/find")
async def find_in_session(
    request: Request, app: Shared, session: Opened, wanted: FindRequest
) -> dict[str, Any]:
    """Find objects."""
    options = RemovalOptions.from_json(wanted.options)
    labels = tuple(wanted.labels)

    await app.work(
        lambda ticket: session.find(labels, options, ticket),
        request,
        on_wait=session.tell_waiting,
    )
    return {"objects": await asyncio.to_thread(session.objects)}


@sessions.post("/{id}/outline", status_code=201)
async def outline(
    request: Request, app: Shared, session: Opened, wanted: OutlineRequest
) -> Response:
    """Outline the object at some points with a promptable model, and add it to the objects."""
    if not wanted.points and wanted.box is None:
        raise InputError("give a point or a box")
    points = [(x, y, bool(inside)) for x, y, inside in wanted.points]
    try:
        added = await app.work(lambda ticket: session.outline(points, wanted.box, ticket), request)
    except InputError as error:
        return problem(409, str(error))
    return AsciiResponse(added, 201)


@sessions.post("/{id}/mask")
async def draw_mask(
    request: Request, app: Shared, session: Opened, wanted: MaskRequest
) -> Response:
    """Return a PNG of the preview's size, white where the edits would fill."""

    def work(ticket: Ticket) -> bytes:
        mask = session.edited(session.open(), wanted.edits).mask
        size_wh = preview_size(mask.shape)
        small = cv2.resize(mask.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".png", np.where(small > 0, np.uint8(255), np.uint8(0)))[1].tobytes()

    return Response(await app.work(work, request), media_type="image/png")


@sessions.post("/{id}/fill")
async def fill_session(
    request: Request, app: Shared, session: Opened, wanted: FillRequest
) -> dict[str, Any]:
    """Fill what the edits ask for; closing the request cancels it."""
    while session.ticket is not None:
        if not session.ticket.is_cancelled:
            raise InputError("this photo is already being filled; wait, or cancel it")
        await asyncio.sleep(_CANCELLING_POLL_S)
    session.ticket = ticket = Ticket()

    def work(ticket: Ticket) -> SessionFill:
        return session.fill(wanted.edits, wanted.inpainter, wanted.verify, ticket, seed=wanted.seed)

    try:
        done = await app.work(work, request, ticket=ticket, on_wait=session.tell_waiting)
    finally:
        session.ticket = None
    return done.describe()


@sessions.delete("/{id}/fill", status_code=204)
async def cancel_fill(session: Opened) -> None:
    """Cancel the fill in work, if there is one."""
    if session.ticket is not None:
        session.ticket.cancel()


@sessions.get("/{id}/events")
async def read_events(request: Request, session: Opened) -> StreamingResponse:
    """Stream progress as server-sent events named "progress"."""
    return session.events.stream(request)


@sessions.get("/{id}/tiles/{n}/{level}/{column}/{row}")
async def read_tile(
    request: Request, session: Opened, *, n: int, level: int, column: int, row: int
) -> Response:
    """Return a JPEG of at most 512 x 512 px of the photo (n = 0) or of a fill."""
    tag = f'"{session.id}-{n}-{level}-{column}-{row}"'
    return await answer_picture(
        request, tag, lambda: session.tile(n, level, column, row), cache=_UNCHANGING
    )


@sessions.get("/{id}/preview/{n}")
async def read_preview(request: Request, session: Opened, n: int) -> Response:
    """Return a JPEG of the whole photo (n = 0) or fill, at most 2,048 px long."""
    tag = f'"{session.id}-{n}"'
    return await answer_picture(request, tag, lambda: session.preview(n), cache=_UNCHANGING)


@sessions.get("/{id}/result/{n}")
async def read_result(session: Opened, n: int, kind: str = "photo") -> FileResponse:
    """Return the file of a fill, in the photo's format.

    With ?kind=mask, what was filled; with ?kind=png, the fill as PNG, to be copied.
    """
    if kind not in ("photo", "mask", "png"):
        raise InputError(f"kind must be photo, mask or png, got {kind!r}")
    path, name = await asyncio.to_thread(session.result, n, kind)
    type_ = "image/png" if kind != "photo" else MEDIA_TYPES[session.about["format"]]
    return FileResponse(path, media_type=type_, headers=_attachment(name))


# --- helpers


def _options(labels: list[str], text: str) -> RemovalOptions:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"options are not valid JSON: {error}") from error
    options = RemovalOptions.from_json(values)
    names = tuple(name.strip() for part in labels for name in part.split(",") if name.strip())
    return replace(options, classes=names) if names else options


def _name_of(upload: UploadFile) -> str:
    """Return the name of an uploaded file, without folders and control characters."""
    name = PurePath((upload.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable()) or "photo"


def _opened(content: bytes, upload: UploadFile, app: App) -> Photo:
    """Return an uploaded photo, called as its file."""
    return replace(read_photo(content, max_pixels=app.max_pixels), path=_name_of(upload))


def _describe(removal: Removal[RGBImage]) -> dict[str, Any]:
    size_hw = removal.mask.shape
    return {
        "changed": removal.changed,
        "objects": [
            describe_instance(it, selected=True, size_hw=size_hw) for it in removal.instances
        ],
        "kept": [describe_instance(it, selected=False, size_hw=size_hw) for it in removal.kept],
        "remaining": [
            describe_instance(it, selected=False, size_hw=size_hw) for it in removal.remaining
        ],
        "notes": list(removal.notes),
        "timings_s": dict(removal.timings_s),
    }


def _file(content: bytes, notes: Sequence[str], photo: Photo) -> Response:
    headers = _attachment(download_name(photo.path, photo.format)) | notes_header(notes)
    return Response(content, media_type=MEDIA_TYPES[photo.format], headers=headers)


def _attachment(name: str) -> dict[str, str]:
    """Return the header that names a download (RFC 6266, RFC 8187)."""
    plain = "".join(it if it.isascii() and it not in '"\\' else "_" for it in name)
    encoded = quote(name, safe="")
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"}
