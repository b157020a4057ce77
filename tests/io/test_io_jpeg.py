"""JPEG: the same tables, and nothing changed in the blocks where nothing was removed."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from cleanplate.io.files import encode_photo, read_photo, write_photo
from cleanplate.io.formats import jpeg_blocks, jpeg_coding
from cleanplate.io.formats.jpeg_blocks import _items
from cleanplate.io.formats.jpeg_coding import (
    HuffmanTable,
    Scan,
    decode_scan,
    encode_symbols,
    replace_bits,
    split_intervals,
)
from cleanplate.io.metadata import parse_segments

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


def filled(photo, mask):
    """Return the photo with noise in the hole: coefficients that its Huffman tables may lack."""
    noise = np.random.default_rng(3).integers(0, 256, (*photo.size_hw, 3)).astype(np.uint8)
    return np.where(mask[..., None], noise, photo.pixels)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("progressive", "restart"), [(False, 3), (True, 0)])
def test_blocks_beyond_the_hole_are_identical(photo_image, subsampling, progressive, restart):
    for quality, optimize in ((40, True), (90, False), (100, True)):
        before = saved(
            photo_image.crop((100, 70, 213, 159)),
            "JPEG",
            quality=quality,
            subsampling=subsampling,
            progressive=progressive,
            optimize=optimize,
            restart_marker_blocks=restart,
        )
        photo = read_photo(before)
        mask = box_mask(photo.size_hw, 40, 70, 30, 60)
        mask[:1, :1] = mask[-9:, -9:] = True
        after = encode_photo(photo, filled(photo, mask), mask)
        assert drift(before, after, far_from(mask)).max() == 0
        assert opened(after).quantization == opened(before).quantization
    mask = box_mask(photo.size_hw, 40, 70, 30, 60)
    smooth = smooth_fill(photo, mask)
    again = read_photo(encode_photo(photo, smooth, mask)).pixels
    assert np.abs(again - smooth.astype(int))[mask].mean() < 4


@pytest.mark.parametrize("factors", ["440", "411"])
def test_unusual_subsampling_is_kept(photo_image, factors):
    option = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}")
    image = np.asarray(photo_image)[..., ::-1]
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, option])
    photo = read_photo(data.tobytes())
    mask = box_mask(photo.size_hw, 70, 150, 90, 200)
    after = encode_photo(photo, filled(photo, mask), mask)
    assert opened(after).layer == opened(data.tobytes()).layer
    assert drift(data.tobytes(), after, far_from(mask, 32)).max() == 0


def test_a_hole_that_is_unchanged_keeps_the_scan(photo_image):
    before = saved(photo_image, "JPEG", quality=90)
    photo = read_photo(before)
    nothing = np.zeros(photo.size_hw, bool)
    assert encode_photo(photo, np.array(photo.pixels), nothing) == before


@pytest.mark.parametrize("quality", [60, 100])
def test_lanes_decode_what_one_does(photo_image, quality, monkeypatch):
    data = saved(photo_image, "JPEG", quality=quality, subsampling="4:2:0")
    (scan,) = [x for x in _items(parse_segments(data)) if isinstance(x, Scan)]
    pairs = [tuple(scan.huffman[t] for t in tables) for tables in scan.tables]
    pattern = [pairs[0]] * 4 + pairs[1:]
    intervals = split_intervals(scan.data)
    alone = decode_scan(intervals, pattern)
    for name, value in (("_LANE_BYTES", 300), ("_LANES_FROM_BYTES", 0), ("_WARM_UP_BITS", 100)):
        monkeypatch.setattr(jpeg_coding, name, value)  # many lanes begin wrongly
    lanes = decode_scan(intervals, pattern)
    for name in ("counts", "bits", "ends"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(lanes, name))
    every = (0 * alone.counts, alone.counts, alone.ends)
    one, other = (it.symbols(*every) for it in (alone, lanes))
    for name in ("symbol", "value", "index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("restart", [0, 7])
def test_what_is_far_from_the_hole_is_not_coded_again(photo_image, restart, monkeypatch):
    data = saved(photo_image, "JPEG", quality=90, restart_marker_blocks=restart)
    photo = read_photo(data)
    mask = box_mask(photo.size_hw, 100, 110, 40, 60)
    counts = []

    def counted(symbols, *others):
        counts.append(np.count_nonzero(symbols.index == 0))
        return encode_symbols(symbols, *others)

    monkeypatch.setattr(jpeg_blocks, "encode_symbols", counted)
    encode_photo(photo, filled(photo, mask), mask)
    rows = photo.size_hw[0] // 16
    assert 0 < sum(counts) < 3 / rows * photo.size_hw[0] * photo.size_hw[1] / 64 * 1.5


def test_a_photo_that_was_prepared_is_written_the_same(photo_image, monkeypatch):
    data = saved(photo_image, "JPEG", quality=90)
    photo, other = read_photo(data), read_photo(data)
    mask = box_mask(photo.size_hw, 100, 110, 40, 60)
    fill = filled(photo, mask)
    calls = []
    decode = jpeg_blocks.decode_scan
    monkeypatch.setattr(jpeg_blocks, "decode_scan", lambda *its: calls.append(1) or decode(*its))
    photo.prepare_to_write()
    assert encode_photo(photo, fill, mask) == encode_photo(other, fill, mask)
    assert len(calls) == 2, "once each"


@given(data=st.binary(min_size=1, max_size=40), bits=st.data())
def test_bits_are_spliced(data, bits):
    text = "".join(f"{byte:08b}" for byte in data)
    first, stop, end = sorted(bits.draw(st.integers(0, len(text))) for _ in range(3))
    new = bits.draw(st.text("01", max_size=70))
    padded = new + "1" * (-len(new) % 8)
    piece = bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)), len(new)
    result = "".join(f"{byte:08b}" for byte in replace_bits(data, first, stop, end, piece))
    expected = text[:first] + new + text[stop:end]
    assert result == expected + "1" * (-len(expected) % 8)


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_damaged_scans_are_encoded_again_with_a_note(photo_image, progressive, tmp_path):
    before = saved(photo_image, "JPEG", quality=85, progressive=progressive)
    start, changed = before.index(b"\xff\xda") + 30, 0
    for at in range(start, len(before) - 2, len(before) // 12):
        data = bytearray(before)
        data[at] ^= 0x10
        if b"\xff" in data[at - 1 : at + 2]:
            continue
        photo = read_photo(bytes(data))
        mask = box_mask(photo.size_hw, 20, 40, 20, 50)
        notes = write_photo(tmp_path / "after.jpg", photo, smooth_fill(photo, mask), mask)
        after = read_photo(tmp_path / "after.jpg")
        far = np.abs(after.pixels.astype(int) - photo.pixels)[far_from(mask)]
        assert (far == 0).mean() > 0.8
        assert any("damaged" in note for note in notes) or not far.any()
        changed += far.any()
    assert changed, "no damage was found; the test tests nothing"


def test_huffman_tables_are_optimal_and_valid():
    for counts in ([5], [1, 1], [2**i for i in range(40)], [7, 0, 3, 0, 0, 9] * 40):
        frequencies = np.zeros(256, np.int64)
        frequencies[: len(counts)] = counts
        codes, lengths = HuffmanTable.optimal(frequencies).codes
        used = frequencies > 0
        assert ((lengths > 0) == used).all()
        assert lengths.max() <= 16
        assert (0.5 ** lengths[used]).sum() < 1  # the code of all ones stays free
        assert len({(c, n) for c, n in zip(codes[used], lengths[used], strict=True)}) == used.sum()
        if len(counts) == 240:
            share = frequencies[used] / frequencies.sum()
            entropy = -(share * np.log2(share)).sum()
            assert (share * lengths[used]).sum() < entropy + 0.1


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
    mask = box_mask(photo.size_hw, 20, 40, 20, 50)
    after = encode_photo(photo, smooth_fill(photo, mask), mask)
    assert dict(jpeg_segments(after))[0xDD] == (5).to_bytes(2, "big")
    assert after.count(b"\xff\xd3") == data.count(b"\xff\xd3")
    assert len(after) < 1.02 * len(data)


def test_rgb_coded_files_stay_rgb_coded(photo_image):
    data = saved(photo_image, "JPEG", keep_rgb=True, quality=90)
    photo = read_photo(data)
    mask = box_mask(photo.size_hw, 20, 40, 20, 50)
    after = encode_photo(photo, smooth_fill(photo, mask), mask)
    assert opened(after).info["adobe_transform"] == 0
    assert drift(data, after, far_from(mask, 8)).max() == 0
    assert drift(data, after, ~mask).mean() < 0.1


@pytest.mark.parametrize(
    ("orientation", "subsampling"),
    [(turn, SUBSAMPLINGS[turn % len(SUBSAMPLINGS)]) for turn in range(1, 9)],
)
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
    assert after.getexif()[0x0112] == orientation
    assert after.size == (301, 239)
    details = after.getexif().get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == after.size
    again = read_photo(written)
    assert again.size_hw == photo.size_hw
    change = np.abs(again.pixels.astype(int) - photo.pixels)
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((37, 37), np.uint8)).astype(bool)
    assert change[far].max() == 0
    inside = again.pixels[24:36, 106:124].astype(int)
    assert np.abs(inside - (200, 30, 30)).mean() < 6  # the fill is in its place


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9, 0.98])
def test_cut_off_files_are_refused(photo_image, share, progressive):
    data = saved(photo_image, "JPEG", progressive=progressive)
    with pytest.raises(PhotoError, match=r"damaged JPEG: .*undamaged copy"):
        read_photo(data[: int(len(data) * share)])


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_missing_end_is_added(photo_image, mode, progressive):
    before = saved(photo_image.convert(mode), "JPEG", progressive=progressive)
    photo = read_photo(before[:-2])
    np.testing.assert_array_equal(photo.pixels, read_photo(before).pixels)
    assert len(photo.notes) == 1
    mask = box_mask(photo.size_hw, 100, 120, 100, 130)
    after = encode_photo(photo, smooth_fill(photo, mask), mask)
    assert drift(before, after, far_from(mask)).max() == 0
    assert read_photo(after).notes == ()


def test_lossless_and_twelve_bits_are_refused():
    lossless = bytearray(saved(Image.new("L", (8, 8)), "JPEG"))
    lossless[lossless.index(b"\xff\xc0") + 1] = 0xC3
    with pytest.raises(PhotoError, match=r"lossless.*convert it"):
        read_photo(bytes(lossless))
    data = bytearray(saved(Image.new("L", (8, 8)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(PhotoError, match=r"12 bits per sample .*convert it"):
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
