"""The marker segments of JPEG streams, and such streams inside metadata.

References:
    ITU-T T.81 (JPEG), annex B.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cleanplate.io.photo import DAMAGED_ADVICE, UnsupportedImageError

RST0, SOI, EOI, SOS, DHT, DQT, DRI, COM = 0xD0, 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xFE
APP0, APP1, APP2, APP5, APP6, APP12, APP13, APP14, APP15 = (
    0xE0,
    0xE1,
    0xE2,
    0xE5,
    0xE6,
    0xEC,
    0xED,
    0xEE,
    0xEF,
)
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}  # SOF0 to SOF15

_SCAN_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not stuffing, not a restart, not a fill
# Of previews in metadata, which would still show what was removed.
_JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_BASE64_JPEG = re.compile(rb"/9j/[A-Za-z0-9+/\s]{200}")  # "/9j/" is FF D8 FF in base64
_STANDARD_SYMBOLS = {0: 12, 1: 162}  # T.81 annex K.3: number of codes in the DC and AC tables


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker and its payload, without the two length bytes."""

    marker: int
    payload: bytes

    def to_bytes(self) -> bytes:
        """Return the segment as bytes of a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame header (SOF)."""

    marker: int
    precision: int
    size_hw: tuple[int, int]
    components: tuple[tuple[int, int, int, int], ...]  # id, horizontal and vertical factor, table

    @property
    def is_progressive(self) -> bool:
        """Whether the image comes in several refinements."""
        return self.marker in (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True, slots=True)
class Stream:
    """The parts of a JPEG file."""

    segments: tuple[Segment, ...]  # between SOI and the first SOS
    frame: Frame
    scans: bytes  # from the first SOS to EOI, both included
    has_end: bool  # whether the file has that EOI
    trailer: bytes  # what follows EOI
    end: int  # offset of that in the file
    mpf_at: int | None = None  # offset of the TIFF header in the index of further pictures

    @property
    def is_interleaved(self) -> bool:
        """Whether the first scan holds all components."""
        return self.scans[4] == len(self.frame.components)

    @property
    def restart_interval(self) -> int:
        """Number of MCUs between restart markers; 0 = none."""
        found = [s.payload for s in self.segments if s.marker == DRI]
        return int.from_bytes(found[-1][:2], "big") if found else 0

    @property
    def has_optimal_huffman_tables(self) -> bool:
        """Whether the tables were made for this image instead of T.81's examples."""
        for segment in self.segments:
            position = 0
            while segment.marker == DHT and position + 17 <= len(segment.payload):
                kind = segment.payload[position] >> 4
                symbols = sum(segment.payload[position + 1 : position + 17])
                if symbols != _STANDARD_SYMBOLS.get(kind):
                    return True
                position += 17 + symbols
        return False

    def app_payload(self, marker: int, identifier: bytes) -> bytes | None:
        """Return the first payload of this marker that starts with `identifier`."""
        return next(
            (
                s.payload
                for s in self.segments
                if s.marker == marker and s.payload.startswith(identifier)
            ),
            None,
        )


def walk_markers(
    data: bytes, position: int, *, resync: bool = False
) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of the segments that follow each other, up to EOI.

    The segment of an SOS includes the coded data after it. `end` may lie beyond the end of
    truncated data.

    Args:
        data: any bytes that hold a JPEG stream.
        position: of the first marker, after SOI.
        resync: skip other bytes between segments, as libjpeg does, instead of stopping there.
    """
    while True:
        if resync:
            position = data.find(b"\xff", position)
        if position < 0 or data[position : position + 1] != b"\xff":
            return
        marker = int.from_bytes(data[position + 1 : position + 2], "big")
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker == EOI:
            yield marker, position, position + 2
            return
        elif position + 4 > len(data):
            return
        elif marker <= 1 or RST0 <= marker <= SOI:
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if marker == SOS:
                found = _SCAN_MARKER.search(data, end)
                end = len(data) if found is None else found.start()
            yield marker, position, end
            position = end


def parse_segments(data: bytes) -> Stream:
    """Return the parts of a JPEG file.

    Raises:
        UnsupportedImageError: no image in it, or truncated before the image data.
    """
    segments: list[Segment] = []
    frame: Frame | None = None
    mpf_at: int | None = None
    scans_at, stop = 0, len(data)  # without an EOI the scans reach to the end
    for marker, start, end in walk_markers(data, 2, resync=True):
        if scans_at:
            stop = end if marker == EOI else stop
        elif marker == EOI:
            raise UnsupportedImageError("damaged JPEG: it holds no image data", DAMAGED_ADVICE)
        elif marker == SOS:
            scans_at = start
        elif end > len(data):
            break
        else:
            segments.append(Segment(marker, data[start + 4 : end]))
            if marker == APP2 and segments[-1].payload.startswith(b"MPF\x00"):
                mpf_at = start + 8
            if marker in FRAMES:
                frame = _parse_frame(segments[-1])
    if not scans_at:
        raise UnsupportedImageError("damaged JPEG: the file is truncated", DAMAGED_ADVICE)
    if frame is None or scans_at + 5 > len(data):
        raise UnsupportedImageError("damaged JPEG: it holds no frame header", DAMAGED_ADVICE)
    has_end = data[stop - 2 : stop] == b"\xff\xd9"
    scans = data[scans_at:stop] + (b"" if has_end else b"\xff\xd9")
    return Stream(tuple(segments), frame, scans, has_end, data[stop:], stop, mpf_at)


def serialize_segments(segments: tuple[Segment, ...], scans: bytes) -> bytes:
    """Return a file of these segments and scans."""
    return b"".join([b"\xff\xd8", *(segment.to_bytes() for segment in segments), scans])


def with_size(segments: tuple[Segment, ...], size_hw: tuple[int, int]) -> tuple[Segment, ...]:
    """Return the segments with another image size in the frame header."""
    return tuple(
        Segment(s.marker, s.payload[:1] + struct.pack(">HH", *size_hw) + s.payload[5:])
        if s.marker in FRAMES
        else s
        for s in segments
    )


def _parse_frame(segment: Segment) -> Frame:
    payload = segment.payload
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise UnsupportedImageError("damaged JPEG: its frame header is too short", DAMAGED_ADVICE)
    precision, height, width, count = struct.unpack_from(">BHHB", payload)
    components = tuple(
        (payload[i], payload[i + 1] >> 4, payload[i + 1] & 15, payload[i + 2])
        for i in range(6, 6 + 3 * count, 3)
    )
    return Frame(segment.marker, precision, (height, width), components)


def find_jpeg_streams(data: bytes) -> list[tuple[int, int]]:
    """Return where JPEG streams lie in `data`, as (start, end) without overlap.

    A stream is followed marker by marker, so that the thumbnail inside a preview does not end it.
    One that is truncated reaches to where it stops making sense.
    """
    spans: list[tuple[int, int]] = []
    position = 0
    while match := _JPEG_START.search(data, position):
        end, has_frame = _jpeg_end(data, match.start())
        if has_frame:
            spans.append((match.start(), end))
            position = end
        else:
            position = match.start() + 2
    return spans


def contains_image(data: bytes) -> bool:
    """Return whether a JPEG stream is in `data`, as bytes or as base64."""
    return bool(find_jpeg_streams(data)) or _BASE64_JPEG.search(data) is not None


def _jpeg_end(data: bytes, start: int) -> tuple[int, bool]:
    """Return the end of the stream at `start`, and whether it holds any table or frame."""
    stop, has_frame = start + 2, False
    for marker, _, end in walk_markers(data, start + 2):
        stop, has_frame = end, has_frame or 0xC0 <= marker <= 0xDB
    return min(stop, len(data)), has_frame
