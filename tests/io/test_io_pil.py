"""Pillow images in, Pillow images out: same mode, size, frame and info."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_builders import box_mask, exif_block, opened, saved, segment, small_jpeg, with_segments
from PIL import Image

from cleanplate.errors import InputError, PhotoError
from cleanplate.io.files import encode_photo, read_photo
from cleanplate.io.pillow_images import photo_from_pil, pil_from_photo

SIZES_HW = st.tuples(st.integers(1, 12), st.integers(1, 12))
SHAPES = {"1": (), "L": (), "LA": (2,), "P": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}


def make_image(mode, array):
    if mode == "1":
        return Image.fromarray(array > 127)
    if mode == "P":
        image = Image.fromarray(array, "P")
        image.putpalette(np.random.default_rng(3).integers(0, 256, 768, dtype=np.uint8).tobytes())
        return image
    return Image.fromarray(array)


@pytest.mark.parametrize("mode", SHAPES)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), hw=SIZES_HW)
def test_same_mode_size_and_samples_outside_the_mask(mode, data, hw):
    dtype = np.uint16 if mode == "I;16" else np.uint8
    image = make_image(mode, data.draw(hnp.arrays(dtype, (*hw, *SHAPES[mode]))))
    mask = data.draw(hnp.arrays(np.bool_, hw))
    filled = data.draw(hnp.arrays(np.uint8, (*hw, 3)))
    before = np.array(image)

    photo = photo_from_pil(image)
    result = pil_from_photo(photo, filled, mask)

    assert (result.mode, result.size) == (image.mode, image.size)
    np.testing.assert_array_equal(np.asarray(result)[~mask], before[~mask])
    np.testing.assert_array_equal(np.asarray(image), before, err_msg="the input was modified")
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(np.asarray(result)[..., -1], before[..., -1])
    if mode == "P":
        assert result.getpalette() == image.getpalette()


def test_pixels_are_what_pillow_shows():
    for mode in ("1", "L", "P", "RGB"):
        image = Image.effect_noise((11, 7), 80).convert("RGB").convert(mode)
        np.testing.assert_array_equal(
            photo_from_pil(image).pixels, np.asarray(image.convert("RGB"))
        )


def test_a_turned_image_is_worked_on_upright_and_given_back_as_it_was():
    block = exif_block(orientation=6, thumbnail=small_jpeg())
    jpeg = with_segments(small_jpeg((30, 20)), segment(0xE1, b"Exif\0\0" + block))
    image = opened(jpeg)
    photo = photo_from_pil(image)
    assert photo.size_hw == (30, 20)
    assert photo.format == "JPEG"
    mask = box_mask((30, 20), 0, 5, 0, 20)  # the upper edge, as seen
    result = pil_from_photo(photo, np.zeros((30, 20, 3), np.uint8), mask)
    assert result.size == (30, 20)
    assert result.getexif()[0x0112] == 6
    assert (np.asarray(result)[:, :5] == 0).all()  # which is stored on the left
    assert (np.asarray(result)[:, 5:] == np.asarray(image)[:, 5:]).all()
    assert b"\xff\xd8\xff" not in result.info["exif"]
    assert result.getexif().get_ifd(0x8769)[0xA002] == 64


def test_info_is_kept_without_thumbnails():
    image = Image.new("P", (4, 4))
    image.info.update(
        {"dpi": (300, 300), "transparency": 3, "comment": b"x", "exif": b"Exif\0\0junk"}
    )
    image.info |= {"xmp": b"<a><xmp:Thumbnails/></a>", "photoshop": {1033: small_jpeg()}}
    photo = photo_from_pil(image)
    result = pil_from_photo(photo, np.array(photo.pixels), np.zeros((4, 4), bool))
    assert result.info == {
        "dpi": (300, 300),
        "transparency": 3,
        "comment": b"x",
        "xmp": b"<a></a>",
    }


def test_transparent_entries_and_colours_are_not_taken():
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    palette.putpalette(bytes([255, 0, 0, 250, 0, 0, 0, 0, 0]))
    palette.info["transparency"] = 0
    red = np.zeros((1, 3, 3), np.uint8)
    red[..., 0] = 255
    result = pil_from_photo(photo_from_pil(palette), red, np.ones((1, 3), bool))
    np.testing.assert_array_equal(np.asarray(result), [[0, 1, 1]])
    keyed = Image.fromarray(np.array([[0, 9, 9]], np.uint8))
    keyed.info["transparency"] = 0
    black = np.zeros((1, 3, 3), np.uint8)
    result = pil_from_photo(photo_from_pil(keyed), black, np.ones((1, 3), bool))
    np.testing.assert_array_equal(np.asarray(result), [[0, 1, 1]])


def test_transparency_in_the_palette_itself_is_kept():
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, :2], rgba[:, 2:4], rgba[:, 4:] = (250, 0, 0, 0), (0, 250, 0, 120), (0, 0, 250, 255)
    image = Image.fromarray(rgba).quantize(3)  # Pillow gives it a palette of RGBA
    photo = photo_from_pil(image)
    np.testing.assert_array_equal(photo.transparent, rgba[..., 3] == 0)
    red = np.full((4, 6, 3), (250, 0, 0), np.uint8)
    result = pil_from_photo(photo, red, box_mask((4, 6), 0, 2, 0, 6))
    assert result.mode == "P"
    np.testing.assert_array_equal(np.asarray(result.convert("RGBA")), image.convert("RGBA"))


def test_other_modes_several_frames_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(PhotoError, match=r"mode I .*image\.convert"):
        photo_from_pil(Image.new("I", (4, 4)))
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 90)]
    path = tmp_path / "a.png"
    path.write_bytes(saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    with (
        Image.open(path) as image,
        pytest.raises(PhotoError, match=r"2 frames; pass image\.copy"),
    ):
        photo_from_pil(image)
    path.write_bytes(saved(Image.effect_noise((64, 64), 50), "JPEG")[:-100])
    with (
        Image.open(path) as image,
        pytest.raises(PhotoError, match=r"it cannot be decoded \(.*\); check the file"),
    ):
        photo_from_pil(image)


def test_the_two_ways_do_not_mix():
    from_file = read_photo(small_jpeg((4, 4)))
    from_pil = photo_from_pil(Image.new("RGB", (4, 4)))
    filled, mask = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool)
    with pytest.raises(InputError, match="is not from photo_from_pil; use encode_photo"):
        pil_from_photo(from_file, filled, mask)
    with pytest.raises(InputError, match="did not come from a file; use pil_from_photo"):
        encode_photo(from_pil, filled, mask)
