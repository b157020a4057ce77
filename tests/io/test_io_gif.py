"""GIF of a single picture."""

import struct

import numpy as np
import pytest
from images_builders import box_mask, opened, saved, small_jpeg
from PIL import Image

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo

RNG = np.random.default_rng(5)


def gif(bits=8, *, size_hw=(21, 33), **options):
    """Return a GIF of noise, its indices and its palette."""
    indices = RNG.integers(0, 2**bits, size_hw, dtype=np.uint8)
    palette = RNG.integers(0, 256, (2**bits, 3), dtype=np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    return saved(image, "GIF", optimize=False, **options), indices, palette


def indices_of(data):
    return read_photo(data).samples.indices


def edited(data, value=200):
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = box_mask((height, width), height // 3, height // 2 + 1, width // 3, width // 2 + 1)
    return encode_photo(photo, np.full((height, width, 3), value, np.uint8), mask), mask


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("interlace", [0, 1])
def test_indices_and_palette_stay_and_the_hole_takes_its_colours(bits, interlace):
    before, indices, palette = gif(bits, interlace=interlace, comment=b"by hand")
    photo = read_photo(before)
    np.testing.assert_array_equal(photo.pixels, palette[indices])
    np.testing.assert_array_equal(photo.pixels, np.asarray(opened(before).convert("RGB")))
    assert ("it is interlaced, and is written without interlacing" in photo.notes) == bool(
        interlace
    )
    after, mask = edited(before)
    np.testing.assert_array_equal(indices_of(after)[~mask], indices[~mask])
    nearest = ((palette.astype(int) - 200) ** 2).sum(axis=1).min()
    found = read_photo(after).pixels[mask].astype(int)
    np.testing.assert_array_equal(((found - 200) ** 2).sum(axis=1), nearest)
    assert opened(after).info["comment"] == b"by hand"


def test_transparency_stays():
    before, indices, _ = gif(4, transparency=3)
    after, mask = edited(before)
    assert opened(after).info["transparency"] == 3
    np.testing.assert_array_equal(indices_of(after)[mask] == 3, indices[mask] == 3)


def test_every_other_byte_stays():
    before, _, _ = gif(8, comment=b"by hand", interlace=0)
    photo = read_photo(before)
    nothing = np.zeros(photo.size_hw, bool)
    assert encode_photo(photo, np.array(photo.pixels), nothing) == before


def test_an_extension_that_holds_a_picture_is_left_out():
    before, _, _ = gif(4)
    jpeg = small_jpeg()
    parts = [jpeg[at : at + 255] for at in range(0, len(jpeg), 255)]
    body = b"".join(bytes([len(part)]) + part for part in parts)
    data = before[:-1] + b"\x21\xfe" + body + b"\0" + before[-1:]
    assert len(parts) > 1  # the lengths in between break the stream
    note = "an extension (with an image) is not carried over"
    assert read_photo(data).notes[0] == note
    assert b"\xff\xd8\xff" not in edited(data)[0]


def test_animated_gif_is_refused_with_its_number_of_frames():
    frames = [Image.new("L", (8, 8), value) for value in (0, 90, 200)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    message = r"it holds 3 frames \(animated GIF\), and .*; split it into single frames first"
    with pytest.raises(PhotoError, match=message):
        read_photo(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:200], "damaged GIF: the file is truncated; get an undamaged copy"),
        (lambda d: d[:-9], "damaged GIF: the file is truncated"),
        (lambda d: d[:12], "damaged GIF: the file is truncated"),
        (lambda d: d[:6] + struct.pack("<H", 40) + d[8:], "does not cover its canvas is not supp"),
        (lambda d: d[: 13 + 48] + b"\x3b", "damaged GIF: it holds no image"),
        (lambda d: d[: 13 + 48] + b"x" + d[13 + 48 :], "damaged GIF: an unknown block"),
        (
            lambda d: d[:10] + bytes([d[10] & 0x7F]) + d[11:13] + d[61:],
            "damaged GIF: it has no pal",
        ),
        (lambda d: d[:10] + bytes([d[10] - 1]) + d[11 : 13 + 24] + d[61:], "outside its palette"),
        (lambda d: d[:6] + struct.pack("<HH", 65535, 65535) + d[10:], "pixels are more than the"),
    ],
)
def test_other_gifs_are_refused(change, message):
    data, _, _ = gif(4)
    with pytest.raises(PhotoError, match=message):
        read_photo(change(data))


def test_damaged_files_raise_photo_errors_only():
    data, _, _ = gif(8)
    for _ in range(150):
        broken = bytearray(data)
        for at in RNG.integers(6, len(data), 4):
            broken[at] = RNG.integers(0, 256)
        try:
            photo = read_photo(bytes(broken), max_pixels=100_000)
            encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
        except PhotoError:
            pass
