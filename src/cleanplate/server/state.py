"""What the routes share: models, sessions, the queue, the server's secrets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from cleanplate.batch import photo_pixels
from cleanplate.io import MAX_PIXELS
from cleanplate.remover import Remover
from cleanplate.server.jobs import JobStore
from cleanplate.server.security import Access
from cleanplate.server.sessions import SessionStore
from cleanplate.server.work import Ticket, WorkQueue

_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How a server runs."""

    host: str = "127.0.0.1"
    root: Path | None = None  # folders below it can be processed; None: none
    max_body: int = 256 << 20  # bytes of a request
    max_memory: int | None = None  # bytes; None: three quarters of what is free
    queue_size: int = 32  # requests that wait for the networks
    compat: frozenset[str] = frozenset()  # other services whose addresses are answered too
    hosts: frozenset[str] = frozenset()  # other names it may be reached by
    token: str | None = None  # for programs; None makes one


class App:
    """What the routes share.

    Args:
        remover: finds and fills.
        config: how the server runs.
    """

    def __init__(self, remover: Remover, config: ServerConfig) -> None:
        self.remover, self.config = remover, config
        self.access = Access(config.token)
        self.max_pixels = min(MAX_PIXELS, photo_pixels(config.max_memory))
        self.sessions = SessionStore(remover, self.max_pixels)
        self.opening = asyncio.Semaphore(1)  # photos are decoded one at a time, for their memory
        self.queue = WorkQueue(config.queue_size)
        self.jobs = JobStore(remover, self.queue, config.root)

    async def work(
        self,
        task: Callable[[Ticket], _ResultT],
        request: Request,
        *,
        ticket: Ticket | None = None,
        on_wait: Callable[[int], None] = lambda _: None,
    ) -> _ResultT:
        """Return what a task returns; it is cancelled when the client goes.

        Raises:
            BusyError, CancelledError: see `WorkQueue.run`.
        """
        return await self.queue.run(task, request.is_disconnected, ticket=ticket, on_wait=on_wait)

    def end(self) -> None:
        """End all streams of events, and cancel what is in work."""
        self.sessions.end_streams()
        self.jobs.end()
        self.queue.cancel_all()

    def close(self) -> None:
        """Cancel what is in work, and delete all sessions."""
        self.end()
        self.queue.close()
        self.sessions.close()


def app_of(request: Request) -> App:
    """Return what the routes share."""
    app: App = request.app.state.app
    return app


Shared = Annotated[App, Depends(app_of)]
"""How a route asks for the `App`."""
