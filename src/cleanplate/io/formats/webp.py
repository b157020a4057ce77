"""WebP: lossless stays lossless and exact; lossy is encoded again at a fixed quality.

A lossy WebP does not store the quality it was made with, and cannot be decoded and encoded without
a further loss. Quality 95 keeps that loss small, for files somewhat larger than the original.
Alpha is always lossless, and colours under full transparency are kept in lossless files.

References:
    RFC 9649, WebP Image Format, sections 2.5 to 2.7.
"""

import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleanplate.io.metadata import clean_exif, clean_xmp, drop_regions
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    Encoded,
    ImageFormat,
    Samples,
    UnsupportedImageError,
    apply_orientation,
    check_one_frame,
    check_pixel_count,
    merge_fill,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

LOSSY_QUALITY = 95
_LOSSLESS_EFFORT = (
    75  # for lossless files Pillow's `quality` is effort; only the size depends on it
)
_PICTURE_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")


class WebPFormat(ImageFormat):
    """WebP, lossy or lossless, of a single frame."""

    name = "WEBP"
    suffixes = (".webp",)

    @classmethod
    def sniff(cls, data: bytes) -> bool:
        """Return whether a file is of this format, by its content."""
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a WebP file.

        Raises:
            UnsupportedImageError: damaged, truncated, animated, or too many pixels.
        """
        chunks = _parse_chunks(data)
        size_hw = _stored_size(chunks)
        check_pixel_count(size_hw, max_pixels)
        check_one_frame(sum(kind == b"ANMF" for kind, _ in chunks), "frames (animated WebP)")
        by_type = dict(reversed(chunks))  # the first of each kind counts
        exif = clean_exif(by_type[b"EXIF"], size_hw=size_hw) if b"EXIF" in by_type else None
        orientation = exif.orientation if exif else 1
        xmp = None
        if b"XMP " in by_type:
            xmp = clean_xmp(by_type[b"XMP "], turned=orientation, size_hw=size_hw)
        stored = np.ascontiguousarray(apply_orientation(_decode(data), orientation))
        alpha = None
        if stored.shape[2] == 4:
            alpha = np.ascontiguousarray(stored[..., 3])
            alpha.flags.writeable = False
        container = WebpContainer(
            is_lossless=b"VP8L" in by_type,
            icc=by_type.get(b"ICCP", b""),
            exif=exif.data if exif else b"",
            xmp=xmp.data if xmp else b"",
        )
        notes = (exif.notes if exif else ()) + (xmp.notes if xmp else ())
        known = (*_PICTURE_CHUNKS, b"ICCP", b"EXIF", b"XMP ")
        notes += tuple(
            f"its {kind.decode('ascii', 'replace').strip()} chunk is not carried over"
            for kind in dict.fromkeys(kind for kind, _ in chunks)
            if kind not in known
        )
        if not container.is_lossless:
            notes += (f"it is a lossy WebP, and is encoded again at quality {LOSSY_QUALITY}",)
        pixels = np.ascontiguousarray(stored[..., :3])
        return Decoded(pixels, Samples(alpha=alpha), container, notes, orientation)


@dataclass(frozen=True, slots=True, eq=False)
class WebpContainer:
    """The metadata of a WebP and how its image is coded."""

    is_lossless: bool
    icc: bytes
    exif: bytes
    xmp: bytes

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited WebP; see `Container.encode`."""
        from PIL import Image

        image = Image.fromarray(merge_fill(samples, pixels, filled, mask))
        stream = io.BytesIO()
        with translate_decoder_errors("WebP"):
            image.save(
                stream,
                format="WEBP",
                lossless=self.is_lossless,
                quality=_LOSSLESS_EFFORT if self.is_lossless else LOSSY_QUALITY,
                exact=True,
                icc_profile=self.icc,
                exif=self.exif,
                xmp=drop_regions(self.xmp, mask),
            )
        return stream.getvalue(), ()


def _parse_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the RIFF chunks as (type, content)."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnsupportedImageError("damaged WebP: the file is truncated", DAMAGED_ADVICE)
    chunks: list[tuple[bytes, bytes]] = []
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise UnsupportedImageError("damaged WebP: the file is truncated", DAMAGED_ADVICE)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return chunks


def _stored_size(chunks: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Return (H, W) from the first chunk."""
    kind, content = chunks[0] if chunks else (b"", b"")
    if kind == b"VP8X" and len(content) >= 10:
        width = int.from_bytes(content[4:7], "little") + 1
        return int.from_bytes(content[7:10], "little") + 1, width
    if kind == b"VP8 " and len(content) >= 10 and content[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 6)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L" and len(content) >= 5 and content[0] == 0x2F:
        packed = int.from_bytes(content[1:5], "little")
        return (packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1
    raise UnsupportedImageError("damaged WebP: it holds no image", DAMAGED_ADVICE)


def _decode(data: bytes) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) or (H, W, 4) uint8."""
    from PIL import Image
    from PIL.WebPImagePlugin import WebPImageFile

    try:
        with translate_decoder_errors("WebP"), WebPImageFile(io.BytesIO(data)) as image:
            image.load()
            array: npt.NDArray[np.uint8] = np.asarray(image)
            return array
    except Image.DecompressionBombError:  # from 178,956,970 px on; OpenCV, too, has libwebp
        import cv2

        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise UnsupportedImageError(
                "damaged WebP: it cannot be decoded", DAMAGED_ADVICE
            ) from None
        to_rgb = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
        return np.asarray(cv2.cvtColor(decoded, to_rgb), np.uint8)
