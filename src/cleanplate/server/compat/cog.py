"""Cog's predictions: `image_path` and `objects_to_remove` in, a data: URI out.

References:
    github.com/replicate/cog, `docs/http.md`.
"""

import base64
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from cleanplate.errors import InputError
from cleanplate.io import read_photo
from cleanplate.options import RemovalOptions
from cleanplate.server.answers import MEDIA_TYPES, problem
from cleanplate.server.compat.filling import decode_base64
from cleanplate.server.sessions import encode_result, stoppable
from cleanplate.server.state import App
from cleanplate.server.work import CancelledError, Ticket
from cleanplate.types import Removal, RGBImage


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    image_path: str
    objects_to_remove: str


class _Prediction(BaseModel):
    input: _Input
    id: str | None = None
    webhook: str | None = None


def add_cog(app: FastAPI) -> None:
    """Add cog's addresses."""
    shared: App = app.state.app
    router = APIRouter(include_in_schema=False)
    running: dict[str, Ticket] = {}

    @router.get("/health-check")
    async def read_health() -> dict[str, Any]:
        status = "BUSY" if shared.queue else "READY"
        return {"status": status, "setup": {"status": "succeeded", "logs": ""}}

    @router.post("/predictions")
    async def predict(request: Request, wanted: _Prediction) -> JSONResponse:
        return await answer(request, wanted, wanted.id or secrets.token_urlsafe(12))

    @router.put("/predictions/{id}")
    async def predict_as(request: Request, wanted: _Prediction, id: str) -> JSONResponse:
        return await answer(request, wanted, id)

    @router.post("/predictions/{id}/cancel")
    async def cancel(id: str) -> JSONResponse:
        if id not in running:
            return problem(404, f"no running prediction {id!r}")
        running[id].cancel()
        return JSONResponse({})

    async def answer(request: Request, wanted: _Prediction, id: str) -> JSONResponse:
        if wanted.webhook is not None:
            raise InputError("webhook: this server calls no webhooks; wait for the response")
        if id in running:
            return problem(409, f"prediction {id!r} is already running")
        ticket = running[id] = Ticket()
        begun, clock = datetime.now(UTC), time.perf_counter()
        status, output, logs = "succeeded", None, ""
        try:
            work = _predictor(shared, wanted.input)
            output, logs = await shared.work(work, request, ticket=ticket)
        except CancelledError:
            status = "canceled"
        finally:
            del running[id]
        return JSONResponse(
            {
                "id": id,
                "status": status,
                "output": output,
                "error": None,
                "logs": logs,
                "started_at": begun.isoformat(),
                "completed_at": datetime.now(UTC).isoformat(),
                "metrics": {"predict_time": time.perf_counter() - clock},
            }
        )

    app.include_router(router)


def _predictor(app: App, wanted: _Input) -> Callable[[Ticket], tuple[str, str]]:
    """Return what makes the result, as a data URI, and the notes on it, a line each."""
    labels = [name.strip() for name in wanted.objects_to_remove.split(",")]
    options = RemovalOptions(classes=tuple(name for name in labels if name))

    def work(ticket: Ticket) -> tuple[str, str]:
        content = decode_base64("image_path", wanted.image_path)
        photo = read_photo(content, max_pixels=app.max_pixels)
        removal: Removal[RGBImage] = stoppable(app.remover, ticket)(photo, options=options)
        ticket.check()
        encoded, notes = encode_result(content, photo, removal)
        result = base64.b64encode(encoded).decode()
        return f"data:{MEDIA_TYPES[photo.format]};base64,{result}", "\n".join(notes)

    return work
