"""The command line: one file per command, each a thin shell around the package.

Nothing heavy is imported here or at the top of a command's file, so that `--help` is fast.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from cleanplate import __version__
from cleanplate.cli.commands import (
    FILL_HELP,
    MASK_HELP,
    RAY_HELP,
    REDO_HELP,
    RUN_HELP,
    VIDEO_HELP,
    doctor_command,
    evaluate_command,
    fill_command,
    labels_command,
    mask_command,
    models_app,
    ray_command,
    redo_command,
    run_command,
    video_command,
)
from cleanplate.cli.console import (
    occupy_closed_streams,
    print_error,
    print_line,
    survive_any_file_name,
)
from cleanplate.errors import CleanplateError, InputError
from cleanplate.threads import ONE_THREAD

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. Ended by another signal, such as SIGTERM, it is 128 plus the signal's number."""

TRACEBACK_VARIABLE = "CLEANPLATE_TRACEBACK"
"""Environment variable; with any value, an internal error shows where it happened."""

# Typer carries its own copy of click in some versions and not in others; this is UsageError in all.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="cleanplate",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Remove named objects from photos. Everything else in them stays as it is.",
)
app.command("run", help=RUN_HELP)(run_command)
app.command("mask", help=MASK_HELP)(mask_command)
app.command("fill", help=FILL_HELP)(fill_command)
app.command("redo", help=REDO_HELP)(redo_command)
app.command("video", help=VIDEO_HELP)(video_command)
app.command("ray", help=RAY_HELP)(ray_command)
app.command("labels")(labels_command)
app.command("evaluate")(evaluate_command)
app.command("doctor")(doctor_command)
app.add_typer(models_app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"cleanplate {__version__}")
        raise typer.Exit


@app.callback()
def _options_of_all_commands(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are printed as one line each.

    Args:
        args: what follows the program's name; None takes it from `sys.argv`.
    """
    occupy_closed_streams()
    survive_any_file_name()
    for variable, value in ONE_THREAD.items():
        os.environ.setdefault(variable, value)
    words = list(sys.argv[1:] if args is None else args) or ["--help"]
    try:
        _check_words(words)
        status = app(args=words, prog_name="cleanplate", standalone_mode=False)
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
    except Exception as caught:
        # Typer turns EOFError, which PyAV also raises, into Abort: it is no interrupt
        internal = (caught.__cause__ if isinstance(caught, typer.Abort) else None) or caught
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exception(internal)
        print_error(
            f"internal error ({type(internal).__name__}: {internal}); please report it with what "
            f"{TRACEBACK_VARIABLE}=1 shows"
        )
        return FAILED
    return status if isinstance(status, int) else DONE


def _check_words(words: Sequence[str]) -> None:
    """Refuse empty ones: as a path they would mean the folder that the command is given in.

    Raises:
        InputError: there is one.
    """
    if any(not word or (word.startswith("--") and word.endswith("=")) for word in words):
        raise InputError("an argument is empty; is a variable of the shell not set?")


def _usage_message(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "cleanplate"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    end = "" if message.endswith("?") else "."
    return f"{message.rstrip('.')}{end} See '{command} --help'."
