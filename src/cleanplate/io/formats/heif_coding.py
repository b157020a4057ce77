"""How the image in a HEIC or AVIF file is coded: the codecs, and the libraries that run them.

HEVC of 8, 10 and 12 bits is coded by pillow-heif; AV1 of 8 bits by Pillow, of 10 and 12 bits by
imagecodecs, since Pillow decodes 8 bits only, whatever the AVIF holds.

References:
    ISO/IEC 14496-15, 8.3.3.1 (hvcC); AV1 Codec ISO Media File Format Binding 1.2, 2.3 (av1C).
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, cast

import numpy as np

from cleanplate.io.metadata import HeifFile, Item
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Raster,
    Samples16,
    UnsupportedImageError,
    translate_decoder_errors,
)

Codec = Literal["HEVC", "AV1"]

QUALITY: dict[Codec, int] = {"HEVC": 85, "AV1": 90}
"""Of 100. docs/formats.md states their effect; neither format records the encoder's settings."""

_PRESET = "ultrafast"  # of x265: a seventh of the time of its default, for files a seventh larger

_TILE_PX = 512  # of the grids that phones write
_MAX_TILES = 900  # decoders stop at 1000 items
_WRITABLE_MATRICES = (1, 5, 6, 9)  # of ITU-T H.273, those that libheif converts to
_SUBSAMPLING = {400: "4:0:0", 420: "4:2:0", 422: "4:2:2", 444: "4:4:4"}
_CODECS: dict[bytes, Codec] = {b"hvc1": "HEVC", b"hev1": "HEVC", b"av01": "AV1"}
_OTHER_CODECS = {
    b"avc1": "H.264",
    b"jpeg": "JPEG",
    b"j2k1": "JPEG 2000",
    b"unci": "uncompressed samples",
    b"vvc1": "VVC",
    b"evc1": "EVC",
    b"mski": "a mask",
}
CODED_TYPES = (*_CODECS, *_OTHER_CODECS)
"""Types of items that are coded images, whether they can be decoded here or not."""

CONVERT = "convert it to JPEG or 16-bit TIFF first"


@dataclass(frozen=True, slots=True)
class Coding:
    """How an image is stored."""

    codec: Codec
    bits: int
    chroma: int  # 400, 420, 422 or 444
    is_grid: bool
    colour: tuple[int, int, int, int] | None  # primaries, transfer, matrix (H.273), full range

    @property
    def kind(self) -> str:
        """Name of the format."""
        return "HEIC" if self.codec == "HEVC" else "AVIF"

    @property
    def colour_to_write(self) -> tuple[int, int, int, int]:
        """Colour description for an encoder: a matrix that it can convert to; sRGB if none."""
        primaries, transfer, matrix, is_full = self.colour or (1, 13, 6, 1)
        return primaries, transfer, matrix if matrix in _WRITABLE_MATRICES else 6, is_full


def coding_of(file: HeifFile) -> Coding:
    """Return how the primary image, or the first of its tiles, is stored.

    Raises:
        UnsupportedImageError: a codec other than HEVC and AV1, or damaged.
    """
    primary = file.items[file.primary]
    is_grid = primary.type == b"grid"
    tiles = [file.items[t] for t in file.targets(b"dimg", file.primary) if t in file.items]
    first = tiles[0] if is_grid and tiles else primary
    codec = _CODECS.get(first.type)
    if codec is None:
        name = _OTHER_CODECS.get(first.type, first.type.decode("latin-1").strip())
        raise UnsupportedImageError(f"a HEIF file of {name} is not supported", CONVERT)
    if any(_CODECS.get(tile.type) != codec for tile in (tiles if is_grid else [])):
        raise UnsupportedImageError("a HEIF grid of differing tiles is not supported", CONVERT)
    set_up = first.find(b"hvcC", b"av1C")
    data = set_up.data if set_up is not None else b""
    if codec == "HEVC" and len(data) > 18:
        bits = 8 + max(data[17] & 7, data[18] & 7)
        chroma = (400, 420, 422, 444)[data[16] & 3]
    elif codec == "AV1" and len(data) > 2:
        bits = (12 if data[2] & 0x20 else 10) if data[2] & 0x40 else 8
        chroma = {0: 444, 2: 422, 3: 420}.get(data[2] >> 2 & 3, 420)
        chroma = 400 if data[2] & 0x10 else chroma
    else:
        raise UnsupportedImageError(
            "damaged HEIF or AVIF: it lacks the decoder configuration", DAMAGED_ADVICE
        )
    return Coding(codec, bits, chroma, is_grid, _colour_of(primary) or _colour_of(first))


def _colour_of(item: Item) -> tuple[int, int, int, int] | None:
    """Return primaries, transfer, matrix and range of its `nclx` description."""
    for p in item.properties:
        if p.type == b"colr" and p.data[:4] == b"nclx" and len(p.data) >= 11:
            numbers = [int.from_bytes(p.data[at : at + 2], "big") for at in (4, 6, 8)]
            return numbers[0], numbers[1], numbers[2], p.data[10] >> 7
    return None


def check_coding(coding: Coding) -> None:
    """Do nothing if the image can be decoded, and brought back as it came.

    Raises:
        UnsupportedImageError: it cannot, or a package is missing; the message says which.
    """
    if coding.bits not in (8, 10, 12):
        raise UnsupportedImageError(
            f"a HEIC of {coding.bits} bits per sample is not supported", CONVERT
        )
    if coding.codec == "HEVC":
        _pillow_heif()
    elif coding.bits > 8:
        _imagecodecs(coding.bits)
    else:
        _check_pillow()


def decode_image(bare: bytes, coding: Coding) -> Raster:
    """Return (H, W) or (H, W, C), alpha last, of a file that holds the image and nothing else.

    uint8, or uint16 of `coding.bits` bits.

    Raises:
        UnsupportedImageError: damaged, or a mode that cannot be edited.
    """
    with _translate_codec_errors(coding.kind):
        if coding.codec == "AV1" and coding.bits > 8:
            return cast("Raster", _imagecodecs(coding.bits).avif_decode(bare))
        if coding.codec == "AV1":
            from PIL.AvifImagePlugin import AvifImageFile

            with AvifImageFile(io.BytesIO(bare)) as image:
                image.load()
                return cast("Raster", np.asarray(image))
        opened = _pillow_heif().open_heif(bare, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        mode, raster = opened.mode, np.asarray(opened)
    if mode.split(";")[0] not in ("L", "I", "LA", "RGB", "RGBA"):
        raise UnsupportedImageError(
            f"a HEIC of mode {mode} is not supported", "convert it to JPEG first"
        )
    return cast("Raster", raster)


def encode_image(raster: Raster, coding: Coding) -> bytes:
    """Return a file of the image, without metadata.

    Args:
        raster: (H, W) grey or (H, W, 3) RGB as stored; uint8, or uint16 of `coding.bits` bits.
        coding: of the original.

    Raises:
        UnsupportedImageError: it cannot be encoded.
    """
    encode = _encode_hevc
    if coding.codec == "AV1":
        encode = _encode_av1 if coding.bits == 8 else _encode_deep_av1
    with _translate_codec_errors(coding.kind):
        return encode(raster, coding)


def expand_to_16bit(samples: Samples16, bits: int) -> Samples16:
    """Return (H, W, C) samples of 10 or 12 bits, spread over [0, 65535].

    `reduce_from_16bit` gives them back.
    """
    top = 2**bits - 1
    spread: Samples16 = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    return spread


def reduce_from_16bit(samples: Samples16, bits: int) -> Samples16:
    """Return (H, W, C) samples of [0, 65535] with `bits` bits, to the nearest."""
    top = 2**bits - 1
    stored: Samples16 = ((samples.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)
    return stored


def _encode_av1(raster: Raster, coding: Coding) -> bytes:
    from PIL import Image

    is_full = coding.colour is None or bool(coding.colour[3])
    stream = io.BytesIO()
    Image.fromarray(raster).save(
        stream,
        format="AVIF",
        quality=QUALITY["AV1"],
        subsampling=_SUBSAMPLING[coding.chroma],
        range="full" if is_full else "limited",
    )
    return stream.getvalue()


def _encode_deep_av1(raster: Raster, coding: Coding) -> bytes:
    primaries, transfer, matrix, _ = coding.colour_to_write  # its range is always full
    coded: bytes = _imagecodecs(coding.bits).avif_encode(
        raster,
        level=QUALITY["AV1"],
        bitspersample=coding.bits,
        pixelformat=f"yuv{coding.chroma}",
        primaries=primaries,
        transfer=transfer,
        matrix=matrix,
    )
    return coded


def _encode_hevc(raster: Raster, coding: Coding) -> bytes:
    primaries, transfer, matrix, is_full = coding.colour_to_write
    options: dict[str, Any] = {} if raster.ndim == 2 else {"chroma": coding.chroma}
    tiles = -(-raster.shape[0] // _TILE_PX) * -(-raster.shape[1] // _TILE_PX)
    if coding.is_grid and 1 < tiles <= _MAX_TILES:
        options["tile_size"] = _TILE_PX
    mode = ("RGB" if raster.ndim == 3 else "L") + (f";{coding.bits}" if coding.bits > 8 else "")
    stream = io.BytesIO()
    _pillow_heif().encode(
        mode,
        (raster.shape[1], raster.shape[0]),
        raster.tobytes(),
        stream,
        quality=QUALITY["HEVC"],
        bit_depth=coding.bits,
        enc_params={"preset": _PRESET},
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=matrix,
        full_range_flag=is_full,
        **options,
    )
    return stream.getvalue()


@contextmanager
def _translate_codec_errors(kind: str) -> Iterator[None]:
    """Turn what libheif, libavif and their bindings raise into `UnsupportedImageError`."""
    try:
        with translate_decoder_errors(kind):
            yield
    except RuntimeError as error:
        raise UnsupportedImageError(f"damaged {kind}: {error}", DAMAGED_ADVICE) from error


def _pillow_heif() -> ModuleType:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedImageError(
            "HEIC needs the package pillow-heif", 'run pip install "cleanplate[heif]"'
        ) from error
    return cast("ModuleType", pillow_heif)


def _imagecodecs(bits: int) -> ModuleType:
    try:
        import imagecodecs
    except ImportError as error:
        raise UnsupportedImageError(
            f"a {bits}-bit AVIF needs the package imagecodecs",
            'run pip install "cleanplate[avif]"',
        ) from error
    return imagecodecs


def _check_pillow() -> None:
    from PIL import features

    if not features.check("avif"):
        raise UnsupportedImageError(
            "this Pillow was built without AVIF", "install Pillow's own wheel: pip install pillow"
        )
