"""Camera RAW: developed by LibRaw, written as 16-bit TIFF or as JPEG."""

import struct

import numpy as np
import pytest
from images_builders import box_mask, exif_block, opened, segment, small_jpeg, with_segments
from skimage import data as photos

from cleanplate.errors import PhotoError
from cleanplate.io.files import encode_photo, read_photo, result_name
from cleanplate.io.formats.raw import RawFormat, is_raw, read_raw_metadata
from tiff_builders import directory, dng

SCENE = np.ascontiguousarray(photos.coffee()[100:220, 200:360])  # 120 x 160
DEVELOPED = "it is developed by LibRaw (camera white balance, sRGB, no automatic brightness) and "


@pytest.fixture(scope="module", autouse=True)
def extra():
    pytest.importorskip("rawpy", reason="the extra `raw` is not installed")


def edited(data, **options):
    photo = read_photo(data, **options)
    mask = box_mask(photo.size_hw, 30, 50, 40, 70)
    return photo, encode_photo(photo, np.full_like(photo.pixels, 200), mask), mask


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_scene_is_developed_upright(order, orientation):
    photo = read_photo(dng(SCENE, orientation=orientation, order=order))
    expected = np.rot90(SCENE, {1: 0, 3: 2, 6: -1, 8: 1}[orientation])
    assert photo.format == "RAW"
    assert photo.size_hw == expected.shape[:2]
    difference = np.abs(photo.pixels.astype(int) - expected)[8:-8, 8:-8]
    assert np.median(difference) <= 1  # the demosaicing guesses two of three colours
    assert difference.mean() < 3


def test_brightness_is_that_of_the_sensor():
    dark = SCENE // 4
    assert abs(read_photo(dng(dark)).pixels.mean() - dark.mean()) < 2


def test_it_is_written_as_a_tiff_of_sixteen_bits():
    data = dng(SCENE)
    photo, after, mask = edited(data)
    assert photo.notes[0] == DEVELOPED + "written as 16-bit TIFF"
    assert photo.samples.bits == 16
    again = read_photo(after)
    assert (again.format, again.samples.bits, again.notes) == ("TIFF", 16, ())
    np.testing.assert_array_equal(again.samples.samples16[~mask], photo.samples.samples16[~mask])
    assert len(np.unique(again.samples.samples16)) > 1000
    assert np.abs(again.pixels[mask].astype(int) - 200).max() <= 1
    assert edited(data)[1] == after  # nothing in it depends on the day


def test_or_as_jpeg():
    photo, after, mask = edited(dng(SCENE), raw_output="jpeg")
    assert photo.notes[0] == DEVELOPED + "written as JPEG at quality 95"
    again = read_photo(after)
    assert again.format == "JPEG"
    assert np.abs(again.pixels.astype(int) - photo.pixels)[~mask].mean() < 2
    assert abs(int(again.pixels[40, 55, 0]) - 200) < 5


@pytest.mark.parametrize("output", ["tiff", "jpeg"])
def test_metadata_are_carried_over_as_far_as_they_are_true(output):
    photo, after, _ = edited(dng(SCENE, orientation=6), raw_output=output)
    assert photo.notes[1:] == (
        "its XMP data (develop settings) are not carried over",
        "its maker note is not carried over",
    )
    image = opened(after)
    exif = image.getexif()
    assert (exif[271], exif[306], exif[274]) == ("ACME Cameras", "2024:05:06 07:08:09", 1)
    assert exif.get_ifd(0x8769) == {
        0x829A: 0.004, 0x8827: 400, 0xA001: 1, 0xA002: 120, 0xA003: 160,
    }  # fmt: skip
    assert exif.get_ifd(0x8825)[1] == "N"
    assert image.info["icc_profile"][36:40] == b"acsp"
    assert 50706 not in exif  # no DNG any more
    assert b"ACME notes" not in after
    assert after.count(b"\xff\xd8\xff") == (output == "jpeg")


def raf(exif):
    """Return the start of a Fujifilm file: the JPEG preview's place, and the preview."""
    jpeg = with_segments(small_jpeg(), segment(0xE1, b"Exif\0\0" + exif))
    return (
        b"FUJIFILMCCD-RAW ".ljust(84, b"0") + struct.pack(">II", 100, len(jpeg)) + bytes(8) + jpeg
    )


def box(kind, *contents):
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def block(*entries):
    return b"II*\0\x08\0\0\0" + directory(list(entries), 8, "<")


CR3 = box(b"ftyp", b"crx ", bytes(4)) + box(
    b"moov",
    box(
        b"uuid",
        bytes(16),
        box(b"CMT1", block((271, 2, b"ACME Cameras\0"))),
        box(b"CMT2", block((0x8827, 3, [800]))),
        box(b"CMT4", block((1, 2, b"S\0"))),
    ),
)


@pytest.mark.parametrize(
    "data", [raf(exif_block(thumbnail=small_jpeg())), CR3], ids=["Fujifilm", "Canon CR3"]
)
def test_exif_of_other_containers_is_found(data):
    assert is_raw(data)
    found = read_raw_metadata(data, (10, 20)).directory
    assert found[271].data == b"ACME Cameras\0"
    assert found[34665].child
    assert found[34853].child
    assert 37500 not in found[34665].child


@pytest.mark.parametrize(
    "data",
    [b"FOVb" + bytes(90), b"FUJIFILMCCD-RAW " + bytes(90), b"II\x1a\0\0\0HEAPCCDR" + bytes(9)],
)
def test_exif_that_cannot_be_read_is_said(data):
    assert is_raw(data)
    assert read_raw_metadata(data, (1, 1)).notes == (
        "its Exif data (unreadable) are not carried over",
    )


def test_a_plain_tiff_is_no_raw():
    assert not is_raw(b"II*\0\x08\0\0\0" + directory([(262, 3, [2])], 8, "<"))
    nef = b"II*\0\x08\0\0\0" + directory([(254, 4, [1]), (330, 4, [60])], 8, "<")
    assert is_raw(nef.ljust(60, b"\0") + directory([(262, 3, [32803])], 60, "<"))
    assert not is_raw(b"II*\0\xff\xff\xff\x00")
    assert not is_raw(b"II*\0")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_cut_off_files_are_refused(share):
    data = dng(SCENE)
    with pytest.raises(PhotoError, match=r"damaged (RAW|TIFF): .*undamaged copy"):
        read_photo(data[: int(len(data) * share)])


def test_what_libraw_does_not_know_is_refused():
    with pytest.raises(PhotoError, match=r"LibRaw .*develop it"):
        read_photo(b"FOVb" + bytes(500))


def test_too_many_pixels_are_refused_before_developing():
    with pytest.raises(PhotoError, match=r"19200 pixels .*limit of 999"):
        read_photo(dng(SCENE), max_pixels=999)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpg", "it is named .jpg but is a camera RAW file; give it the suffix of its camera"),
        ("a.heic", "it is named .heic but is a camera RAW file"),
    ],
)
def test_a_raw_of_another_photos_name_is_refused(tmp_path, name, message):
    path = tmp_path / name
    path.write_bytes(dng(SCENE))
    with pytest.raises(PhotoError, match=message):
        read_photo(path)


def test_a_raw_may_be_named_as_a_tiff_and_no_other_photo_as_a_raw(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(dng(SCENE))
    assert read_photo(path).format == "RAW"
    path = tmp_path / "a.nef"
    path.write_bytes(small_jpeg())
    with pytest.raises(PhotoError, match=r"\.nef but is a JPEG file; name it \.jpg"):
        read_photo(path)


def test_names_of_results():
    assert result_name("a.NEF", "tiff") == "a.tif"
    assert result_name("a.b.cr3", "jpeg") == "a.b.jpg"
    assert result_name("a.jpg", "tiff") == "a.jpg"
    for suffix in RawFormat.suffixes:
        assert result_name("x" + suffix, "tiff") == "x.tif"
