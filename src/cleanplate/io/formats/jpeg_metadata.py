"""What a JPEG holds besides its image: chosen, cleaned, and written with the edited image.

Kept: JFIF (without its thumbnail), Exif, XMP, ICC, Photoshop resources with IPTC, APP12 text,
Adobe's marker, comments; what some cameras record of the exposure, the scene's temperatures or
their motion; and further pictures that were taken from another place. Anything else may show what
was removed, or be untrue after it.

References:
    Adobe, XMP Specification Part 3, section 1.1.3 (also of extended XMP and of what is split);
    CIPA DC-007-2009 (Multi-Picture Format), section 5.2.3; ExifTool's tag tables (RMETA, GoPro,
    FLIR, the trailer of Insta360).
"""

import hashlib
import re
import struct
from dataclasses import dataclass

from cleanplate.io.metadata import (
    APP0,
    APP1,
    APP2,
    APP5,
    APP6,
    APP12,
    APP13,
    APP14,
    APP15,
    COM,
    EXIF_ID,
    IfdReader,
    Segment,
    Stream,
    clean_exif,
    clean_resources,
    clean_xmp,
    drop_regions,
    find_jpeg_streams,
    serialize_segments,
)
from cleanplate.types import Mask

_XMP_ID = b"http://ns.adobe.com/xap/1.0/\x00"
_EXTENDED_XMP_ID = b"http://ns.adobe.com/xmp/extension/\x00"
_EXTENDED_XMP = re.compile(rb"""xmpNote:HasExtendedXMP\s*(?:=\s*["']|>)\s*(\w{32})""")
_PHOTOSHOP_ID = b"Photoshop 3.0\x00"
_MPF_ID = b"MPF\x00"
_GAIN_MAP_IDS = (b"hdrgm:", b"HDRGainMap", b"urn:iso:std:iso:ts:21496")
_MAX_PAYLOAD = 65533
_AS_THEY_ARE = (
    (APP12, b""),
    (COM, b""),
    (APP2, b"ICC_PROFILE\x00"),
    (APP14, b"Adobe"),
    (APP1, b"FLIR\x00"),
    (APP5, b"RMETA\x00"),
    (APP6, b"GoPro\x00"),
)
_MPF_ENTRIES, _ENTRY_BYTES = 0xB002, 16
_OF_OTHER_VIEWS = (0x020001, 0x020002, 0x020003)  # of a panorama, a stereo pair, several angles
_INSTA360 = b"8db42d694ccc418790edff439fe026bf"  # the last bytes of its trailer


@dataclass(frozen=True, slots=True)
class JpegMetadata:
    """What is written again around the edited image."""

    before: tuple[Segment, ...]
    xmp: bytes
    extension: bytes  # of the XMP packet
    after: tuple[Segment, ...]
    trailer: bytes
    pictures: tuple[bytes, ...]  # that the segment MPF lists
    orientation: int
    notes: tuple[str, ...]

    def assemble(self, tables: tuple[Segment, ...], scans: bytes, hole: Mask) -> bytes:
        """Return the file.

        Args:
            tables: the image's own segments.
            scans: the image.
            hole: (H, W) bool, as the image is stored; regions in it are removed, with their names.
        """
        segments = (*self.before, *self._xmp_segments(hole), *self.after)
        file = serialize_segments(segments + tables, scans)
        index = next((s.payload for s in segments if s.payload.startswith(_MPF_ID)), b"")
        return _with_pictures(file, index, self.pictures) + self.trailer

    def has(self, marker: int) -> bool:
        """Return whether a segment of this marker is kept."""
        return any(segment.marker == marker for segment in (*self.before, *self.after))

    def _xmp_segments(self, hole: Mask) -> list[Segment]:
        if not self.xmp:
            return []
        extension = drop_regions(self.extension, hole)
        packet = drop_regions(self.xmp, hole)
        digest = _digest(extension)
        packet = packet.replace(_digest(self.extension), digest) if extension else packet
        segments = [Segment(APP1, _XMP_ID + packet)] if packet else []
        room = _MAX_PAYLOAD - len(_EXTENDED_XMP_ID) - 40
        for at in range(0, len(extension), room):
            head = _EXTENDED_XMP_ID + digest + struct.pack(">II", len(extension), at)
            segments.append(Segment(APP1, head + extension[at : at + room]))
        return segments


def read_metadata(stream: Stream) -> JpegMetadata:
    """Choose what may be written with the edited image, and clean it."""
    parts: tuple[list[Segment], list[Segment]] = ([], [])  # before and after XMP
    notes: list[str] = []
    orientation, packet, extension, has_extension = 1, b"", b"", False
    pictures = _pictures(stream)
    done: set[bytes] = set()
    for segment in stream.segments:
        marker, payload = segment.marker, segment.payload
        if not (APP0 <= marker <= APP15 or marker == COM):
            continue
        kept = parts[_XMP_ID in done]
        identifier = next(
            (
                it
                for at, it in ((APP1, EXIF_ID), (APP1, _XMP_ID), (APP13, _PHOTOSHOP_ID))
                if marker == at and payload.startswith(it)
            ),
            None,
        )
        if payload.startswith(_EXTENDED_XMP_ID):
            has_extension = True
            continue
        if identifier in done:
            continue
        if identifier is not None:
            done.add(identifier)
        if identifier == _XMP_ID:
            packet, extension, said = _clean_xmp(stream, payload[len(_XMP_ID) :])
        elif identifier == EXIF_ID:
            exif = clean_exif(
                _joined(stream, marker, EXIF_ID),
                size_hw=stream.frame.size_hw,
                keep_orientation=True,
            )
            orientation, said = exif.orientation, exif.notes
            kept += _split(marker, EXIF_ID, exif.data)
        elif identifier == _PHOTOSHOP_ID:
            resources = clean_resources(_joined(stream, marker, _PHOTOSHOP_ID))
            said = resources.notes
            kept += _split(marker, _PHOTOSHOP_ID, resources.data)
        else:
            clean, said = _clean_segment(segment, has_pictures=bool(pictures))
            kept += clean
        notes += said
    if has_extension and _XMP_ID not in done:
        notes.append("its extended XMP data (damaged) are not carried over")
    trailer, said = (b"", ()) if pictures else _clean_trailer(stream.trailer)
    notes += said
    return JpegMetadata(
        tuple(parts[0]),
        packet,
        extension,
        tuple(parts[1]),
        trailer,
        pictures,
        orientation,
        tuple(dict.fromkeys(notes)),
    )


def _joined(stream: Stream, marker: int, identifier: bytes) -> bytes:
    """Return what was split over several segments."""
    return b"".join(
        s.payload[len(identifier) :]
        for s in stream.segments
        if s.marker == marker and s.payload.startswith(identifier)
    )


def _split(marker: int, identifier: bytes, data: bytes) -> list[Segment]:
    room = _MAX_PAYLOAD - len(identifier)
    return [
        Segment(marker, identifier + data[start : start + room])
        for start in range(0, len(data), room)
    ]


def _clean_segment(
    segment: Segment, *, has_pictures: bool
) -> tuple[list[Segment], tuple[str, ...]]:
    """Return what may be written of an APPn or COM segment, and notes on it."""
    marker, payload = segment.marker, segment.payload
    if marker == APP0 and payload.startswith(b"JFIF\x00") and len(payload) >= 14:
        notes = ("its JFIF thumbnail is removed",) if len(payload) > 14 else ()
        return [Segment(APP0, payload[:12] + b"\x00\x00")], notes
    if marker == APP0 and payload.startswith(b"JFXX\x00"):
        return [], ("its JFIF thumbnail is removed",)
    if marker == APP2 and payload.startswith(_MPF_ID):
        return [segment] if has_pictures else [], ()  # the pictures themselves are noted
    if any(marker == at and payload.startswith(it) for at, it in _AS_THEY_ARE):
        shows = payload.startswith(b"FLIR\x00")
        return [segment], ("its thermal image (FLIR) stays as it was",) if shows else ()
    if payload.startswith(_GAIN_MAP_IDS):
        return [], ("its HDR gain map is not carried over",)
    identifier = re.match(rb"[\x20-\x7e]{2,40}", payload)
    name = f" ({identifier.group().decode('ascii').strip()})" if identifier else ""
    return [], (f"its APP{marker - APP0} data{name} (perhaps with an image) are not carried over",)


def _clean_xmp(stream: Stream, packet: bytes) -> tuple[bytes, bytes, tuple[str, ...]]:
    """Return the XMP packet, its extension, and notes on both."""
    extension = b""
    notes: tuple[str, ...] = ()
    stated = _EXTENDED_XMP.search(packet)
    if stated is not None:
        found = _find_extension(stream, stated.group(1))
        cleaned = clean_xmp(found)
        extension, notes = cleaned.data, cleaned.notes
        if not found:
            notes = ("its extended XMP data (damaged) are not carried over",)
    xmp = clean_xmp(packet, extension=_digest(extension) if extension else b"")
    return xmp.data, extension if xmp.data else b"", (*xmp.notes, *notes)


def _find_extension(stream: Stream, digest: bytes) -> bytes:
    """Return the extension of an XMP packet; b"" if a part of it is missing."""
    parts: dict[int, bytes] = {}
    length = 0
    for segment in stream.segments:
        payload = segment.payload.removeprefix(_EXTENDED_XMP_ID)
        if segment.marker == APP1 and len(payload) < len(segment.payload) and len(payload) > 40:
            length, at = struct.unpack_from(">II", payload, 32)
            if payload[:32].upper() == digest.upper():
                parts[at] = payload[40:]
    joined = b"".join(parts[at] for at in sorted(parts))
    return joined if len(joined) == length else b""


def _digest(extension: bytes) -> bytes:
    """Return MD5 in hexadecimal digits, by which a packet names its extension."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()


def _clean_trailer(trailer: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return what may be written after the image, and notes."""
    streams = find_jpeg_streams(trailer)
    if trailer.endswith(_INSTA360):  # what it needs to stitch both halves
        kept = bytearray(trailer)
        for start, end in streams:
            kept[start:end] = bytes(end - start)
        return bytes(kept), ("a preview after the image is removed",) if streams else ()
    notes = []
    if b"ftyp" in trailer:
        notes.append("its motion clip is not carried over")
    if any(it in trailer for it in _GAIN_MAP_IDS):
        notes.append("its HDR gain map is not carried over")
    elif streams:
        notes.append("a second image (after the first) is not carried over")
    if not notes and len(trailer) > 1:  # one byte of padding is no news
        notes.append(f"its data after the image ({len(trailer)} bytes) are not carried over")
    return b"", tuple(notes)


def _entries(index: bytes) -> tuple[str, int, int]:
    """Return byte order, position and number of an MPF segment's entries, from its TIFF header."""
    block = index[len(_MPF_ID) :]
    order = "<" if block[:2] == b"II" else ">"
    reader = IfdReader(block, order)
    fields = dict(reader.fields(reader.number("I", 4))[0])
    found = fields.get(_MPF_ENTRIES)
    if found is None or found.at + found.length > len(block):
        raise ValueError("no entries")
    return order, found.at, found.length // _ENTRY_BYTES


def _pictures(stream: Stream) -> tuple[bytes, ...]:
    """Return the further pictures of a file if all of them show something else than the first."""
    index = next(
        (s.payload for s in stream.segments if s.marker == APP2 and s.payload.startswith(_MPF_ID)),
        None,
    )
    if index is None or stream.mpf_at is None:
        return ()
    try:
        order, at, count = _entries(index)
        entries = [
            struct.unpack_from(order + "III", index, len(_MPF_ID) + at + _ENTRY_BYTES * number)
            for number in range(1, count)
        ]
    except (ValueError, struct.error):
        return ()
    pictures = []
    for kind, length, offset in entries:
        start = stream.mpf_at + offset - stream.end
        picture = stream.trailer[start : start + length] if start >= 0 else b""
        if kind & 0xFFFFFF not in _OF_OTHER_VIEWS or len(picture) != length:
            return ()
        pictures.append(picture)
    return tuple(pictures)


def _with_pictures(file: bytes, index: bytes, pictures: tuple[bytes, ...]) -> bytes:
    """Return a file with further pictures after its image, and their places in its index."""
    if not pictures:
        return file
    order, at, _ = _entries(index)
    header_at = file.index(index) + len(_MPF_ID)
    out = bytearray(file)
    struct.pack_into(order + "II", out, header_at + at + 4, len(file), 0)
    for number, picture in enumerate(pictures, start=1):
        place = header_at + at + _ENTRY_BYTES * number + 4
        struct.pack_into(order + "II", out, place, len(picture), len(out) - header_at)
        out += picture
    return bytes(out)
