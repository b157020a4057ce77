"""Print how many frames and modules one photo crosses in `cleanplate run`.

Frames are this package's, on the stack when the first network runs; modules are those of which
anything but the import ran, from the command line to the written photo. One thread does it all.

    python docs/trace_photo.py [--list] [FORMAT ...]

A photo of each format is traced, a PNG and a JPEG if none is named. A second photo of the same run
would cross nothing else.
"""

import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

import skimage
from PIL import Image

import cleanplate
from cleanplate.cli import main

SIDE_PX = 96
PACKAGE = Path(cleanplate.__file__).parent


@dataclass
class Trace:
    """What a photo crossed."""

    frames: list[str] = field(default_factory=list)  # outermost first
    modules: set[str] = field(default_factory=set)  # in the whole run

    def on_event(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call, as `sys.setprofile` reports it."""
        name = place_of(frame) if event == "call" else None
        if name is None or (self.frames and name in self.modules) or is_importing(frame):
            return
        self.modules.add(name)
        if not self.frames and (name, frame.f_code.co_name) == ("runtime.session", "run"):
            self.frames = [
                f"{place_of(each)}:{each.f_code.co_name}"
                for each in reversed(stack_of(frame))
                if place_of(each) is not None
            ]


def stack_of(frame: FrameType | None) -> list[FrameType]:
    """Return a frame and its callers."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def place_of(frame: FrameType) -> str | None:
    """Return the module of this package that a frame belongs to, without the package's name."""
    return module_at(frame.f_code.co_filename)


@cache
def module_at(filename: str) -> str | None:
    """Return the module of this package in a file, without the package's name."""
    path = Path(filename)
    if not path.is_relative_to(PACKAGE):
        return None
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "cleanplate"


def is_importing(frame: FrameType) -> bool:
    """Return whether a module is being imported: what runs then is no part of a photo's way."""
    names = ("<module>", "__getattr__")  # the latter imports what the package offers
    return any(each.f_code.co_name in names and place_of(each) for each in stack_of(frame))


def trace_photo(suffix: str) -> Trace:
    """Run `cleanplate run` on one photo of a format and return what it crossed.

    Args:
        suffix: of the format, such as ".jpg".

    Raises:
        RuntimeError: no network was run.
    """
    trace = Trace()
    photo = Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png").convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"photo{suffix}"
        photo.resize((SIDE_PX, SIDE_PX)).save(path)
        threading.setprofile(trace.on_event)
        sys.setprofile(trace.on_event)
        try:
            options = ["--remove", "person", "--quiet", "--threads", "1"]
            main(["run", str(path), "-o", f"{folder}/out", *options])
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    if not trace.frames:
        raise RuntimeError("no network was run")
    return trace


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--list"] or ["png", "jpg"]
    for name in names:
        crossed = trace_photo(f".{name}")
        if "--list" in sys.argv:
            print(*crossed.frames, "", *sorted(crossed.modules), "", sep="\n")
        print(f"{name}: {len(crossed.frames)} frames, {len(crossed.modules)} modules")
