"""TIFF directories: reading them into plain entries, and writing a file of entries and strips.

References:
    Adobe, TIFF Revision 6.0, 1992, sections 2 and 8; Aware Systems, BigTIFF design.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cleanplate.io.photo import DAMAGED_ADVICE, UnsupportedImageError

SUB_DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS, interoperability

_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4} | {
    16: 8,
    17: 8,
    18: 8,
}  # what changes with the byte order; 5 and 10 are pairs of 4
_PAIRS = (5, 10)
_WHOLE_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_MAX_DEPTH = 2  # interoperability in Exif in the page; damaged offsets can point in circles
_MAX_DIRECTORIES = 100_000  # more pages than this are a loop of damaged offsets


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag's value."""

    type: int
    count: int
    data: bytes  # little-endian, whatever the file's order
    child: "Directory | None" = None  # for tags in SUB_DIRECTORIES

    def numbers(self) -> tuple[int, ...]:
        """Return the values of a whole-number type, else ()."""
        code = _WHOLE_NUMBERS.get(self.type)
        return () if code is None else tuple(np.frombuffer(self.data, dtype="<" + code).tolist())


Directory = dict[int, Entry]
"""Tag to entry."""


def shorts(*values: int) -> Entry:
    """Return an entry of 16-bit numbers."""
    return Entry(3, len(values), struct.pack(f"<{len(values)}H", *values))


def longs(values: Sequence[int]) -> Entry:
    """Return an entry of 32-bit numbers."""
    return Entry(4, len(values), struct.pack(f"<{len(values)}I", *values))


@dataclass(frozen=True, slots=True, eq=False)
class TiffFile:
    """The directories of a TIFF or BigTIFF file."""

    data: bytes = field(repr=False)
    order: str  # "<" or ">"
    is_big: bool
    pages: tuple[Directory, ...]
    damaged: tuple[int, ...]  # tags of the first page whose value or sub-directory is unreadable

    def strips(self, directory: Directory) -> tuple[int, int, list[bytes]]:
        """Return the tags of offsets and lengths, and the strips or tiles of a page.

        Raises:
            UnsupportedImageError: none, or beyond the end of the file.
        """
        offsets_tag, lengths_tag = (324, 325) if 324 in directory else (273, 279)
        if offsets_tag not in directory:
            raise UnsupportedImageError("damaged TIFF: it holds no image data", DAMAGED_ADVICE)
        offsets = directory[offsets_tag].numbers()
        stated = directory.get(lengths_tag)
        lengths = stated.numbers() if stated is not None else ()
        if not lengths and len(offsets) == 1:  # optional in TIFF 5
            lengths = (len(self.data) - offsets[0],)
        ends = [start + length for start, length in zip(offsets, lengths, strict=False)]
        if len(ends) < len(offsets) or not ends or max(ends) > len(self.data):
            raise UnsupportedImageError("damaged TIFF: the file is truncated", DAMAGED_ADVICE)
        if sum(lengths[: len(offsets)]) > len(self.data):
            raise UnsupportedImageError("damaged TIFF: its strips overlap", DAMAGED_ADVICE)
        spans = zip(offsets, ends, strict=False)
        return offsets_tag, lengths_tag, [self.data[start:end] for start, end in spans]


def parse_tiff(data: bytes) -> TiffFile:
    """Return the directories of a file.

    Raises:
        UnsupportedImageError: the main directory cannot be read.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
        (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
        reader = IfdReader(data, order, is_big)
        pages: list[Directory] = []
        damaged: list[int] = []
        seen: set[int] = set()
        while offset and offset not in seen and len(pages) < _MAX_DIRECTORIES:
            seen.add(offset)
            directory, offset = reader.directory(offset, damaged if not pages else None)
            pages.append(directory)
    except (struct.error, OverflowError) as error:  # an offset of 64 bits may be any number
        raise UnsupportedImageError(
            "damaged TIFF: the file is truncated", DAMAGED_ADVICE
        ) from error
    if not pages:
        raise UnsupportedImageError("damaged TIFF: it holds no image", DAMAGED_ADVICE)
    return TiffFile(data, order, is_big, tuple(pages), tuple(damaged))


def serialize_tiff(
    directory: Directory,
    strips: Sequence[bytes],
    *,
    order: str,
    is_tiled: bool = False,
    further: Sequence[tuple[Directory, Sequence[bytes], bool]] = (),
) -> bytes:
    """Return a file of one page or more.

    Args:
        directory: all tags but the offsets and lengths of the strips.
        strips: coded samples, in `order` where they are wider than a byte.
        order: "<" or ">".
        is_tiled: whether `strips` are tiles.
        further: the same of further pages.

    Raises:
        UnsupportedImageError: it would be above 4 GiB.
    """
    link = bytearray(4)
    parts: list[bytes | bytearray] = [b"II*\x00" if order == "<" else b"MM\x00*", link]
    position = 8
    for tags, pieces, tiled in ((directory, strips, is_tiled), *further):
        offsets: list[int] = []
        for piece in pieces:
            offsets.append(position)
            padding = bytes(len(piece) % 2)
            parts += [piece, padding]
            position += len(piece) + len(padding)
        if position >= 1 << 32:
            raise UnsupportedImageError("the TIFF would be above 4 GiB", "scale or split the photo")
        places = (324, 325) if tiled else (273, 279)
        whole = tags | {places[0]: longs(offsets), places[1]: longs([len(s) for s in pieces])}
        link[:] = struct.pack(order + "I", position)
        entries = _directory_bytes(whole, position, order)
        end = 2 + 12 * len(whole)
        link = bytearray(4)
        parts += [entries[:end], link, entries[end + 4 :]]
        position += len(entries)
    return b"".join(parts)


def serialize_exif(directory: Directory) -> bytes:
    """Return an Exif block, from its TIFF header on, of one directory and its sub-directories."""
    return b"II*\x00" + struct.pack("<I", 8) + _directory_bytes(directory, 8, "<")


@dataclass(frozen=True, slots=True)
class Field:
    """Where an entry of a directory and its value stand in the file."""

    position: int  # of the entry's 12 bytes; 20 in BigTIFF
    type: int
    count: int
    at: int  # of the value, inside the entry or elsewhere
    length: int  # of the value in bytes; of a type that is not known, as if of single bytes


@dataclass(frozen=True, slots=True, eq=False)
class IfdReader:
    """Reads directories at any offset of a TIFF file or an Exif block.

    Args:
        data: from the TIFF header on.
        order: "<" or ">".
        is_big: whether it is BigTIFF.
    """

    data: bytes | bytearray
    order: str
    is_big: bool = False

    def number(self, code: str, position: int) -> int:
        """Return one number by its code of `struct`; raise struct.error beyond the end."""
        return int(struct.unpack_from(self.order + code, self.data, position)[0])

    def fields(self, offset: int) -> tuple[list[tuple[int, Field]], int]:
        """Return (tag, field) of all entries of a directory, and the next directory's offset.

        Raises:
            struct.error: the directory reaches beyond the end.
        """
        count_code, size, value_code = ("Q", 20, "Q") if self.is_big else ("H", 12, "I")
        start = offset + struct.calcsize(count_code)
        inline = struct.calcsize(value_code)
        end = start + size * self.number(count_code, offset)
        if end > len(self.data):
            raise struct.error("directory beyond the end")
        found: list[tuple[int, Field]] = []
        for position in range(start, end, size):
            tag, kind, count = struct.unpack_from(
                f"{self.order}HH{value_code}", self.data, position
            )
            length = _UNIT_BYTES.get(kind, 1) * count * (2 if kind in _PAIRS else 1)
            at = position + 4 + inline
            if length > inline:
                at = self.number(value_code, at)
            found.append((tag, Field(position, kind, count, at, length)))
        has_link = end + inline <= len(self.data)
        return found, self.number(value_code, end) if has_link else 0

    def directory(
        self, offset: int, damaged: list[int] | None = None, depth: int = 0
    ) -> tuple[Directory, int]:
        """Return the entries of a directory with their values, and the next directory's offset.

        Args:
            offset: where it stands.
            damaged: takes the tags whose value or sub-directory is unreadable.
            depth: how many directories lead to it.

        Raises:
            struct.error: the directory reaches beyond the end.
        """
        fields, following = self.fields(offset)
        damaged = [] if damaged is None else damaged
        found: Directory = {}
        for tag, place in fields:
            entry = self._entry(place)
            if entry is not None and tag in SUB_DIRECTORIES:
                entry = self._with_child(entry, damaged, depth + 1)
            if entry is None:
                damaged.append(tag)
            else:
                found.setdefault(tag, entry)
        return found, following

    def _entry(self, place: Field) -> Entry | None:
        unit, end = _UNIT_BYTES.get(place.type), place.at + place.length
        if unit is None or end > len(self.data):
            return None
        value = bytes(self.data[place.at : end])
        return Entry(place.type, place.count, _swapped(value, unit, self.order))

    def _with_child(self, entry: Entry, damaged: list[int], depth: int) -> Entry | None:
        offset = entry.numbers()[0] if entry.count == 1 and entry.numbers() else 0
        if not offset or depth > _MAX_DEPTH:
            return None
        try:
            child, _ = self.directory(offset, damaged, depth)
        except struct.error:
            return None
        return Entry(4, 1, b"", child)


def _directory_bytes(directory: Directory, at: int, order: str) -> bytes:
    """Return a directory to stand at offset `at`, followed by its values and sub-directories."""
    head_bytes = 2 + 12 * len(directory) + 4
    head = [struct.pack(order + "H", len(directory))]
    tail = bytearray()
    for tag, value in sorted(directory.items()):
        entry = _classic(value)
        here = at + head_bytes + len(tail)
        if entry.child is not None:
            tail += _directory_bytes(entry.child, here, order)
            entry = Entry(4, 1, struct.pack("<I", here))
        data = _swapped(entry.data, _UNIT_BYTES[entry.type], order)
        if len(data) > 4:
            tail += data + bytes(len(data) % 2)
            data = struct.pack(order + "I", here)
        head.append(struct.pack(order + "HHI", tag, entry.type, entry.count) + data.ljust(4, b"\0"))
    return b"".join([*head, bytes(4), tail])


def _classic(entry: Entry) -> Entry:
    """Return BigTIFF's 64-bit numbers as 32-bit ones."""
    if entry.type not in (16, 17, 18):
        return entry
    numbers = np.frombuffer(entry.data, dtype="<i8")
    narrow = numbers.clip(-(2**31), 2**32 - 1).astype("<i8").astype("<u4")
    return replace(entry, type={16: 4, 17: 9, 18: 13}[entry.type], data=narrow.tobytes())


def _swapped(data: bytes, unit: int, order: str) -> bytes:
    """Turn `order` into little-endian, or back."""
    if order == "<" or unit == 1:
        return data
    return np.frombuffer(data, dtype=f">u{unit}").astype(f"<u{unit}").tobytes()
