"""BMP: uncompressed, so that every byte outside the hole is simply kept.

Supported are 1, 4, 8, 24 and 32 bits per pixel without compression, with any header; the fourth
byte of 32-bit pixels is alpha where the header declares it, and is kept in either case.

References:
    Microsoft, Windows GDI: BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER, BITMAPV5HEADER.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    ImageFormat,
    Plane,
    Samples,
    UnsupportedImageError,
    check_pixel_count,
    merge_fill,
)
from cleanplate.types import Mask, RGBImage

_BI_RGB, _BI_BITFIELDS = 0, 3
_BGRX_MASKS = (0xFF0000, 0xFF00, 0xFF)
_ALPHA_MASK = 0xFF000000
_CONVERT = "save it as an uncompressed 24-bit BMP, or as PNG"


@dataclass(frozen=True, slots=True)
class _Header:
    size_hw: tuple[int, int]
    bits: int
    is_top_down: bool
    has_alpha: bool
    palette: npt.NDArray[np.uint8] | None  # (K, 3) RGB
    pixels_at: int

    @property
    def row_bytes(self) -> int:
        return (self.size_hw[1] * self.bits + 31) // 32 * 4


class BmpFormat(ImageFormat):
    """Uncompressed BMP."""

    name = "BMP"
    suffixes = (".bmp", ".dib")
    signatures = (b"BM",)

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the image of a BMP file.

        Raises:
            UnsupportedImageError: damaged, truncated, compressed, 16 bits per pixel, or too many
                pixels.
        """
        try:
            header = _parse_header(data, max_pixels)
        except struct.error as error:
            raise UnsupportedImageError(
                "damaged BMP: the file is truncated", DAMAGED_ADVICE
            ) from error
        height, width = header.size_hw
        end = header.pixels_at + height * header.row_bytes
        if end > len(data):
            raise UnsupportedImageError("damaged BMP: the file is truncated", DAMAGED_ADVICE)
        rows = np.frombuffer(data, np.uint8, height * header.row_bytes, header.pixels_at)
        rows = rows.reshape(height, header.row_bytes)
        if not header.is_top_down:
            rows = rows[::-1]
        container = BmpContainer(header, data[: header.pixels_at], data[end:])
        if header.palette is not None:
            indices = _unpack(rows, header.bits, width)
            if int(indices.max()) >= len(header.palette):
                raise UnsupportedImageError(
                    "damaged BMP: colours outside its palette", DAMAGED_ADVICE
                )
            indices.flags.writeable = False
            samples = Samples(
                kind="palette", bits=header.bits, indices=indices, palette=header.palette
            )
            return Decoded(header.palette[indices], samples, container)
        channels = header.bits // 8
        stored = rows[:, : width * channels].reshape(height, width, channels)
        fourth = None
        if channels == 4:
            fourth = np.ascontiguousarray(stored[..., 3])
            fourth.flags.writeable = False
        samples = Samples(alpha=fourth, alpha_is_opacity=header.has_alpha)
        return Decoded(np.ascontiguousarray(stored[..., 2::-1]), samples, container)


@dataclass(frozen=True, slots=True, eq=False)
class BmpContainer:
    """A BMP without its pixels: all headers and the palette, and what follows the pixels."""

    header: _Header
    before: bytes
    after: bytes

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> bytes:
        """Return the edited BMP."""
        raster = merge_fill(samples, pixels, filled, mask)
        height, width = mask.shape
        stored_rows = np.zeros((height, self.header.row_bytes), dtype=np.uint8)
        rows = stored_rows if self.header.is_top_down else stored_rows[::-1]
        if samples.indices is not None:
            packed = _pack(raster.astype(np.uint8, copy=False), self.header.bits)
            rows[:, : packed.shape[1]] = packed
        else:
            channels = raster.shape[2]
            stored = rows[:, : width * channels].reshape(height, width, channels)
            stored[..., 2::-1] = raster[..., :3]
            stored[..., 3:] = raster[..., 3:]
        del raster  # one copy of the image less while the file is assembled
        return b"".join([self.before, stored_rows.data, self.after])


def _parse_header(data: bytes, max_pixels: int) -> _Header:
    (pixels_at, header_bytes) = struct.unpack_from("<II", data, 10)
    if header_bytes == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression, stated_colours = _BI_RGB, 0
    elif 40 <= header_bytes <= 256:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        (stated_colours,) = struct.unpack_from("<I", data, 46)
    else:
        raise UnsupportedImageError(
            f"damaged BMP: a header of {header_bytes} bytes", DAMAGED_ADVICE
        )
    check_pixel_count((abs(height), width), max_pixels)
    has_alpha = False
    if compression == _BI_BITFIELDS and bits == 32:
        masks = struct.unpack_from("<IIII", data, 54)
        if masks[:3] != _BGRX_MASKS:
            raise UnsupportedImageError(
                "a BMP with unusual colour masks is not supported", _CONVERT
            )
        has_alpha = header_bytes >= 56 and masks[3] == _ALPHA_MASK
    elif compression != _BI_RGB:
        raise UnsupportedImageError(
            f"a compressed BMP (method {compression}) is not supported", _CONVERT
        )
    if bits not in (1, 4, 8, 24, 32):
        raise UnsupportedImageError(f"a BMP of {bits} bits per pixel is not supported", _CONVERT)
    palette = None
    if bits <= 8:
        entry_bytes = 3 if header_bytes == 12 else 4
        start = 14 + header_bytes
        count = min(stated_colours or 2**bits, 2**bits, (pixels_at - start) // entry_bytes)
        if count < 1 or start + count * entry_bytes > len(data):
            raise UnsupportedImageError("damaged BMP: it has no palette", DAMAGED_ADVICE)
        entries = np.frombuffer(data, np.uint8, count * entry_bytes, start)
        palette = np.ascontiguousarray(entries.reshape(count, entry_bytes)[:, 2::-1])
    return _Header((abs(height), width), bits, height < 0, has_alpha, palette, pixels_at)


def _unpack(rows: Plane, bits: int, width: int) -> Plane:
    """Return one index per pixel from rows of 1, 4 or 8 bits."""
    if bits == 8:
        return np.ascontiguousarray(rows[:, :width])
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=width)
    pairs = np.stack([rows >> 4, rows & 15], axis=2)  # (H, B) -> (H, B, 2)
    return np.ascontiguousarray(pairs.reshape(len(rows), -1)[:, :width])


def _pack(indices: Plane, bits: int) -> Plane:
    """Undo `_unpack`, without the padding of the rows."""
    if bits == 8:
        return indices
    if bits == 1:
        return np.packbits(indices, axis=1)
    even = np.pad(indices, ((0, 0), (0, indices.shape[1] % 2)))
    return (even[:, 0::2] * np.uint8(16) + even[:, 1::2]).astype(np.uint8, copy=False)
