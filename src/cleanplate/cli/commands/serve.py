"""`cleanplate serve`: the page in the browser, and the HTTP API."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cleanplate.cli.console import print_line
from cleanplate.cli.execution import check_models, check_server_installed, load_remover
from cleanplate.cli.options import ModelOptions, expand_options, flag, option
from cleanplate.errors import InputError, UnknownNameError


@expand_options()
def serve_command(
    *,
    host: Annotated[
        str,
        option(
            metavar="ADDRESS",
            help="Address to listen on. Any but 127.0.0.1 allows other computers, with the token.",
            show_default=True,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, option(metavar="N", min=0, max=65535, help="Port; 0: any free one.", show_default=True)
    ] = 8765,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the page in the browser.", metavar=""),
    ] = True,
    root: Annotated[
        Path | None,
        option(metavar="DIR", help="Folder whose sub-folders can be processed from the page."),
    ] = None,
    max_upload: Annotated[
        str,
        option(metavar="SIZE", help="Largest request, such as 500M.", show_default=True),
    ] = "256M",
    allow_host: Annotated[
        list[str] | None,
        option(
            metavar="NAME",
            help="Another host name of this server. Repeatable.",
        ),
    ] = None,
    compat: Annotated[
        str,
        option(
            metavar="NAMES",
            help="Emulate the APIs of these services too: iopaint, clipdrop, cog.",
        ),
    ] = "",
    idle_exit: Annotated[
        float | None,
        option(metavar="MINUTES", min=0, help="Stop after this long without a request."),
    ] = None,
    verbose_requests: Annotated[bool, flag("--log", help="Print every request.")] = False,
    models: ModelOptions,
) -> None:
    """Serve a page to remove objects in the browser, and an HTTP API, from this computer.

    The printed address works once. Programs find port and token in the file server.json in
    cleanplate's folder, which only its user can read; CLEANPLATE_TOKEN sets another token.
    """
    check_server_installed()
    from cleanplate import server
    from cleanplate.batch import parse_size

    if root is not None and not root.is_dir():
        raise InputError(f"{root}: no such folder; --root takes a folder of photos")
    services = frozenset(name.strip() for name in compat.split(",") if name.strip())
    if unknown := sorted(services - set(server.COMPAT)):
        raise UnknownNameError("service", unknown[0], server.COMPAT)
    remover = load_remover(check_models(models), None)
    server.serve(
        remover,
        server.ServerConfig(
            host=host,
            root=None if root is None else root.resolve(),
            hosts=frozenset(name.lower() for name in allow_host or ()),
            token=os.environ.get("CLEANPLATE_TOKEN") or None,
            compat=services,
            max_body=parse_size(max_upload),
        ),
        port=port,
        browser=browser,
        announce=lambda address: print_line(f"cleanplate is at {address} (Ctrl-C ends it)"),
        idle_exit_s=None if idle_exit is None else 60 * idle_exit,
        log=verbose_requests,
    )
