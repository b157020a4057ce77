"""Boxes, items and properties; files by hand, so that nothing is tested against itself alone."""

import struct

import pytest

from cleanplate.io.metadata.isobmff import (
    HeifFile,
    Item,
    Property,
    Reference,
    brands_of,
    parse_heif,
    serialize_heif,
)
from cleanplate.io.photo import UnsupportedImageError


def box(kind, *contents):
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


FTYP = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
PICTURE = b"the coded picture"


def infe(number, kind=b"hvc1", *, version=2, protection=0):
    code = ">HH4s" if version == 2 else ">IH4s"
    return box(
        b"infe", bytes([version, 0, 0, 0]), struct.pack(code, number, protection, kind), b"\0"
    )


def file_of(iloc, *more, infos=None, pitm=None, iprp=None, idat=b"", before=b"", after=b""):
    infos = (infe(1),) if infos is None else infos
    iinf = box(b"iinf", bytes(4), struct.pack(">H", len(infos)), *infos)
    pitm = box(b"pitm", bytes(4), struct.pack(">H", 1)) if pitm is None else pitm
    iprp = box(b"iprp", box(b"ipco"), box(b"ipma", bytes(8))) if iprp is None else iprp
    meta = box(b"meta", bytes(4), pitm, iinf, iprp, iloc, box(b"idat", idat), *more)
    return FTYP + before + meta + after


def iloc_v0(offset, length):
    place = struct.pack(">HHHHII", 1, 1, 0, 1, offset, length)
    return box(b"iloc", bytes(4), b"\x44\x00", place)


def test_what_is_written_is_read_again():
    long = tuple(Property(b"prop", bytes([n]), is_essential=n % 2 == 0) for n in range(200))
    file = HeifFile(
        b"heic",
        (b"mif1", b"heic"),
        7,
        {
            7: Item(b"hvc1", b"one", long[:130]),
            9: Item(b"av01", b"", long[120:], is_hidden=True),
            300: Item(b"mime", b"<x/>", content_type=b"application/rdf+xml"),
        },
        (Reference(b"cdsc", 300, (7,)), Reference(b"auxl", 9, (7, 8))),
    )
    again = parse_heif(serialize_heif(file))
    assert (again.major, again.compatible, again.primary) == (b"heic", (b"mif1", b"heic"), 1)
    for old, new in zip(file.items.values(), again.items.values(), strict=True):
        assert [getattr(old, n) for n in Item.__slots__] == [
            getattr(new, n) for n in Item.__slots__
        ]
    assert again.references == (Reference(b"cdsc", 3, (1,)), Reference(b"auxl", 2, (1,)))


def test_data_before_the_descriptions_and_wide_boxes_are_found():
    mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + len(PICTURE)) + PICTURE
    data = file_of(iloc_v0(len(FTYP) + 16, len(PICTURE)), before=mdat)
    assert parse_heif(data).items[1].data == PICTURE


def test_the_last_box_may_reach_to_the_end():
    start = len(file_of(iloc_v0(0, 0))) + 8
    data = file_of(iloc_v0(start, len(PICTURE)), after=struct.pack(">I4s", 0, b"mdat") + PICTURE)
    assert parse_heif(data).items[1].data == PICTURE


def test_extents_are_joined_and_may_lie_in_the_descriptions():
    extents = struct.pack(">IIII", 4, 3, 0, 3)
    iloc = box(b"iloc", b"\1\0\0\0\x44\x00\x00\x01", struct.pack(">HHHH", 1, 1, 0, 2), extents)
    assert parse_heif(file_of(iloc, idat=b"abcdefg")).items[1].data == b"efgabc"


def test_wide_numbers_are_read():
    place = struct.pack(">IIHHHQQ", 1, 70000, 1, 0, 1, 1, 3)
    iloc = box(b"iloc", b"\2\0\0\0\x88\x00", place)
    data = file_of(
        iloc,
        box(b"iref", b"\1\0\0\0", box(b"thmb", struct.pack(">IHI", 70000, 1, 70000))),
        infos=(infe(70000, version=3),),
        pitm=box(b"pitm", b"\1\0\0\0", struct.pack(">I", 70000)),
        idat=b"abcd",
    )
    file = parse_heif(data)
    assert file.items[70000].data == b"bcd"
    assert file.sources(b"thmb", 70000) == (70000,)


def test_brands():
    assert brands_of(FTYP) == (b"heic", b"mif1", b"heic")
    assert brands_of(b"\0\0\0\x0cftyp") == ()
    assert brands_of(b"") == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            file_of(iloc_v0(10**6, 5)),
            "damaged HEIF or AVIF: the file is truncated; get an undamaged",
        ),
        (file_of(iloc_v0(0, 5))[:-3], "the file is truncated"),
        (file_of(iloc_v0(0, 5), infos=()), "it holds no image"),
        (file_of(iloc_v0(0, 5), infos=(infe(1, protection=1),)), "it is encrypted; decrypt it"),
        (file_of(iloc_v0(0, 5), infos=(infe(1, version=0),)), "item infos of version 0"),
        (file_of(box(b"iloc", bytes(4), b"\x44\x00\x00\x09")), "the file is truncated"),
        (
            file_of(box(b"iloc", bytes(4), b"\x44\x00", struct.pack(">HHHH", 1, 1, 1, 0))),
            "its data are in another file; get a complete copy",
        ),
        (
            file_of(box(b"iloc", b"\1\0\0\0\x44\x00", struct.pack(">HHHHH", 1, 1, 2, 0, 0))),
            "construction method 2",
        ),
        (FTYP + struct.pack(">I4s", 4, b"meta"), "impossible box size"),
    ],
)
def test_damage_is_refused(data, message):
    with pytest.raises(UnsupportedImageError, match=message):
        parse_heif(data)
