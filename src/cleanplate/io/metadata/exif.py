"""Edits Exif in place: what must change changes, every other byte stays where it was.

Maker notes hold offsets into the block that only their maker knows, so nothing is moved. The
thumbnail (IFD1) and any preview in a maker note are overwritten with zeros: they would still show
what was removed. Never overwritten is what the main directory and those below it use.

References:
    CIPA DC-008-2019 (Exif 2.32), sections 4.5 and 4.6; TIFF 6.0, section 2.
"""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cleanplate.io.metadata.ifd import SUB_DIRECTORIES, Field, IfdReader
from cleanplate.io.metadata.jpeg_segments import find_jpeg_streams
from cleanplate.io.metadata.regions import turn_point
from cleanplate.io.photo import ORIENTATION_TAG

EXIF_ID = b"Exif\x00\x00"

_EXIF_IFD, _STRIPS, _STRIP_BYTES = 0x8769, 0x0111, 0x0117
_JPEG_OFFSET, _JPEG_BYTES, _IMAGE_WIDTH, _IMAGE_LENGTH = 0x0201, 0x0202, 0x0100, 0x0101
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_INTEGERS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}  # code of struct, bytes
_Span = tuple[int, int]  # offsets of the first byte and of the one behind the last
_MAX_ENTRIES = 4096  # more than any camera writes; a random count is mostly above


@dataclass(frozen=True, slots=True)
class CleanExif:
    """An Exif block that may be written with the edited, upright photo."""

    data: bytes  # starts with the TIFF header, without "Exif\0\0"; empty when it had to be dropped
    orientation: int = 1  # what it said before, 1 to 8
    notes: tuple[str, ...] = ()


def clean_exif(
    data: bytes, *, size_hw: tuple[int, int], keep_orientation: bool = False
) -> CleanExif:
    r"""Return the block with orientation 1, the upright size, and no thumbnail or preview.

    Args:
        data: the block, with or without "Exif\0\0" in front.
        size_hw: the image's size as stored, before it is turned upright.
        keep_orientation: keep orientation and size, for an image that is not turned.

    Returns:
        The block; empty and with a note when its main directory cannot be read.
    """
    block = _Block(bytearray(data.removeprefix(EXIF_ID).removeprefix(EXIF_ID)))
    try:
        first = block.open()
        main, _ = block.fields(first)
    except (ValueError, struct.error):
        return CleanExif(b"", notes=("its Exif data (corrupt) are not carried over",))
    orientation = block.number(main.get(ORIENTATION_TAG)) or 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    if not keep_orientation:
        block.set_number(main.get(ORIENTATION_TAG), 1)
        block.set_upright_size(main, size_hw, orientation)
    notes = block.blank_thumbnail(first) + block.blank_previews()
    return CleanExif(block.finished(), orientation, notes)


def turn_subject(
    area: Sequence[int], orientation: int, size_hw: tuple[int, int]
) -> tuple[int, ...]:
    """Return SubjectArea or SubjectLocation, in px, in the upright image.

    Args:
        area: x and y of its centre, and, if there are more, its diameter or its width and height.
        orientation: of the stored image.
        size_hw: of the upright image.
    """
    x, y = turn_point(area[0], area[1], orientation, (size_hw[1] - 1, size_hw[0] - 1))
    size = area[:1:-1] if orientation in (5, 6, 7, 8) else area[2:]
    return tuple(min(max(0, int(value)), 65535) for value in (x, y, *size))


class _Block:
    """The bytes of one Exif block, edited in place."""

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self._reader = IfdReader(data, "<")
        self._blanked = np.zeros(len(data), np.bool_)

    def open(self) -> int:
        """Return the offset of IFD0."""
        order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(bytes(self._data[:4]))
        if order is None:
            raise ValueError("not a TIFF header")
        self._reader = IfdReader(self._data, order)
        return self._reader.number("I", 4)

    def fields(self, offset: int) -> tuple[dict[int, Field], int]:
        """Return the fields of the directory at `offset`, and the next directory's offset."""
        if offset < 8 or self._reader.number("H", offset) > _MAX_ENTRIES:
            raise ValueError("not a directory")
        found, following = self._reader.fields(offset)
        return dict(reversed(found)), following  # the first of each tag counts

    def number(self, field: Field | None, index: int = 0) -> int | None:
        """Return one integer of a field, or None where there is none."""
        if field is None or field.type not in _INTEGERS or index >= field.count:
            return None
        code, width = _INTEGERS[field.type]
        try:
            return self._reader.number(code, field.at + width * index)
        except struct.error:
            return None

    def set_number(self, field: Field | None, value: int) -> None:
        """Overwrite a field of one SHORT or LONG."""
        if field is not None and field.count == 1 and field.type in (3, 4):
            code = "H" if field.type == 3 else "I"
            if code == "I" or value < 1 << 16:
                struct.pack_into(self._reader.order + code, self._data, field.at, value)

    def set_upright_size(
        self, main: dict[int, Field], size_hw: tuple[int, int], orientation: int
    ) -> None:
        """State the upright width and height where the block states any."""
        height, width = size_hw if orientation < 5 else size_hw[::-1]
        self.set_number(main.get(_IMAGE_WIDTH), width)
        self.set_number(main.get(_IMAGE_LENGTH), height)
        try:
            details, _ = self.fields(self.number(main.get(_EXIF_IFD)) or 0)
        except (ValueError, struct.error):
            return
        self.set_number(details.get(_PIXEL_X), width)
        self.set_number(details.get(_PIXEL_Y), height)
        for tag in (_SUBJECT_AREA, _SUBJECT_LOCATION):
            field = details.get(tag)
            if field is not None and field.type == 3 and 2 <= field.count <= 4:
                said = [self.number(field, index) or 0 for index in range(field.count)]
                turned = turn_subject(said, orientation, (height, width))
                struct.pack_into(
                    f"{self._reader.order}{field.count}H", self._data, field.at, *turned
                )

    def blank_thumbnail(self, first: int) -> tuple[str, ...]:
        """Unlink IFD1 and overwrite it and its image.

        Some programs omit the link, so that a value stands in its place, or let it point to another
        directory; then there is no IFD1.
        """
        link = self._end_of(first)
        used = self._used_from(first)
        following = self.fields(first)[1]
        if not following or _meet((link, link + 4), used):
            return ()
        try:
            thumbnail, _ = self.fields(following)
            end = self._end_of(following)
        except (ValueError, struct.error):
            thumbnail, end = {}, following
        if _meet((following, max(end, following + 1)), used):
            return ()
        struct.pack_into(self._reader.order + "I", self._data, link, 0)
        spans = [(following, end + 4)] if thumbnail else []
        for offsets, lengths in ((_JPEG_OFFSET, _JPEG_BYTES), (_STRIPS, _STRIP_BYTES)):
            field = thumbnail.get(offsets)
            for index in range(field.count if field is not None else 0):
                start = self.number(field, index)
                length = self.number(thumbnail.get(lengths), index)
                if start is None or length is None:
                    break
                spans.append((start, start + length))
        for field in thumbnail.values():  # values kept outside the directory, e.g. XResolution
            if field.length > 4:
                spans.append((field.at, field.at + field.length))
        self._blank(spans, but=used)
        return ("its Exif thumbnail is removed",)

    def blank_previews(self) -> tuple[str, ...]:
        """Overwrite every JPEG stream that is left, wherever it is."""
        spans = find_jpeg_streams(bytes(self._data))
        self._blank(spans, but=[])
        return ("a preview inside its Exif data is removed",) if spans else ()

    def finished(self) -> bytes:
        """Return the block, without the zeros at its end that were a thumbnail."""
        kept = np.flatnonzero(~self._blanked)
        return bytes(self._data[: kept[-1] + 1])

    def _end_of(self, directory: int) -> int:
        """Return the offset behind the last entry of a directory, where its link stands."""
        return directory + 2 + 12 * self._reader.number("H", directory)

    def _used_from(self, first: int) -> list[_Span]:
        """Return the header, the directories that are reached from one, and their values."""
        used, seen, waiting = [(0, 8)], set(), [first]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            try:
                fields, _ = self.fields(at)
            except (ValueError, struct.error):
                continue
            used.append((at, self._end_of(at)))
            for tag, field in fields.items():
                if field.length > 4 and field.at + field.length <= len(self._data):
                    used.append((field.at, field.at + field.length))
                if tag in SUB_DIRECTORIES:
                    waiting.append(self.number(field) or 0)
        return used

    def _blank(self, spans: Collection[_Span], *, but: Collection[_Span]) -> None:
        blanked = np.zeros_like(self._blanked)
        for start, end in spans:
            blanked[start:end] = True
        for start, end in but:
            blanked[start:end] = False
        np.frombuffer(self._data, np.uint8)[blanked] = 0
        self._blanked |= blanked


def _meet(span: _Span, others: Collection[_Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)
