"""HEIC and AVIF files, and what is put into them by hand."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cleanplate.io.formats.heif_coding import coding_of
from cleanplate.io.metadata.isobmff import (
    HeifFile,
    Item,
    Property,
    Reference,
    parse_heif,
    serialize_heif,
)


def heic(array, mode="RGB", *, quality=60, **options):
    """Return an (H, W) or (H, W, C) array as HEIC; skip the test without the extra."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    stream = io.BytesIO()
    size_wh = (array.shape[1], array.shape[0])
    pillow_heif.encode(mode, size_wh, array.tobytes(), stream, quality=quality, **options)
    return stream.getvalue()


def avif(array, *, quality=60, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "AVIF", quality=quality, **options)
    return stream.getvalue()


def deep_avif(array, bits, chroma, *, level=80, **options):
    """Return an (H, W) or (H, W, C) array of so many bits as AVIF; skip it without the extra."""
    imagecodecs = pytest.importorskip("imagecodecs", reason="the extra `avif` is not installed")
    return imagecodecs.avif_encode(
        array, level=level, bitspersample=bits, pixelformat=f"yuv{chroma}", **options
    )


def bare_heic():
    """Return a HEIC that states all it must, around a coded picture that is none."""
    set_up = bytes(16) + b"\xfd\xf8\xf8" + bytes(4)  # 4:2:0, 8 bits
    return _bare(b"heic", b"hvc1", Property(b"hvcC", set_up, is_essential=True))


def bare_avif():
    """Return an AVIF of 10 bits, likewise."""
    return _bare(b"avif", b"av01", Property(b"av1C", b"\x81\x00\x4c\x00", is_essential=True))


def _bare(brand, kind, set_up):
    size = Property(b"ispe", bytes(4) + struct.pack(">II", 16, 8))
    item = Item(kind, bytes(20), (set_up, size))
    return serialize_heif(HeifFile(brand, (b"mif1",), 1, {1: item}, ()))


def decoded(data):
    """Return what another reader, libheif or libavif, makes of a file."""
    if data[8:12] == b"avif" and coding_of(parse_heif(data)).bits > 8:
        return np.asarray(pytest.importorskip("imagecodecs").avif_decode(data))
    if data[8:12] == b"avif":
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    import pillow_heif

    return np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False))


def with_properties(data, *properties, without=()):
    """Return the file with more properties of its primary picture."""
    file = parse_heif(data)
    primary = file.items[file.primary]
    kept = tuple(p for p in primary.properties if (p.type, p.data[:4]) not in without)
    return _written(file, {file.primary: replace(primary, properties=kept + properties)})


def moved_to_tiles(data, *types):
    """Return the file of a grid with those properties of the picture at its tiles instead."""
    file = parse_heif(data)
    grid = file.items[file.primary]
    moved = tuple(p for p in grid.properties if p.type in types)
    items = {file.primary: replace(grid, properties=tuple(set(grid.properties) - set(moved)))}
    for number in file.targets(b"dimg", file.primary):
        tile = file.items[number]
        kept = tuple(p for p in tile.properties if p.type not in types)
        items[number] = replace(tile, properties=kept + moved)
    return _written(file, items)


def with_items(data, *items, reference):
    """Return the file with more items, each referring to the primary picture."""
    file = parse_heif(data)
    first = max(file.items) + 1
    new = dict(enumerate(items, start=first))
    links = tuple(Reference(reference, number, (file.primary,)) for number in new)
    return _written(file, new, links)


def with_picture(data, *, reference=None, is_hidden=False, properties=()):
    """Return the file with its picture a second time, which refers to the first."""
    file = parse_heif(data)
    first = file.items[file.primary]
    again = replace(first, is_hidden=is_hidden, properties=first.properties + properties)
    number = max(file.items) + 1
    links = () if reference is None else (Reference(reference, number, (file.primary,)),)
    return _written(file, {number: again}, links)


def metadata_of(data):
    """Return {type or content type: content} of the items that describe the primary picture."""
    file = parse_heif(data)
    items = [file.items[number] for number in file.sources(b"cdsc", file.primary)]
    return {item.content_type or item.type: item.data for item in items}


def properties_of(data):
    file = parse_heif(data)
    return [(p.type, p.data) for p in file.items[file.primary].properties]


def rotation(quarter_turns):
    return Property(b"irot", bytes([quarter_turns]), is_essential=True)


def mirror(axis):
    return Property(b"imir", bytes([axis]), is_essential=True)


def exif_item(block):
    return Item(b"Exif", bytes(4) + block)


def xmp_item(packet):
    return Item(b"mime", packet, content_type=b"application/rdf+xml")


def _written(file, items, references=()):
    return serialize_heif(
        replace(file, items=dict(file.items) | items, references=file.references + references)
    )
