"""How errors become answers (RFC 9457)."""

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
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


def add_error_answers(app: FastAPI) -> None:
    """Answer every error with a problem in JSON."""
    app.add_exception_handler(CleanplateError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    cause, advice = str(error), ""
    if isinstance(error, PhotoError):
        cause, advice = error.cause, error.advice
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return problem(status, cause, advice, headers)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}"
        for fault in error.errors()
    ]
    return problem(422, "; ".join(faults) or "the request is not valid", "see /openapi.json")


async def _answer_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return problem(error.status_code, str(error.detail), headers=headers)


def problem(
    status: int, cause: str, advice: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return an error as RFC 9457 describes it, with what to do next as `advice`."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": cause,
        "status": status,
        "detail": f"{cause}; {advice}" if advice else cause,
        "advice": advice,
    }
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")
