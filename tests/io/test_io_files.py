"""Reading and writing: formats by content, refusals in one line, limits, threads."""

import os
import struct
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from heif_builders import bare_avif, bare_heic
from images_builders import box_mask, opened, png_chunk, saved, small_jpeg
from PIL import Image

from cleanplate import io as images
from cleanplate.errors import InputError, PhotoError, ShapeMismatchError
from cleanplate.io.files import (
    PHOTO_SUFFIXES,
    encode_photo,
    is_photo_name,
    read_photo,
    read_size,
    write_photo,
)
from cleanplate.io.formats.jpeg import JpegFormat
from cleanplate.io.photo import MAX_PIXELS
from tiff_builders import dng

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


def test_public_names():
    assert images.__all__ == sorted(images.__all__, key=lambda n: (not n.isupper(), n.islower(), n))
    for name in images.__all__:
        assert hasattr(images, name)


def test_the_layer_imports_only_what_lies_below_it():
    code = textwrap.dedent("""
        import sys, cleanplate.io
        inner = sorted(n for n in sys.modules if n.startswith("cleanplate."))
        allowed = tuple(f"cleanplate.{name}" for name in ("errors", "options", "types", "io"))
        assert all(n.startswith(allowed) for n in inner), inner
        assert "cv2" not in sys.modules
        """)
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("as_type", [Path, str, bytes])
def test_reads_and_writes_every_format(tmp_path, fmt, as_type):
    path = tmp_path / f"in.{fmt.lower()}"
    path.write_bytes(saved(Image.new("RGB", (13, 9), (10, 200, 30)), fmt))
    source = path.read_bytes() if as_type is bytes else as_type(path)
    photo = read_photo(source)
    assert photo.path == ("<bytes>" if as_type is bytes else str(path))
    assert (photo.format, photo.size_hw) == (fmt, (9, 13))
    assert (photo.pixels.dtype, photo.pixels.shape) == (np.uint8, (9, 13, 3))

    target = tmp_path / "new" / "folder" / path.name
    write_photo(target, photo, np.zeros((9, 13, 3), np.uint8), np.ones((9, 13), bool))
    result = opened(target.read_bytes())
    assert (result.format, result.size) == (fmt, (13, 9))
    assert np.asarray(result).max() < 4


def test_names_of_photos():
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".nef",
    } <= PHOTO_SUFFIXES
    assert is_photo_name("a/B.JPG")
    assert is_photo_name(Path("x.Tiff"))
    assert not is_photo_name("x.psd")
    assert not is_photo_name("jpg")


def test_the_content_decides_not_the_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), "PNG"))
    photo = read_photo(path)
    assert photo.format == "PNG"
    assert photo.notes == ("it is named .jpg but is a PNG file, and is written as one",)
    data = encode_photo(photo, np.array(photo.pixels), np.zeros((8, 8), bool))
    assert opened(data).format == "PNG"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the file is empty \(0 bytes\); get an undamaged copy"),
        (b"<!DOCTYPE html><p>not found</p>", "it is a text file, not a photo; check how it was"),
        (bytes(100), ".*only zeros; get an undamaged copy"),
        (b"\x01\x02\x03\x04\xff\xfe" * 9, r"unknown format \(it starts with 01 02 03 04\); conv"),
        (b"GIF89a" + bytes(20), "damaged GIF: an unknown block; get an undamaged copy"),
        (b"8BPS\0\1" + bytes(20), "Photoshop files are not supported"),
        (b"%PDF-1.7 ", "PDF files are not supported"),
        (b"\0\0\0\x18ftypheic" + bytes(12), "damaged HEIF or AVIF: it holds no image; get an"),
        (b"\0\0\0\x18ftypheic", "damaged HEIF or AVIF: the file is truncated; get an undamaged"),
        (b"\0\0\0\x1cftypisom" + bytes(9), "it is a video or an unknown ISO media file; give"),
        (small_jpeg()[:200], "damaged JPEG: the file is truncated; get an undamaged copy"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=rf"photo\.jpg: {message}") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "data", "message"),
    [
        (
            "pillow_heif",
            bare_heic(),
            'HEIC needs the package pillow-heif; run pip install "cleanplate[heif]"',
        ),
        (
            "imagecodecs",
            bare_avif(),
            'a 10-bit AVIF needs the package imagecodecs; run pip install "cleanplate[avif]"',
        ),
        (
            "rawpy",
            dng(np.zeros((8, 8, 3), np.uint8)),
            'camera RAW needs the package rawpy; run pip install "cleanplate[raw]"',
        ),
    ],
)
def test_without_an_extra_one_line_says_what_to_install(tmp_path, module, data, message):
    path = tmp_path / "photo"
    path.write_bytes(data)
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from cleanplate.io import read_photo; read_photo({str(path)!r})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1].endswith(f"{path}: {message}")


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    with pytest.raises(PhotoError, match=r"gone\.jpg: no such file; check the name"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match=r"folder; .*or run on the folder"):
        read_photo(tmp_path)
    with pytest.raises(PhotoError, match="the file name is too long; check the name"):
        read_photo(tmp_path / ("x" * 300))
    with pytest.raises(PhotoError, match=r"not a valid file name .*; check the name"):
        read_photo("a\0b")
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match=r"not a regular file; .*path of a photo"):
        read_photo(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "permission denied; change the file"),
        (OSError(5, "Input/output error"), r"it cannot be read \(Input/output error\); check the"),
    ],
)
def test_unreadable_files_say_why(tmp_path, monkeypatch, error, message):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"x")

    def fail(_path):
        raise error

    monkeypatch.setattr(Path, "read_bytes", fail)  # root may read everything
    with pytest.raises(PhotoError, match=message):
        read_photo(path)


def test_not_enough_memory_says_so(monkeypatch):
    def fail(*_args):
        raise MemoryError

    monkeypatch.setattr(JpegFormat, "read", fail)
    with pytest.raises(PhotoError, match=r"out of memory.*; scale it down first"):
        read_photo(small_jpeg())


def huge(fmt, width, height):
    """Return a small file whose header states a huge picture."""
    data = bytearray(saved(Image.new("RGB", (8, 8)), fmt))
    if fmt == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif fmt == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data[8:33] = png_chunk(b"IHDR", header)
    elif fmt == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif fmt == "TIFF":
        for tag, value in ((256, width), (257, height)):
            at = data.index(struct.pack("<HH", tag, 4))
            data[at + 8 : at + 12] = struct.pack("<I", value)
    else:
        extended = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        data[12:12] = b"VP8X" + struct.pack("<I", 10) + extended
        data[4:8] = struct.pack("<I", len(data) - 8)
    return bytes(data)


@pytest.mark.parametrize("fmt", FORMATS)
def test_too_many_pixels_are_refused_by_the_header_alone(fmt):
    width, height = 16000, 17000
    message = (
        "16000 x 17000 = 272000000 pixels are more than the limit of 268435456; scale or split it$"
    )
    with pytest.raises(PhotoError, match=message):
        read_photo(huge(fmt, width, height))


def test_the_limit_can_be_set_and_is_inclusive():
    data = saved(Image.new("RGB", (10, 10)), "PNG")
    assert read_photo(data, max_pixels=100).size_hw == (10, 10)
    with pytest.raises(PhotoError, match="100 pixels are more than the limit of 99"):
        read_photo(data, max_pixels=99)


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt != "WEBP"])
def test_pillows_limit_does_not_count_and_is_left_alone(fmt, monkeypatch, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(huge(fmt, 15000, 14000))
    before = Image.MAX_IMAGE_PIXELS
    assert read_size(path) == (14000, 15000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    assert read_photo(saved(Image.new("RGB", (8, 8)), fmt)).size_hw == (8, 8)
    assert before * 2 < 16320 * 12240 < MAX_PIXELS


@pytest.mark.parametrize("fmt", FORMATS)
def test_no_bomb_warning_between_pillows_two_limits(monkeypatch, fmt):
    data = saved(Image.new("RGB", (8, 8)), fmt)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # 64 pixels would warn
    assert read_photo(data).size_hw == (8, 8)


def test_edits_of_another_size_or_type_are_refused():
    photo = read_photo(small_jpeg((16, 12)))
    fine, mask = np.zeros((12, 16, 3), np.uint8), np.zeros((12, 16), bool)
    with pytest.raises(ShapeMismatchError, match=r"\(12, 16\) like the image, got \(16, 12\)"):
        encode_photo(photo, np.zeros((16, 12, 3), np.uint8), mask.T)
    with pytest.raises(InputError, match="mask must be bool"):
        encode_photo(photo, fine, mask.astype(np.uint8))
    with pytest.raises(InputError, match="image must be"):
        encode_photo(photo, fine.astype(float), mask)
    photo_without_file = images.Photo("<image>", photo.pixels, "JPEG")
    with pytest.raises(InputError, match="did not come from a file; use pil_from_photo"):
        encode_photo(photo_without_file, fine, mask)


def test_a_failed_write_keeps_the_original(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    original = small_jpeg()
    path.write_bytes(original)
    photo = read_photo(path)

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    mask = np.ones(photo.size_hw, bool)
    with pytest.raises(PhotoError, match="the disk is full"):
        write_photo(path, photo, np.zeros_like(photo.pixels), mask)
    assert path.read_bytes() == original
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("fmt", FORMATS)
def test_empty_and_full_masks(fmt):
    image = Image.effect_noise((23, 11), 50).convert("RGB")
    photo = read_photo(saved(image, fmt, **({"lossless": True} if fmt == "WEBP" else {})))
    filled = np.full_like(photo.pixels, 60)
    empty = np.asarray(opened(encode_photo(photo, filled, np.zeros((11, 23), bool))))
    full = np.asarray(opened(encode_photo(photo, filled, np.ones((11, 23), bool))))
    tolerance = 5 if fmt == "JPEG" else 0
    assert np.abs(empty.astype(int) - photo.pixels).max() <= tolerance
    assert np.abs(full.astype(int) - 60).max() <= tolerance


def test_many_threads_get_what_one_gets():
    rng = np.random.default_rng(0)
    files = [
        saved(Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)), fmt)
        for fmt in FORMATS * 3
    ]
    mask = box_mask((40, 50), 5, 20, 5, 30)

    def work(data):
        photo = read_photo(data)
        return encode_photo(photo, np.full_like(photo.pixels, 7), mask)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, files)) == [work(data) for data in files]


@pytest.mark.parametrize("fmt", FORMATS)
def test_damaged_files_raise_photo_errors_only(fmt):
    rng = np.random.default_rng(7)
    image = Image.effect_noise((24, 18), 50).convert("RGB")
    data = saved(image, fmt)
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), 600), 4):
            broken[at] = rng.integers(0, 256)
        try:
            photo = read_photo(bytes(broken), max_pixels=100_000)
            encode_photo(photo, np.array(photo.pixels), np.zeros(photo.size_hw, bool))
        except PhotoError:
            pass


@pytest.mark.parametrize(
    ("tags", "size_wh", "wraps"),
    [
        ("", (64, 32), False),
        ('GPano:ProjectionType="equirectangular"', (64, 32), True),
        ("<GPano:ProjectionType>equirectangular</GPano:ProjectionType>", (64, 32), True),
        ('GPano:ProjectionType="equirectangular"', (64, 40), False),
        ('GPano:ProjectionType="cylindrical"', (64, 32), False),
        (
            'GPano:FullPanoWidthPixels="640" GPano:CroppedAreaImageWidthPixels="640"',
            (64, 20),
            True,
        ),
        (
            'GPano:FullPanoWidthPixels="640" GPano:CroppedAreaImageWidthPixels="500"',
            (64, 32),
            False,
        ),
    ],
)
@pytest.mark.parametrize("fmt", ["JPEG", "WEBP", "TIFF"])
def test_full_panoramas_are_recognized(tags, size_wh, wraps, fmt):
    packet = f"<x:xmpmeta><rdf:Description {tags}/></x:xmpmeta>".encode()
    options = {"tiffinfo": {700: packet}} if fmt == "TIFF" else {"xmp": packet}
    assert read_photo(saved(Image.new("RGB", size_wh), fmt, **options)).wraps is wraps
