"""Running the server, and the file by which plug-ins find it."""

import json
import os
import socket
import threading
import time
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from cleanplate import __version__
from cleanplate.errors import InputError
from cleanplate.hub import home
from cleanplate.io import temporary_path
from cleanplate.server.app import create_app
from cleanplate.server.sessions import EditSession
from cleanplate.server.state import App, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from cleanplate.remover import Remover


def server_file() -> Path:
    """Return the file that says how to reach the running server: port, token, pid, version."""
    return home() / "server.json"


def serve(
    remover: "Remover",
    config: ServerConfig,
    *,
    port: int,
    browser: bool,
    announce: "Callable[[str], None]",
    idle_exit_s: float | None = None,
    log: bool = False,
) -> None:
    """Answer requests until interrupted.

    Args:
        remover: finds and fills.
        config: how it runs.
        port: 0 takes a free one.
        browser: open the page.
        announce: called with the address, which can be opened once.
        idle_exit_s: end after so many seconds without a request; None: never.
        log: print every request.

    Raises:
        InputError: the address cannot be used.
    """
    app = create_app(remover, config)
    shared: App = app.state.app
    server, listener, address = _prepare(app, config.host, port, log=log)
    port = listener.getsockname()[1]
    known = {"port": port, "token": shared.access.token, "pid": os.getpid(), "version": __version__}
    path = server_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_private(path, json.dumps(known))
    _show(address, announce, browser=browser)
    if idle_exit_s is not None:
        threading.Thread(
            target=_end_when_idle, args=(server, shared, idle_exit_s), daemon=True
        ).start()
    try:
        server.run(sockets=[listener])
    finally:
        with suppress(OSError, ValueError):
            if json.loads(path.read_text("utf-8"))["pid"] == os.getpid():
                path.unlink()


def edit_photo(
    remover: "Remover",
    name: str,
    content: bytes,
    *,
    announce: "Callable[[str], None]",
    browser: bool = True,
    closed_after_s: float = 30.0,
) -> bytes | None:
    """Show one photo on the page until a result is accepted, and return its file.

    Args:
        remover: finds and fills.
        name: of the photo's file, without folders.
        content: of that file.
        announce: called with the address, which can be opened once.
        browser: open the page.
        closed_after_s: a page that is closed for so long counts as cancelled.

    Returns:
        None if it was cancelled or closed.

    Raises:
        PhotoError: the photo cannot be read.
    """
    config = ServerConfig()
    app = create_app(remover, config)
    shared: App = app.state.app
    try:
        session = shared.sessions.create(name, content)
    except BaseException:
        shared.close()
        raise
    server, listener, address = _prepare(app, config.host, 0)
    accepted: list[bytes] = []

    def end() -> None:
        server.should_exit = True

    def accept(result: bytes) -> dict[str, Any]:
        accepted.append(result)
        end()
        return {}

    session.accept, session.cancel = accept, end
    address += f"#session={session.id}"
    _show(address, announce, browser=browser)
    watch = threading.Thread(
        target=_end_when_closed, args=(server, session, closed_after_s), daemon=True
    )
    watch.start()
    server.run(sockets=[listener])
    return accepted[0] if accepted else None


class _Server(uvicorn.Server):
    """Ends first what would otherwise keep it from ending."""

    def __init__(self, config: uvicorn.Config, shared: App) -> None:
        super().__init__(config)
        self._shared = shared

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, after the request in work; those that wait are cancelled."""
        self._shared.end()
        await super().shutdown(sockets)


def _prepare(
    app: "FastAPI", host: str, port: int, *, log: bool = False
) -> tuple[uvicorn.Server, socket.socket, str]:
    """Return a server, its bound socket, and its address, which can be opened once."""
    listener = _listen(host, port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    name = f"[{shown}]" if ":" in shown else shown
    ticket = app.state.app.access.new_ticket()
    settings = uvicorn.Config(
        app,
        log_level="info" if log else "warning",
        access_log=log,
        timeout_graceful_shutdown=3,
        lifespan="on",
    )
    address = f"http://{name}:{listener.getsockname()[1]}/?token={ticket}"
    return _Server(settings, app.state.app), listener, address


def _show(address: str, announce: "Callable[[str], None]", *, browser: bool) -> None:
    announce(address)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _end_when_closed(server: uvicorn.Server, session: EditSession, after_s: float) -> None:
    """End the server when the page, once it was open, is closed for so long."""
    seen: float | None = None
    while not server.should_exit:
        now = time.monotonic()
        if session.events.is_heard:
            seen = now
        elif seen is not None and now - seen > after_s:
            server.should_exit = True
        time.sleep(min(1.0, after_s / 4))


def _end_when_idle(server: uvicorn.Server, shared: App, idle_s: float) -> None:
    while time.monotonic() - shared.access.last_request < idle_s:
        if shared.queue:  # who waits for a result has yet to fetch it
            shared.access.last_request = time.monotonic()
        time.sleep(min(1.0, idle_s))
    server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Raises:
        InputError: the address is taken or unknown.
    """
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=128,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}, port {port} ({error.strerror or error}); give another "
            "--host, or --port 0 for a free port"
        ) from error


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its user can read, in one step."""
    temporary = temporary_path(path)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    temporary.replace(path)
