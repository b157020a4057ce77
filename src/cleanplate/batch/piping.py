"""One photo from bytes to bytes, with all that a run does to one in a file."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.batch.outcomes import Outcome
from cleanplate.batch.planning import PlannedPhoto
from cleanplate.batch.running import Job, run_photo

if TYPE_CHECKING:
    from cleanplate.pipeline import Remover

STANDARD_INPUT = Path("standard input")
"""What the photo is called in messages."""


def run_bytes(content: bytes, remover: "Remover", job: Job) -> tuple[Outcome, bytes | None]:
    """Return what became of a photo, and its new file; None if it failed or nothing was to be made.

    Args:
        content: the photo's file; the very same comes back if nothing is to be removed.
        remover: as for `run_photo`.
        job: as for `run_photo`; its masks, if any, are in one file.
    """
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as name:
        folder = Path(name)
        photo = PlannedPhoto(folder / STANDARD_INPUT, folder / "out", STANDARD_INPUT)
        photo.source.write_bytes(content)
        outcome = run_photo(photo, remover, replace(job, untouched="copy"))
        result = photo.target.read_bytes() if photo.target.exists() else None
    place = f"{folder}/"
    outcome = replace(
        outcome,
        source=STANDARD_INPUT,
        target=Path("standard output"),
        notes=tuple(note.replace(place, "") for note in outcome.notes),
        error=outcome.error and outcome.error.replace(str(photo.source), str(STANDARD_INPUT)),
    )
    return outcome, result
