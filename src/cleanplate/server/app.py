"""The application: its parts and its addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from cleanplate import __version__
from cleanplate.remover import Remover
from cleanplate.server.answers import PROBLEM, AsciiResponse, add_error_answers
from cleanplate.server.compat import JSON_PHOTOS, add_compat
from cleanplate.server.jobs import JobStore
from cleanplate.server.routes import add_routes
from cleanplate.server.security import Guard
from cleanplate.server.sessions import SessionStore
from cleanplate.server.state import App, ServerConfig

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def create_app(remover: Remover, config: ServerConfig | None = None) -> FastAPI:
    """Return the ASGI application; its `state.app` is an `App`.

    Args:
        remover: finds and fills; its models are loaded at their first use.
        config: how the server runs.
    """
    config = config or ServerConfig()
    shared = App(remover, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(it) for it in (_clean(shared.sessions), _restore(shared.jobs))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            shared.close()

    named = {f"[{it}]" if it.count(":") > 1 else it for it in (config.host, *config.hosts)}
    guard = Middleware(
        Guard,
        access=shared.access,
        hosts=LOCAL_HOSTS | {it.lower() for it in named},
        max_body=config.max_body,
        json_photos=JSON_PHOTOS if config.compat else (),
    )
    app = FastAPI(
        title="cleanplate",
        version=__version__,
        description="Removes named objects from photos.",
        lifespan=lifespan,
        middleware=[guard],
        responses=PROBLEM,
        docs_url=None,  # these load scripts from another site
        redoc_url=None,
        default_response_class=AsciiResponse,
    )
    app.state.app = shared
    add_error_answers(app)
    add_routes(app)
    add_compat(app, config.compat)
    page: ASGIApp = StaticFiles(directory=str(files("cleanplate.server") / "page"), html=True)
    app.mount("/", page)
    return app


async def _restore(jobs: JobStore) -> None:
    jobs.add_former(await asyncio.to_thread(jobs.read_former))


async def _clean(sessions: SessionStore) -> None:
    while True:
        await asyncio.sleep(60)
        sessions.remove_idle()
