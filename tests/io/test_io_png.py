"""PNG: chunks, depths, palettes, transparency."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from images_builders import (
    box_mask,
    exif_block,
    opened,
    png_chunk,
    png_chunks,
    saved,
    small_jpeg,
    with_png_chunks,
)
from PIL import Image, PngImagePlugin

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo

XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
PACKET = b'<x:xmpmeta tiff:Orientation="6"><xmp:Thumbnails>AAAA</xmp:Thumbnails>kept</x:xmpmeta>'


def edited(data, value=128):
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = box_mask((height, width), height // 3, height // 2 + 1, width // 3, width // 2 + 1)
    return encode_photo(photo, np.full((height, width, 3), value, np.uint8), mask), mask


def test_text_resolution_colour_and_private_chunks_are_carried_verbatim():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a beach")
    info.add_text("Long", "x" * 2000, zip=True)
    info.add_itxt("Autor", "Žofie", lang="cs")
    plain = saved(Image.new("RGB", (30, 20)), "PNG", pnginfo=info, dpi=(300, 300))
    gamma = (b"gAMA", struct.pack(">I", 45455))
    private = (b"prVt", b"private but safe to copy")
    before = with_png_chunks(plain, gamma, (b"sRGB", b"\0"), private)
    after, _ = edited(before)
    kept = {kind: data for kind, data in png_chunks(after) if kind != b"IDAT"}
    for kind in (b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"gAMA", b"sRGB", b"prVt"):
        assert kept[kind] == dict(png_chunks(before))[kind], kind
    assert opened(after).text == opened(before).text
    assert opened(after).info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_icc_profiles_are_carried_and_stand_before_the_palette():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    after, _ = edited(saved(Image.new("P", (9, 9)), "PNG", icc_profile=profile))
    kinds = [kind for kind, _ in png_chunks(after)]
    assert kinds.index(b"iCCP") < kinds.index(b"PLTE")
    assert opened(after).info["icc_profile"] == profile


def test_unknown_chunks_about_the_old_picture_are_dropped_and_named():
    photo = read_photo(
        with_png_chunks(
            saved(Image.new("RGB", (9, 9)), "PNG"), (b"caBX", b"claims"), (b"prEv", small_jpeg())
        )
    )
    assert any("caBX" in note for note in photo.notes)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros((9, 9), bool))
    assert {b"caBX", b"prEv"}.isdisjoint(kind for kind, _ in png_chunks(after))


def test_exif_turns_the_picture_and_is_reset():
    array = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    block = exif_block(orientation=6, thumbnail=small_jpeg(), size_wh=(11, 7))
    data = with_png_chunks(saved(Image.fromarray(array), "PNG"), (b"eXIf", block))
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, np.rot90(array, -1))
    after = opened(encode_photo(photo, np.array(photo.pixels), np.zeros((11, 7), bool)))
    np.testing.assert_array_equal(np.asarray(after), np.rot90(array, -1))
    assert after.getexif()[0x0112] == 1
    assert b"\xff\xd8\xff" not in after.info["exif"]


@pytest.mark.parametrize("is_packed", [False, True])
def test_xmp_is_cleaned(is_packed):
    data = XMP + PACKET
    if is_packed:
        data = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PACKET)
    plain = with_png_chunks(saved(Image.new("L", (9, 9)), "PNG"), (b"iTXt", data))
    turned = with_png_chunks(plain, (b"eXIf", exif_block(orientation=6)))
    for before, orientation in ((plain, 6), (turned, 1)):  # XMP alone turns nothing
        after, _ = edited(before)
        text = opened(after).text["XML:com.adobe.xmp"]
        assert text == f'<x:xmpmeta tiff:Orientation="{orientation}">kept</x:xmpmeta>'


def raw_profile(name, data):
    text = b"\n" + name + b"\n%8d\n" % len(data) + data.hex().encode()
    return (b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text))


def test_exif_in_imagemagicks_text_form_becomes_a_chunk():
    block = b"Exif\0\0" + exif_block(orientation=8, thumbnail=small_jpeg())
    image = Image.new("RGB", (8, 5))
    photo = read_photo(with_png_chunks(saved(image, "PNG"), raw_profile(b"exif", block)))
    assert photo.size_hw == (8, 5)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros((8, 5), bool))
    chunks = dict(png_chunks(after))
    assert chunks[b"eXIf"].startswith(b"II*\0")
    assert b"\xff\xd8\xff" not in chunks[b"eXIf"]
    assert b"zTXt" not in chunks


def test_a_text_profile_that_may_hold_a_picture_is_dropped_and_one_of_words_kept():
    plain = saved(Image.new("RGB", (8, 5)), "PNG")
    profiles = (raw_profile(b"8bim", small_jpeg()), raw_profile(b"iptc", b"caption"))
    photo = read_photo(with_png_chunks(plain, *profiles))
    assert photo.notes == (
        "its text profile '8bim' (which may contain an image) is not carried over",
    )
    after, _ = edited(with_png_chunks(plain, *profiles))
    assert [data for kind, data in png_chunks(after) if kind == b"zTXt"] == [profiles[1][1]]


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_few_bits_stay_few_bits(bits, mode):
    rng = np.random.default_rng(bits)
    levels = rng.integers(0, 2**bits, (17, 23), dtype=np.uint8)
    step = 255 // (2**bits - 1)
    if mode == "P":
        image = Image.fromarray(levels, "P")
        image.putpalette(rng.integers(0, 256, 3 * 2**bits, dtype=np.uint8).tobytes())
    else:
        image = Image.fromarray(levels * np.uint8(step))
    before = (
        saved(image, "PNG", bits=bits)
        if bits > 1 or mode == "P"
        else saved(image.convert("1"), "PNG")
    )
    assert before[24] == bits
    after, mask = edited(before, value=90)
    assert after[24:26] == before[24:26]  # bit depth and colour type
    old, new = np.asarray(opened(before)), np.asarray(opened(after))
    np.testing.assert_array_equal(new[~mask], old[~mask])
    if mode == "L":
        expected = {1: 0, 2: 85, 4: 85}[bits]
        assert (new[mask].astype(int) == expected).all()


def test_interlaced_files_come_back_plain_with_a_note():
    array = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    raw = b""
    for x, y, step_x, step_y in [*passes, (0, 1, 1, 2)]:
        part = array[y::step_y, x::step_x]
        if part.size:
            raw += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", 4, 5, 8, 2, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    )
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, array)
    assert photo.notes == ("it is interlaced, and is written without interlacing",)
    after = encode_photo(photo, array, np.zeros((5, 4), bool))
    assert after[28] == 0
    np.testing.assert_array_equal(np.asarray(opened(after)), array)


def test_palette_holes_take_the_nearest_entry_that_is_as_opaque_as_before():
    palette = [255, 0, 0, 250, 10, 10, 0, 0, 255, 40, 40, 40]
    indices = np.array([[0, 1, 2, 3, 3, 3]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes(palette))
    before = saved(image, "PNG", transparency=b"\x00\xff\xff\xff")
    photo = read_photo(before)
    filled = np.array([[[9, 9, 9], [255, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 200], [50] * 3]])
    after = encode_photo(photo, filled.astype(np.uint8), np.ones((1, 6), bool))
    # the transparent pixel stays; nobody else becomes transparent, though entry 0 is exactly red
    np.testing.assert_array_equal(np.asarray(opened(after)), [[0, 1, 1, 1, 2, 3]])
    assert dict(png_chunks(after))[b"tRNS"] == dict(png_chunks(before))[b"tRNS"]
    assert dict(png_chunks(after))[b"PLTE"] == dict(png_chunks(before))[b"PLTE"]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7))])
def test_a_colour_that_means_transparent_is_neither_taken_nor_lost(mode, key):
    array = np.array([[7, 50, 60]], np.uint8)
    image = Image.fromarray(array).convert(mode)
    before = saved(image, "PNG", transparency=key)
    photo = read_photo(before)
    filled = np.full((1, 3, 3), 7, np.uint8)
    filled[0, 0] = 99
    after = opened(encode_photo(photo, filled, np.array([[True, True, False]])))
    alpha = np.asarray(after.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(alpha, [[0, 255, 255]])
    assert after.info["transparency"] == key


@pytest.mark.parametrize("after_type", [b"IHDR", b"IDAT"])
def test_transparency_where_decoders_ignore_it_stays_ignored(after_type):
    image = Image.fromarray(np.zeros((2, 3), np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 0, 0])
    chunks = [(kind, data) for kind, data in png_chunks(saved(image, "PNG")) if kind != b"tRNS"]
    at = [kind for kind, _ in chunks].index(after_type) + 1
    chunks.insert(at, (b"tRNS", b"\0"))
    before = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)
    photo = read_photo(before)
    assert photo.transparent is None
    after = encode_photo(photo, np.full((2, 3, 3), 200, np.uint8), np.ones((2, 3), bool))
    assert b"tRNS" not in dict(png_chunks(after))


def test_the_transparent_colour_of_sixteen_bits_is_kept():
    array = np.full((4, 4, 3), 1000, np.uint16)
    array[0, 0] = 5000
    _, coded = cv2.imencode(".png", array)
    before = with_png_chunks(coded.tobytes(), (b"tRNS", struct.pack(">HHH", 5000, 5000, 5000)))
    photo = read_photo(before)
    after = encode_photo(photo, np.full((4, 4, 3), 9, np.uint8), np.ones((4, 4), bool))
    assert dict(png_chunks(after))[b"tRNS"] == dict(png_chunks(before))[b"tRNS"]
    bare = after.replace(png_chunk(b"tRNS", dict(png_chunks(after))[b"tRNS"]), b"")
    decoded = cv2.imdecode(np.frombuffer(bare, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[0, 0], [5000] * 3)
    assert (decoded[1:] < 3000).all()


def test_sixteen_bit_grey_with_alpha_comes_back():
    rng = np.random.default_rng(5)
    array = rng.integers(0, 65536, (6, 5, 2)).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in array)
    header = struct.pack(">IIBBBBB", 5, 6, 16, 4, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    )
    mask = box_mask((6, 5), 1, 3, 1, 4)
    after = encode_photo(read_photo(data), np.full((6, 5, 3), 77, np.uint8), mask)
    assert after[24:26] == bytes([16, 4])
    decoded = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)[..., [0, 3]]
    np.testing.assert_array_equal(decoded[~mask], array[~mask])
    np.testing.assert_array_equal(decoded[..., 1], array[..., 1])
    assert np.abs(decoded[mask][:, 0].astype(int) - 77 * 257).max() <= 128


def test_colours_under_full_transparency_are_kept():
    array = np.random.default_rng(2).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    array[..., 3] = 0
    after, mask = edited(saved(Image.fromarray(array), "PNG"))
    np.testing.assert_array_equal(np.asarray(opened(after))[~mask], array[~mask])


def test_apng_is_refused_with_its_number_of_frames():
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 90, 200)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(PhotoError, match=r"3 frames \(APNG\).*split it"):
        read_photo(data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_off_files_are_refused(dtype, share):
    array = np.random.default_rng(1).integers(0, 255, (40, 40, 3)).astype(dtype)
    _, coded = cv2.imencode(".png", array)
    data = coded.tobytes()
    with pytest.raises(PhotoError, match=r"damaged PNG: .*undamaged copy"):
        read_photo(data[: int(len(data) * share)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_picture_data_that_end_early_are_refused_even_with_right_checksums(dtype):
    _, coded = cv2.imencode(
        ".png", np.random.default_rng(1).integers(0, 255, (40, 40)).astype(dtype)
    )
    chunks = png_chunks(coded.tobytes())
    data = coded.tobytes()[:8] + b"".join(
        png_chunk(kind, content[: len(content) // 2] if kind == b"IDAT" else content)
        for kind, content in chunks
    )
    with pytest.raises(PhotoError, match="damaged PNG"):
        read_photo(data)


def test_a_wrong_checksum_is_refused_in_the_picture_and_noted_in_metadata():
    data = saved(Image.new("RGB", (9, 9)), "PNG")
    at = data.index(b"IDAT") + 6
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(PhotoError, match="damaged PNG: wrong checksum in IDAT"):
        read_photo(broken)
    text = with_png_chunks(data, (b"tEXt", b"Title\0beach"))
    at = text.index(b"beach")
    photo = read_photo(text[:at] + b"B" + text[at + 1 :])
    assert photo.notes == ("a metadata chunk (wrong checksum) is not carried over",)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 7, 2, 0, 0, 0))], "impossible colour type 2"),
        ([(b"gAMA", b"\0\0\0\0")], "it does not start with a header"),
        ([(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0))], "a size of 0 x 4 px"),
        (
            [
                (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0)),
                (b"IHDR", struct.pack(">IIBBBBB", 1 << 30, 1, 8, 2, 0, 0, 0)),
                (b"IDAT", zlib.compress(b"\0\0\5")),
            ],
            "damaged PNG",
        ),
        (
            [
                (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)),
                (b"PLTE", b"\1\2\3"),
                (b"IDAT", zlib.compress(b"\0\0\5")),
            ],
            "colours outside its palette",
        ),
    ],
)
def test_impossible_headers_are_refused(chunks, message):
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in [*chunks, (b"IEND", b"")])
    with pytest.raises(PhotoError, match=message):
        read_photo(data)
