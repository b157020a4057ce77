"""JPEG: the same tables, and next to nothing changed where nothing was removed."""

import cv2
import numpy as np
import pytest
from images_builders import (
    box_mask,
    exif_block,
    jpeg_segments,
    opened,
    saved,
    segment,
    small_jpeg,
    with_segments,
)
from PIL import Image
from skimage import data as photos

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo

QUALITIES = (75, 85, 95)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


@pytest.fixture(scope="module")
def photo_image():
    return Image.fromarray(photos.coffee()[20:259, 40:341])  # 239 x 301: no multiple of 8


def smooth_fill(photo, mask):
    """Return a fill as an inpainter gives it: near to what is around the hole."""
    from PIL import ImageFilter

    blurred = Image.fromarray(np.array(photo.pixels)).filter(ImageFilter.GaussianBlur(6))
    return np.where(mask[..., None], np.asarray(blurred), photo.pixels)


def far_from(mask, block=16):
    """Return the pixels whose blocks the mask does not touch, nor their chroma's neighbours."""
    near = np.zeros_like(mask)
    for y in range(0, mask.shape[0], block):
        for x in range(0, mask.shape[1], block):
            if mask[y : y + block, x : x + block].any():
                near[max(0, y - 2) : y + block + 2, max(0, x - 2) : x + block + 2] = True
    return ~near


def drift(before, after, where):
    old, new = (np.asarray(opened(data)).astype(int) for data in (before, after))
    return np.abs(new - old)[where]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
def test_outside_the_mask_hardly_anything_changes(photo_image, quality, subsampling, progressive):
    before = saved(
        photo_image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive
    )
    photo = read_photo(before)
    mask = box_mask(photo.size_hw, 70, 150, 90, 200)
    after = encode_photo(photo, smooth_fill(photo, mask), mask)

    far = drift(before, after, far_from(mask))
    assert (far == 0).all(axis=-1).mean() > (0.90 if quality == 95 else 0.97)
    assert far.max() <= 8
    assert far.mean() < 0.06
    near = drift(before, after, ~mask)
    assert near.mean() < 0.12
    removed = drift(before, after, mask)
    assert removed.mean() > 2  # the hole was filled


@pytest.mark.parametrize("quality", QUALITIES)
def test_far_less_changes_than_when_pillow_saves_the_picture_again(photo_image, quality):
    before = saved(photo_image, "JPEG", quality=quality)
    photo = read_photo(before)
    nothing = np.zeros(photo.size_hw, bool)
    ours = drift(before, encode_photo(photo, np.array(photo.pixels), nothing), ~nothing)
    naive = drift(before, saved(opened(before), "JPEG", quality="keep"), ~nothing)
    assert ours.mean() < 0.25 * naive.mean()
    assert ours.max() < naive.max()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size_wh", [(1, 1), (1, 9), (17, 1), (8, 8), (15, 33)])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_any_size_comes_back(mode, size_wh, subsampling):
    image = Image.effect_noise(size_wh, 40).convert(mode)
    before = saved(image, "JPEG", quality=85, subsampling=subsampling)
    photo = read_photo(before)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    result = opened(after)
    assert (result.size, result.mode) == (size_wh, mode)
    assert np.abs(drift(before, after, np.ones(photo.size_hw, bool))).max() <= 6


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
def test_tables_subsampling_and_scan_type_are_kept(photo_image, subsampling, progressive):
    from PIL.JpegImagePlugin import get_sampling

    before = opened(
        saved(photo_image, "JPEG", quality=83, subsampling=subsampling, progressive=progressive)
    )
    data = saved(photo_image, "JPEG", quality=83, subsampling=subsampling, progressive=progressive)
    photo = read_photo(data)
    mask = box_mask(photo.size_hw, 5, 9, 5, 9)
    after = opened(encode_photo(photo, np.array(photo.pixels), mask))
    assert after.quantization == before.quantization
    assert get_sampling(after) == get_sampling(before)
    assert after.info.get("progressive") == before.info.get("progressive")


def test_own_tables_one_per_component_are_kept(photo_image):
    tables = [[2 + i % 7] * 64 for i in range(2)]
    tables[0] = list(range(1, 65))
    data = saved(photo_image, "JPEG", qtables=tables)
    photo = read_photo(data)
    after = opened(encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool)))
    assert after.quantization == opened(data).quantization


def test_restart_markers_and_optimal_huffman_tables_are_kept(photo_image):
    data = saved(photo_image, "JPEG", restart_marker_blocks=5, optimize=True)
    photo = read_photo(data)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    assert dict(jpeg_segments(after))[0xDD] == (5).to_bytes(2, "big")
    assert len(after) < 1.02 * len(data)


def test_rgb_coded_files_stay_rgb_coded(photo_image):
    data = saved(photo_image, "JPEG", keep_rgb=True, quality=90)
    photo = read_photo(data)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    assert opened(after).info["adobe_transform"] == 0
    assert drift(data, after, np.ones(photo.size_hw, bool)).mean() < 0.1


def test_noise_at_quality_100_comes_back():
    noise = np.random.default_rng(0).integers(0, 256, (130, 170, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    plain = saved(image, "JPEG", quality=100, subsampling="4:4:4")
    photo = read_photo(plain)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros((130, 170), bool))
    assert drift(plain, after, np.ones((130, 170), bool)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_exif_orientation_is_applied_once(photo_image, orientation, subsampling):
    from PIL import ImageOps

    block = segment(0xE1, b"Exif\0\0" + exif_block(orientation=orientation, size_wh=(301, 239)))
    data = with_segments(saved(photo_image, "JPEG", quality=90, subsampling=subsampling), block)
    expected = ImageOps.exif_transpose(opened(data))
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, np.asarray(expected))

    mask = box_mask(photo.size_hw, 20, 40, 100, 130)
    red = np.full_like(photo.pixels, (200, 30, 30))
    written = encode_photo(photo, red, mask)
    after = opened(written)
    stored_hw = photo.size_hw if after.getexif()[0x0112] < 5 else photo.size_hw[::-1]
    assert after.size == stored_hw[::-1]
    details = after.getexif().get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == after.size
    again = read_photo(written)
    assert again.size_hw == photo.size_hw
    change = np.abs(again.pixels.astype(int) - photo.pixels)
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((33, 33), np.uint8)).astype(bool)
    assert change[~mask].mean() < 0.3
    assert (change[far] == 0).mean() > 0.9
    inside = again.pixels[24:36, 106:124].astype(int)
    assert np.abs(inside - (200, 30, 30)).mean() < 6  # the fill is in its place


@pytest.mark.parametrize(
    ("orientation", "size_wh", "subsampling", "comes_out"),
    [
        (6, (320, 240), "4:2:0", 1),  # whole blocks
        (6, (320, 248), "4:2:0", 6),  # the last row's half blocks would become the first
        (6, (320, 248), "4:4:4", 1),
        (8, (328, 240), "4:2:0", 8),
        (3, (320, 248), "4:2:0", 3),
        (3, (320, 240), "4:2:0", 1),
        (6, (320, 240), "4:2:2", 6),  # 4:4:0 cannot be written
        (5, (301, 239), "4:4:4", 5),
        (1, (301, 239), "4:2:0", 1),
    ],
)
def test_a_photo_is_written_upright_unless_that_would_cut_its_blocks_anew(
    photo_image, orientation, size_wh, subsampling, comes_out
):
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='%d'/>" % orientation
    blocks = segment(0xE1, b"Exif\0\0" + exif_block(orientation=orientation, size_wh=size_wh))
    image = photo_image.resize(size_wh)
    plain = saved(image, "JPEG", quality=85, subsampling=subsampling)
    data = with_segments(plain, blocks + segment(0xE1, xmp))
    photo = read_photo(data)
    mask = box_mask(photo.size_hw, 20, 40, 60, 70)
    after = encode_photo(photo, smooth_fill(photo, mask), mask)
    assert opened(after).getexif()[0x0112] == comes_out
    assert b"tiff:Orientation='%d'" % comes_out in after
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((33, 33), np.uint8)).astype(bool)
    change = np.abs(read_photo(after).pixels.astype(int) - photo.pixels)[far]
    assert (change == 0).mean() > 0.9
    assert change.max() <= 3
    turned = comes_out != orientation and orientation >= 5
    table, own = (np.array(opened(d).quantization[0]).reshape(8, 8) for d in (data, after))
    np.testing.assert_array_equal(own, table.T if turned else table)


def test_a_turned_photo_of_whole_blocks_drifts_no_more_than_an_upright_one(photo_image):
    image = photo_image.resize((320, 240))
    block = segment(0xE1, b"Exif\0\0" + exif_block(orientation=6))
    data = with_segments(saved(image, "JPEG", quality=85), block)
    photo = read_photo(data)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    change = np.abs(np.asarray(opened(after)).astype(int) - photo.pixels)
    assert (change == 0).mean() > 0.9  # the inverse DCT rounds rows and columns differently
    assert change.mean() < 0.1


@pytest.mark.parametrize("factors", ["440", "411"])
def test_unusual_subsampling_is_written_as_444_and_noted(photo_image, factors):
    option = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}")
    image = np.asarray(photo_image)[..., ::-1]
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, option])
    photo = read_photo(data.tobytes())
    assert photo.notes == ("its unusual chroma subsampling is written as 4:4:4",)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    change = np.abs(np.asarray(opened(after)).astype(int) - photo.pixels)
    assert change.mean() < 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9, 0.98])
def test_cut_off_files_are_refused(photo_image, share, progressive):
    data = saved(photo_image, "JPEG", progressive=progressive)
    with pytest.raises(PhotoError, match=r"damaged JPEG: .*; get an undamaged copy of the file"):
        read_photo(data[: int(len(data) * share)])


def test_cmyk_and_twelve_bits_are_refused():
    with pytest.raises(PhotoError, match=r"4 colour channels \(CMYK\).*convert it to RGB first"):
        read_photo(saved(Image.new("CMYK", (8, 8)), "JPEG"))
    data = bytearray(saved(Image.new("L", (8, 8)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(PhotoError, match="12 bits per sample is not supported; convert it to 8"):
        read_photo(bytes(data))


def test_a_jpeg_without_a_picture_is_refused():
    with pytest.raises(PhotoError, match="damaged JPEG: it holds no image data"):
        read_photo(b"\xff\xd8\xff\xd9" + bytes(20))
    with pytest.raises(PhotoError, match="damaged JPEG: the file is truncated"):
        read_photo(b"\xff\xd8" + segment(0xFE, b"only a comment") + bytes(9))
    with pytest.raises(PhotoError, match="damaged JPEG: it holds no frame header"):
        read_photo(b"\xff\xd8" + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x00\xff\xd9")


def test_small_file_in_the_tests_is_a_jpeg():
    assert read_photo(small_jpeg()).format == "JPEG"
