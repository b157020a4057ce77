"""How errors become answers (RFC 9457)."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from cleanplate.errors import (
    CleanplateError,
    DeviceError,
    InputError,
    LicenceError,
    MissingExtraError,
    MissingRuntimeError,
    PhotoError,
    UnknownNameError,
    WeightsError,
)
from cleanplate.server.jobs import ForbiddenPathError
from cleanplate.server.sessions import MissingSessionError
from cleanplate.server.work import BusyError, CancelledError

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WebP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "HEIC": "image/heic",
    "AVIF": "image/avif",
    "RAW": "image/tiff",
}
"""Format of a photo -> media type of its results."""


class AsciiResponse(JSONResponse):
    """JSON in ASCII: names of files that are not UTF-8 can be in it, too."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def notes_header(notes: Sequence[str]) -> dict[str, str]:
    """Return the header of an answer that tells the notes on its file; none if there are none."""
    return {"X-Cleanplate-Notes": json.dumps(notes)} if notes else {}  # ASCII, as headers are


PROBLEM: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457); advice says what to do next.",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "advice": {"type": "string"},
                    },
                }
            }
        },
    }
}
"""How OpenAPI describes what `add_error_answers` does."""

_CLOSED = 499  # nobody reads the answer: the client has gone

# The first that fits counts.
_STATUS: tuple[tuple[type[CleanplateError], int], ...] = (
    (MissingSessionError, 404),
    (ForbiddenPathError, 403),
    (BusyError, 429),
    (CancelledError, _CLOSED),
    (LicenceError, 403),
    (DeviceError, 503),
    (PhotoError, 415),
    (UnknownNameError, 422),
    (InputError, 422),
    (MissingExtraError, 503),
    (MissingRuntimeError, 503),
    (WeightsError, 503),
)
_OS_STATUS = ((FileNotFoundError, 404), (PermissionError, 403))


def add_error_answers(app: FastAPI, shape: Callable[[str], dict[str, Any]] = lambda _: {}) -> None:
    """Answer every error with a problem in JSON.

    Args:
        app: the application.
        shape: members that clients of another service expect besides, from the error's text.
    """

    async def answer_error(_: Request, error: Exception) -> JSONResponse:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        cause, advice = str(error), ""
        if isinstance(error, PhotoError):
            cause, advice = error.cause, error.advice
        headers = {}
        if isinstance(error, BusyError):
            headers["Retry-After"] = str(math.ceil(error.retry_after_s))
        return problem(status, cause, advice, headers, shape=shape)

    async def answer_os_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OSError)
        status = next((code for kind, code in _OS_STATUS if isinstance(error, kind)), 500)
        cause = error.strerror or str(error)
        return problem(status, cause, "check the file, its folder and the disk", shape=shape)

    async def answer_invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}"
            for fault in error.errors()
        ]
        cause = "; ".join(faults) or "the request is not valid"
        return problem(422, cause, "see /openapi.json", shape=shape)

    async def answer_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return problem(error.status_code, str(error.detail), headers=headers, shape=shape)

    app.add_exception_handler(CleanplateError, answer_error)
    app.add_exception_handler(OSError, answer_os_error)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException, answer_http)


def problem(
    status: int,
    cause: str,
    advice: str = "",
    headers: dict[str, str] | None = None,
    *,
    shape: Callable[[str], dict[str, Any]] = lambda _: {},
) -> JSONResponse:
    """Return an error as RFC 9457 describes it, with what to do next as `advice`."""
    detail = f"{cause}; {advice}" if advice else cause
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": cause,
        "status": status,
        "detail": detail,
        "advice": advice,
        **shape(detail),
    }
    return AsciiResponse(content, status, headers=headers, media_type="application/problem+json")


async def answer_picture(
    request: Request, tag: str | None, make: Callable[[], bytes], *, cache: str
) -> Response:
    """Return a JPEG, or 304 where the client has it.

    Args:
        request: its If-None-Match counts.
        tag: what changes whenever the picture does; None: unknown.
        make: returns the picture; called in another thread, if it is needed.
        cache: value of Cache-Control.
    """
    if tag is not None and request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    content = await asyncio.to_thread(make)
    headers = {"Cache-Control": cache} | ({} if tag is None else {"ETag": tag})
    return Response(content, media_type="image/jpeg", headers=headers)
