"""Photos of an earlier run to process again: which, where, and with which settings."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cleanplate.batch.planning.photo_list import PlannedPhoto, RunPlan, check_writes
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import read_error, result_name

ReportLine = Mapping[str, Any]
"""One line of a report."""

_DONE = ("removed", "untouched", "skipped", "failed")  # the others are of runs that wrote no photo


def read_report(path: Path) -> dict[str, ReportLine]:
    """Return the lines of a report by photo, of each the last.

    An incomplete last line is ignored.

    Raises:
        PhotoError: the file cannot be read, or is not a report.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise read_error(path, error) from error
    except UnicodeDecodeError as error:
        raise PhotoError(path, "not a report", "name the .jsonl file of a run") from error
    found: dict[str, ReportLine] = {}
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            found[line["photo"]] = line
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                break
            cause = f"line {number} is not a line of a report"
            raise PhotoError(path, cause, "name the .jsonl file of a run") from error
    return found


def plan_redo(
    names: Sequence[str],
    lines: Mapping[str, ReportLine],
    output: Path,
    *,
    report: Path | None = None,
) -> tuple[RunPlan, ReportLine]:
    """Return the plan, and a line with the settings and models of the earlier run.

    Args:
        names: photos, as the report names them.
        lines: from `read_report`.
        output: the folder that they were written to.
        report: file that the report of this run will be written to.

    Raises:
        InputError: a photo is not in the report, was not written to that folder, or was made with
            other settings than the others; or a file would be overwritten.
    """
    photos: list[PlannedPhoto] = []
    first: ReportLine | None = None
    for name in names:
        line = lines.get(name)
        if line is None or line.get("output") is None or line.get("settings") is None:
            raise InputError(f"{name}: not in the report; name the report of its run")
        if line["status"] not in _DONE:
            raise InputError(f"{name}: was a dry run ({line['status']}); use 'run' for it")
        target = Path(line["output"])
        below = os.path.relpath(os.path.realpath(target), os.path.realpath(output))
        if below.split(os.sep, maxsplit=1)[0] == os.pardir:
            raise InputError(f"{name}: was written to {target}, which is not in {output}")
        first = first or line
        if any(line[key] != first[key] for key in ("settings", "models")):
            raise InputError(
                f"{name}: was processed with other settings than {names[0]}; use one list for each"
            )
        source, place = Path(name), Path(below)
        relative = place.with_name(source.name)  # the result of a RAW file has another name
        copy = target.with_name(source.name)
        developed = result_name(source.name, first["settings"].get("raw_output", "tiff"))
        if relative == place and developed != source.name:  # a RAW that was only copied
            target = target.with_name(source.name + Path(developed).suffix)
        photos.append(PlannedPhoto(source, target, relative, copy=None if copy == target else copy))
    if first is None:
        raise InputError("no photo to process again")
    check_writes(photos, masks=None, report=report)
    return RunPlan(tuple(photos)), first
