"""Metadata survive, and nothing survives that shows what was removed."""

import hashlib
import io
import struct

import numpy as np
import pytest
from images_builders import (
    exif_block,
    jpeg_segments,
    opened,
    saved,
    segment,
    small_jpeg,
    with_segments,
)
from PIL import Image, ImageCms

from cleanplate.io import lost_in
from cleanplate.io.files import encode_photo, read_photo
from cleanplate.io.metadata.exif import clean_exif
from cleanplate.io.metadata.iptc import clean_resources
from cleanplate.io.metadata.jpeg_segments import find_jpeg_streams
from cleanplate.io.metadata.xmp import clean_xmp

PLAIN = saved(Image.new("RGB", (64, 48), (90, 120, 40)), "JPEG", dpi=(240, 240), quality=90)
THUMBNAIL = small_jpeg()
PREVIEW = small_jpeg((32, 24), (10, 200, 30))


def edited(data):
    photo = read_photo(data)
    mask = np.zeros(photo.size_hw, bool)
    mask[10:20, 10:20] = True
    return encode_photo(photo, np.full_like(photo.pixels, 200), mask), photo.notes


def exif_segment(**options):
    return segment(0xE1, b"Exif\0\0" + exif_block(**options))


def raw_exif(data):
    return next(payload for _, payload in jpeg_segments(data) if payload.startswith(b"Exif"))[6:]


@pytest.mark.parametrize("order", ["<", ">"])
def test_camera_gps_maker_note_and_interop_data_survive(order):
    maker_note = b"ACME\0" + bytes(range(200))
    before = with_segments(
        PLAIN, exif_segment(order=order, orientation=3, maker_note=maker_note, thumbnail=THUMBNAIL)
    )
    after, notes = edited(before)
    old, new = opened(before).getexif(), opened(after).getexif()
    assert new[0x010F] == "ACME Cameras"
    assert (old[0x0112], new[0x0112]) == (3, 3)
    for ifd in (0x8769, 0x8825, 0xA005):
        assert dict(new.get_ifd(ifd)) == dict(old.get_ifd(ifd))
    assert new.get_ifd(0x8825)[2] == (52.0, 31.0, 12.34)
    assert float(new.get_ifd(0x8769)[0x920A]) == 35.4
    assert new.get_ifd(0x8769)[0x927C] == maker_note
    # maker notes hold offsets into the block: nothing of it may move
    assert raw_exif(after).index(maker_note) == raw_exif(before).index(maker_note)
    assert notes == ("its Exif thumbnail is removed",)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_is_gone_without_a_trace(order):
    after, _ = edited(with_segments(PLAIN, exif_segment(order=order, thumbnail=THUMBNAIL)))
    assert THUMBNAIL[:20] not in after[20:]
    assert THUMBNAIL[-40:] not in after
    assert not opened(after).getexif().get_ifd(1)
    assert len(raw_exif(after)) <= len(exif_block(thumbnail=THUMBNAIL)) - len(THUMBNAIL)


def test_an_uncompressed_thumbnail_is_gone_too():
    block = bytearray(exif_block())
    at = len(block)
    # IFD1 with a strip instead of a JPEG
    pixels = bytes(range(1, 241))
    entries = struct.pack("<HHHII", 2, 0x111, 4, 1, at + 30) + struct.pack(
        "<HHII", 0x117, 4, 1, len(pixels)
    )
    block += entries + bytes(4) + pixels
    (count,) = struct.unpack_from("<H", block, 8)
    struct.pack_into("<I", block, 10 + 12 * count, at)
    assert pixels in block
    cleaned = clean_exif(bytes(block), size_hw=(48, 64))
    assert pixels[:9] not in cleaned.data
    assert cleaned.notes == ("its Exif thumbnail is removed",)


def values_of(block):
    """Return what another reader finds in the main, Exif, GPS and interoperability directories."""
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return [dict(exif), *(dict(exif.get_ifd(tag)) for tag in (0x8769, 0x8825, 0xA005))]


def link_of(block):
    """Return where the offset of the second directory stands, and the offsets of the others."""
    (count,) = struct.unpack_from("<H", block, 8)
    entries = (struct.unpack_from("<HHII", block, 10 + 12 * place) for place in range(count))
    children = {tag: value for tag, _, _, value in entries if tag in (0x8769, 0x8825)}
    return 10 + 12 * count, {"self": 8, "Exif": children[0x8769], "GPS": children[0x8825]}


@pytest.mark.parametrize("target", ["self", "Exif", "GPS"])
@pytest.mark.parametrize("shift", [0, 4])
def test_a_link_into_what_is_in_use_is_no_link(target, shift):
    block = bytearray(exif_block())
    link, targets = link_of(block)
    struct.pack_into("<I", block, link, targets[target] + shift)
    cleaned = clean_exif(bytes(block), size_hw=(48, 64))
    assert values_of(cleaned.data) == values_of(bytes(block))
    assert cleaned.notes == ()


def test_a_value_in_place_of_the_link_stays():
    make, date = b"ACME Cameras Ltd.\0", b"2024:05:06 07:08:09\0"
    at = 10 + 12 * 2  # values directly behind the entries
    block = b"II*\0" + struct.pack("<IH", 8, 2)
    block += struct.pack("<HHII", 0x010F, 2, len(make), at)
    block += struct.pack("<HHII", 0x0132, 2, len(date), at + len(make))
    cleaned = clean_exif(block + make + date, size_hw=(48, 64))
    assert cleaned.data == block + make + date


@pytest.mark.parametrize("fault", ["shared", "too long"])
def test_a_thumbnail_that_covers_values_leaves_them(fault):
    block = bytearray(exif_block(thumbnail=THUMBNAIL))
    (second,) = struct.unpack_from("<I", block, link_of(block)[0])
    if fault == "shared":  # the first entry becomes XResolution, at the main directory's own
        entries = [10 + 12 * place for place in range(5)]
        own = next(at for at in entries if block[at : at + 2] == b"\x1a\x01")
        block[second + 2 : second + 14] = block[own : own + 12]
    else:  # the image begins before the Exif directory, and is as long as the file
        struct.pack_into("<HHII", block, second + 14, 0x0201, 4, 1, link_of(block)[1]["Exif"] - 4)
        struct.pack_into("<HHII", block, second + 26, 0x0202, 4, 1, 60_000)
    cleaned = clean_exif(bytes(block), size_hw=(48, 64))
    assert values_of(cleaned.data) == values_of(bytes(block))
    assert cleaned.notes[0] == "its Exif thumbnail is removed"
    assert THUMBNAIL[20:60] not in cleaned.data


def test_a_preview_in_the_maker_note_is_overwritten_in_place():
    nested = with_segments(PREVIEW, exif_segment(thumbnail=THUMBNAIL))
    note = b"ACME" + nested + b"serial 12345"
    before = with_segments(PLAIN, exif_segment(maker_note=note))
    after, notes = edited(before)
    kept = opened(after).getexif().get_ifd(0x8769)[0x927C]
    assert kept == b"ACME" + bytes(len(nested)) + b"serial 12345"
    assert notes == ("a preview inside its Exif data is removed",)


@pytest.mark.parametrize(
    "block", [b"", b"II*\0", b"junk" * 9, b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_corrupt_exif_does_not_stop_a_photo(block):
    after, notes = edited(with_segments(PLAIN, segment(0xE1, b"Exif\0\0" + block)))
    assert notes == ("its Exif data (corrupt) are not carried over",)
    assert opened(after).size == (64, 48)


def test_any_cut_exif_block_is_survived():
    block = exif_block(orientation=6, thumbnail=THUMBNAIL)
    for length in range(0, len(block), 7):
        cleaned = clean_exif(block[:length], size_hw=(48, 64))
        assert not find_jpeg_streams(cleaned.data)
        assert cleaned.orientation in (1, 6)


def test_icc_xmp_comment_and_resolution_survive():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile += bytes(150_000 - len(profile))  # three segments
    before = saved(
        opened(PLAIN), "JPEG", icc_profile=profile, comment=b"by hand", dpi=(300, 200), quality=85
    )
    xmp = b'<x:xmpmeta><rdf:Description dc:title="A &lt; B" tiff:Orientation="8"/></x:xmpmeta>'
    packet = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    after, notes = edited(with_segments(before, packet))
    image = opened(after)
    assert image.info["icc_profile"] == profile
    assert image.info["comment"] == b"by hand"
    assert image.info["dpi"] == (300, 200)
    assert image.info["xmp"] == xmp  # a JPEG stays turned as it is stored
    assert notes == ()


def test_a_second_picture_after_the_first_is_dropped_and_noted():
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green")]
    stream = io.BytesIO()
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    after, notes = edited(stream.getvalue())
    assert opened(after).format == "JPEG"
    assert b"MPF\0" not in after
    assert len(find_jpeg_streams(after)) == 1
    assert after.endswith(b"\xff\xd9")
    assert [lost_in(note) for note in notes] == ["second image"]


def stereo_pair(second=0x020002):
    """Return a stereo pair, whose pictures are of different views."""
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green")]
    stream = io.BytesIO()
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    data = bytearray(stream.getvalue())
    at = data.index(b"MPF\0") + 4
    kinds = [at + 8 + 2 + 12 * 3 + 4 + 16 * number for number in range(2)]
    assert struct.unpack_from("<I", data, kinds[0])[0] & 0xFFFFFF == 0x030000
    for place, kind in zip(kinds, (0x020002, second), strict=True):
        struct.pack_into("<I", data, place, kind)
    return bytes(data)


def test_the_other_view_of_a_stereo_pair_stays():
    before = stereo_pair()
    after, notes = edited(before)
    assert notes == ()
    assert opened(after).n_frames == 2
    images = [opened(data) for data in (before, after)]
    for image in images:
        image.seek(1)
    np.testing.assert_array_equal(*(np.asarray(image) for image in images))
    assert [lost_in(note) for note in edited(stereo_pair(0x010002))[1]] == ["second image"]


def test_the_trailer_of_a_pair_of_fisheyes_stays_without_its_preview():
    trailer = b"gyroscope" + PREVIEW + b"stitching 8db42d694ccc418790edff439fe026bf"
    after, notes = edited(PLAIN + trailer)
    kept = after[-len(trailer) :]
    assert kept == trailer.replace(PREVIEW, bytes(len(PREVIEW)))
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("trailer", "kind"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(40), "motion clip"),
        (PREVIEW, "second image"),
        (with_segments(PREVIEW, segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0")), "HDR gain map"),
        (b"something", "data after the image"),
        (b"\0", None),
    ],
)
def test_what_follows_the_image_is_named(trailer, kind):
    after, notes = edited(PLAIN + trailer)
    assert [lost_in(note) for note in notes] == ([kind] if kind else [])
    assert after.endswith(b"\xff\xd9")


@pytest.mark.parametrize(
    ("marker", "payload"),
    [(0xE1, b"FLIR\0\1\0\0" + bytes(90)), (0xE5, b"RMETA\0MM"), (0xE6, b"GoPro\0DEVC")],
)
def test_what_the_camera_measured_stays(marker, payload):
    after, notes = edited(with_segments(PLAIN, segment(marker, payload)))
    assert (marker, payload) in jpeg_segments(after)
    assert not any(lost_in(note) for note in notes)


def test_iptc_that_is_split_is_joined():
    whole = resource(0x0404, b"\x1c\x02\x78\0\x07caption" * 9)
    parts = [segment(0xED, b"Photoshop 3.0\0" + part) for part in (whole[:40], whole[40:])]
    after, notes = edited(with_segments(PLAIN, *parts))
    assert dict(jpeg_segments(after))[0xED] == b"Photoshop 3.0\0" + whole
    assert notes == ()


EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"


def extended(packet, *, part_bytes=30):
    """Return the segments of an XMP packet whose second half is extended XMP."""
    digest = hashlib.md5(packet).hexdigest().upper().encode()
    main = b'<x:xmpmeta><r xmpNote:HasExtendedXMP="' + digest + b'"/></x:xmpmeta>'
    segments = [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main)]
    for at in range(0, len(packet), part_bytes):
        head = EXTENDED + digest + struct.pack(">II", len(packet), at)
        segments.insert(1, segment(0xE1, head + packet[at : at + part_bytes]))
    return segments


@pytest.mark.parametrize(
    ("packet", "kept"),
    [
        (b"<r>" + b"notes of an editor " * 9 + b"</r>", None),
        (b"<r><GDepth:Data>AAAA</GDepth:Data><a:b>text</a:b></r>", b"<r><a:b>text</a:b></r>"),
    ],
)
def test_extended_xmp_is_joined_cleaned_and_written_back(packet, kept):
    after, _ = edited(with_segments(PLAIN, *extended(packet)))
    found = [payload for _, payload in jpeg_segments(after) if payload.startswith(EXTENDED)]
    assert b"".join(part[len(EXTENDED) + 40 :] for part in found) == (kept or packet)
    digest = hashlib.md5(kept or packet).hexdigest().upper().encode()
    assert all(part[len(EXTENDED) :].startswith(digest) for part in found)
    assert b'xmpNote:HasExtendedXMP="' + digest + b'"' in after


def test_extended_xmp_with_a_part_missing_is_named():
    after, notes = edited(with_segments(PLAIN, *extended(b"<r>" + b"x" * 90 + b"</r>")[:-1]))
    assert [lost_in(note) for note in notes] == ["extended XMP data"]
    assert b"HasExtendedXMP" not in after


def resource(code, data):
    block = b"8BIM" + struct.pack(">HHI", code, 0, len(data)) + data
    return block + b"\0" * (len(data) % 2)


def test_photoshop_thumbnails_go_and_iptc_stays():
    iptc = resource(0x0404, b"\x1c\x02\x78\0\x07caption")
    previews = resource(0x040C, b"\0" * 28 + THUMBNAIL) + resource(0x1234, b"x" + PREVIEW)
    cut = resource(0x0405, b"abcdef")[:-2]
    cleaned = clean_resources(previews + iptc + cut)
    assert cleaned.data == iptc
    assert cleaned.notes == ("a Photoshop preview is removed",)
    app13 = segment(0xED, b"Photoshop 3.0\0" + previews + iptc)
    after, notes = edited(with_segments(PLAIN, app13))
    assert dict(jpeg_segments(after))[0xED] == b"Photoshop 3.0\0" + iptc
    assert notes == cleaned.notes
    assert len(find_jpeg_streams(after)) == 1


@pytest.mark.parametrize(
    ("marker", "payload", "note"),
    [
        (0xE0, b"JFXX\0\x10" + THUMBNAIL, "its JFIF thumbnail is removed"),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40), "its extended XMP data"),
        (0xEB, b"JP\0\0jumbf c2pa", r"its APP11 data \(JP\) \(perhaps with an image\) are not"),
        (0xE4, bytes(30), r"its APP4 data \(perhaps with an image\) are not carried over"),
        (0xE2, b"urn:iso:std:iso:ts:21496:-1\0", "its HDR gain map is not carried over"),
    ],
)
def test_segments_that_may_hold_pictures_are_dropped_and_named(marker, payload, note):
    after, notes = edited(with_segments(PLAIN, segment(marker, payload)))
    assert len(notes) == 1
    with pytest.raises(AssertionError, match=note):
        raise AssertionError(notes[0])
    assert payload not in [kept for _, kept in jpeg_segments(after)]


def test_a_jfif_thumbnail_is_cut_off():
    jfif = b"JFIF\0\1\2\1\0\x48\0\x48\2\2" + bytes(range(12))
    data = b"\xff\xd8" + segment(0xE0, jfif) + PLAIN[20:]
    after, notes = edited(data)
    assert jpeg_segments(after)[0] == (0xE0, jfif[:12] + b"\0\0")
    assert notes == ("its JFIF thumbnail is removed",)


def test_files_without_jfif_get_none():
    after, _ = edited(b"\xff\xd8" + exif_segment() + PLAIN[20:])
    assert [marker for marker, _ in jpeg_segments(after)].count(0xE0) == 0
    assert opened(after).mode == "RGB"


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"<a OpCamera:MotionPhotoOwner='oplus' OpCamera:VideoLength='9' b='c'/>", b"<a b='c'/>"),
        (b'<r xmpNote:HasExtendedXMP="AB" dc:x="y">', b'<r dc:x="y">'),
        (b'<r GCamera:MotionPhoto="1"\n GCamera:MicroVideoOffset="9" a="b"/>', b'<r a="b"/>'),
        (b"<r><Container:Directory>x<y/></Container:Directory>k</r>", b"<r>k</r>"),
        (b'<r hdrgm:Version="1.0" exif:FNumber="2/1"/>', b'<r exif:FNumber="2/1"/>'),
        (b"<r><xap:Thumbnails/>k</r>", b"<r>k</r>"),
        (b"<r><GDepth:Data>AA</GDepth:Data><a:b>1</a:b></r>", b"<r><a:b>1</a:b></r>"),
        (b"<r>/9j/" + b"A" * 300 + b"</r>", b""),
        ("<r/>".encode("utf-16-le"), b""),
    ],
)
def test_xmp_packets_are_cleaned_as_text(packet, expected):
    assert clean_xmp(packet).data == expected


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"<a tiff:Orientation='6' b='c'/>", b"<a tiff:Orientation='1' b='c'/>"),
        (b"<tiff:Orientation> 6</tiff:Orientation>", b"<tiff:Orientation> 1</tiff:Orientation>"),
    ],
)
def test_xmp_says_that_an_image_is_turned(packet, expected):
    assert clean_xmp(packet, turned=6).data == expected
    assert clean_xmp(packet).data == packet


def test_dropped_xmp_is_noted():
    assert clean_xmp(b"<r>/9j/" + b"A" * 300).notes == (
        "its XMP data (with an image) are not carried over",
    )
    assert clean_xmp("<r/>".encode("utf-16")).notes == (
        "its XMP data (not UTF-8) are not carried over",
    )
    assert clean_xmp(b"<r><xmp:Thumbnails/></r>").notes == (
        "XMP entries about embedded images are removed",
    )


def test_jpeg_streams_are_found_with_their_nested_thumbnails():
    nested = with_segments(PREVIEW, exif_segment(thumbnail=THUMBNAIL))
    data = b"\xff\xd8\xffx" + nested + b"between" + THUMBNAIL[:-30]
    first = 4
    assert find_jpeg_streams(data) == [
        (first, first + len(nested)),
        (first + len(nested) + 7, len(data)),
    ]
    assert find_jpeg_streams(b"\xff\xd8\xff" + bytes(50)) == []
