"""CMYK: filled in ink, all other pixels identical."""

import numpy as np
import pytest
from images_builders import box_mask, exif_block, opened, saved, segment, with_segments
from PIL import Image
from skimage import data as photos

from cleanplate.io.cmyk import ink_to_rgb, rgb_to_ink
from cleanplate.io.files import encode_photo, read_photo


@pytest.fixture(scope="module")
def ink():
    """Return a photo in ink, with the black that printers' profiles give it."""
    colours = photos.coffee()[20:140, 40:201].astype(np.float32)  # 120 x 161
    black = np.clip((160 - colours.max(axis=2)) * 1.2, 0, 250)
    rest = 255 - np.minimum(colours * 255 / (255 - black[..., None]), 255)
    return np.rint(np.dstack([rest, black])).astype(np.uint8)


def ycck(ink):
    """Return a JPEG of YCCK: the first three channels are YCbCr of the ink."""
    ycc = np.asarray(Image.fromarray(ink[..., :3]).convert("YCbCr"))
    stored = np.dstack([255 - ycc, ink[..., 3:]])  # Pillow inverts what it writes
    data = bytearray(saved(Image.fromarray(stored, "CMYK"), "JPEG", quality=95))
    at = data.index(b"Adobe")
    assert data[at + 11] == 0
    data[at + 11] = 2
    return bytes(data)


def files(ink):
    image = Image.fromarray(ink, "CMYK")
    turned = segment(0xE1, b"Exif\0\0" + exif_block(orientation=6))
    return {
        "JPEG": saved(image, "JPEG", quality=90),
        "progressive": saved(image, "JPEG", quality=90, progressive=True),
        "turned": with_segments(saved(image, "JPEG", quality=90), turned),
        "YCCK": ycck(ink),
        "TIFF": saved(image, "TIFF", compression="tiff_lzw"),
    }


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "turned", "YCCK", "TIFF"])
def test_the_hole_changes_and_nothing_else(ink, kind):
    before = files(ink)[kind]
    photo = read_photo(before)
    assert photo.notes == ()
    stored = np.asarray(opened(before))
    if kind == "YCCK":
        assert np.abs(stored.astype(int) - ink).mean() < 4  # it is what it should be
    mask = box_mask(photo.size_hw, 48, 80, 40, 72)
    fill = np.full_like(photo.pixels, photo.pixels[20:40, 20:40].mean(axis=(0, 1)))
    after = opened(encode_photo(photo, fill, mask))
    assert after.mode == "CMYK"
    new = np.asarray(after)
    stored_mask = np.rot90(mask) if kind == "turned" else mask
    near = np.kron(
        np.pad(stored_mask, ((0, -len(stored_mask) % 8), (0, -stored_mask.shape[1] % 8)))
        .reshape(-(-len(stored_mask) // 8), 8, -(-stored_mask.shape[1] // 8), 8)
        .any(axis=(1, 3)),
        np.ones((8, 8), bool),
    )[: len(stored_mask), : stored_mask.shape[1]]
    changed = (new != stored).any(axis=2)
    assert changed[stored_mask].mean() > 0.5
    assert not changed[~(stored_mask if kind == "TIFF" else near)].any()
    shown = ink_to_rgb(new)[stored_mask].astype(int) - fill[mask][0]
    assert np.abs(shown).mean() < (1.5 if kind == "TIFF" else 4)


def test_ink_shows_the_colour_and_has_the_usual_black(ink, rng):
    flat = ink.reshape(-1, 4)
    colours = ink_to_rgb(flat)
    made = rgb_to_ink(colours, colours, flat)
    assert np.abs(ink_to_rgb(made).astype(int) - colours).max() <= 1
    assert np.abs(made[:, 3].astype(int) - flat[:, 3]).mean() < 4
    strange = rng.integers(0, 256, (500, 3)).astype(np.uint8)
    made = rgb_to_ink(strange, colours, flat)
    assert np.abs(ink_to_rgb(made).astype(int) - strange).max() <= 1
