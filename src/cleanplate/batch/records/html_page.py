"""The report as a page: one file with thumbnails, which needs no network."""

import base64
import importlib.resources
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO
from urllib.parse import quote

import cv2
import numpy as np

from cleanplate import __version__
from cleanplate.batch.records.results import PhotoResult, Thumbnails
from cleanplate.errors import PhotoError
from cleanplate.ops import scale_within, size_within
from cleanplate.types import Mask, Removal, RGBImage

# Some 10,000 changed photos; browsers open pages of this size from the disk in a few seconds.
LARGEST_BYTES = 64_000_000
"""Of a page; photos that come after have their line in it, but no thumbnails."""


class PageWriter:
    """Writes a page photo by photo, each flushed: of a run cut short, what was done can be seen.

    The page is a head, taken from `report.html` beside this module, and one call of its function
    `row` per photo. A file that exists is replaced at the start.

    Args:
        path: the page.
        about: what to say of the run as a whole: label -> text.
        largest_bytes: size from which on thumbnails are omitted.
    """

    def __init__(
        self, path: Path, about: Mapping[str, str], *, largest_bytes: int = LARGEST_BYTES
    ) -> None:
        self._path, self._about, self._left_bytes = path, about, largest_bytes

    def __enter__(self) -> Self:
        """Make the file, and its folder if there is none.

        Raises:
            PhotoError: it cannot be written.
        """
        head = importlib.resources.files("cleanplate.batch.records") / "report.html"
        about = {
            "begun": datetime.now().astimezone().isoformat(timespec="seconds"),
            **self._about,
            "cleanplate": __version__,
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = self._path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise self._failure(error) from error
        self._write(head.read_text(encoding="utf-8") + f"<script>about({_json(about)})</script>\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        with suppress(OSError):  # `write` has said it; closing only tries the same bytes again
            self._file.close()

    def write(self, result: PhotoResult, line: Mapping[str, object]) -> None:
        """Append one photo.

        Args:
            result: what became of it, with its thumbnails.
            line: the same as the report has it, from `describe_result`.

        Raises:
            PhotoError: it cannot be written, for example because the disk is full.
        """
        row = {key: line[key] for key in _SHOWN}
        row["links"] = [
            None if path is None else self._link(path) for path in (result.source, result.target)
        ]
        row["time_s"] = result.timings_s.get("total")
        if result.thumbnails is not None and self._left_bytes > 0:
            row["thumbnails"] = _data_urls(result.thumbnails)
        self._write(f"<script>row({_json(row)})</script>\n")

    def _link(self, path: Path) -> str:
        """Return a relative address, which goes on working when all is moved together."""
        try:
            relative = os.path.relpath(path, self._path.parent)
        except ValueError:  # another drive, on Windows
            return Path(path).absolute().as_uri()
        return quote(os.fsencode(relative.replace(os.sep, "/")))

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        self._left_bytes -= len(text)

    def _failure(self, error: OSError) -> PhotoError:
        cause = f"the report cannot be written ({error.strerror})"
        return PhotoError(self._path, cause, "check the folder's permissions and free space")


_SHOWN = (
    "photo", "output", "status", "size_wh", "found", "remaining", "refills", "mask_share", "notes",
    "error",
)  # fmt: skip


def _json(value: object) -> str:
    """Return JSON that may stand in a script: nothing in it ends the script or opens a tag."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII: U+2028 is escaped, too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data_urls(thumbnails: Thumbnails) -> list[str | None]:
    images = (thumbnails.before, thumbnails.mask, thumbnails.after)
    return [
        None
        if image is None
        else "data:image/webp;base64," + base64.b64encode(image).decode("ascii")
        for image in images
    ]


SIDE_PX = 160  # long side
_OBJECTS_RGB, _EFFECTS_RGB = (255, 255, 255), (255, 160, 0)
_QUALITY = 60  # of WebP: at 160 px it takes 2 to 4 kB an image


def make_thumbnails(image: RGBImage, removal: Removal | None = None) -> Thumbnails:
    """Return thumbnails of a photo, and of what became of it if it was changed.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        removal: what was done to it.
    """
    before = _encode(scale_within(image, SIDE_PX), lossless=False)
    if removal is None or not removal.changed:
        return Thumbnails(before)
    return Thumbnails(
        before,
        _encode(_shrunk_mask(removal.mask, removal.effects), lossless=True),
        _encode(scale_within(removal.image, SIDE_PX), lossless=False),
    )


def _shrunk_mask(mask: Mask, effects: Mask | None) -> RGBImage:
    """Return a mask in which small holes still show: white, effects orange."""
    size_wh = size_within(mask.shape, SIDE_PX)
    shown = np.zeros((*size_wh[::-1], 3), np.uint8)
    objects = mask if effects is None else mask & ~effects
    for part, colour in ((effects, _EFFECTS_RGB), (objects, _OBJECTS_RGB)):
        if part is not None:
            white = (part & mask).astype(np.uint8) * np.uint8(255)
            small = cv2.resize(white, size_wh, interpolation=cv2.INTER_AREA)
            shown[small > 0] = colour
    return shown


def _encode(image: RGBImage, *, lossless: bool) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(
        stream, format="WEBP", lossless=lossless, quality=_QUALITY, method=4
    )
    return stream.getvalue()
