"""Codes and decodes the picture inside HEIC (HEVC, by pillow-heif) and AVIF (AV1, by Pillow).

Both take and give the picture as it is stored, before any rotation, as 8-bit samples or as samples
of 10 or 12 bits in uint16. Pillow gives 8 bits only, whatever the AVIF holds.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, cast

import numpy as np

from cleanplate.io.samples import Raster, Samples16
from cleanplate.io.unsupported import (
    DAMAGED_ADVICE,
    UnsupportedImageError,
    translate_decoder_errors,
)

Codec = Literal["HEVC", "AV1"]

QUALITY: dict[Codec, int] = {"HEVC": 85, "AV1": 90}
"""Of 100. docs/usage.md tells what they change and add; neither format states how it was made."""

_PRESET = "ultrafast"  # of x265: a seventh of the time of its default, for files a seventh larger

_TILE_PX = 512  # of the grids that phones write
_MOST_TILES = 900  # decoders stop at 1000 items
_WRITABLE_MATRICES = (1, 5, 6, 9)  # of ITU-T H.273, those that libheif converts to
_SUBSAMPLING = {400: "4:0:0", 420: "4:2:0", 422: "4:2:2", 444: "4:4:4"}


@dataclass(frozen=True, slots=True)
class Coding:
    """How a picture is stored."""

    codec: Codec
    bits: int
    chroma: int  # 400, 420, 422 or 444
    is_grid: bool
    colour: tuple[int, int, int, int] | None  # primaries, transfer, matrix (H.273), full range


def check_codec(codec: Codec) -> None:
    """Raise unless this codec is installed.

    Raises:
        UnsupportedImageError: it is not; the message says how to install it.
    """
    if codec == "HEVC":
        _pillow_heif()
        return
    from PIL import features

    if not features.check("avif"):
        raise UnsupportedImageError(
            "this Pillow was built without AVIF", "install Pillow's own wheel: pip install pillow"
        )


def decode(bare: bytes, coding: Coding) -> Raster:
    """Return (H, W) or (H, W, C), alpha last, of a file that holds the picture and nothing else.

    Raises:
        UnsupportedImageError: damaged, or a mode that cannot be edited.
    """
    if coding.codec == "AV1":
        from PIL.AvifImagePlugin import AvifImageFile

        with _translate_codec_errors("AVIF"), AvifImageFile(io.BytesIO(bare)) as image:
            image.load()
            return cast("Raster", np.asarray(image))
    heif = _pillow_heif()
    with _translate_codec_errors("HEIC"):
        picture = heif.open_heif(bare, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        mode, raster = picture.mode, np.asarray(picture)
    if mode.split(";")[0] not in ("L", "I", "LA", "RGB", "RGBA"):
        raise UnsupportedImageError(
            f"a HEIC of mode {mode} is not supported", "convert it to JPEG first"
        )
    return cast("Raster", raster)


def encode(raster: Raster, coding: Coding) -> bytes:
    """Return a file of the picture, without metadata.

    Args:
        raster: (H, W) grey or (H, W, 3) RGB as stored; uint8, or uint16 of `coding.bits` bits.
        coding: of the original.

    Raises:
        UnsupportedImageError: it cannot be encoded.
    """
    return _encode_av1(raster, coding) if coding.codec == "AV1" else _encode_hevc(raster, coding)


def expand_to_16bit(samples: Samples16, bits: int) -> Samples16:
    """Return 10- or 12-bit samples spread over [0, 65535]; `reduce_from_16bit` gives them back."""
    top = 2**bits - 1
    spread: Samples16 = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    return spread


def reduce_from_16bit(samples: Samples16, bits: int) -> Samples16:
    """Return samples of [0, 65535] with `bits` bits, to the nearest."""
    top = 2**bits - 1
    stored: Samples16 = ((samples.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)
    return stored


def _encode_av1(raster: Raster, coding: Coding) -> bytes:
    from PIL import Image

    is_full = coding.colour is None or bool(coding.colour[3])
    stream = io.BytesIO()
    with _translate_codec_errors("AVIF"):
        Image.fromarray(raster).save(
            stream,
            format="AVIF",
            quality=QUALITY["AV1"],
            subsampling=_SUBSAMPLING[coding.chroma],
            range="full" if is_full else "limited",
        )
    return stream.getvalue()


def _encode_hevc(raster: Raster, coding: Coding) -> bytes:
    heif = _pillow_heif()
    primaries, transfer, matrix, full_range = coding.colour or (1, 13, 6, 1)  # sRGB, as libheif has
    options: dict[str, Any] = {
        "enc_params": {"preset": _PRESET},
        "color_primaries": primaries,
        "transfer_characteristics": transfer,
        "matrix_coefficients": matrix if matrix in _WRITABLE_MATRICES else 6,
        "full_range_flag": full_range,
    }
    if raster.ndim == 3:
        options["chroma"] = coding.chroma
    tiles = -(-raster.shape[0] // _TILE_PX) * -(-raster.shape[1] // _TILE_PX)
    if coding.is_grid and 1 < tiles <= _MOST_TILES:
        options["tile_size"] = _TILE_PX
    mode = ("RGB" if raster.ndim == 3 else "L") + (f";{coding.bits}" if coding.bits > 8 else "")
    size_wh = (raster.shape[1], raster.shape[0])
    stream = io.BytesIO()
    with _translate_codec_errors("HEIC"):
        heif.encode(
            mode,
            size_wh,
            raster.tobytes(),
            stream,
            quality=QUALITY["HEVC"],
            bit_depth=coding.bits,
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
            "HEIC needs the package pillow-heif", 'install it: pip install "cleanplate[heif]"'
        ) from error
    return cast("ModuleType", pillow_heif)
