"""Images in the ISO base media format (HEIC, AVIF): boxes to items with properties, and back.

Read are the `meta` box and what it points to; written is a file of items that are all described in
one `meta` box, with their data in one `mdat`. Sequences (tracks) are recognised, not read.

References:
    ISO/IEC 14496-12, 8.11 (meta, iloc, iinf, iref, ipma); ISO/IEC 23008-12 (HEIF), 6 and 9.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cleanplate.io.photo import DAMAGED_ADVICE, UnsupportedImageError

_MAX_ITEMS = 65535  # more need 32-bit ids, which nothing writes
_HANDLER = bytes(4) + b"pict" + bytes(13)  # hdlr: no name


@dataclass(frozen=True, slots=True)
class Property:
    """What is said of an item: its size, its decoder's set-up, a rotation."""

    type: bytes
    data: bytes  # without the box's header
    is_essential: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A coded image, an image derived from others, or metadata."""

    type: bytes
    data: bytes = field(repr=False)
    properties: tuple[Property, ...] = ()
    is_hidden: bool = False
    content_type: bytes = b""  # of items "mime" and "uri "

    def find(self, *types: bytes) -> Property | None:
        """Return the first property of one of these types."""
        return next((p for p in self.properties if p.type in types), None)


@dataclass(frozen=True, slots=True)
class Reference:
    """How one item relates to others: "thmb", "auxl", "cdsc", "dimg", ..."""

    type: bytes
    source: int
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HeifFile:
    """The items of a file."""

    major: bytes
    compatible: tuple[bytes, ...]
    primary: int
    items: Mapping[int, Item]
    references: tuple[Reference, ...]
    other_boxes: tuple[bytes, ...] = ()  # types of the file's boxes besides ftyp, meta and mdat

    def targets(self, kind: bytes, source: int) -> tuple[int, ...]:
        """Return the items that `source` refers to by references of a type."""
        found = (r.targets for r in self.references if r.type == kind and r.source == source)
        return tuple(target for targets in found for target in targets)

    def sources(self, kind: bytes, target: int) -> tuple[int, ...]:
        """Return the items that refer to `target` by references of a type."""
        return tuple(r.source for r in self.references if r.type == kind and target in r.targets)

    def with_tiles(self, ids: Collection[int]) -> set[int]:
        """Return `ids` and all items that these consist of."""
        found: set[int] = set()
        waiting = list(ids)
        while waiting:
            item = waiting.pop()
            if item not in found and item in self.items:
                found.add(item)
                waiting += self.targets(b"dimg", item)
        return found


def brands_of(data: bytes) -> tuple[bytes, ...]:
    """Return the major brand and the compatible ones; () if `data` has no `ftyp` box in front."""
    if data[4:8] != b"ftyp" or len(data) < 12:
        return ()
    end = min(int.from_bytes(data[:4], "big"), len(data), 4096)
    return (data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4)))


def parse_heif(data: bytes) -> HeifFile:
    """Return the items of a file.

    Raises:
        UnsupportedImageError: damaged, truncated or encrypted.
    """
    try:
        return _read(data)
    except (struct.error, IndexError) as error:
        raise _damaged("the file is truncated") from error


def serialize_heif(file: HeifFile) -> bytes:
    """Return a file of the items, which are numbered anew from 1 in their order.

    References to items that are not in the file are omitted.

    Raises:
        UnsupportedImageError: too many items, or too many bytes.
    """
    numbers = {old: new for new, old in enumerate(file.items, start=1)}
    if len(numbers) > _MAX_ITEMS:
        raise _damaged("too many items")
    ftyp = _box(b"ftyp", file.major + bytes(4) + b"".join(file.compatible))
    items = list(file.items.values())
    fixed = (
        _box(b"hdlr", bytes(4) + _HANDLER),
        _full_box(b"pitm", struct.pack(">H", numbers[file.primary])),
        _item_infos(items),
        _item_references(file, numbers),
        _item_properties(items),
    )
    locations_bytes = len(_item_locations(items, 0))
    start = len(ftyp) + 12 + sum(map(len, fixed)) + locations_bytes + 8
    if start + sum(len(item.data) for item in items) >= 1 << 32:
        raise UnsupportedImageError("the file would be above 4 GiB", "scale or split the photo")
    meta = _full_box(b"meta", b"".join([*fixed, _item_locations(items, start)]))
    return b"".join([ftyp, meta, _box(b"mdat", b"".join(item.data for item in items))])


def _damaged(what: str) -> UnsupportedImageError:
    return UnsupportedImageError(f"damaged HEIF or AVIF: {what}", DAMAGED_ADVICE)


def walk_boxes(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the content, end) of the boxes that follow each other.

    Raises:
        UnsupportedImageError: a box is damaged or truncated.
    """
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        size = size or end - start
        if size < header:
            raise _damaged("impossible box size")
        if start + size > end:
            raise _damaged("the file is truncated")
        yield kind, start + header, start + size
        start += size


def _read(data: bytes) -> HeifFile:
    brands = brands_of(data)
    top = list(walk_boxes(data))
    others = tuple(kind for kind, _, _ in top if kind not in (b"ftyp", b"meta", b"mdat", b"free"))
    meta = next(((start, end) for kind, start, end in top if kind == b"meta"), None)
    if meta is None:
        return HeifFile(brands[0], brands[1:], 0, {}, (), others)
    parts = {kind: (start, end) for kind, start, end in walk_boxes(data, meta[0] + 4, meta[1])}
    if not {b"iinf", b"iloc", b"pitm", b"iprp"} <= parts.keys():
        raise _damaged("it holds no image")
    primary_code = ">I" if data[parts[b"pitm"][0]] else ">H"
    (primary,) = struct.unpack_from(primary_code, data, parts[b"pitm"][0] + 4)
    contents = _contents(data, *parts[b"iloc"], parts.get(b"idat", (0, 0)))
    properties = _properties(data, *parts[b"iprp"])
    items = {
        number: replace(item, data=contents.get(number, b""), properties=properties.get(number, ()))
        for number, item in _infos(data, *parts[b"iinf"])
    }
    if primary not in items:
        raise _damaged("it holds no image")
    references = _references(data, *parts[b"iref"]) if b"iref" in parts else ()
    return HeifFile(brands[0], brands[1:], primary, items, references, others)


def _infos(data: bytes, start: int, end: int) -> Iterator[tuple[int, Item]]:
    """Yield (id, item without data) of an `iinf` box."""
    for kind, at, stop in walk_boxes(data, start + (6 if data[start] == 0 else 8), end):
        if kind != b"infe":
            continue
        version, flags = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if version not in (2, 3):
            raise _damaged(f"item infos of version {version}")
        code = ">HH4s" if version == 2 else ">IH4s"
        number, protection, item_type = struct.unpack_from(code, data, at + 4)
        if protection:
            raise UnsupportedImageError("it is encrypted", "decrypt it first")
        texts = data[at + 4 + struct.calcsize(code) : stop].split(b"\x00")
        content_type = texts[1] if item_type in (b"mime", b"uri ") and len(texts) > 1 else b""
        yield number, Item(item_type, b"", (), bool(flags & 1), content_type)


def _contents(data: bytes, start: int, end: int, idat: tuple[int, int]) -> dict[int, bytes]:
    """Return each item's data, by an `iloc` box."""
    version, sizes, more = data[start], data[start + 4], data[start + 5]
    offset_bytes, length_bytes, base_bytes = sizes >> 4, sizes & 15, more >> 4
    index_bytes = more & 15 if version in (1, 2) else 0
    position = start + 6

    def number(size: int) -> int:
        nonlocal position
        position += size
        if position > end:
            raise _damaged("the file is truncated")
        return int.from_bytes(data[position - size : position], "big")

    wide = 4 if version == 2 else 2
    found: dict[int, bytes] = {}
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version in (1, 2) else 0
        if number(2):
            raise UnsupportedImageError(
                "its data are in another file", "get a complete copy of the file"
            )
        if method > 1:
            raise _damaged(f"construction method {method}")
        area = idat if method == 1 else (0, len(data))
        base = area[0] + number(base_bytes)
        parts: list[bytes] = []
        for _ in range(number(2)):
            number(index_bytes)
            first = base + number(offset_bytes)
            last = first + number(length_bytes) if length_bytes else area[1]
            if last > area[1]:
                raise _damaged("the file is truncated")
            parts.append(data[first:last])
            if sum(map(len, parts)) > len(data):
                raise _damaged("overlapping extents")
        found[item] = b"".join(parts)
    return found


def _properties(data: bytes, start: int, end: int) -> dict[int, tuple[Property, ...]]:
    """Return each item's properties, by an `iprp` box."""
    boxes = list(walk_boxes(data, start, end))
    container = next(((at, stop) for kind, at, stop in boxes if kind == b"ipco"), (0, 0))
    known = [(kind, data[at:stop]) for kind, at, stop in walk_boxes(data, *container)]
    found: dict[int, tuple[Property, ...]] = {}
    for kind, at, _ in boxes:
        if kind != b"ipma":
            continue
        version, is_wide = data[at], data[at + 3] & 1
        (count,) = struct.unpack_from(">I", data, at + 4)
        position = at + 8
        for _ in range(count):
            code = ">IB" if version else ">HB"
            item, of_item = struct.unpack_from(code, data, position)
            position += struct.calcsize(code)
            listed: list[Property] = []
            for _ in range(of_item):
                (entry,) = struct.unpack_from(">H" if is_wide else ">B", data, position)
                position += 2 if is_wide else 1
                flag = 0x8000 if is_wide else 0x80
                index = entry & (flag - 1)
                if index:
                    prop, content = known[index - 1]
                    listed.append(Property(prop, content, bool(entry & flag)))
            found[item] = (*found.get(item, ()), *listed)
    return found


def _references(data: bytes, start: int, end: int) -> tuple[Reference, ...]:
    code = ">I" if data[start] else ">H"
    size = struct.calcsize(code)
    found: list[Reference] = []
    for kind, at, _ in walk_boxes(data, start + 4, end):
        (source,) = struct.unpack_from(code, data, at)
        (count,) = struct.unpack_from(">H", data, at + size)
        first = at + size + 2
        targets = [struct.unpack_from(code, data, first + size * i)[0] for i in range(count)]
        found.append(Reference(kind, source, tuple(targets)))
    return tuple(found)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _full_box(kind: bytes, content: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags) + content)


def _item_infos(items: Sequence[Item]) -> bytes:
    entries = []
    for number, item in enumerate(items, start=1):
        content = struct.pack(">HH4s", number, 0, item.type) + b"\x00"
        if item.type in (b"mime", b"uri "):
            content += item.content_type + b"\x00"
        # flags in the last 3 bytes, the version (2) in the first
        entries.append(_full_box(b"infe", content, flags=2 << 24 | int(item.is_hidden)))
    return _full_box(b"iinf", struct.pack(">H", len(entries)) + b"".join(entries))


def _item_references(file: HeifFile, numbers: Mapping[int, int]) -> bytes:
    boxes = []
    for reference in file.references:
        targets = [numbers[target] for target in reference.targets if target in numbers]
        if reference.source in numbers and targets:
            listed = (numbers[reference.source], len(targets), *targets)
            boxes.append(_box(reference.type, struct.pack(f">{len(listed)}H", *listed)))
    return _full_box(b"iref", b"".join(boxes)) if boxes else b""


def _item_properties(items: Sequence[Item]) -> bytes:
    distinct = {(p.type, p.data): 0 for item in items for p in item.properties}
    for index, key in enumerate(distinct, start=1):
        distinct[key] = index
    is_wide = len(distinct) > 127
    flag, code = (0x8000, "H") if is_wide else (0x80, "B")
    described = [(n, item) for n, item in enumerate(items, start=1) if item.properties]
    entries = [struct.pack(">I", len(described))]
    for number, item in described:
        indices = [distinct[p.type, p.data] | (flag * p.is_essential) for p in item.properties]
        entries.append(struct.pack(f">HB{len(indices)}{code}", number, len(indices), *indices))
    ipco = _box(b"ipco", b"".join(_box(kind, content) for kind, content in distinct))
    return _box(b"iprp", ipco + _full_box(b"ipma", b"".join(entries), flags=int(is_wide)))


def _item_locations(items: Sequence[Item], start: int) -> bytes:
    """Return an `iloc` box of version 0 for data that lie one after the other from `start` on."""
    parts = [struct.pack(">HH", 0x4400, len(items))]  # 4 bytes each for offset and length
    for number, item in enumerate(items, start=1):
        parts.append(struct.pack(">HHHII", number, 0, 1, start, len(item.data)))
        start += len(item.data)
    return _full_box(b"iloc", b"".join(parts))
