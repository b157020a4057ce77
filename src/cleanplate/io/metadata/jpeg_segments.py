"""The marker segments of a JPEG file: finding them, and choosing which may be written again.

References:
    ITU-T T.81 (JPEG), annex B; ITU-T T.871 (JFIF); Adobe, XMP Specification Part 3, section 1.1.3.
"""

import re
import struct
from dataclasses import dataclass

from cleanplate.io.metadata.exif import PREFIX as EXIF_ID
from cleanplate.io.metadata.exif import clean_exif
from cleanplate.io.metadata.iptc import clean_resources
from cleanplate.io.metadata.xmp import clean_xmp
from cleanplate.io.unsupported import DAMAGED_ADVICE, UnsupportedImageError

SOI, EOI, SOS, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xFE
APP0, APP1, APP2, APP12, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEC, 0xED, 0xEE, 0xEF
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}  # SOF0 to SOF15

_XMP_ID = b"http://ns.adobe.com/xap/1.0/\x00"
_EXTENDED_XMP_ID = b"http://ns.adobe.com/xmp/extension/\x00"
_PHOTOSHOP_ID = b"Photoshop 3.0\x00"
_ICC_ID = b"ICC_PROFILE\x00"
_MAX_PAYLOAD = 65533
_SCAN_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not stuffing, not a restart, not a fill
_STANDARD_SYMBOLS = {0: 12, 1: 162}  # T.81 annex K.3: number of codes in the DC and AC tables


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker and its payload, without the two length bytes."""

    marker: int
    payload: bytes

    def to_bytes(self) -> bytes:
        """Return the segment as it stands in a file."""
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
        """Whether the picture comes in several refinements."""
        return self.marker in (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True, slots=True)
class Stream:
    """A JPEG file taken apart."""

    segments: tuple[Segment, ...]  # between SOI and the first SOS
    frame: Frame
    scans: bytes  # from the first SOS to EOI, both included
    trailer_bytes: int  # length of what follows EOI

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
        """Whether the tables were made for this picture instead of T.81's examples."""
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


@dataclass(frozen=True, slots=True)
class SelectedSegments:
    """What is written again before the picture's tables."""

    segments: tuple[Segment, ...]
    orientation: int
    notes: tuple[str, ...]


def parse_segments(data: bytes) -> Stream:
    """Return the parts of a JPEG file.

    Raises:
        UnsupportedImageError: no image in it, or truncated before the image data.
    """
    segments: list[Segment] = []
    frame: Frame | None = None
    position = 2
    while True:
        position = data.find(b"\xff", position)  # bytes between segments are skipped, as libjpeg
        while position >= 0 and data[position + 1 : position + 2] == b"\xff":
            position += 1
        if position < 0 or position + 4 > len(data):
            raise UnsupportedImageError("damaged JPEG: the file is truncated", DAMAGED_ADVICE)
        marker = data[position + 1]
        if marker in (0, 1) or SOI >= marker >= 0xD0:
            position += 2
            continue
        if marker == EOI:
            raise UnsupportedImageError("damaged JPEG: it holds no picture data", DAMAGED_ADVICE)
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == SOS:
            break
        segment = Segment(marker, data[position + 4 : end])
        if end > len(data):
            raise UnsupportedImageError("damaged JPEG: the file is truncated", DAMAGED_ADVICE)
        segments.append(segment)
        if marker in FRAMES:
            frame = _parse_frame(segment)
        position = end
    if frame is None or position + 5 > len(data):
        raise UnsupportedImageError("damaged JPEG: it holds no frame header", DAMAGED_ADVICE)
    stop = _end_of_image(data, position)
    return Stream(tuple(segments), frame, data[position:stop], len(data) - stop)


def serialize_segments(segments: tuple[Segment, ...], scans: bytes) -> bytes:
    """Return a file of these segments and scans."""
    return b"".join([b"\xff\xd8", *(segment.to_bytes() for segment in segments), scans])


def with_size(segments: tuple[Segment, ...], size_hw: tuple[int, int]) -> tuple[Segment, ...]:
    """Return the segments with another picture size in the frame header."""
    return tuple(
        Segment(s.marker, s.payload[:1] + struct.pack(">HH", *size_hw) + s.payload[5:])
        if s.marker in FRAMES
        else s
        for s in segments
    )


def select_segments(stream: Stream, *, keep_orientation: bool = False) -> SelectedSegments:
    """Choose the segments that may go into the edited file, and clean them.

    Kept: JFIF (without its thumbnail), Exif, XMP, ICC, Photoshop resources with IPTC, APP12 text,
    Adobe's marker, comments. Anything else may show what was removed, or be untrue after it.

    Args:
        stream: the file.
        keep_orientation: leave orientation and size as they are, for a picture that is not turned.
    """
    kept: list[Segment] = []
    notes: list[str] = []
    orientation = 1
    exif = b"".join(
        s.payload[len(EXIF_ID) :]
        for s in stream.segments
        if s.marker == APP1 and s.payload.startswith(EXIF_ID)
    )
    exif_done = False
    for segment in stream.segments:
        marker, payload = segment.marker, segment.payload
        if not (APP0 <= marker <= APP15 or marker == COM):
            continue
        if marker == APP1 and payload.startswith(EXIF_ID):
            if not exif_done:
                cleaned = clean_exif(
                    exif, size_hw=stream.frame.size_hw, keep_orientation=keep_orientation
                )
                orientation, exif_done = cleaned.orientation, True
                notes += cleaned.notes
                kept += _split(APP1, EXIF_ID, cleaned.data)
            continue
        clean, note = _clean_segment(segment, keep_orientation=keep_orientation)
        notes += note
        if clean is not None:
            kept.append(clean)
    if stream.trailer_bytes > 1:  # one byte of padding is no news
        notes.append(
            f"{stream.trailer_bytes} bytes after the picture (previews, a second picture, a gain "
            "map or a video clip) are not carried over"
        )
    return SelectedSegments(tuple(kept), orientation, tuple(dict.fromkeys(notes)))


def _clean_segment(
    segment: Segment, *, keep_orientation: bool
) -> tuple[Segment | None, tuple[str, ...]]:
    """Return what may be written of an APPn or COM segment, and what to say about it."""
    marker, payload = segment.marker, segment.payload
    if marker == APP0 and payload.startswith(b"JFIF\x00") and len(payload) >= 14:
        notes = ("its JFIF thumbnail is not carried over",) if len(payload) > 14 else ()
        return Segment(APP0, payload[:12] + b"\x00\x00"), notes
    if marker == APP1 and payload.startswith(_XMP_ID):
        xmp = clean_xmp(payload[len(_XMP_ID) :], keep_orientation=keep_orientation)
        return (Segment(APP1, _XMP_ID + xmp.data) if xmp.data else None), xmp.notes
    if marker == APP13 and payload.startswith(_PHOTOSHOP_ID):
        resources = clean_resources(payload[len(_PHOTOSHOP_ID) :])
        kept = Segment(APP13, _PHOTOSHOP_ID + resources.data) if resources.data else None
        return kept, resources.notes
    is_safe = (
        marker in (COM, APP12)
        or (marker == APP2 and payload.startswith(_ICC_ID))
        or (marker == APP14 and payload.startswith(b"Adobe"))
    )
    if is_safe:
        return segment, ()
    return None, (_dropped_note(marker, payload),)


def _dropped_note(marker: int, payload: bytes) -> str:
    if marker == APP2 and payload.startswith(b"MPF\x00"):
        return "the index of further pictures (MPF) is not carried over"
    if marker == APP1 and payload.startswith(_EXTENDED_XMP_ID):
        return "its extended XMP data (depth maps, second pictures) are not carried over"
    if marker == APP0 and payload.startswith(b"JFXX\x00"):
        return "its JFIF thumbnail is not carried over"
    identifier = re.match(rb"[\x20-\x7e]{2,40}", payload)
    name = f" ({identifier.group().decode('ascii').strip()})" if identifier else ""
    return f"its APP{marker - APP0} data{name} are not carried over, they may hold a picture"


def _split(marker: int, identifier: bytes, data: bytes) -> list[Segment]:
    room = _MAX_PAYLOAD - len(identifier)
    return [
        Segment(marker, identifier + data[start : start + room])
        for start in range(0, len(data), room)
    ]


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


def _end_of_image(data: bytes, position: int) -> int:
    """Return the offset after EOI; the end of the data where there is none."""
    while match := _SCAN_MARKER.search(data, position):
        marker = data[match.start() + 1]
        position = match.start() + 2
        if marker == EOI:
            return position
        if marker != 0x01:
            position += int.from_bytes(data[position : position + 2], "big")
    return len(data)
