"""Installing models: the licence first, then progress, then what was installed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from cleanplate.cli.console import can_move_cursor, is_terminal, print_line, print_note
from cleanplate.errors import WeightsError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cleanplate.hub import DownloadProgress, Manifest, Model


def ask_to_pull(models: "Sequence[Model]", *, why: str) -> None:
    """Install models after asking once, with their sizes and licences, on a terminal.

    Args:
        models: that are not installed.
        why: what needs them, as the beginning of a sentence.

    Raises:
        WeightsError: there is no terminal, or the answer is no; the message says how to install.
        CleanplateError: see `pull_model`.
    """
    from cleanplate.hub import check_can_convert, install_hint

    listed = " and ".join(
        f"{model.name} ({_size_of(model)}, {_terms_of(model)})" for model in models
    )
    can_ask = is_terminal(sys.stdin) and can_move_cursor()
    if can_ask and all(model.can_be_pulled for model in models):
        for model in models:
            if model.checkpoints:
                check_can_convert(model)
        if typer.confirm(f"{why} needs {listed}. Download now?", err=True):
            for model in models:
                pull_and_report(model)
            return
    hints = " and ".join(install_hint(model) for model in models)
    raise WeightsError(f"{why} needs {listed}; {hints}")


def pull_and_report(
    model: "Model", *, accept_licence: bool = False, mirror: str | None = None
) -> None:
    """Pull a model, showing progress; the arguments are those of `pull_model`."""
    from cleanplate.hub import pull_model

    with _shown_progress() as progress:
        manifest = pull_model(
            model.name, accept_licence=accept_licence, mirror=mirror, progress=progress
        )
    report_installed(model, manifest)


def show_licence(model: "Model") -> None:
    """Print the licence of a model and its source."""
    print_note(f"{model.name}: {_terms_of(model)}")
    print_note(f"  {model.licence.note}")
    if model.licence.restrictions:
        print_note(f"  it may not be used {model.licence.restrictions}")
    print_note(f"  {model.source}")


def report_installed(model: "Model", manifest: "Manifest") -> None:
    """Print what was installed, and whether it was verified."""
    size = sum(file.size_bytes for file in manifest.files.values())
    print_line(f"{model.name} is installed, {size:,} bytes")
    if manifest.origin == "unstated":
        print_line("  its publisher states no checksum; compare with one from another source:")
        for file in manifest.made_from:
            print_line(f"  {file.filename}: SHA-256 {file.sha256}")
    if manifest.largest_difference:
        parts = (f"{role} {value:.1e}" for role, value in manifest.largest_difference.items())
        print_line(f"  converted; largest difference from the original: {', '.join(parts)}")


def _terms_of(model: "Model") -> str:
    commercial = {
        "yes": "permits commercial use",
        "no": "FORBIDS commercial use",
        "unclear": "commercial use is not clearly granted",
    }[model.licence.commercial]
    return f"licence {model.licence.words}, {commercial}"


def _size_of(model: "Model") -> str:
    return "size not stated" if model.size_bytes is None else f"{model.size_bytes / 1e6:.0f} MB"


@contextmanager
def _shown_progress() -> "Iterator[DownloadProgress]":
    """Yield a callback showing download progress: a bar on a terminal, a line elsewhere."""
    if not can_move_cursor():
        begun: set[str] = set()

        def report(name: str, _come: int, size_bytes: int) -> None:
            if name not in begun:
                begun.add(name)
                print_note(
                    f"downloading {name}" + (f", {size_bytes:,} bytes" if size_bytes else "")
                )

        yield report
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, come: int, size_bytes: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=come, total=size_bytes or None)

        yield show
