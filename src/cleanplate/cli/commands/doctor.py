"""`cleanplate doctor`: what this machine has, what is missing and why, how long a photo takes."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import print_error, print_line
from cleanplate.cli.options import flag

if TYPE_CHECKING:
    from cleanplate.cli.diagnosis import Diagnosis


def doctor_command(
    photo: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The photo to time.", show_default="one of 800x600 is made"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="What computes while the photo is timed.")
    ] = "auto",
    timed: Annotated[
        bool,
        typer.Option(
            "--time/--no-time", metavar="", help="Do one photo and tell the time of each stage."
        ),
    ] = True,
    as_json: Annotated[bool, flag("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what this machine has, what is missing and why, and how long one photo takes.

    Exit code 1 if something keeps photos from being done.
    """
    from cleanplate.cli.diagnosis import diagnose

    diagnosis = diagnose(photo, device=device, timed=timed)
    if as_json:
        print_line(json.dumps(asdict(diagnosis)))
    else:
        for line in _describe(diagnosis):
            print_line(line)
    if diagnosis.problems:
        for problem in diagnosis.problems:
            print_error(problem)
        raise typer.Exit(1)


def _describe(diagnosis: "Diagnosis") -> Iterator[str]:
    yield "Versions"
    for name, version in diagnosis.versions.items():
        yield f"  {name} {version}"
    yield f"  {diagnosis.system}"
    memory = diagnosis.memory_bytes
    told = "memory not told by the system" if memory is None else f"{memory / 1e9:.1f} GB of memory"
    yield f"Machine: {diagnosis.cores} of {diagnosis.cores_in_all} processor cores, {told}"
    yield "Devices"
    for device, absence in diagnosis.devices.items():
        yield f"  {device:<9} {absence or 'works'}"
    yield "Extras"
    for extra, missing in diagnosis.extras.items():
        lack = f"not installed: lacks {', '.join(missing)}" if missing else "installed"
        yield f"  {extra:<9} {lack}"
    if diagnosis.variables:
        yield "Environment"
        for name, value in diagnosis.variables.items():
            yield f"  {name}={value}"
    yield "Models"
    for model in diagnosis.models:
        yield f"  {model.name}: {model.where}, {model.problem or 'whole'}"
    timing = diagnosis.timing
    if timing is not None:
        width, height = timing.size_wh
        yield f"One photo of {width}x{height} px ({timing.photo})"
        yield f"  segmenter on {timing.segmenter}, inpainter on {timing.inpainter}"
        total = timing.stages_s["total"]
        for stage, spent in timing.stages_s.items():
            yield f"  {stage:<9} {spent:7.3f} s  {spent / total:4.0%}"
