"""`cleanplate run -`: one photo from standard input to standard output, all words to the error."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.cli.console import is_terminal, naming, print_note
from cleanplate.cli.messages import describe_details, describe_photo
from cleanplate.cli.progress import RunView
from cleanplate.cli.report_files import ReportFiles
from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.batch import Job
    from cleanplate.remover import Remover

PIPE = Path("-")
"""What stands for standard input on the command line, and for standard output."""


def is_piped(inputs: Sequence[Path]) -> bool:
    """Return whether the photo comes from standard input."""
    return PIPE in inputs


def check_pipe(
    inputs: Sequence[Path],
    output: Path | None,
    mask: Path | None,
    report: Path | None,
    *,
    unused: Mapping[str, object | None],
) -> None:
    """Refuse what has no sense with a single photo that has no name.

    Raises:
        InputError: more inputs, an output folder, a folder of masks, a report over a photo, one of
            `unused`, or a terminal or nothing at either end.
    """
    from cleanplate.batch import check_report

    if len(inputs) > 1:
        raise InputError("- takes one photo from standard input; leave the other inputs away")
    if output not in (None, PIPE):
        raise InputError(
            f"--output {output}: with - the result goes to standard output; leave --output away "
            "and write > FILE"
        )
    given = [option for option, value in unused.items() if value]
    if given:
        raise InputError(f"{', '.join(given)} and - exclude each other; name files or folders")
    if mask is not None and mask.is_dir():
        raise InputError(f"{mask}: is a folder; with - --mask takes one file")
    if report is not None:
        check_report(report)
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None:
            raise InputError(f"standard {name} is closed; open it, or name files")
    if is_terminal(sys.stdin):
        raise InputError("standard input is a terminal; write < photo.jpg")
    if is_terminal(sys.stdout):
        raise InputError("standard output is a terminal; write > result.jpg")


def run_pipe(remover: "Remover", job: "Job", view: RunView, report: Path | None) -> None:
    """Do the photo that standard input holds. On failure nothing is written."""
    from cleanplate import batch

    models = batch.describe_models(remover, job)
    known = remover.segmenter.labels if job.own_masks is None else ()
    with ReportFiles(report, models, job, view, known) as writer:
        outcome, content = batch.run_bytes(sys.stdin.buffer.read(), remover, job)
        writer.write(outcome)
    view.total = 1
    if outcome.status == "failed":
        view.quiet = True
        view.finish_photo(outcome)
        return
    if not view.quiet:
        lines = [describe_photo(outcome), *(describe_details(outcome) if view.verbose else ())]
        for line in lines:
            print_note(line)
    if content is not None:
        with naming(sys.stdout):
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
