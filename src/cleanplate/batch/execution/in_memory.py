"""One photo from bytes to bytes, processed as a run processes a file."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.batch.execution.steps import process_photo
from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.records import Job, PhotoResult

if TYPE_CHECKING:
    from cleanplate.remover import Remover

STANDARD_INPUT = Path("standard input")
"""Name of the photo in messages."""

STANDARD_OUTPUT = Path("standard output")
"""Name of its output in messages."""


def run_bytes(content: bytes, remover: "Remover", job: Job) -> tuple[PhotoResult, bytes | None]:
    """Return the result of a photo, and its new file; None if it failed or none was to be written.

    Args:
        content: the photo's file; returned unchanged if nothing is to be removed.
        remover: as for `process_photo`.
        job: as for `process_photo`; its masks, if any, are in one file.
    """
    job = replace(job, untouched="copy")
    return pass_bytes(content, lambda photo: process_photo(photo, remover, job).result)


def pass_bytes(
    content: bytes,
    run: Callable[[PlannedPhoto], PhotoResult],
    *,
    name: str = STANDARD_INPUT.name,
    source: Path = STANDARD_INPUT,
    target: Path = STANDARD_OUTPUT,
) -> tuple[PhotoResult, bytes | None]:
    """Call `run` with the photo in a temporary file; return its result and its new file.

    Args:
        content: the photo's file.
        run: processes a photo in a file, such as `process_photo`.
        name: of that file; its suffix may give the format.
        source: name of the photo in the result.
        target: name of its output in the result.
    """
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as made:
        folder = Path(made)
        photo = PlannedPhoto(folder / name, folder / "out", Path(name))
        photo.source.write_bytes(content)
        result = run(photo)
        written = photo.target.read_bytes() if photo.target.exists() else None
    place = f"{folder}/"
    result = replace(
        result,
        source=source,
        target=target,
        notes=tuple(note.replace(place, "") for note in result.notes),
        error=result.error and result.error.replace(str(photo.source), str(source)),
    )
    return result, written
