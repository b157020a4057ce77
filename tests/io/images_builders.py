"""Files and metadata blocks built by hand, so that nothing is tested against itself."""

import io
import struct

import numpy as np
from PIL import Image

from tiff_builders import directory


def small_jpeg(size_wh=(16, 12), colour=(200, 30, 40)):
    stream = io.BytesIO()
    Image.new("RGB", size_wh, colour).save(stream, "JPEG")
    return stream.getvalue()


def exif_block(*, order="<", orientation=1, thumbnail=None, maker_note=b"maker note", size_wh=None):
    """Return an Exif block, without its identifier: camera, focal length, GPS, interop data."""
    width, height = size_wh or (64, 48)

    def build(exif_at, gps_at, interop_at, thumb_at):
        main = directory(
            [
                (0x010F, 2, b"ACME Cameras\0"),
                (0x0112, 3, [orientation]),
                (0x011A, 5, [300, 1]),
                (0x8769, 4, [exif_at]),
                (0x8825, 4, [gps_at]),
            ],
            8,
            order,
            thumb_at if thumbnail is not None else 0,
        )
        exif = directory(
            [
                (0x920A, 5, [354, 10]),  # focal length 35.4 mm
                (0x927C, 7, maker_note),
                (0x9286, 7, b"ASCII\0\0\0field notes"),
                (0xA002, 4, [width]),
                (0xA003, 4, [height]),
                (0xA005, 4, [interop_at]),
            ],
            exif_at,
            order,
        )
        interop = directory([(1, 2, b"R98\0")], interop_at, order)
        gps = directory(
            [(1, 2, b"N\0"), (2, 5, [52, 1, 31, 1, 1234, 100]), (6, 5, [345, 10])], gps_at, order
        )
        thumb = b""
        if thumbnail is not None:
            entries = [(0x0103, 3, [6]), (0x0201, 4, [0]), (0x0202, 4, [len(thumbnail)])]
            data_at = thumb_at + len(directory(entries, thumb_at, order))
            entries[1] = (0x0201, 4, [data_at])
            thumb = directory(entries, thumb_at, order) + thumbnail
        return main, exif, interop, gps, thumb

    sizes = [len(part) for part in build(0, 0, 0, 0)]
    starts = [8]
    for size in sizes[:-1]:
        starts.append(starts[-1] + size)
    parts = build(starts[1], starts[3], starts[2], starts[4])
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8) + b"".join(parts)


def segment(marker, payload):
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(jpeg, *segments, trailer=b""):
    """Return the JPEG with marker segments after its own first one, and bytes after its end."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:end] + b"".join(segments) + jpeg[end:] + trailer


def jpeg_segments(jpeg):
    """Return [(marker, payload)] up to the first scan."""
    found, position = [], 2
    while jpeg[position + 1] != 0xDA:
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        found.append((jpeg[position + 1], jpeg[position + 4 : position + 2 + length]))
        position += 2 + length
    return found


def png_chunk(kind, data):
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_chunks(png):
    found, position = [], 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        found.append((png[position + 4 : position + 8], png[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def with_png_chunks(png, *chunks):
    """Return the PNG with chunks inserted after its header."""
    return png[:33] + b"".join(png_chunk(kind, data) for kind, data in chunks) + png[33:]


def saved(image, fmt, **options):
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def opened(data):
    """Return a loaded Pillow image."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def box_mask(size_hw, top, bottom, left, right):
    mask = np.zeros(size_hw, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask
