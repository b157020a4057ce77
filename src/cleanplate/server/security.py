"""Who may talk to the server: allowed hosts and origins, a token, and a limit on bodies.

A page of another site can make a browser send requests to this computer. It cannot set `Host` to a
name that is allowed (DNS rebinding), has an `Origin` of its own, and does not have the cookie,
which browsers do not send along from other sites.
"""

import asyncio
import base64
import hmac
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cleanplate.errors import InputError
from cleanplate.server.answers import problem

COOKIE = "cleanplate"
"""Name of the cookie, before a hyphen and the port."""

_OPEN_PATHS = ("/healthz",)
_MIN_TOKEN = 20  # characters
_MAX_JSON = 4 << 20  # bytes of a body without files: it is parsed at once, and all others wait
_IDLE_S = 30.0  # a body that brings nothing for so long is given up
_BODY_S = 15 * 60.0  # and so is one that takes longer in all

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """The server's secrets: one for programs, one for the browser's cookie, and one-time ones.

    Args:
        token: for programs; None makes one.

    Raises:
        InputError: it is short enough to be guessed.
    """

    def __init__(self, token: str | None = None) -> None:
        if token is not None and len(token) < _MIN_TOKEN:
            raise InputError(
                f"the token has {len(token)} characters and needs at least {_MIN_TOKEN}, such as "
                "'openssl rand -hex 32' prints"
            )
        self.token = token or secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._tickets: set[str] = set()
        self.last_request = time.monotonic()

    def new_ticket(self) -> str:
        """Return a secret for the address that a browser opens; it can be used once."""
        ticket = secrets.token_urlsafe(24)
        self._tickets.add(ticket)
        return ticket

    def redeem(self, ticket: str, port: int) -> str | None:
        """Return the `Set-Cookie` for a ticket; None if it is unknown or was used."""
        if ticket not in self._tickets:
            return None
        self._tickets.remove(ticket)
        # Ports share their cookies: each server's has a name of its own.
        return f"{COOKIE}-{port}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def allows(self, headers: Headers, port: int) -> bool:
        """Return whether a request has the token or the cookie."""
        for token in _tokens(headers):
            if hmac.compare_digest(token.encode(), self.token.encode()):
                return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(f"{COOKIE}-{port}")
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(
            found.value.encode(), self._cookie.encode()
        )


class Guard:
    """ASGI middleware: refuses what does not come from this server's own page or a program.

    Args:
        app: what it guards.
        access: the server's secrets.
        hosts: names under which the server may be reached, without the port.
        max_body: bytes of a request.
        json_photos: beginnings of paths whose JSON holds photos.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        hosts: frozenset[str],
        max_body: int,
        json_photos: tuple[str, ...] = (),
    ) -> None:
        self._app, self._access, self._hosts = app, access, hosts
        self._max_body, self._json_photos = max_body, json_photos

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = _with_headers(send)
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        if (refusal := self._refusal(scope, headers)) is not None:
            await problem(*refusal, shape=self._shape)(scope, receive, send)
            return
        cookie = self._cookie_for(scope)
        if cookie is not None:
            moved = Response(status_code=303, headers={"Location": "/", "Set-Cookie": cookie})
            await moved(scope, receive, send)
            return
        if scope["path"] not in _OPEN_PATHS and not self._access.allows(headers, _port(scope)):
            advice = "open the address that cleanplate serve printed, or send the token as "
            advice += "'Authorization: Bearer'"
            refused = problem(401, "not signed in", advice, shape=self._shape)
            await refused(scope, receive, send)
            return
        self._access.last_request = time.monotonic()
        await self._app(scope, _LimitedBody(receive, *self._limit(scope, headers)), send)

    def _shape(self, text: str) -> dict[str, str]:
        """Return what clients of other services read in an error, where they are served."""
        return {"error": text, "errors": text} if self._json_photos else {}

    def _limit(self, scope: Scope, headers: Headers) -> tuple[int, str]:
        """Return how many bytes a body may have, and what to do about more."""
        has_files = headers.get("content-type", "").lower().startswith("multipart/form-data")
        if has_files or scope["path"].startswith(self._json_photos):
            return self._max_body, "raise --max-upload, or send less"
        return min(_MAX_JSON, self._max_body), "send files as multipart/form-data"

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        """Return status, cause and advice if a request may not be answered at all."""
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            return 421, f"this server is not {host!r}", "use the address that it printed"
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or headers.get("sec-fetch-site") == "cross-site":
            return 403, "the request came from a page of another site", "use the server's own page"
        length = headers.get("content-length", "")
        most, advice = self._limit(scope, headers)
        if length.isdigit() and int(length) > most:
            return 413, f"more than {most >> 20} MiB", advice
        return None

    def _cookie_for(self, scope: Scope) -> str | None:
        """Return the cookie for a request that brings a ticket; None for any other."""
        if scope["method"] != "GET" or scope["path"] != "/":
            return None
        ticket = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return self._access.redeem(ticket, _port(scope))


class _LimitedBody:
    """Counts a body's bytes while they arrive, whatever its header says."""

    def __init__(self, receive: Receive, most: int, advice: str) -> None:
        self._receive, self._left = receive, most
        self._refusal = f"more than {most >> 20} MiB; {advice}"
        self._end = time.monotonic() + _BODY_S
        self._is_complete = False

    async def __call__(self) -> Message:
        if self._is_complete:  # from now on: wait for the client to go
            return await self._receive()
        try:
            left_s = min(_IDLE_S, self._end - time.monotonic())
            message = await asyncio.wait_for(self._receive(), max(0.0, left_s))
        except TimeoutError:
            raise HTTPException(408, "the request is incomplete; send it again") from None
        self._is_complete = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, self._refusal)
        return message


def _tokens(headers: Headers) -> Iterator[str]:
    """Give what may be the token: a Bearer token, a password in the address, an API key."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value
    elif kind.lower() == "basic":
        with suppress(ValueError):  # not base64, or not ASCII
            yield base64.b64decode(value).decode("utf-8", "replace").partition(":")[2]
    yield headers.get("x-api-key", "")


def _port(scope: Scope) -> int:
    return int((scope.get("server") or ("", 0))[1] or 0)


def _name_of(host: str) -> str:
    """Return a host without its port, in lower case."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _with_headers(send: Send) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_with
