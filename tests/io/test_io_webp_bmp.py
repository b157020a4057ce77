"""WebP and BMP."""

import struct

import numpy as np
import pytest
from images_builders import box_mask, exif_block, opened, saved, small_jpeg
from PIL import Image
from skimage import data as photos

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo

ARRAY = photos.chelsea()[40:101, 90:161]  # 61 x 71


def edited(data, value=100):
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = box_mask((height, width), height // 3, height // 2 + 1, width // 3, width // 2 + 1)
    return encode_photo(photo, np.full((height, width, 3), value, np.uint8), mask), mask


def webp_chunks(data):
    found, position = [], 12
    while position < len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return found


def test_lossless_webp_stays_lossless_and_lossy_lossy():
    for lossless, kind in ((True, b"VP8L"), (False, b"VP8 ")):
        before = saved(Image.fromarray(ARRAY), "WEBP", lossless=lossless, quality=80)
        after, _ = edited(before)
        assert kind in dict(webp_chunks(after))


def test_lossy_webp_drifts_little_and_says_so():
    before = saved(Image.fromarray(ARRAY), "WEBP", quality=80)
    assert read_photo(before).notes == ("it is a lossy WebP, and is encoded again at quality 95",)
    after, mask = edited(before)
    change = np.abs(np.asarray(opened(after)).astype(int) - np.asarray(opened(before)))[~mask]
    assert change.mean() < 2


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_alpha_is_exact(lossless):
    alpha = np.random.default_rng(0).integers(0, 256, ARRAY.shape[:2], dtype=np.uint8)
    image = Image.fromarray(np.dstack([ARRAY, alpha]))
    before = saved(image, "WEBP", lossless=lossless, exact=True)
    after, mask = edited(before)
    old, new = np.asarray(opened(before)), np.asarray(opened(after))
    np.testing.assert_array_equal(new[..., 3], old[..., 3])
    if lossless:  # also under full transparency
        np.testing.assert_array_equal(new[~mask], old[~mask])


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_webp_beyond_pillows_limit_is_decoded_alike(monkeypatch, lossless, channels):
    image = np.dstack([ARRAY, ARRAY[::-1, ..., :1]])[..., :channels]
    data = saved(Image.fromarray(image), "WEBP", lossless=lossless, exact=True)
    before = read_photo(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    after = read_photo(data)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    if channels == 4:
        np.testing.assert_array_equal(after.samples.alpha, before.samples.alpha)
    if lossless:  # the lossy coding has no mark of its end
        with pytest.raises(PhotoError, match="damaged"):
            read_photo(data[:60] + bytes(len(data) - 60))


def test_webp_metadata_and_orientation():
    block = exif_block(orientation=6, thumbnail=small_jpeg(), size_wh=(71, 61))
    xmp = b'<x tiff:Orientation="6"><xmp:Thumbnails/>kept</x>'
    image = Image.fromarray(ARRAY)
    before = saved(image, "WEBP", lossless=True, exif=block, xmp=xmp, icc_profile=b"profile")
    photo = read_photo(before)
    np.testing.assert_array_equal(photo.pixels, np.rot90(ARRAY, -1))
    after, mask = edited(before)
    result = opened(after)
    np.testing.assert_array_equal(np.asarray(result)[~mask], photo.pixels[~mask])
    assert result.getexif()[0x0112] == 1
    assert result.getexif().get_ifd(0x8825)[1] == "N"
    assert result.info["xmp"] == b'<x tiff:Orientation="1">kept</x>'
    assert result.info["icc_profile"] == b"profile"
    assert b"\xff\xd8\xff" not in result.info["exif"]


def test_animated_webp_is_refused_with_its_number_of_frames():
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 90, 200, 255)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(PhotoError, match=r"it holds 4 frames \(animated WebP\)"):
        read_photo(data)


def test_unknown_webp_chunks_are_named():
    data = saved(Image.fromarray(ARRAY), "WEBP", lossless=True, xmp=b"<x/>")
    data = bytearray(data + b"ABCD" + struct.pack("<I", 2) + b"zz")
    data[4:8] = struct.pack("<I", len(data) - 8)
    assert read_photo(bytes(data)).notes == ("its ABCD chunk is not carried over",)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_cut_off_webp_is_refused(share):
    data = saved(Image.fromarray(ARRAY), "WEBP")
    with pytest.raises(PhotoError, match="damaged WebP: the file is truncated"):
        read_photo(data[: int(len(data) * share)])
    short = bytearray(data[: int(len(data) * share) // 2 * 2])
    short[4:8] = struct.pack("<I", len(short) - 8)  # now the RIFF header agrees
    short[16:20] = struct.pack("<I", len(short) - 20)
    with pytest.raises(PhotoError, match="damaged WebP"):
        read_photo(bytes(short))


def test_a_webp_without_a_picture_is_refused():
    with pytest.raises(PhotoError, match="damaged WebP: it holds no image"):
        read_photo(b"RIFF" + struct.pack("<I", 4) + b"WEBP")


def bmp(pixels, bits, *, top_down=False, header_bytes=40, masks=None, palette=b"", compression=0):
    """Return a BMP by hand; `pixels` are rows of bytes from top to bottom, not yet padded."""
    rows = [row + b"\0" * (-len(row) % 4) for row in pixels]
    height, width = len(rows), len(pixels[0]) * 8 // bits
    header = struct.pack(
        "<IiiHHIIiiII", header_bytes, width, -height if top_down else height, 1, bits,
        3 if masks else compression, 0, 2835, 2835, len(palette) // 4, 0,
    )  # fmt: skip
    header += struct.pack(f"<{len(masks)}I", *masks) if masks else b""
    header = header.ljust(max(header_bytes, len(header)), b"\0")
    at = 14 + len(header) + len(palette)
    body = b"".join(rows if top_down else rows[::-1])
    file_header = b"BM" + struct.pack("<IHHI", at + len(body) + 4, 0, 0, at)
    return file_header + header + palette + body + b"tail"


MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(("bits", "masks"), [(24, None), (32, None), (32, MASKS), (32, MASKS[:3])])
def test_every_other_byte_of_a_bmp_stays(top_down, bits, masks):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (7, 5, bits // 8), dtype=np.uint8)
    header = 124 if masks == MASKS else 40
    data = bmp([row.tobytes() for row in array], bits, top_down=top_down, masks=masks,
               header_bytes=header)  # fmt: skip
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, array[..., 2::-1])
    nothing = np.zeros((7, 5), bool)
    assert encode_photo(photo, np.zeros((7, 5, 3), np.uint8), nothing) == data
    mask = box_mask((7, 5), 2, 3, 1, 2)
    after = encode_photo(photo, np.full((7, 5, 3), 9, np.uint8), mask)
    assert sum(a != b for a, b in zip(after, data, strict=True)) <= 3
    np.testing.assert_array_equal(read_photo(after).pixels[2, 1], [9, 9, 9])


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(
    ("bits", "masks", "levels"),
    [
        (16, None, (32, 32, 32)),
        (16, (0xF800, 0x7E0, 0x1F), (32, 64, 32)),
        (16, (0xF00, 0xF0, 0xF, 0xF000), (16, 16, 16)),
        (32, (255, 0xFF00, 0xFF0000), (256, 256, 256)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), (1024, 1024, 1024)),
    ],
)
def test_packed_bmps_keep_the_bits_of_all_other_pixels(bits, masks, levels, top_down, rng):
    array = rng.integers(0, 256, (7, 5, bits // 8), dtype=np.uint8)
    header = 56 if masks and len(masks) == 4 else 40
    data = bmp([row.tobytes() for row in array], bits, top_down=top_down, masks=masks,
               header_bytes=header)  # fmt: skip
    photo = read_photo(data)
    if bits == 16 and header == 40:
        difference = photo.pixels.astype(int) - np.asarray(opened(data).convert("RGB"))
        assert np.abs(difference).max() <= 1  # Pillow rounds down
    assert encode_photo(photo, photo.pixels, np.zeros((7, 5), bool)) == data
    mask = box_mask((7, 5), 2, 4, 1, 3)
    after = encode_photo(photo, np.full((7, 5, 3), (10, 200, 90), np.uint8), mask)
    places = [
        np.frombuffer(d[-4 - 7 * (-(-5 * bits // 32) * 4) : -4], np.uint8) for d in (data, after)
    ]
    changed = (
        (places[0] != places[1]).reshape(7, -1)[:, : 5 * bits // 8].reshape(7, 5, -1).any(axis=2)
    )
    assert not (changed & ~(mask if top_down else mask[::-1])).any()
    again = read_photo(after)
    for channel, count in enumerate(levels):
        wanted = (10, 200, 90)[channel]
        assert (
            np.abs(again.pixels[mask][:, channel].astype(int) - wanted).max()
            <= 128 // (count - 1) + 1
        )
    assert (photo.alpha is None) == (header == 40)
    np.testing.assert_array_equal(photo.alpha, again.alpha)


def test_run_lengths_are_written_as_none():
    palette = bytes(range(64))
    runs = b"\3\5\0\3\1\2\3\0\0\0" + b"\2\7\0\2\1\0\3\1\0\1"  # 6 wide, from below
    data = bytearray(bmp([b"\0" * 6] * 2, 8, palette=palette, compression=1))
    data = data[: 14 + 40 + 64] + runs
    photo = read_photo(bytes(data))
    expected = [[7, 7, 0, 1, 1, 1], [5, 5, 5, 1, 2, 3]]
    np.testing.assert_array_equal(photo.samples.indices, expected)
    assert len(photo.notes) == 1
    after = encode_photo(photo, photo.pixels, np.zeros((2, 6), bool))
    again = read_photo(after)
    np.testing.assert_array_equal(again.samples.indices, expected)
    np.testing.assert_array_equal(again.pixels, np.asarray(opened(after).convert("RGB")))
    assert again.notes == ()
    four = bytearray(bmp([b"\0" * 3] * 2, 4, palette=palette, compression=2))
    four = four[: 14 + 40 + 64] + b"\6\x12\0\0" + b"\0\6\x34\x56\x70\0\0\1"
    np.testing.assert_array_equal(
        read_photo(bytes(four)).samples.indices, [[3, 4, 5, 6, 7, 0], [1, 2, 1, 2, 1, 2]]
    )


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palette_bmps_keep_their_bits(bits):
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (2**bits, 4), dtype=np.uint8)
    rows = [bytes(rng.integers(0, 256, bits, dtype=np.uint8)) for _ in range(6)]  # 8 px wide
    data = bmp(rows, bits, palette=palette.tobytes())
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, np.asarray(opened(data).convert("RGB")))
    assert encode_photo(photo, np.array(photo.pixels), np.ones((6, 8), bool)) is not None
    assert encode_photo(photo, np.array(photo.pixels), np.zeros((6, 8), bool)) == data
    after = encode_photo(photo, np.full((6, 8, 3), 255, np.uint8), box_mask((6, 8), 0, 1, 0, 1))
    entry = palette[:, 2::-1].astype(int)
    nearest = entry[((entry - 255) ** 2).sum(axis=1).argmin()]
    np.testing.assert_array_equal(read_photo(after).pixels[0, 0], nearest)


def test_an_odd_width_of_four_bits():
    indices = np.arange(15, dtype=np.uint8).reshape(3, 5)
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes(range(48)))
    data = bytearray(bmp([b"\x01\x23\x40", b"\x56\x78\x90"], 4, palette=bytes(range(64))))
    data[18:22] = struct.pack("<i", 5)
    photo = read_photo(bytes(data))
    np.testing.assert_array_equal(photo.samples.indices, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
    assert encode_photo(photo, np.array(photo.pixels), np.zeros((2, 5), bool)) == bytes(data)


def test_the_old_os2_header():
    header = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 1, 1, 1, 24)
    data = header + b"\x03\x02\x01\0"
    np.testing.assert_array_equal(read_photo(data).pixels, [[[1, 2, 3]]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bmp([b"\0\0\0"], 24)[:40], "damaged BMP: the file is truncated"),
        (bmp([b"\0\0\0"] * 9, 24)[:-20], "damaged BMP: the file is truncated"),
        (bmp([b"\0\0\0"], 24, compression=5), "of compression method 5 with 24 bits"),
        (bmp([b"\0"], 8, compression=1, palette=bytes(8)), "damaged BMP"),
        (bmp([b"\5"], 8, palette=bytes(8)), "damaged BMP: colours outside its palette"),
        (bmp([b"\5"], 8), "damaged BMP: it has no palette"),
        (bmp([b"\0\0\0"], 24, header_bytes=40).replace(b"\x28\0\0\0", b"\x0f\0\0\0", 1), "of 15 b"),
    ],
)
def test_other_bmps_are_refused(data, message):
    with pytest.raises(PhotoError, match=message):
        read_photo(data)
