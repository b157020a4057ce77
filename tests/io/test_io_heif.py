"""HEIC and AVIF."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from heif_builders import (
    avif,
    decoded,
    deep_avif,
    exif_item,
    heic,
    metadata_of,
    mirror,
    moved_to_tiles,
    properties_of,
    rotation,
    with_items,
    with_picture,
    with_properties,
    xmp_item,
)
from images_builders import box_mask, exif_block, small_jpeg
from PIL import Image, ImageOps
from skimage import data as photos

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo
from cleanplate.io.formats.heif_coding import expand_to_16bit, reduce_from_16bit
from cleanplate.io.metadata.isobmff import (
    Item,
    Property,
    Reference,
    parse_heif,
    serialize_heif,
)

ARRAY = np.ascontiguousarray(photos.chelsea()[40:104, 90:170])  # 64 x 80
ALPHA = np.random.default_rng(0).integers(0, 256, ARRAY.shape[:2], dtype=np.uint8)
NCLX = b"colr", b"nclx"


def colour(*numbers, full_range=True):
    content = struct.pack(">HHHB", *numbers, 0x80 * full_range)
    return Property(b"colr", b"nclx" + content)


def edited(data, value=200):
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = box_mask((height, width), height // 3, height // 2 + 1, width // 3, width // 2 + 1)
    return encode_photo(photo, np.full((height, width, 3), value, np.uint8), mask), mask


def drift(before, after, mask):
    return np.abs(decoded(after).astype(int) - decoded(before))[~mask].mean()


@pytest.mark.parametrize(
    ("make", "fmt", "limit"),
    [
        (lambda: heic(ARRAY), "HEIC", 0.7),
        (lambda: heic(ARRAY, chroma=422), "HEIC", 0.7),
        (lambda: heic(ARRAY, chroma=444), "HEIC", 0.9),
        (lambda: heic(np.tile(ARRAY, (1, 7, 1)), tile_size=512), "HEIC", 0.7),
        (lambda: heic(ARRAY[:-1, :-3].copy()), "HEIC", 0.7),
        (lambda: heic(ARRAY[..., 1].copy(), "L"), "HEIC", 0.7),
        (lambda: avif(ARRAY), "AVIF", 2.0),
        (lambda: avif(ARRAY, subsampling="4:4:4"), "AVIF", 2.0),
        (lambda: avif(ARRAY, range="limited"), "AVIF", 2.0),
        (lambda: avif(ARRAY[:-1, :-3]), "AVIF", 2.0),
        (lambda: avif(ARRAY[..., 1]), "AVIF", 1.5),
    ],
)
def test_comes_back_in_its_format_size_and_sampling_with_little_drift(make, fmt, limit):
    before = make()
    photo = read_photo(before)
    assert photo.format == fmt
    assert (
        photo.notes[-1] == f"it is encoded again, as {fmt} at quality {85 if fmt == 'HEIC' else 90}"
    )
    after, mask = edited(before)
    again = read_photo(after)
    assert (again.format, again.size_hw, again.samples.kind) == (
        fmt, photo.size_hw, photo.samples.kind,
    )  # fmt: skip
    assert again.container.coding == photo.container.coding
    assert drift(before, after, mask) < limit
    height, width = photo.size_hw  # the hole reaches from a third to a half
    middle = again.pixels[height * 2 // 5, width * 2 // 5].astype(int)
    assert np.abs(middle - 200).max() < 12


def ramp(bits, channels):
    """Return 64 x 80 px of all values of so many bits, the same in all channels."""
    values = np.linspace(0, 2**bits - 1, 64 * 80).astype(np.uint16).reshape(64, 80, 1)
    return np.ascontiguousarray(np.repeat(values, channels, axis=2).squeeze())


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda array, bits: heic(array, f"RGB;{bits}", bit_depth=bits), 3),
        (lambda array, bits: heic(array, f"L;{bits}", bit_depth=bits), 1),
        (lambda array, bits: heic(array, f"RGBA;{bits}", bit_depth=bits), 4),
        (lambda array, bits: deep_avif(array, bits, 420), 3),
        (lambda array, bits: deep_avif(array, bits, 422), 3),
        (lambda array, bits: deep_avif(array, bits, 444), 3),
        (lambda array, bits: deep_avif(array, bits, 400), 1),
        (lambda array, bits: deep_avif(array, bits, 400), 2),
        (lambda array, bits: deep_avif(array, bits, 420), 4),
    ],
)
def test_deep_images_keep_their_bits(bits, make, channels):
    before = make(ramp(bits, channels), bits)
    photo = read_photo(before)
    assert photo.samples.bits == 16
    after, mask = edited(before)
    coding, again = photo.container.coding, read_photo(after).container.coding
    assert (again.codec, again.bits, again.chroma) == (coding.codec, bits, coding.chroma)
    old, new = decoded(before), decoded(after)
    assert new.dtype == np.uint16
    assert new.shape == old.shape
    assert len(np.unique(new)) > 2 ** (bits - 2)  # more than 8 bits hold
    assert np.abs(new.astype(int) - old)[~mask].mean() < 2 ** (bits - 8)
    if channels in (2, 4):
        np.testing.assert_array_equal(new[..., -1], old[..., -1])


def test_an_avif_in_high_dynamic_range_keeps_its_colours():
    before = deep_avif(ramp(10, 3), 10, 420, primaries=9, transfer=16, matrix=9)  # BT.2100 PQ
    after, _ = edited(before)
    assert (b"colr", b"nclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)) in properties_of(after)


def test_samples_of_ten_bits_survive_the_wayto_sixteen_and_back():
    for bits in (10, 12):
        every = np.arange(2**bits, dtype=np.uint16)
        np.testing.assert_array_equal(reduce_from_16bit(expand_to_16bit(every, bits), bits), every)
        assert expand_to_16bit(every, bits)[-1] == 65535


@pytest.mark.parametrize("make", [lambda a: heic(a, "RGBA"), avif], ids=["heic", "avif"])
@pytest.mark.parametrize("odd", [0, 1])
def test_alpha_comes_back_bit_for_bit(make, odd):
    before = make(np.ascontiguousarray(np.dstack([ARRAY, ALPHA])[: 64 - odd, : 80 - odd]))
    after, mask = edited(before)
    old, new = decoded(before), decoded(after)
    np.testing.assert_array_equal(new[..., 3], old[..., 3])
    assert np.abs(new[..., :3].astype(int) - old[..., :3])[~mask].mean() < 2
    np.testing.assert_array_equal(read_photo(before).samples.alpha, old[..., 3])


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_rotation_and_mirroring_are_applied_and_stay_as_they_are(turns, axis):
    properties = (rotation(turns), *([] if axis is None else [mirror(axis)]))
    before = with_properties(heic(ARRAY), *properties)
    photo = read_photo(before)
    np.testing.assert_array_equal(photo.pixels, decoded(before))
    after, mask = edited(before)
    kinds = [(p.type, p.data) for p in properties]
    assert [p for p in properties_of(after) if p[0] in (b"irot", b"imir")] == kinds
    assert drift(before, after, mask) < 0.8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_as_upright_as_pillow_has_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    before = avif(ARRAY, exif=exif)
    with Image.open(io.BytesIO(before)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_photo(before).pixels, expected)


@pytest.mark.parametrize("make", [heic, avif])
def test_metadata_survive_without_thumbnails(make):
    block = exif_block(orientation=6, thumbnail=small_jpeg(), size_wh=(80, 64))
    xmp = b'<x tiff:Orientation="6"><xmp:Thumbnails/>kept</x>'
    before = with_items(make(ARRAY), exif_item(block), xmp_item(xmp), reference=b"cdsc")
    photo = read_photo(before)
    assert photo.size_hw == (64, 80)  # Exif's orientation has no meaning here
    assert "its Exif thumbnail is removed" in photo.notes
    after, _ = edited(before)
    found = metadata_of(after)
    exif = found[b"Exif"][4:]
    assert exif == block[: len(exif) - 4] + exif[-4:] or b"maker note" in exif
    assert small_jpeg()[:3] not in exif
    assert found[b"application/rdf+xml"] == b'<x tiff:Orientation="6">kept</x>'
    loaded = Image.Exif()
    loaded.load(exif)
    assert loaded[0x0112] == 6  # as it was; viewers go by rotation and mirroring
    assert loaded.get_ifd(0x8825)[1] == "N"


def test_other_metadata_are_named():
    note = Item(b"mime", b"{}", content_type=b"application/json")
    assert read_photo(with_items(avif(ARRAY), note, reference=b"cdsc")).notes[0] == (
        "its application/json metadata are not carried over"
    )


@pytest.mark.parametrize("make", [heic, avif])
def test_colour_descriptions_survive(make):
    icc = Property(b"colr", b"prof" + b"profile")
    extra = Property(b"clli", b"\1\2\3\4")
    plain = with_properties(make(ARRAY), without=[NCLX])
    after, _ = edited(with_properties(plain, colour(12, 16, 6), icc, extra))
    found = properties_of(after)
    assert (b"colr", colour(12, 16, 6).data) in found
    assert (b"colr", b"profprofile") in found
    assert (b"clli", b"\1\2\3\4") in found
    after, _ = edited(with_properties(plain, icc))
    assert (b"colr", colour(2, 2, 6).data) in properties_of(after)  # the profile speaks
    after, _ = edited(plain)
    assert (b"colr", colour(1, 13, 6).data) in properties_of(after)  # what readers take nothing for


def test_properties_stated_at_the_tiles_stay():
    icc = b"profprofile"
    pasp = Property(b"pasp", struct.pack(">II", 4, 3))
    square = np.ascontiguousarray(np.tile(ARRAY, (3, 3, 1)))
    grid = heic(square, tile_size=128)
    assert parse_heif(grid).items[parse_heif(grid).primary].type == b"grid"
    whole = with_properties(grid, Property(b"colr", icc), pasp, without=[NCLX])
    tiled = moved_to_tiles(whole, b"colr", b"pasp")
    assert b"pasp" not in {kind for kind, _ in properties_of(tiled)}
    after, mask = edited(tiled)
    assert {(b"colr", icc), (b"pasp", pasp.data)} <= set(properties_of(after))
    assert drift(tiled, after, mask) < 2
    # What the picture itself states comes first.
    own = with_properties(tiled, Property(b"pasp", struct.pack(">II", 1, 1)))
    ratios = [data for kind, data in properties_of(edited(own)[0]) if kind == b"pasp"]
    assert ratios == [struct.pack(">II", 1, 1)]


@pytest.mark.parametrize(("matrix", "full_range"), [(1, 1), (5, 0), (6, 0), (9, 1), (9, 0)])
def test_the_matrix_of_a_heic_is_used(matrix, full_range):
    options = {"color_primaries": 9, "transfer_characteristics": 16}
    before = heic(ARRAY, matrix_coefficients=matrix, full_range_flag=full_range, **options)
    after, mask = edited(before)
    assert read_photo(after).container.coding.colour == (9, 16, matrix, full_range)
    assert drift(before, after, mask) < 0.8


@pytest.mark.parametrize(
    ("add", "note"),
    [
        (lambda d: with_picture(d, reference=b"thmb"), "its thumbnail is removed"),
        (
            lambda d: with_picture(
                d,
                reference=b"auxl",
                properties=(
                    Property(b"auxC", bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0"),
                ),
            ),
            "its HDR gain map is not carried over",
        ),
        (
            lambda d: with_picture(
                d,
                reference=b"auxl",
                properties=(Property(b"auxC", bytes(4) + b"urn:mpeg:hevc:2015:auxid:2\0"),),
            ),
            "its depth map is not carried over",
        ),
        (
            lambda d: with_picture(
                d, reference=b"auxl", properties=(Property(b"auxC", bytes(4) + b"urn:matte\0"),)
            ),
            "its auxiliary image urn:matte is not carried over",
        ),
        (lambda d: with_items(d, Item(b"tmap", b"x"), reference=b"dimg"), "its HDR gain map is"),
        (lambda d: d + struct.pack(">I4s", 12, b"mpvd") + b"film", "its mpvd box is not carried"),
    ],
)
def test_other_pictures_of_the_scene_are_left_out_and_named(add, note):
    before = add(avif(ARRAY))
    photo = read_photo(before)
    assert photo.notes[0].startswith(note)
    after, _ = edited(before)
    assert len(after) < len(before) * 2
    assert read_photo(after).notes == photo.notes[-1:]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_picture(avif(ARRAY)), r"it holds 2 images \(HEIF\), and only single"),
        (
            lambda: avif(ARRAY, save_all=True, append_images=[Image.fromarray(ARRAY[::-1])]),
            "it holds an image sequence, and only single images can be edited; split it",
        ),
        (lambda: avif(ARRAY).replace(b"av01", b"avc1"), "a HEIF file of H.264 is not supported"),
        (lambda: avif(ARRAY).replace(b"av01", b"jxl "), "a HEIF file of jxl is not supported"),
        (
            lambda: with_properties(avif(ARRAY), Property(b"clap", bytes(32))),
            r"an AVIF with a clean aperture \(clap\) is not supported; convert it to JPEG or 16-b",
        ),
        (lambda: avif(ARRAY).replace(b"ispe", b"ispf"), "damaged HEIF or AVIF: it states no size"),
        (lambda: avif(ARRAY).replace(b"av1C", b"av1D"), "it lacks the decoder configuration"),
        (lambda: avif(ARRAY).replace(b"pitm", b"pitn"), "it holds no image"),
    ],
)
def test_what_cannot_come_back_is_refused(make, message):
    with pytest.raises(PhotoError, match=message):
        read_photo(make())


def test_premultiplied_alpha_is_refused():
    file = parse_heif(avif(np.dstack([ARRAY, ALPHA])))
    (alpha,) = file.sources(b"auxl", file.primary)
    premultiplied = Reference(b"prem", file.primary, (alpha,))
    data = serialize_heif(replace(file, references=(*file.references, premultiplied)))
    with pytest.raises(PhotoError, match=r"premultiplied alpha .*convert it"):
        read_photo(data)


@pytest.mark.parametrize("make", [heic, avif])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.6, 0.98])
def test_cut_off_files_are_refused(make, share):
    data = make(ARRAY)
    with pytest.raises(PhotoError, match=r"the file is truncated|unknown ISO|no image"):
        read_photo(data[: max(20, int(len(data) * share))])


@pytest.mark.parametrize("make", [heic, avif])
def test_damaged_files_raise_photo_errors_only(make):
    rng = np.random.default_rng(3)
    data = make(np.ascontiguousarray(ARRAY[:32, :32]))
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), 600), 4):
            broken[at] = rng.integers(0, 256)
        try:
            photo = read_photo(bytes(broken), max_pixels=100_000)
            encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
        except PhotoError:
            pass


def test_too_many_pixels_are_refused_by_the_header_alone():
    with pytest.raises(PhotoError, match=r"5120 pixels .*limit of 5119"):
        read_photo(avif(ARRAY), max_pixels=5119)


def test_the_format_is_detected_by_brands(tmp_path):
    heif = bytearray(heic(ARRAY))
    heif[8:12] = b"mif1"
    assert read_photo(bytes(heif)).format == "HEIC"
    path = tmp_path / "photo.heic"
    path.write_bytes(avif(ARRAY))
    assert read_photo(path).notes[0] == (
        "it is named .heic but is a AVIF file, and is written as one"
    )


def test_an_avif_with_a_gain_map_is_read_without_it():
    gain_map = with_items(avif(ARRAY), Item(b"tmap", b"x"), reference=b"dimg")
    file = parse_heif(gain_map)
    before = serialize_heif(replace(file, compatible=(*file.compatible, b"tmap")))
    photo = read_photo(before)
    assert photo.size_hw == ARRAY.shape[:2]
    assert "its HDR gain map is not carried over" in photo.notes
    after, _ = edited(before)
    assert b"tmap" not in after[:64]
    assert decoded(after).shape == ARRAY.shape
