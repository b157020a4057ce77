"""TIFF directories by hand, and a camera RAW file: a DNG that LibRaw develops to a known scene."""

import io
import struct

import numpy as np
from PIL import Image

LETTERS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 10: "ii"}
TO_LINEAR_SRGB = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)  # of XYZ, x 10000


def directory(entries, at, order, following=0):
    """Return an IFD at offset `at`: entries are (tag, type, value), value a list or bytes."""
    head = struct.pack(order + "H", len(entries))
    tail = b""
    after = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in sorted(entries, key=lambda entry: entry[0]):
        if isinstance(value, bytes):
            packed, count = value, len(value)
        else:
            letters = LETTERS[kind] * (len(value) // len(LETTERS[kind]))
            packed, count = struct.pack(order + letters, *value), len(value) // len(LETTERS[kind])
        if len(packed) > 4:
            place = struct.pack(order + "I", after + len(tail))
            tail += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        head += struct.pack(order + "HHI", tag, kind, count) + place
    return head + struct.pack(order + "I", following) + tail


def dng(scene, *, orientation=1, order="<"):
    """Return an uncompressed DNG whose camera sees linear sRGB, RGGB, of an (H, W, 3) uint8 scene.

    H and W are even. Exif, GPS, a maker note and XMP are in it.
    """
    linear = scene / 255.0
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    sensor = np.empty(scene.shape[:2])
    sensor[0::2, 0::2] = linear[0::2, 0::2, 0]
    sensor[0::2, 1::2] = linear[0::2, 1::2, 1]
    sensor[1::2, 0::2] = linear[1::2, 0::2, 1]
    sensor[1::2, 1::2] = linear[1::2, 1::2, 2]
    data = np.rint(sensor * 65535).astype(order + "u2").tobytes()
    height, width = sensor.shape
    matrix = [number for value in TO_LINEAR_SRGB for number in (value, 10000)]

    preview = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 30, 40)).save(preview, "JPEG")

    def build(exif_at, gps_at, data_at):
        entries = [
            (254, 4, [0]), (256, 4, [width]), (257, 4, [height]), (258, 3, [16]), (259, 3, [1]),
            (262, 3, [32803]), (271, 2, b"ACME Cameras\0"), (272, 2, b"ACME One\0"),
            (273, 4, [data_at]), (274, 3, [orientation]), (277, 3, [1]), (278, 4, [height]),
            (279, 4, [len(data)]), (284, 3, [1]), (306, 2, b"2024:05:06 07:08:09\0"),
            (700, 1, list(b'<x crs:Exposure2012="+1.00"/>')), (33421, 3, [2, 2]),
            (33422, 1, [0, 1, 1, 2]), (34665, 4, [exif_at]), (34853, 4, [gps_at]),
            (50706, 1, [1, 4, 0, 0]), (50707, 1, [1, 1, 0, 0]), (50708, 2, b"ACME One\0"),
            (50717, 4, [65535]), (50721, 10, matrix), (50728, 5, [1, 1] * 3), (50778, 3, [21]),
        ]  # fmt: skip
        exif = [
            (0x829A, 5, [1, 250]), (0x8827, 3, [400]),
            (0x927C, 7, b"ACME notes " + preview.getvalue()),
            (0xA001, 3, [65535]), (0xA002, 4, [1]), (0xA003, 4, [1]),
        ]  # fmt: skip
        return (
            directory(entries, 8, order),
            directory(exif, exif_at, order),
            directory([(1, 2, b"N\0"), (2, 5, [52, 1, 31, 1, 1234, 100])], gps_at, order),
        )

    sizes = [len(part) for part in build(0, 0, 0)]
    exif_at = 8 + sizes[0]
    gps_at = exif_at + sizes[1]
    parts = build(exif_at, gps_at, gps_at + sizes[2])
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8) + b"".join(parts) + data
