"""PNG: every sample outside the hole is preserved bit for bit, in the same mode and depth.

Pillow decodes and encodes up to 8 bits; it reduces 16-bit RGB to 8 silently, so those go
through OpenCV and an encoder of our own. All other chunks are taken from the original file. An
interlaced PNG is written without interlacing.

References:
    W3C, Portable Network Graphics (PNG) Specification, third edition, 2025, sections 5, 9, 11, 14.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np

from cleanplate.io.metadata import EXIF_ID, clean_exif, clean_xmp, contains_image, drop_regions
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    Encoded,
    ImageFormat,
    Plane,
    Raster,
    Samples,
    Samples16,
    UnsupportedImageError,
    apply_orientation,
    check_one_frame,
    check_pixel_count,
    gray_to_rgb,
    merge_fill,
    to_8bit,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

_STILL_TRUE = frozenset(
    b"cHRM gAMA iCCP sBIT sRGB bKGD pHYs cICP mDCV cLLI "
    b"tIME tEXt zTXt iTXt sPLT sTER oFFs pCAL sCAL".split()
)  # known, and not about single pixels
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_BEFORE_PALETTE = (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_XMP_KEYWORD = b"XML:com.adobe.xmp\x00"
_RAW_PROFILE = re.compile(rb"Raw profile type (exif|APP1|xmp|8bim|iptc|icc|icm)\x00")
_MAX_TEXT_BYTES = 64 << 20  # unpacked; Pillow's limit for all text of a file
_ZLIB_LEVEL = 6  # zlib's default and Pillow's
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6  # colour types
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGB_ALPHA: 4}
_DEPTHS = {_GRAY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its type and its data, without length and CRC."""

    type: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        """Return the chunk as bytes of a file."""
        crc = zlib.crc32(self.data, zlib.crc32(self.type))
        return struct.pack(">I", len(self.data)) + self.type + self.data + struct.pack(">I", crc)


@dataclass(frozen=True, slots=True)
class SelectedChunks:
    """The ancillary chunks to be carried over, in their order."""

    before_palette: tuple[Chunk, ...]
    before_data: tuple[Chunk, ...]
    after_data: tuple[Chunk, ...]
    orientation: int
    notes: tuple[str, ...]


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


class PngFormat(ImageFormat):
    """PNG of any colour type and depth."""

    name = "PNG"
    suffixes = (".png",)
    signatures = (SIGNATURE,)

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a PNG file.

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
        pixel_chunks = [chunks[0], *(c for c in chunks if c.type in (b"PLTE", b"IDAT", b"IEND"))]
        by_type = {c.type: c for c in chunks}
        container = PngContainer(
            bits=header.bits,
            colour_type=header.colour_type,
            palette=by_type.get(b"PLTE"),
            transparency=_transparency(chunks, header),
            carried=carried,
        )
        notes = carried.notes
        if header.is_interlaced:
            notes += ("it is interlaced, and is written without interlacing",)
        with translate_decoder_errors("PNG"):
            stored = (
                _decode_16bit(pixel_chunks, header)
                if header.bits == 16
                else _decode(pixel_chunks, header)
            )
        upright = np.ascontiguousarray(apply_orientation(stored, carried.orientation))
        pixels, samples = _split(cast("Raster", upright), header, container)
        return Decoded(pixels, samples, container, notes, carried.orientation)


@dataclass(frozen=True, slots=True, eq=False)
class PngContainer:
    """The chunks of a PNG other than its image."""

    bits: int
    colour_type: int
    palette: Chunk | None
    transparency: Chunk | None
    carried: SelectedChunks

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited PNG; see `Container.encode`."""
        raster = merge_fill(samples, pixels, filled, mask)
        if raster.dtype == np.uint16:
            packed = [Chunk(b"IDAT", compress_16bit(cast("Samples16", raster)))]
        else:
            packed = self._compress(raster)
        height, width = mask.shape
        before, after = (
            _edit_xmp(part, partial(drop_regions, hole=mask))
            for part in (self.carried.before_data, self.carried.after_data)
        )
        header = struct.pack(">IIBBBBB", width, height, self.bits, self.colour_type, 0, 0, 0)
        return serialize_chunks(
            [
                Chunk(b"IHDR", header),
                *self.carried.before_palette,
                *(chunk for chunk in (self.palette, self.transparency) if chunk is not None),
                *before,
                *packed,
                *after,
                Chunk(b"IEND", b""),
            ]
        ), ()

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


def _decode(pixel_chunks: list[Chunk], header: _Header) -> Raster:
    """Return (H, W) or (H, W, C) uint8: indices as they are, grey spread over [0, 255]."""
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(io.BytesIO(serialize_chunks(pixel_chunks))) as image:
        image.load()
        array = np.asarray(image)
    if array.dtype == np.bool_:
        scale = 1 if header.colour_type == _PALETTE else 255
        return array.astype(np.uint8) * np.uint8(scale)
    return cast("Raster", array)


def _decode_16bit(pixel_chunks: list[Chunk], header: _Header) -> Samples16:
    """Return (H, W, C) uint16, RGB order."""
    import cv2

    height, width = header.size_hw
    channels = _CHANNELS[header.colour_type]
    if not header.is_interlaced:  # OpenCV leaves missing rows black silently
        _check_length(pixel_chunks, height * (1 + width * channels * 2))
    encoded = np.frombuffer(serialize_chunks(pixel_chunks), dtype=np.uint8)
    array = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != header.size_hw:
        raise ValueError("its image data cannot be decoded")
    array = array.reshape(height, width, -1)
    if header.kind == "rgb":
        order = (2, 1, 0, 3)[: array.shape[2]]
    else:  # grey with alpha comes as four channels
        order = (0,) if array.shape[2] == 1 else (0, 3)
    return np.ascontiguousarray(array[..., list(order[:channels])]).astype(np.uint16, copy=False)


def _check_length(pixel_chunks: list[Chunk], expected_bytes: int) -> None:
    unpacker = zlib.decompressobj()
    length = 0
    for chunk in pixel_chunks:
        data = chunk.data if chunk.type == b"IDAT" else b""
        while data and length <= expected_bytes:
            length += len(unpacker.decompress(data, 1 << 20))
            data = unpacker.unconsumed_tail
    if length < expected_bytes:
        raise ValueError("the image data are truncated")


def _split(raster: Raster, header: _Header, container: PngContainer) -> tuple[RGBImage, Samples]:
    """Return the 8-bit RGB image, and the record of what it does not hold."""
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


def _transparency(chunks: tuple[Chunk, ...], header: _Header) -> Chunk | None:
    """Return the first tRNS chunk, unless it stands where decoders ignore it; section 5.6."""
    kinds = [chunk.type for chunk in chunks]
    if header.has_alpha or b"tRNS" not in kinds:
        return None
    at = kinds.index(b"tRNS")
    before = kinds[:at]
    is_early = header.colour_type == _PALETTE and b"PLTE" not in before
    return None if is_early or b"IDAT" in before else chunks[at]


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


def parse_chunks(data: bytes) -> tuple[Chunk, ...]:
    """Return the chunks up to IEND.

    Raises:
        UnsupportedImageError: truncated, or a chunk needed for the image fails its CRC.
    """
    chunks: list[Chunk] = []
    position = len(SIGNATURE)
    while not chunks or chunks[-1].type != b"IEND":
        if position + 12 > len(data):
            raise UnsupportedImageError("damaged PNG: the file is truncated", DAMAGED_ADVICE)
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise UnsupportedImageError("damaged PNG: the file is truncated", DAMAGED_ADVICE)
        chunk = Chunk(data[position + 4 : position + 8], data[position + 8 : end])
        if zlib.crc32(chunk.data, zlib.crc32(chunk.type)) == int.from_bytes(data[end : end + 4]):
            chunks.append(chunk)
        elif chunk.type in PICTURE_CHUNKS:
            name = chunk.type.decode("ascii")
            raise UnsupportedImageError(f"damaged PNG: wrong checksum in {name}", DAMAGED_ADVICE)
        else:  # kept out: select_chunks() sees what is missing by its absence
            chunks.append(Chunk(b"\x00bad", b""))
        position = end + 4
    return tuple(chunks)


def serialize_chunks(chunks: list[Chunk]) -> bytes:
    """Return a file of these chunks."""
    return SIGNATURE + b"".join(chunk.to_bytes() for chunk in chunks)


def select_chunks(chunks: tuple[Chunk, ...], size_hw: tuple[int, int]) -> SelectedChunks:
    """Choose the chunks that may go into the edited file, and clean them.

    Unknown chunks follow the specification's rule for editors: they are kept when their name says
    that they are safe to copy, and when they hold no image.
    """
    before_palette: list[Chunk] = []
    before_data: list[Chunk] = []
    after_data: list[Chunk] = []
    notes: list[str] = []
    orientation = 1
    seen_data = False
    has_exif = any(chunk.type == b"eXIf" for chunk in chunks)
    for chunk in chunks:
        seen_data = seen_data or chunk.type == b"IDAT"
        if chunk.type in PICTURE_CHUNKS:
            continue
        clean, note = _clean_chunk(chunk, has_exif=has_exif)
        if clean is not None and clean.type == b"eXIf":
            exif = clean_exif(clean.data, size_hw=size_hw)
            orientation = exif.orientation
            note = (*note, *exif.notes)
            clean = Chunk(b"eXIf", exif.data) if exif.data else None
        notes += note
        if clean is None:
            continue
        if clean.type in _BEFORE_PALETTE:
            before_palette.append(clean)
        else:
            (after_data if seen_data else before_data).append(clean)

    def turned(packet: bytes) -> bytes:
        xmp = clean_xmp(packet, turned=orientation, size_hw=size_hw)
        notes.extend(xmp.notes)
        return xmp.data

    before, after = (_edit_xmp(part, turned) for part in (before_data, after_data))
    if len(before) + len(after) < len(before_data) + len(after_data) and not notes:
        notes.append("its XMP data (damaged) are not carried over")
    unique = tuple(dict.fromkeys(notes))
    return SelectedChunks(tuple(before_palette), before, after, orientation, unique)


def _clean_chunk(chunk: Chunk, *, has_exif: bool) -> tuple[Chunk | None, tuple[str, ...]]:
    """Return what may be written of an ancillary chunk, and notes on it."""
    if chunk.type == b"\x00bad":
        return None, ("a metadata chunk (wrong checksum) is not carried over",)
    if chunk.type in (*_ANIMATION, b"eXIf"):  # select_chunks() cleans Exif
        return (chunk if chunk.type == b"eXIf" else None), ()
    if chunk.type in (b"tEXt", b"zTXt") and (match := _RAW_PROFILE.match(chunk.data)):
        return _clean_raw_profile(chunk, match, has_exif=has_exif)
    is_safe_to_copy = chunk.type[3:4].islower()
    if chunk.type in _STILL_TRUE or (is_safe_to_copy and not contains_image(chunk.data)):
        return chunk, ()
    name = chunk.type.decode("ascii", "replace")
    return None, (f"its {name} chunk (which describes the unedited image) is not carried over",)


def _edit_xmp(chunks: Iterable[Chunk], edit: Callable[[bytes], bytes]) -> tuple[Chunk, ...]:
    """Return chunks with the XMP packets in them edited, but for damaged or empty ones."""
    kept = []
    for chunk in chunks:
        if chunk.type == b"iTXt" and chunk.data.startswith(_XMP_KEYWORD):
            head, packet, is_packed = _packet_of(chunk.data)
            packet = edit(packet) if packet else b""
            if packet:
                kept.append(Chunk(b"iTXt", head + (zlib.compress(packet) if is_packed else packet)))
        else:
            kept.append(chunk)
    return tuple(kept)


def _packet_of(data: bytes) -> tuple[bytes, bytes, bool]:
    """Return head and packet of XMP in an iTXt chunk, and whether it is packed; b"" if damaged."""
    at = len(_XMP_KEYWORD) + 2
    is_packed = data[len(_XMP_KEYWORD) : at][:1] == b"\x01"
    for _ in range(2):  # language tag and translated keyword
        at = data.find(b"\x00", at) + 1
        if at == 0:
            return data, b"", is_packed
    return data[:at], (_unpack(data[at:]) or b"") if is_packed else data[at:], is_packed


def _clean_raw_profile(
    chunk: Chunk, match: re.Match[bytes], *, has_exif: bool
) -> tuple[Chunk | None, tuple[str, ...]]:
    r"""Clean ImageMagick's text form of metadata: "\nNAME\n LENGTH\nHEX DIGITS"."""
    text: bytes | None = chunk.data[match.end() :]
    if chunk.type == b"zTXt":
        text = _unpack(chunk.data[match.end() + 1 :])
    try:
        profile = bytes.fromhex((text or b"").split(b"\n", 3)[3].decode("ascii"))
    except (IndexError, ValueError):
        return None, ("a damaged text profile is not carried over",)
    if match.group(1) in (b"exif", b"APP1") and profile.startswith(EXIF_ID):
        return (None if has_exif else Chunk(b"eXIf", profile.removeprefix(EXIF_ID))), ()
    if contains_image(profile) or match.group(1) in (b"xmp", b"8bim", b"APP1"):
        kind = match.group(1).decode("ascii")
        return None, (
            f"its text profile {kind!r} (which may contain an image) is not carried over",
        )
    return chunk, ()


def _unpack(data: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, _MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return text if unpacker.eof else None


def compress_16bit(samples: Samples16) -> bytes:
    """Return 16-bit samples as the content of IDAT.

    Each row takes the filter whose output has the smallest sum of absolute differences, the
    heuristic of the specification's section 12.7.

    Args:
        samples: (H, W, C) uint16.
    """
    height, width, channels = samples.shape
    step = 2 * channels  # bytes from one pixel to the next
    rows = samples.astype(">u2").view(np.uint8).reshape(height, width * step)
    packer = zlib.compressobj(_ZLIB_LEVEL)
    above = np.zeros(width * step, dtype=np.uint8)
    packed: list[bytes] = []
    for row in rows:
        left, above_left = np.zeros_like(row), np.zeros_like(row)
        left[step:], above_left[step:] = row[:-step], above[:-step]
        candidates = np.stack([row, row - left, row - above, row - _paeth(left, above, above_left)])
        cost = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=1)
        best = int(cost.argmin())
        filter_type = (0, 1, 2, 4)[best]  # None, Sub, Up, Paeth
        packed.append(packer.compress(bytes((filter_type,)) + candidates[best].tobytes()))
        above = row
    packed.append(packer.flush())
    return b"".join(packed)


def _paeth(left: Plane, above: Plane, above_left: Plane) -> Plane:
    """Return the Paeth predictor; section 9.4."""
    a, b, c = (x.astype(np.int16) for x in (left, above, above_left))
    by_a, by_b, by_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where(
        (by_a <= by_b) & (by_a <= by_c), left, np.where(by_b <= by_c, above, above_left)
    )
