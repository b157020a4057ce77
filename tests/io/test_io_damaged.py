"""Damaged files of every format: each fails as one photo, by `PhotoError`, and nothing else."""

from contextlib import suppress

import numpy as np
import pytest
from heif_builders import avif, heic
from images_builders import exif_block, saved, small_jpeg
from PIL import Image

from cleanplate.errors import PhotoError
from cleanplate.io import read_photo, read_size
from cleanplate.io.formats import FORMATS
from tiff_builders import dng

FILES = 300  # of each format


def intact(name: str) -> bytes:
    """Return a small photo of a format, with metadata where it is easy to add."""
    size_hw = (64, 96) if name in ("HEIC", "RAW") else (16, 24)  # smaller ones are padded, refused
    pixels = np.random.default_rng(1).integers(0, 255, (*size_hw, 3), np.uint8)
    image, exif = Image.fromarray(pixels), exif_block(thumbnail=small_jpeg())
    match name:
        case "HEIC":
            return heic(pixels, exif=exif)
        case "AVIF":
            return avif(pixels, exif=exif, speed=10)
        case "RAW":
            pytest.importorskip("rawpy", reason="the extra `raw` is not installed")
            return dng(pixels)
        case "JPEG" | "PNG" | "WEBP":
            return saved(image, name, exif=b"Exif\0\0" + exif)
        case _:
            return saved(image.quantize() if name == "GIF" else image, name)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the file truncated, or with some bits flipped, mostly near its start."""
    if rng.random() < 0.4:
        return data[: rng.integers(1, len(data))]
    bits = np.frombuffer(data, np.uint8).copy()
    places = (len(data) * rng.random(rng.integers(1, 9)) ** 2).astype(int)
    np.bitwise_xor.at(bits, places, (1 << rng.integers(0, 8, len(places))).astype(np.uint8))
    return bits.tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # decoders' own
@pytest.mark.parametrize("name", [image_format.name for image_format in FORMATS])
def test_a_damaged_file_is_read_or_refused(name, tmp_path):
    data, rng = intact(name), np.random.default_rng(2)
    suffix = ".dng" if name == "RAW" else next(f.suffixes[0] for f in FORMATS if f.name == name)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert read_size(path) == read_photo(path).size_hw
    refused = 0
    for _ in range(FILES):
        path.write_bytes(damaged(data, rng))
        size = read_size(path)
        assert size is None or all(isinstance(side, int) for side in size)
        with suppress(PhotoError):
            read_photo(path, max_pixels=1_000_000)
            refused -= 1
        refused += 1
    assert refused > FILES / 4


@pytest.mark.parametrize(
    "raised", [RuntimeError("Failed to decode"), AttributeError("x"), KeyError(1)]
)
def test_any_exception_of_a_decoder_concerns_its_photo(raised, tmp_path, monkeypatch):
    def fail(*arguments):
        raise raised

    path = tmp_path / "a.png"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), "PNG"))
    monkeypatch.setattr("PIL.Image.open", fail)
    monkeypatch.setattr("cleanplate.io.formats.png.PngFormat.read", fail)
    assert read_size(path) is None
    with pytest.raises(PhotoError, match=rf"a\.png.*{type(raised).__name__}.*undamaged"):
        read_photo(path)
