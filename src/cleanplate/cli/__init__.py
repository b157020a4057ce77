"""The command line: one file per command, each a thin layer over the package.

Heavy modules are imported inside functions, so that `--help` is fast.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from cleanplate import __version__
from cleanplate.cli.commands import (
    dataset_command,
    doctor_command,
    edit_command,
    evaluate_command,
    fill_command,
    integrate_command,
    labels_command,
    models_app,
    plan_command,
    plugins_app,
    ray_command,
    redo_command,
    run_command,
    serve_command,
    video_command,
)
from cleanplate.cli.console import (
    configure_stdio_errors,
    print_error,
    print_line,
    reserve_std_fds,
)
from cleanplate.errors import CleanplateError, InputError
from cleanplate.threads import ONE_THREAD, keep_freed_memory

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. After another signal, such as SIGTERM: 128 plus its number."""

TRACEBACK_VARIABLE = "CLEANPLATE_TRACEBACK"
"""Environment variable; with any value, an internal error shows where it happened."""

# Some versions of Typer include a copy of click, others do not; this is UsageError in all.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="cleanplate",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Remove named objects from photos. Everything else in them stays as it is.",
)
app.command("run")(run_command)
app.command("edit")(edit_command)
app.command("plan")(plan_command)
app.command("fill")(fill_command)
app.command("redo")(redo_command)
app.command("dataset")(dataset_command)
app.command("video")(video_command)
app.command("ray")(ray_command)
app.command("serve")(serve_command)
app.command("integrate")(integrate_command)
app.command("labels")(labels_command)
app.command("evaluate")(evaluate_command)
app.command("doctor")(doctor_command)
app.add_typer(models_app, name="models")
app.add_typer(plugins_app, name="plugins")


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"cleanplate {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; each error is printed as one line.

    Args:
        args: arguments after the program's name; None: those of `sys.argv`.
    """
    reserve_std_fds()
    configure_stdio_errors()
    for variable, value in ONE_THREAD.items():
        os.environ.setdefault(variable, value)
    keep_freed_memory()
    arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
    try:
        _check_not_empty(arguments)
        status = app(args=arguments, prog_name="cleanplate", standalone_mode=False)
    except _UsageError as error:
        print_error(_usage_message(error))
        return WRONG_USE
    except CleanplateError as error:
        print_error(str(error))
        return WRONG_USE if isinstance(error, InputError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print_error(f"{place}{error.strerror or error}")
        return FAILED
    except Exception as error:
        return _report_internal_error(error)
    return status if isinstance(status, int) else DONE


def edit_main() -> int:
    """Edit photos on the page, in place: the program for editors that pass nothing but files."""
    files = sys.argv[1:]
    if not files:
        print_error("name the photos to edit")
        return WRONG_USE
    return max(main(["edit", "--gui", "--in-place", "--", file]) for file in files)


def _report_internal_error(error: BaseException) -> int:
    if isinstance(error, typer.Abort):  # Typer's for KeyboardInterrupt, and PyAV's EOFError too
        error = error.__cause__ or KeyboardInterrupt()
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    print_error(
        f"internal error ({type(error).__name__}: {error}); please report it with the "
        f"output of {TRACEBACK_VARIABLE}=1"
    )
    return FAILED


def _check_not_empty(arguments: Sequence[str]) -> None:
    """Refuse empty arguments: as a path they would mean the current folder.

    Raises:
        InputError: one is empty.
    """
    if any(not text or (text.startswith("--") and text.endswith("=")) for text in arguments):
        raise InputError("an argument is empty; is a variable of the shell not set?")


def _usage_message(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "cleanplate"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    end = "" if message.endswith("?") else "."
    return f"{message.rstrip('.')}{end} See '{command} --help'."
