"""TIFF: compression, tags, refusals."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from images_builders import box_mask, directory, exif_block, opened, saved, small_jpeg
from PIL import Image, ImageCms, TiffImagePlugin
from skimage import data as photos

from cleanplate.errors import PhotoError
from cleanplate.io import lost_in
from cleanplate.io.files import encode_photo, read_photo

ARRAY = photos.chelsea()[50:107, 100:183]  # 57 x 83


def edited(data, value=100):
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = box_mask((height, width), height // 3, height // 2, width // 3, width // 2)
    return encode_photo(photo, np.full((height, width, 3), value, np.uint8), mask), mask


def tiff(order="<", pages=1, array=None, extra=(), tags=()):
    """Return an uncompressed TIFF by hand; `tags` replace or add entries."""
    array = np.zeros((4, 5, 3), np.uint8) if array is None else array
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    strip = array.astype(array.dtype.newbyteorder(order)).tobytes()
    entries = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [array.dtype.itemsize * 8] * channels),
        259: (3, [1]),
        262: (3, [2 if channels >= 3 else 1]),
        273: (4, [8]),
        277: (3, [channels]),
        278: (3, [height]),
        279: (4, [len(strip)]),
    }
    if extra:
        entries[338] = (3, list(extra))
    entries |= {tag: (kind, value) for tag, kind, value in tags}
    rows = [(tag, kind, value) for tag, (kind, value) in entries.items() if value is not None]
    magic = b"II*\0" if order == "<" else b"MM\0*"
    strip += b"\0" * (len(strip) % 2)
    at = 8 + len(strip)
    size = len(directory(rows, at, order))
    body = b""
    for page in range(pages):
        here = at + page * (size + size % 2)
        following = here + size + size % 2 if page + 1 < pages else 0
        body += directory(rows, here, order, following) + b"\0" * (size % 2)
    return magic + struct.pack(order + "I", at) + strip + body


@pytest.mark.parametrize(
    ("compression", "mode"),
    [(c, "RGB") for c in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")]
    + [("group3", "1"), ("group4", "1")],
)
def test_compression_is_kept(compression, mode):
    before = saved(Image.fromarray(ARRAY).convert(mode), "TIFF", compression=compression)
    after, mask = edited(before)
    assert opened(after).info["compression"] == compression
    np.testing.assert_array_equal(
        np.asarray(opened(after))[~mask], np.asarray(opened(before))[~mask]
    )


def test_the_predictor_is_kept():
    before = saved(Image.fromarray(ARRAY), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    after, _ = edited(before)
    assert opened(after).tag_v2[317] == 2
    assert len(after) < 1.1 * len(before)


def test_jpeg_inside_becomes_deflate_and_loses_nothing_more():
    before = saved(Image.fromarray(ARRAY), "TIFF", compression="jpeg")
    photo = read_photo(before)
    assert photo.notes == ("its JPEG compression is written as deflate, which loses nothing",)
    after, mask = edited(before)
    assert opened(after).info["compression"] == "tiff_adobe_deflate"
    np.testing.assert_array_equal(np.asarray(opened(after))[~mask], photo.pixels[~mask])


def test_descriptions_resolution_icc_exif_gps_and_private_tags_survive():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270], info[305], info[315], info[33432] = "a beach", "ACME 1.0", "Ada", "(c) Ada"
    info[33550] = (0.5, 0.5, 0.0)  # GeoTIFF pixel scale
    info.tagtype[33550] = 12
    info[65000] = b"private"
    info.tagtype[65000] = 7
    info[34665] = {0x920A: TiffImagePlugin.IFDRational(354, 10), 0x927C: b"maker", 0xA002: 83}
    info[34853] = {1: "N", 2: (52.0, 31.0, 12.0)}
    before = saved(
        Image.fromarray(ARRAY), "TIFF", tiffinfo=info, icc_profile=profile, dpi=(300, 200)
    )
    after, _ = edited(before)
    old, new = opened(before), opened(after)
    for tag in (270, 282, 283, 296, 305, 315, 33432, 33550, 34675, 65000):
        assert new.tag_v2[tag] == old.tag_v2[tag], tag
    assert new.info["dpi"] == (300, 200)
    assert new.info["icc_profile"] == profile
    for ifd in (34665, 34853):
        assert dict(new.getexif().get_ifd(ifd)) == dict(old.getexif().get_ifd(ifd))
    assert read_photo(before).notes == ()


def test_sixteen_bit_rgb_keeps_its_tags_too():
    array = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    before = tiff(array=array, tags=[(270, 2, b"deep\0"), (282, 5, [300, 1]), (283, 5, [300, 1])])
    after, mask = edited(before)
    with Image.open(io.BytesIO(after)) as image:
        assert image.tag_v2[270] == "deep"
        assert image.tag_v2[282] == 300
    decoded = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(decoded[~mask], array[~mask])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_both_byte_orders(order, dtype, channels):
    shape = (6, 5) if channels == 1 else (6, 5, channels)
    array = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    extra = (2,) if channels == 4 else ()
    before = tiff(order, array=array, extra=extra, tags=[(40000, 3, [1, 2, 515])])
    photo = read_photo(before)
    assert photo.notes == ()
    after, mask = edited(before)
    assert read_photo(after).samples.bits == 8 * array.itemsize
    tags = Image.open(io.BytesIO(after)).tag_v2 if channels != 4 else None
    assert tags is None or tags[40000] == (1, 2, 515)
    if dtype == np.uint8:  # OpenCV multiplies 8-bit colours by alpha
        decoded = np.asarray(opened(after))
    else:
        decoded = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)
        order_of = {1: slice(None), 3: (..., [2, 1, 0]), 4: (..., [2, 1, 0, 3])}[channels]
        decoded = decoded[order_of]
    np.testing.assert_array_equal(decoded[~mask], array[~mask])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_is_applied_once(orientation, dtype):
    array = np.arange(6 * 5 * 3, dtype=dtype).reshape(6, 5, 3) * dtype(2)
    before = tiff(
        array=array,
        tags=[(274, 3, [orientation]), (282, 5, [300, 1]), (283, 5, [200, 1])],
    )
    samples8 = tiff(array=array.astype(np.uint8), tags=[(274, 3, [orientation])])
    expected = np.asarray(opened(samples8))  # Pillow turns TIFFs by itself
    photo = read_photo(before)
    assert photo.size_hw == expected.shape[:2]
    if dtype == np.uint8:
        np.testing.assert_array_equal(photo.pixels, expected)
    after = encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
    decoded = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(decoded, expected)
    tags = Image.open(io.BytesIO(after)).tag_v2
    assert tags[274] == 1
    assert (tags[282], tags[283]) == ((200, 300) if orientation > 4 else (300, 200))


def test_palettes_keep_their_sixteen_bit_colours():
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5)
    colours = np.random.default_rng(0).integers(0, 65536, 768).tolist()
    before = tiff(array=indices, tags=[(262, 3, [3]), (320, 3, colours)])
    after, mask = edited(before)
    assert list(opened(after).tag_v2[320]) == colours
    np.testing.assert_array_equal(np.asarray(opened(after))[~mask], indices[~mask])


def test_a_fourth_channel_of_unknown_meaning_is_kept():
    array = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    photo = read_photo(tiff(array=array, extra=(0,)))
    after = encode_photo(photo, np.full((4, 5, 3), 9, np.uint8), np.ones((4, 5), bool))
    np.testing.assert_array_equal(read_photo(after).samples.alpha, array[..., 3])
    assert opened(after).tag_v2[338] == (0,)


def test_pictures_in_tags_layers_and_subifds_are_dropped_and_named():
    tags = [
        (330, 4, [8]),
        (37724, 7, b"Adobe Photoshop Document Data Block\0layers"),
        (700, 1, b'<r tiff:Orientation="3"><xmp:Thumbnails/></r>'),
        (34377, 1, b"8BIM\x04\x0c\0\0" + struct.pack(">I", 2) + b"ab"),
        (65001, 7, b"x" + small_jpeg()),
        (34665, 4, [99_999_999]),
    ]
    before = tiff(tags=tags)
    photo = read_photo(before)
    assert set(photo.notes) == {
        "the previews in it (SubIFDs) are removed",
        "its Photoshop layers are not carried over",
        "XMP entries about embedded images are removed",
        "a Photoshop preview is removed",
        "TIFF tag 65001 (with an image) is not carried over",
        "damaged TIFF tags (34665) are not carried over",
    }
    after, _ = edited(before)
    assert opened(after).tag_v2[700] == b'<r tiff:Orientation="3"></r>'  # not turned
    assert {330, 37724, 34377, 65001, 34665}.isdisjoint(opened(after).tag_v2)


def test_a_maker_note_loses_its_preview_only():
    block = exif_block(maker_note=b"ACME" + small_jpeg() + b"12345", size_wh=(5, 4))
    exif = Image.Exif()
    exif.load(block)
    before = saved(Image.new("RGB", (5, 4)), "TIFF", exif=exif)
    after, _ = edited(before)
    details = opened(after).getexif().get_ifd(34665)
    assert details[0x927C] == b"ACME" + bytes(len(small_jpeg())) + b"12345"
    assert float(details[0x920A]) == 35.4


def test_reduced_copies_are_dropped_but_further_pages_refused():
    pages = [Image.fromarray(ARRAY)] * 3
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(PhotoError, match=r"3 pages \(TIFF\).*split it"):
        read_photo(data)
    page = tiff(tags=[(254, 4, [1])], pages=2)
    first = page.index(struct.pack("<HHII", 254, 4, 1, 1))
    data = page[: first + 8] + b"\0" + page[first + 9 :]
    assert read_photo(data).notes == ("its reduced-resolution images are removed",)
    assert opened(edited(data)[0]).n_frames == 1


def test_bigtiff_is_read_and_written_as_tiff():
    before = saved(Image.fromarray(ARRAY), "TIFF", big_tiff=True, dpi=(300, 300))
    assert before[2] == 43
    after, mask = edited(before)
    assert after[2] == 42
    np.testing.assert_array_equal(np.asarray(opened(after))[~mask], ARRAY[~mask])
    assert opened(after).info["dpi"] == (300, 300)


GREY_ALPHA = [(258, 3, [8] * 2), (277, 3, [2]), (338, 3, [2])]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([(262, 3, [5])], "damaged TIFF: 3 of 4 channels"),
        (
            [(262, 3, [5]), (277, 3, [4]), (258, 3, [16] * 4)],
            "inks other than 8-bit CMYK is not supported; convert it to 8- or 16-bit RGB first",
        ),
        ([(262, 3, [8])], "a TIFF of Lab is not supported"),
        ([(262, 3, [77])], "a TIFF of colour type 77 is not supported"),
        ([(339, 3, [3])], "floating-point samples is not supported"),
        ([(339, 3, [2])], "signed integer samples is not supported"),
        ([(339, 3, [6])], "format 6 samples is not supported"),
        ([(258, 3, [32] * 3)], "a TIFF of 32 bits per sample is not supported"),
        ([(258, 3, [8, 8, 16])], "unequal bits per channel is not supported"),
        ([(277, 3, [5]), (258, 3, [8] * 5), (338, 3, [0, 0])], "5 channels.*remove the extra"),
        ([(277, 3, [1]), (258, 3, [8])], "damaged TIFF: 1 of 3 channels; get an undamaged copy"),
        ([(259, 3, [99])], "compression method 99 is not supported; save it with LZW"),
        ([(254, 4, [1])], r"its first image is only a preview \(a raw file\?\); export it"),
        ([(258, 3, [16] * 3), (284, 3, [2])], "16-bit TIFF of separate planes is not supported"),
        ([(258, 3, [16]), (277, 3, [1]), (262, 3, [0])], "16-bit TIFF of colour type 0"),
        (
            [(258, 3, [16] * 2), (277, 3, [2]), (262, 3, [1]), (338, 3, [2])],
            "16-bit TIFF of grey with alpha is not supported; save it as 16-bit PNG",
        ),
        (
            [*GREY_ALPHA, (262, 3, [1]), (284, 3, [2])],
            "grey with alpha, .*in separate planes,",
        ),
        ([*GREY_ALPHA, (262, 3, [0])], "grey with alpha, inverted .* is not supported"),
        ([(258, 3, [1] * 3)], "a TIFF of 1-bit RGB is not supported"),
        (
            [(262, 3, [3]), (277, 3, [2]), (258, 3, [8, 8]), (338, 3, [2])],
            "a palette TIFF with alpha is not supported",
        ),
        ([(273, 4, None), (279, 4, None)], "damaged TIFF: it holds no image data"),
        ([(273, 4, [5000])], "damaged TIFF: the file is truncated"),
        ([(273, 4, [8] * 9), (279, 4, [60] * 9)], "damaged TIFF: its strips overlap"),
        ([(322, 4, [1 << 20]), (323, 4, [1 << 20])], "damaged TIFF: impossibly large tiles"),
        ([(256, 3, [0])], "its header states a size of 0 x 4 px"),
        ([(262, 3, [3]), (277, 3, [1]), (258, 3, [8])], "damaged TIFF"),
    ],
)
def test_what_cannot_come_back_as_it_was_is_refused(tags, message):
    with pytest.raises(PhotoError, match=message):
        read_photo(tiff(tags=tags))


@pytest.mark.parametrize("mode", ["LAB", "F", "I"])
def test_such_files_from_pillow_are_refused(mode):
    with pytest.raises(PhotoError, match="is not supported"):
        read_photo(saved(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_cut_off_files_are_refused(compression, share):
    data = saved(Image.fromarray(ARRAY), "TIFF", compression=compression)
    with pytest.raises(PhotoError, match="damaged TIFF"):
        read_photo(data[: int(len(data) * share)])


def test_directories_that_point_in_circles_are_cut():
    data = tiff(tags=[(34665, 4, [68]), (34853, 4, [68]), (40965, 4, [68])])
    assert struct.unpack_from("<I", data, 4) == (68,)
    assert read_photo(data).notes[0].startswith("damaged TIFF tags (")


def test_four_bit_grey_is_written_as_eight_with_a_note():
    packed = np.array([[0x0F, 0x37]], np.uint8)
    data = tiff(array=packed, tags=[(256, 3, [4]), (258, 3, [4])])
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels[0, :, 0], [0, 255, 51, 119])
    assert photo.notes == ("its 4 bits per sample are written as 8",)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 2), (np.uint8, 4), (np.uint16, 4)])
def test_associated_alpha_stays_bit_for_bit(dtype, channels, rng):
    array = rng.integers(0, np.iinfo(dtype).max, (40, 50, channels), endpoint=True).astype(dtype)
    array[..., :-1] = array[..., :-1] * (array[..., -1:] / np.iinfo(dtype).max)
    array[:20, :, -1], array[:20, :, :-1] = 0, 0
    before = tiff(array=array, extra=(1,))
    photo = read_photo(before)
    assert photo.notes == ()
    mask = box_mask((40, 50), 15, 30, 10, 20)
    after = encode_photo(photo, np.full((40, 50, 3), 200, np.uint8), mask)
    with tifffile.TiffFile(io.BytesIO(after)) as file:
        new, extra = file.asarray(), file.pages[0].tags["ExtraSamples"].value
    assert extra[0] == 1
    np.testing.assert_array_equal(new[~mask], array[~mask])
    np.testing.assert_array_equal(new[..., -1], array[..., -1])
    np.testing.assert_allclose(new[mask][:, 0], array[mask][:, -1] * (200 / 255), atol=300)
    seen = photo.pixels[20:, :, 0] * (photo.alpha[20:] / 255) * (np.iinfo(dtype).max / 255)
    np.testing.assert_allclose(seen, array[20:, :, 0], atol=np.iinfo(dtype).max / 250)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_bands_declared_as_grey_are_red_green_blue(dtype, channels, rng):
    array = rng.integers(0, np.iinfo(dtype).max, (30, 40, channels)).astype(dtype)
    array[:4] = 0
    tags = [(262, 3, [1]), (338, 3, [0] * (channels - 1))]
    before = tiff(array=array, tags=tags)
    photo = read_photo(before)
    step = np.iinfo(dtype).max // 255
    assert np.abs(photo.pixels.astype(int) * step - array[..., :3].astype(int)).max() <= step
    assert photo.transparent is None
    after, mask = edited(before)
    with tifffile.TiffFile(io.BytesIO(after)) as file:
        new, kept = file.asarray(), file.pages[0].tags
    np.testing.assert_array_equal(new[~mask], array[~mask])
    assert (new[mask][:, :3] != array[mask][:, :3]).any()
    assert kept["PhotometricInterpretation"].value == 1
    assert tuple(kept["ExtraSamples"].value) == (0,) * (channels - 1)


def test_floating_point_is_named_whatever_the_channels():
    bands = [(262, 3, [1]), (258, 3, [32] * 3), (339, 3, [3] * 3)]
    with pytest.raises(PhotoError, match="32-bit floating-point"):
        read_photo(tiff(tags=bands))


@pytest.mark.parametrize("turned", [False, True])
def test_a_mask_of_missing_data_stays(turned, rng):
    array = rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
    valid = np.zeros((32, 48), bool)
    valid[4:20, 8:40] = True
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        extra = [(274, 3, 1, 6, True)] if turned else []
        writer.write(array, photometric="rgb", extratags=extra)
        writer.write(valid, photometric="mask", subfiletype=4, tile=(16, 16))
        writer.write(array[::2, ::2], photometric="rgb", subfiletype=1)
    photo = read_photo(stream.getvalue())
    assert [lost_in(note) for note in photo.notes if lost_in(note)] == ["mask"] * turned
    after, _ = edited(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(after)) as file:
        assert len(file.pages) == (1 if turned else 2)
        if not turned:
            np.testing.assert_array_equal(file.pages[1].asarray(), valid)


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_inside_is_decoded(tile, mode):
    array = np.asarray(Image.fromarray(ARRAY[:48, :80]).convert(mode))
    step = tile or 16
    corners = [(y, x) for y in range(0, 48, step) for x in range(0, 80, tile or 80)]
    parts = [array[y : y + step, x : x + (tile or 80)] for y, x in corners]
    strips = [saved(Image.fromarray(part), "WEBP", lossless=True) for part in parts]
    kinds = (322, 323, 324, 325) if tile else (None, 278, 273, 279)
    offsets = [8 + sum(map(len, strips[:place])) for place in range(len(strips))]
    tags = [(259, 3, [50001]), (273, 4, None), (278, 3, None), (279, 4, None)]
    tags += [(kinds[0], 3, [tile])] if tile else []
    tags += [(kinds[1], 3, [step]), (kinds[2], 4, offsets), (kinds[3], 4, list(map(len, strips)))]
    coded = np.frombuffer(b"".join(strips), np.uint8)
    sizes = [(256, 3, [80]), (257, 3, [48]), (262, 3, [2])]
    sizes += [(258, 3, [8] * len(mode)), (277, 3, [len(mode)])]
    extra = (2,) if mode == "RGBA" else ()
    before = tiff(array=coded[None], tags=[*sizes, *tags], extra=extra)
    photo = read_photo(before)
    np.testing.assert_array_equal(photo.pixels, array[..., :3])
    after, mask = edited(before)
    np.testing.assert_array_equal(np.asarray(opened(after))[~mask], array[~mask])
