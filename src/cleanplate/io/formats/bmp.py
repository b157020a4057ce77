"""BMP: every pixel outside the hole is kept, and in uncompressed files every byte.

Supported are 1, 4, 8, 16, 24 and 32 bits per pixel, with any header and any masks of colours; the
fourth byte of 32-bit pixels is alpha where the header declares it, and is kept in either case. Run
lengths (RLE) are written without compression.

References:
    Microsoft, Windows GDI: BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER, BITMAPV5HEADER.
"""

import io
import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    Encoded,
    ImageFormat,
    Plane,
    Raster,
    Samples,
    UnsupportedImageError,
    check_pixel_count,
    merge_fill,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

_BI_RGB, _BI_BITFIELDS, _BI_ALPHABITFIELDS = 0, 3, 6
_BI_RLE = {1: 8, 2: 4}  # to bits per pixel
_MASKS_16BIT = (0x7C00, 0x3E0, 0x1F, 0)
_BGRX_MASKS = (0xFF0000, 0xFF00, 0xFF)
_ALPHA_MASK = 0xFF000000
PackedPixels = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""(H, W): all channels of a pixel in one number."""

_CONVERT = "save it as an uncompressed 24-bit BMP, or as PNG"


@dataclass(frozen=True, slots=True)
class _Header:
    size_hw: tuple[int, int]
    bits: int
    is_top_down: bool
    has_alpha: bool
    palette: npt.NDArray[np.uint8] | None  # (K, 3) RGB
    masks: tuple[int, int, int, int] | None  # of red, green, blue, alpha, where they are unusual
    is_run_length: bool
    pixels_at: int

    @property
    def row_bytes(self) -> int:
        return (self.size_hw[1] * self.bits + 31) // 32 * 4


class BmpFormat(ImageFormat):
    """BMP, uncompressed or of run lengths."""

    name = "BMP"
    suffixes = (".bmp", ".dib")
    signatures = (b"BM",)

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the image of a BMP file.

        Raises:
            UnsupportedImageError: damaged, truncated, with a PNG or JPEG in it, or too many pixels.
        """
        try:
            header = _parse_header(data, max_pixels)
        except struct.error as error:
            raise UnsupportedImageError(
                "damaged BMP: the file is truncated", DAMAGED_ADVICE
            ) from error
        height, width = header.size_hw
        if header.is_run_length:
            return _read_run_lengths(data, header)
        end = header.pixels_at + height * header.row_bytes
        if end > len(data):
            raise UnsupportedImageError("damaged BMP: the file is truncated", DAMAGED_ADVICE)
        rows = np.frombuffer(data, np.uint8, height * header.row_bytes, header.pixels_at)
        rows = rows.reshape(height, header.row_bytes)
        if not header.is_top_down:
            rows = rows[::-1]
        container = BmpContainer(header, data[: header.pixels_at], data[end:])
        if header.palette is not None:
            return _of_palette(_unpack(rows, header.bits, width), header.palette, container)
        if header.masks is not None:
            return _of_masks(rows[:, : width * header.bits // 8], header.masks, container)
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
    packed: PackedPixels | None = None  # (H, W), with unusual masks

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited BMP; see `Container.encode`."""
        height, width = mask.shape
        raster: Raster
        if self.packed is not None and self.header.masks is not None:
            words = _with_colours(self.packed, filled[mask], mask, self.header.masks)
            raster = words.view(np.uint8).reshape(height, width, -1)
        else:
            raster = merge_fill(samples, pixels, filled, mask)
        stored_rows = np.zeros((height, self.header.row_bytes), dtype=np.uint8)
        rows = stored_rows if self.header.is_top_down else stored_rows[::-1]
        if samples.indices is not None:
            packed = _pack(raster.astype(np.uint8, copy=False), self.header.bits)
            rows[:, : packed.shape[1]] = packed
        elif self.packed is not None:
            rows[:, : width * raster.shape[2]] = raster.reshape(height, -1)
        else:
            channels = raster.shape[2]
            stored = rows[:, : width * channels].reshape(height, width, channels)
            stored[..., 2::-1] = raster[..., :3]
            stored[..., 3:] = raster[..., 3:]
        del raster  # one copy of the image less while the file is assembled
        return b"".join([self.before, stored_rows.data, self.after]), ()


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
    masks = _MASKS_16BIT if bits == 16 else None
    has_alpha = False
    if compression in (_BI_BITFIELDS, _BI_ALPHABITFIELDS) and bits in (16, 32):
        masks = struct.unpack_from("<IIII", data, 54)
        if header_bytes < 56 and compression == _BI_BITFIELDS:
            masks = (*masks[:3], 0)
        if bits == 32 and masks[:3] == _BGRX_MASKS and masks[3] in (0, _ALPHA_MASK):
            has_alpha, masks = masks[3] != 0, None
    elif compression != _BI_RGB and _BI_RLE.get(compression) != bits:
        raise UnsupportedImageError(
            f"a BMP of compression method {compression} with {bits} bits is not supported",
            _CONVERT,
        )
    if bits not in (1, 4, 8, 16, 24, 32):
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
    return _Header(
        (abs(height), width),
        bits,
        height < 0,
        has_alpha,
        palette,
        masks,
        compression in _BI_RLE,
        pixels_at,
    )


def _of_palette(
    indices: Plane, palette: Plane, container: BmpContainer, notes: tuple[str, ...] = ()
) -> Decoded:
    if int(indices.max()) >= len(palette):
        raise UnsupportedImageError("damaged BMP: colours outside its palette", DAMAGED_ADVICE)
    indices.flags.writeable = False
    samples = Samples(kind="palette", bits=container.header.bits, indices=indices, palette=palette)
    return Decoded(palette[indices], samples, container, notes)


def _read_run_lengths(data: bytes, header: _Header) -> Decoded:
    """Return the image of a BMP of run lengths; what they leave out has the palette's first colour.

    Pillow decodes them.
    """
    from PIL.BmpImagePlugin import BmpImageFile

    with translate_decoder_errors("BMP"), BmpImageFile(io.BytesIO(data)) as image:
        image.load()
        indices = np.array(image)
    if header.palette is None or indices.shape != header.size_hw or indices.dtype != np.uint8:
        raise UnsupportedImageError("damaged BMP: its runs cannot be decoded", DAMAGED_ADVICE)
    before = bytearray(data[: header.pixels_at])
    stored_bytes = header.size_hw[0] * header.row_bytes
    struct.pack_into("<II", before, 30, _BI_RGB, stored_bytes)
    struct.pack_into("<I", before, 2, len(before) + stored_bytes)
    notes = ("its compression (RLE) is written as none",)
    return _of_palette(indices, header.palette, BmpContainer(header, bytes(before), b""), notes)


def _of_masks(rows: Plane, masks: tuple[int, int, int, int], container: BmpContainer) -> Decoded:
    """Return the image of packed pixels."""
    packed = np.ascontiguousarray(rows).view(f"<u{container.header.bits // 8}")
    channels = []
    for mask in masks:
        shift, top = _field_of(mask)
        value = ((packed & mask) >> shift).astype(np.uint32)
        channels.append(((value * 255 + top // 2) // max(top, 1)).astype(np.uint8))
    container = replace(container, packed=packed)
    samples = Samples(alpha=channels[3] if masks[3] else None)
    return Decoded(np.dstack(channels[:3]), samples, container)


def _with_colours(
    packed: PackedPixels, colours: Plane, hole: Mask, masks: tuple[int, int, int, int]
) -> PackedPixels:
    """Return packed pixels with (N, 3) new colours in the hole; all their other bits stay."""
    values = packed[hole].astype(np.uint32)
    for mask, colour in zip(masks[:3], colours.T, strict=True):
        shift, top = _field_of(mask)
        level = (colour.astype(np.uint32) * top + 127) // 255
        values = values & ~np.uint32(mask) | level << shift
    out = packed.copy()
    out[hole] = values
    return out


def _field_of(mask: int) -> tuple[int, int]:
    """Return the shift of a mask's lowest bit, and the largest value of its bits."""
    shift = (mask & -mask).bit_length() - 1 if mask else 0
    return shift, mask >> shift


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
