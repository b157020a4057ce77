"""GIF of a single image: every index outside the hole comes back, and every other byte.

The hole takes the nearest colours of the file's own palette. Animated GIF is refused: frames that
are searched and filled one by one flicker, and most of them are only patches on those before.

References:
    CompuServe, Graphics Interchange Format, Version 89a, sections 17 to 27.
"""

import io
import struct
from dataclasses import dataclass

import numpy as np

from cleanplate.io.metadata import contains_image
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    Encoded,
    ImageFormat,
    Plane,
    Samples,
    UnsupportedImageError,
    check_one_frame,
    check_pixel_count,
    merge_fill,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_CONTROL = 0xF9  # label of the extension that states the transparent colour
_HAS_TABLE, _IS_INTERLACED, _IS_TRANSPARENT = 0x80, 0x40, 0x01


@dataclass(frozen=True, slots=True)
class _Block:
    """An image with its descriptor, or an extension, as bytes of the file."""

    kind: int  # _IMAGE, or the extension's label
    start: int
    end: int
    data_at: int = 0  # of an image: where its code size stands


@dataclass(frozen=True, slots=True, eq=False)
class GifContainer:
    """A GIF's bytes before and after its coded image."""

    before: bytes  # up to and with the image descriptor and its palette
    after: bytes

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited GIF; see `Container.encode`."""
        from PIL import Image

        indices = merge_fill(samples, pixels, filled, mask)
        image = Image.fromarray(indices, "P")
        image.putpalette(bytes(768))
        stream = io.BytesIO()
        with translate_decoder_errors("GIF"):
            image.save(stream, format="GIF", optimize=False, interlace=False)
            coded = stream.getvalue()
            _, blocks = _parse_blocks(coded)
            block = next(b for b in blocks if b.kind == _IMAGE)
        return self.before + coded[block.data_at : block.end] + self.after, ()


class GifFormat(ImageFormat):
    """GIF of a single frame."""

    name = "GIF"
    suffixes = (".gif",)
    signatures = (b"GIF87a", b"GIF89a")

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the image of a GIF file.

        Raises:
            UnsupportedImageError: damaged, truncated, animated, too many pixels, or a frame smaller
                than the canvas.
        """
        try:
            colours_at, blocks = _parse_blocks(data)
            width, height = struct.unpack_from("<HH", data, 6)
            check_pixel_count((height, width), max_pixels)
            images = [block for block in blocks if block.kind == _IMAGE]
            check_one_frame(len(images), "frames (animated GIF)")
            if not images:
                raise UnsupportedImageError("damaged GIF: it holds no image", DAMAGED_ADVICE)
            image = images[0]
            left, top, *size_wh, flags = struct.unpack_from("<HHHHB", data, image.start + 1)
        except (struct.error, IndexError) as error:
            raise UnsupportedImageError(
                "damaged GIF: the file is truncated", DAMAGED_ADVICE
            ) from error
        if (left, top, *size_wh) != (0, 0, width, height):
            raise UnsupportedImageError(
                "a GIF whose frame does not cover its canvas is not supported",
                "convert it to PNG",
            )
        if flags & _HAS_TABLE:
            colours_at = image.start + 10
            count = 2 << (flags & 7)
        else:
            count = 2 << (data[10] & 7) if data[10] & _HAS_TABLE else 0
        if count == 0:
            raise UnsupportedImageError("damaged GIF: it has no palette", DAMAGED_ADVICE)
        palette = np.frombuffer(data, np.uint8, 3 * count, colours_at).reshape(count, 3)
        indices = _decode(data)
        if int(indices.max()) >= count:
            raise UnsupportedImageError("damaged GIF: colours outside its palette", DAMAGED_ADVICE)
        samples = Samples(
            kind="palette",
            indices=indices,
            palette=palette,
            palette_alpha=_palette_alpha(data, blocks, count),
        )
        kept, notes = _extensions(data, blocks, image)
        descriptor = bytearray(data[image.start : image.data_at])
        if flags & _IS_INTERLACED:
            descriptor[9] &= ~_IS_INTERLACED
            notes += ("it is interlaced, and is written without interlacing",)
        head = data[: min(block.start for block in blocks)]
        before = b"".join([head, *(data[b.start : b.end] for b in kept if b.start < image.start)])
        after = b"".join(data[b.start : b.end] for b in kept if b.start > image.start)
        container = GifContainer(before + bytes(descriptor), after + bytes([_TRAILER]))
        return Decoded(palette[indices], samples, container, notes)


def _parse_blocks(data: bytes) -> tuple[int, list[_Block]]:
    """Return where the global palette stands, and the blocks after it."""
    position = 13 + (3 * (2 << (data[10] & 7)) if data[10] & _HAS_TABLE else 0)
    blocks: list[_Block] = []
    while data[position] != _TRAILER:
        start = position
        if data[start] == _IMAGE:
            flags = data[start + 9]
            data_at = start + 10 + (3 * (2 << (flags & 7)) if flags & _HAS_TABLE else 0)
            position = _end_of_sub_blocks(data, data_at + 1)
            blocks.append(_Block(_IMAGE, start, position, data_at))
        elif data[start] == _EXTENSION:
            position = _end_of_sub_blocks(data, start + 2)
            blocks.append(_Block(data[start + 1], start, position))
        else:
            raise UnsupportedImageError("damaged GIF: an unknown block", DAMAGED_ADVICE)
    return 13, blocks


def _end_of_sub_blocks(data: bytes, position: int) -> int:
    """Return the end of a row of parts, each led by its length, that an empty one ends."""
    while data[position]:
        position += 1 + data[position]
    return position + 1


def _palette_alpha(data: bytes, blocks: list[_Block], count: int) -> Plane:
    alpha = np.full(count, 255, dtype=np.uint8)
    for block in blocks:
        if block.kind == _CONTROL and data[block.start + 3] & _IS_TRANSPARENT:
            index = data[block.start + 6]
            if index < count:
                alpha[index] = 0
    return alpha


def _extensions(
    data: bytes, blocks: list[_Block], image: _Block
) -> tuple[list[_Block], tuple[str, ...]]:
    """Return the blocks that are copied, and notes on the others."""
    others = [block for block in blocks if block is not image]
    kept = [block for block in others if not contains_image(_content(data, block))]
    notes = ("an extension (with an image) is not carried over",)
    return kept, notes if len(kept) < len(others) else ()


def _content(data: bytes, block: _Block) -> bytes:
    """Return what an extension holds, without the lengths in between."""
    parts: list[bytes] = []
    position = block.start + 2
    while data[position]:
        end = position + 1 + data[position]
        parts.append(data[position + 1 : end])
        position = end
    return b"".join(parts)


def _decode(data: bytes) -> Plane:
    """Return (H, W) indices."""
    from PIL.GifImagePlugin import GifImageFile

    with translate_decoder_errors("GIF"), GifImageFile(io.BytesIO(data)) as image:
        image.load()
        if image.mode not in ("P", "L"):  # L where the palette is grey in order: the same numbers
            raise ValueError(f"Pillow mode {image.mode}")
        indices: Plane = np.array(image)
    indices.flags.writeable = False
    return indices
