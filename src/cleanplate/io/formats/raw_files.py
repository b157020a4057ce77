"""Camera RAW files as containers: what tells them from others, and the Exif data they hold.

RAW files of most makers are TIFF files of a kind: Exif is read from their directories. Fujifilm's
is taken from the JPEG preview, Canon's CR3 keeps it in boxes. Others keep it in forms of their own,
which are not read.

References:
    Adobe, Digital Negative (DNG) Specification 1.7; TIFF/EP, ISO 12234-2; the ExifTool tag tables
    for RAF and CR3.
"""

import struct
from dataclasses import dataclass, replace

from cleanplate.io.metadata import (
    Directory,
    Entry,
    clean_directory,
    parse_segments,
    parse_tiff,
    shorts,
    walk_boxes,
)
from cleanplate.io.unsupported import UnsupportedImageError

_SIGNATURES = (
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"IIU\x00"),  # Panasonic, Leica
    (0, b"IIRO"),  # Olympus
    (0, b"IIRS"),
    (0, b"MMOR"),
    (4, b"ftypcrx "),  # Canon CR3
    (6, b"HEAPCCDR"),  # Canon CRW
    (0, b"FOVb"),  # Sigma
    (0, b"\x00MRM"),  # Minolta
)
_PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 262, 330, 50706
_SENSOR_DATA = (32803, 34892)  # colour filter array, linear raw
_MAX_ENTRIES = 4096
_EXIF, _GPS, _ORIENTATION, _MAKER_NOTE, _COLOUR_SPACE = 34665, 34853, 274, 37500, 0xA001
_XMP = 700
_KEPT = frozenset({270, 271, 272, 305, 306, 315, 33432, 33723, _EXIF, _GPS})
"""Description, make, model, software, date, artist, copyright, IPTC, Exif, GPS."""


@dataclass(frozen=True, slots=True)
class RawMetadata:
    """Tags for the developed picture, and what is to be said of the others."""

    directory: Directory
    notes: tuple[str, ...]


def is_raw(data: bytes) -> bool:
    """Return whether a file holds sensor data, by its content."""
    if any(data.startswith(signature, at) for at, signature in _SIGNATURES):
        return True
    if data[:4] not in (b"II*\x00", b"MM\x00*"):
        return False
    if data[8:10] == b"CR":  # Canon CR2
        return True
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4) if len(data) >= 8 else (0,)
    try:
        main = _numbers(data, order, first)
        directories = [main, *(_numbers(data, order, at) for at in main.get(_SUB_IFDS, ()))]
    except struct.error:
        return False
    return _DNG_VERSION in main or any(
        set(_SENSOR_DATA) & set(directory.get(_PHOTOMETRIC, ())) for directory in directories
    )


def read_raw_metadata(data: bytes, size_hw: tuple[int, int]) -> RawMetadata:
    """Return what describes the photo, without previews, maker notes and develop settings.

    Args:
        data: the RAW file.
        size_hw: of the developed, upright picture.
    """
    try:
        main = _main_directory(data)
    except (UnsupportedImageError, struct.error):
        main = None
    if not main:
        return RawMetadata(
            {_ORIENTATION: shorts(1)}, ("its Exif data cannot be read and are not carried over",)
        )
    notes: list[str] = []
    if _XMP in main:
        notes.append("its XMP data (develop settings) are not carried over")
    kept = {tag: entry for tag, entry in main.items() if tag in _KEPT}
    exif = kept.get(_EXIF)
    if exif is not None and exif.child is not None:
        child = dict(exif.child)
        if child.pop(_MAKER_NOTE, None) is not None:
            notes.append("its maker note is not carried over")
        if _COLOUR_SPACE in child:
            child[_COLOUR_SPACE] = shorts(1)  # sRGB, whatever the camera's JPEGs are in
        kept[_EXIF] = replace(exif, child=child)
    cleaned = clean_directory(kept, (), 1, size_hw)
    directory = cleaned.directory | {_ORIENTATION: shorts(1)}
    return RawMetadata(directory, (*notes, *cleaned.notes))


def _numbers(data: bytes, order: str, offset: int) -> dict[int, tuple[int, ...]]:
    """Return the values of a directory's SHORT and LONG tags; () for tags of other types."""
    (count,) = struct.unpack_from(order + "H", data, offset)
    found: dict[int, tuple[int, ...]] = {}
    for position in range(offset + 2, offset + 2 + 12 * min(count, _MAX_ENTRIES), 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, position)
        code = {3: "H", 4: "I", 13: "I"}.get(kind)
        found[tag] = ()
        if code is not None and 0 < values <= _MAX_ENTRIES:
            at = position + 8
            if struct.calcsize(code) * values > 4:
                (at,) = struct.unpack_from(order + "I", data, at)
            found[tag] = struct.unpack_from(f"{order}{values}{code}", data, at)
    return found


def _main_directory(data: bytes) -> Directory | None:
    """Return the directory of make, model and Exif, wherever the maker puts it."""
    if data.startswith(b"FUJIFILMCCD-RAW"):
        start, length = struct.unpack_from(">II", data, 84)
        for segment in parse_segments(data[start : start + length]).segments:
            if segment.payload.startswith(b"Exif\x00\x00"):
                return parse_tiff(segment.payload[6:]).pages[0]
        return None
    if data.startswith(b"ftypcrx ", 4):
        return _cr3_directory(data)
    if data[:2] in (b"II", b"MM") and data[6:14] != b"HEAPCCDR":
        return parse_tiff(data).pages[0]
    return None


def _cr3_directory(data: bytes) -> Directory | None:
    """Return Canon's three blocks, each a TIFF header with one directory, as one."""
    blocks: dict[bytes, Directory] = {}
    for kind, start, end in walk_boxes(data):
        if kind != b"moov":
            continue
        for inner, at, stop in walk_boxes(data, start, end):
            if inner != b"uuid":
                continue
            for name, first, last in walk_boxes(data, at + 16, stop):
                if name in (b"CMT1", b"CMT2", b"CMT4"):
                    blocks[name] = parse_tiff(data[first:last]).pages[0]
            break  # Canon's own box is the first
    main = dict(blocks.get(b"CMT1", {}))
    for tag, name in ((_EXIF, b"CMT2"), (_GPS, b"CMT4")):
        if name in blocks:
            main[tag] = Entry(4, 1, b"", blocks[name])
    return main or None
