"""PNG: every sample outside the hole comes back bit for bit, in the same mode and depth.

Pillow decodes and encodes up to 8 bits; it reduces 16-bit RGB to 8 without a word, so those go
through OpenCV and an encoder of our own. All other chunks are taken from the original file. An
interlaced PNG is written without interlacing.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from cleanplate.io.metadata import (
    Chunk,
    SelectedChunks,
    compress_16bit,
    parse_chunks,
    select_chunks,
    serialize_chunks,
)
from cleanplate.io.photo import Decoded
from cleanplate.io.samples import (
    Plane,
    Raster,
    Samples,
    Samples16,
    apply_orientation,
    gray_to_rgb,
    to_8bit,
    union,
)
from cleanplate.io.unsupported import (
    DAMAGED_ADVICE,
    UnsupportedImageError,
    check_one_frame,
    check_pixel_count,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6  # colour types
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGB_ALPHA: 4}
_DEPTHS = {_GRAY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}


@dataclass(frozen=True, slots=True)
class _Header:
    size_hw: tuple[int, int]
    bits: int
    colour_type: int
    is_interlaced: bool

    @property
    def kind(self) -> Literal["gray", "rgb", "palette"]:
        if self.colour_type == _PALETTE:
            return "palette"
        return "gray" if self.colour_type in (_GRAY, _GRAY_ALPHA) else "rgb"

    @property
    def has_alpha(self) -> bool:
        return self.colour_type in (_GRAY_ALPHA, _RGB_ALPHA)


def read_png(data: bytes, max_pixels: int) -> Decoded:
    """Return the upright picture of a PNG file.

    Raises:
        UnsupportedImageError: damaged, truncated, animated, or too many pixels.
    """
    chunks = parse_chunks(data)
    header = _parse_header(chunks[0])
    check_pixel_count(header.size_hw, max_pixels)
    animation = next((c.data for c in chunks if c.type == b"acTL" and len(c.data) >= 4), None)
    if animation is not None:
        check_one_frame(int.from_bytes(animation[:4]), "frames (APNG)")
    carried = select_chunks(chunks, header.size_hw)
    picture = [chunks[0], *(c for c in chunks if c.type in (b"PLTE", b"IDAT", b"IEND"))]
    by_type = {c.type: c for c in chunks}
    container = PngContainer(
        bits=header.bits,
        colour_type=header.colour_type,
        palette=by_type.get(b"PLTE"),
        transparency=None if header.has_alpha else by_type.get(b"tRNS"),
        carried=carried,
    )
    notes = carried.notes
    if header.is_interlaced:
        notes += ("it is interlaced, and is written without interlacing",)
    with translate_decoder_errors("PNG"):
        stored = _decode_16bit(picture, header) if header.bits == 16 else _decode(picture, header)
    upright = np.ascontiguousarray(apply_orientation(stored, carried.orientation))
    pixels, samples = _split(cast("Raster", upright), header, container)
    return Decoded(pixels, samples, container, notes)


@dataclass(frozen=True, slots=True, eq=False)
class PngContainer:
    """The chunks of a PNG other than its picture."""

    bits: int
    colour_type: int
    palette: Chunk | None
    transparency: Chunk | None
    carried: SelectedChunks

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> bytes:
        """Return the edited PNG."""
        raster = union(samples, pixels, filled, mask)
        if raster.dtype == np.uint16:
            packed = [Chunk(b"IDAT", compress_16bit(cast("Samples16", raster)))]
        else:
            packed = self._compress(raster)
        height, width = mask.shape
        header = struct.pack(">IIBBBBB", width, height, self.bits, self.colour_type, 0, 0, 0)
        return serialize_chunks(
            [
                Chunk(b"IHDR", header),
                *self.carried.before_palette,
                *(chunk for chunk in (self.palette, self.transparency) if chunk is not None),
                *self.carried.before_data,
                *packed,
                *self.carried.after_data,
                Chunk(b"IEND", b""),
            ]
        )

    def _compress(self, raster: Raster) -> list[Chunk]:
        from PIL import Image

        image = Image.fromarray(raster)
        if self.colour_type == _PALETTE:
            image = Image.fromarray(raster, "P")
            image.putpalette(bytes(3 * 2**self.bits))  # its length tells Pillow the bits
        elif self.bits == 1:
            image = Image.fromarray(raster > 127)
        stream = io.BytesIO()
        if self.bits < 8:
            image.save(stream, format="PNG", bits=self.bits)
        else:
            image.save(stream, format="PNG")
        return [chunk for chunk in parse_chunks(stream.getvalue()) if chunk.type == b"IDAT"]


def _parse_header(chunk: Chunk) -> _Header:
    if chunk.type != b"IHDR" or len(chunk.data) != 13:
        raise UnsupportedImageError("damaged PNG: it does not start with a header", DAMAGED_ADVICE)
    width, height, bits, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", chunk.data)
    if colour_type not in _CHANNELS or bits not in _DEPTHS.get(colour_type, (8, 16)):
        raise UnsupportedImageError(
            f"damaged PNG: impossible colour type {colour_type} with {bits} bits", DAMAGED_ADVICE
        )
    return _Header((height, width), bits, colour_type, interlace != 0)


def _decode(picture: list[Chunk], header: _Header) -> Raster:
    """Return (H, W) or (H, W, C) uint8: indices as they are, grey spread over [0, 255]."""
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(io.BytesIO(serialize_chunks(picture))) as image:
        image.load()
        array = np.asarray(image)
    if array.dtype == np.bool_:
        scale = 1 if header.colour_type == _PALETTE else 255
        return array.astype(np.uint8) * np.uint8(scale)
    return cast("Raster", array)


def _decode_16bit(picture: list[Chunk], header: _Header) -> Samples16:
    """Return (H, W, C) uint16, RGB order."""
    import cv2

    height, width = header.size_hw
    channels = _CHANNELS[header.colour_type]
    if not header.is_interlaced:  # OpenCV leaves missing rows black without a word
        _check_length(picture, height * (1 + width * channels * 2))
    encoded = np.frombuffer(serialize_chunks(picture), dtype=np.uint8)
    array = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != header.size_hw:
        raise ValueError("its picture data cannot be decoded")
    array = array.reshape(height, width, -1)
    if header.kind == "rgb":
        order = (2, 1, 0, 3)[: array.shape[2]]
    else:  # grey with alpha comes as four channels
        order = (0,) if array.shape[2] == 1 else (0, 3)
    return np.ascontiguousarray(array[..., list(order[:channels])]).astype(np.uint16, copy=False)


def _check_length(picture: list[Chunk], expected_bytes: int) -> None:
    unpacker = zlib.decompressobj()
    length = 0
    for chunk in picture:
        data = chunk.data if chunk.type == b"IDAT" else b""
        while data and length <= expected_bytes:
            length += len(unpacker.decompress(data, 1 << 20))
            data = unpacker.unconsumed_tail
    if length < expected_bytes:
        raise ValueError("the picture data are truncated")


def _split(raster: Raster, header: _Header, container: PngContainer) -> tuple[RGBImage, Samples]:
    """Return the 8-bit RGB picture, and the record of what it does not hold."""
    key = _transparent_colour(header, container.transparency)
    raster.flags.writeable = False
    if header.kind == "palette":
        return _split_palette(cast("Plane", raster), container)
    if raster.dtype == np.uint16:
        samples16 = cast("Samples16", raster)
        colours = to_8bit(samples16[..., :1] if header.kind == "gray" else samples16[..., :3])
        pixels = gray_to_rgb(colours[..., 0]) if header.kind == "gray" else colours
        return pixels, Samples(kind=header.kind, bits=16, samples16=samples16, key=key)
    samples8 = cast("Plane", raster)
    alpha = None
    if header.has_alpha:
        alpha = np.ascontiguousarray(samples8[..., -1])
        alpha.flags.writeable = False
        samples8 = samples8[..., 0] if header.kind == "gray" else samples8[..., :3]
    pixels = gray_to_rgb(samples8) if header.kind == "gray" else np.ascontiguousarray(samples8)
    return pixels, Samples(kind=header.kind, bits=header.bits, alpha=alpha, key=key)


def _split_palette(indices: Plane, container: PngContainer) -> tuple[RGBImage, Samples]:
    if container.palette is None:
        raise UnsupportedImageError("damaged PNG: it has no palette", DAMAGED_ADVICE)
    length = len(container.palette.data) // 3
    palette = np.frombuffer(container.palette.data, dtype=np.uint8, count=3 * length)
    palette = palette.reshape(length, 3)
    if length == 0 or int(indices.max()) >= length:
        raise UnsupportedImageError("damaged PNG: colours outside its palette", DAMAGED_ADVICE)
    alpha = np.full(length, 255, dtype=np.uint8)
    if container.transparency is not None:
        stated = np.frombuffer(container.transparency.data[:length], dtype=np.uint8)
        alpha[: len(stated)] = stated
    samples = Samples(
        kind="palette",
        bits=container.bits,
        indices=indices,
        palette=palette,
        palette_alpha=alpha,
    )
    return palette[indices], samples


def _transparent_colour(header: _Header, chunk: Chunk | None) -> tuple[int, ...] | None:
    """Return tRNS's colour in the units of the decoded samples."""
    count = {"gray": 1, "rgb": 3, "palette": 0}[header.kind]
    if chunk is None or count == 0 or len(chunk.data) < 2 * count:
        return None
    stated = struct.unpack_from(f">{count}H", chunk.data)
    if header.bits == 16:
        return tuple(stated)
    top = 2**header.bits - 1
    return tuple((value & top) * (255 // top) for value in stated)
