"""PNG chunks: finding them, choosing which are written again, and a 16-bit encoder.

References:
    W3C, Portable Network Graphics (PNG) Specification, third edition, 2025, sections 5, 9, 11, 14.
"""

import re
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleanplate.io.metadata.exif import PREFIX as EXIF_ID
from cleanplate.io.metadata.exif import clean_exif
from cleanplate.io.metadata.thumbnails import contains_image
from cleanplate.io.metadata.xmp import clean_xmp
from cleanplate.io.unsupported import DAMAGED_ADVICE, UnsupportedImageError

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


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its type and its data, without length and CRC."""

    type: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        """Return the chunk as it stands in a file."""
        crc = zlib.crc32(self.data, zlib.crc32(self.type))
        return struct.pack(">I", len(self.data)) + self.type + self.data + struct.pack(">I", crc)


@dataclass(frozen=True, slots=True)
class SelectedChunks:
    """The ancillary chunks to be written again, in their order."""

    before_palette: tuple[Chunk, ...]
    before_data: tuple[Chunk, ...]
    after_data: tuple[Chunk, ...]
    orientation: int
    notes: tuple[str, ...]


def parse_chunks(data: bytes) -> tuple[Chunk, ...]:
    """Return the chunks up to IEND.

    Raises:
        UnsupportedImageError: truncated, or a chunk needed for the picture fails its CRC.
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
    that they are safe to copy, and when they hold no picture.
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
    unique = tuple(dict.fromkeys(notes))
    return SelectedChunks(
        tuple(before_palette), tuple(before_data), tuple(after_data), orientation, unique
    )


def _clean_chunk(chunk: Chunk, *, has_exif: bool) -> tuple[Chunk | None, tuple[str, ...]]:
    """Return what may be written of an ancillary chunk, and what to say about it."""
    if chunk.type == b"\x00bad":
        return None, ("a metadata chunk with a wrong checksum is not carried over",)
    if chunk.type in (*_ANIMATION, b"eXIf"):  # select_chunks() cleans Exif
        return (chunk if chunk.type == b"eXIf" else None), ()
    if chunk.type == b"iTXt" and chunk.data.startswith(_XMP_KEYWORD):
        return _clean_xmp_chunk(chunk)
    if chunk.type in (b"tEXt", b"zTXt") and (match := _RAW_PROFILE.match(chunk.data)):
        return _clean_raw_profile(chunk, match, has_exif=has_exif)
    is_safe_to_copy = chunk.type[3:4].islower()
    if chunk.type in _STILL_TRUE or (is_safe_to_copy and not contains_image(chunk.data)):
        return chunk, ()
    name = chunk.type.decode("ascii", "replace")
    return None, (f"its {name} chunk is not carried over, it belongs to the unedited picture",)


def _clean_xmp_chunk(chunk: Chunk) -> tuple[Chunk | None, tuple[str, ...]]:
    head_end = len(_XMP_KEYWORD) + 2
    is_packed = chunk.data[len(_XMP_KEYWORD) : head_end][:1] == b"\x01"
    for _ in range(2):  # language tag and translated keyword
        head_end = chunk.data.find(b"\x00", head_end) + 1
        if head_end == 0:
            return None, ("its XMP data are damaged and are not carried over",)
    text = chunk.data[head_end:]
    if is_packed:
        unpacked = _unpack(text)
        if unpacked is None:
            return None, ("its XMP data are damaged and are not carried over",)
        text = unpacked
    xmp = clean_xmp(text)
    if not xmp.data:
        return None, xmp.notes
    written = zlib.compress(xmp.data) if is_packed else xmp.data
    return Chunk(b"iTXt", chunk.data[:head_end] + written), xmp.notes


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
        return None, (f"its text profile {kind!r} is not carried over, it may hold a picture",)
    return chunk, ()


def _unpack(data: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, _MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return text if unpacker.eof else None


def compress_16bit(samples: npt.NDArray[np.uint16]) -> bytes:
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


def _paeth(
    left: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], above_left: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return the Paeth predictor; section 9.4."""
    a, b, c = (x.astype(np.int16) for x in (left, above, above_left))
    by_a, by_b, by_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where(
        (by_a <= by_b) & (by_a <= by_c), left, np.where(by_b <= by_c, above, above_left)
    )
