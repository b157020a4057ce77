"""Camera RAW: developed by LibRaw, and written as 16-bit TIFF or as JPEG.

A RAW file cannot be written again, so this is the one format that is not kept. The choices: the
camera's white balance, LibRaw's default demosaicing, the sRGB colour space with its own curve, and
no automatic brightness. So photos of a series stay alike and no highlight is clipped that the
sensor holds; the result may appear darker than the camera's JPEG.

RAW files of most makers are variants of TIFF, and Exif is read from their directories. Fujifilm's
is read from the JPEG preview, Canon's CR3 has it in boxes. Exif in proprietary forms is not read.

References:
    Adobe, Digital Negative (DNG) Specification 1.7; TIFF/EP, ISO 12234-2; the ExifTool tag tables
    for RAF and CR3.
"""

import functools
import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np

from cleanplate.io.formats.tiff import TiffContainer, clean_directory
from cleanplate.io.metadata import (
    EXIF_ID,
    Directory,
    Entry,
    IfdReader,
    parse_segments,
    parse_tiff,
    serialize_exif,
    shorts,
    walk_boxes,
)
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    ORIENTATION_TAG,
    Decoded,
    Encoded,
    ImageFormat,
    RawOutput,
    Samples,
    Samples16,
    UnsupportedImageError,
    check_pixel_count,
    merge_fill,
    to_8bit,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

JPEG_QUALITY = 95
_SRGB_CURVE = (2.4, 12.92)  # IEC 61966-2-1: power and slope at black, as LibRaw takes them
_ICC_TAG, _DEFLATE, _WITH_PREDICTOR = 34675, 8, 2
_PROFILE_DATE = bytes((7, 208, 0, 1, 0, 1)) + bytes(6)  # 2000-01-01: equal files from equal photos
_DEVELOPED = "it is developed by LibRaw (camera white balance, sRGB, no automatic brightness)"


_SIGNATURES = (
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"IIU\x00"),  # Panasonic, Leica
    (0, b"IIRO"),  # Olympus
    (0, b"IIRS"),
    (0, b"MMOR"),
    (4, b"ftypcrx "),  # Canon CR3
    (6, b"HEAPCCDR"),  # Canon CRW
    (0, b"FOVb"),  # Sigma
    (0, b"\x00MRM"),  # Minolta
)
_PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 262, 330, 50706
_SENSOR_DATA = (32803, 34892)  # colour filter array, linear raw
_EXIF, _GPS, _MAKER_NOTE, _COLOUR_SPACE = 34665, 34853, 37500, 0xA001
_XMP = 700
_KEPT = frozenset({270, 271, 272, 305, 306, 315, 33432, 33723, _EXIF, _GPS})
"""Description, make, model, software, date, artist, copyright, IPTC, Exif, GPS."""


@dataclass(frozen=True, slots=True)
class RawMetadata:
    """Tags for the developed image, and notes on the others."""

    directory: Directory
    notes: tuple[str, ...]


def is_raw(data: bytes) -> bool:
    """Return whether a file holds sensor data, by its content."""
    if any(data.startswith(signature, at) for at, signature in _SIGNATURES):
        return True
    if data[:4] not in (b"II*\x00", b"MM\x00*"):
        return False
    if data[8:10] == b"CR":  # Canon CR2
        return True
    reader = IfdReader(data, "<" if data[:2] == b"II" else ">")
    try:
        main, _ = reader.directory(reader.number("I", 4))
        sub_ifds = main[_SUB_IFDS].numbers() if _SUB_IFDS in main else ()
        directories = [main, *(reader.directory(at)[0] for at in sub_ifds)]
    except struct.error:
        return False
    return _DNG_VERSION in main or any(
        set(_SENSOR_DATA) & set(directory[_PHOTOMETRIC].numbers())
        for directory in directories
        if _PHOTOMETRIC in directory
    )


class RawFormat(ImageFormat):
    """Camera RAW, of any maker that LibRaw knows."""

    name = "RAW"
    suffixes = (
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc",
        ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2",
        ".srf", ".srw", ".x3f",
    )  # fmt: skip

    @classmethod
    def sniff(cls, data: bytes) -> bool:
        """Return whether a file is of this format, by its content."""
        return is_raw(data)

    @classmethod
    def read(cls, data: bytes, max_pixels: int, output: RawOutput = "tiff") -> Decoded:
        """Return the developed, upright image of a RAW file.

        Args:
            data: the file.
            max_pixels: more are refused before they are developed.
            output: what the edited photo will be written as.

        Raises:
            UnsupportedImageError: damaged, a camera unknown to LibRaw, or too many pixels; or the
                extra `raw` is not installed.
        """
        developed = _develop(data, max_pixels)
        size_hw = (developed.shape[0], developed.shape[1])
        metadata = read_raw_metadata(data, size_hw)
        pixels = to_8bit(developed)
        if output == "jpeg":
            notes = (f"{_DEVELOPED} and written as JPEG at quality {JPEG_QUALITY}", *metadata.notes)
            return Decoded(pixels, Samples(), DevelopedJpegContainer(metadata), notes)
        developed.flags.writeable = False
        container = TiffContainer(
            order="<",
            compression=_DEFLATE,
            predictor=_WITH_PREDICTOR,
            extra=None,
            colour_map=None,
            metadata=metadata.directory | {_ICC_TAG: Entry(7, len(srgb_profile()), srgb_profile())},
        )
        notes = (f"{_DEVELOPED} and written as 16-bit TIFF", *metadata.notes)
        return Decoded(pixels, Samples(bits=16, samples16=developed), container, notes)

    @classmethod
    def read_size(cls, path: Path) -> tuple[int, int]:
        """Return LibRaw's size; Pillow would return that of a preview."""
        with _rawpy().imread(str(path)) as raw:
            return raw.sizes.height, raw.sizes.width


@dataclass(frozen=True, slots=True, eq=False)
class DevelopedJpegContainer:
    """A developed RAW on its way to JPEG."""

    metadata: RawMetadata

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the JPEG, without chroma subsampling; see `Container.encode`."""
        from PIL import Image

        stream = io.BytesIO()
        with translate_decoder_errors("JPEG"):
            Image.fromarray(merge_fill(samples, pixels, filled, mask)).save(
                stream,
                format="JPEG",
                quality=JPEG_QUALITY,
                subsampling="4:4:4",
                optimize=False,
                icc_profile=srgb_profile(),
                exif=EXIF_ID + serialize_exif(self.metadata.directory),
            )
        return stream.getvalue(), ()


@functools.cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + _PROFILE_DATE + profile[36:]


def _develop(data: bytes, max_pixels: int) -> Samples16:
    """Return (H, W, 3) uint16 RGB, upright."""
    rawpy = _rawpy()
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            check_pixel_count((raw.sizes.height, raw.sizes.width), max_pixels)
            developed = raw.postprocess(
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=16,
                gamma=_SRGB_CURVE,
                no_auto_bright=True,
            )
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnsupportedImageError(
            "LibRaw does not support this kind of RAW file",
            "develop it to TIFF, or convert it to DNG first",
        ) from error
    except rawpy.LibRawError as error:
        cause = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise UnsupportedImageError(f"damaged RAW: {cause}", DAMAGED_ADVICE) from error
    if developed.shape[2] == 1:  # a sensor without colour filters
        developed = np.repeat(developed, 3, axis=2)
    return cast("Samples16", np.ascontiguousarray(developed))


def _rawpy() -> ModuleType:
    try:
        import rawpy
    except ImportError as error:
        raise UnsupportedImageError(
            "camera RAW needs the package rawpy", 'run pip install "cleanplate[raw]"'
        ) from error
    return cast("ModuleType", rawpy)


def read_raw_metadata(data: bytes, size_hw: tuple[int, int]) -> RawMetadata:
    """Return what describes the photo, without previews, maker notes and develop settings.

    Args:
        data: the RAW file.
        size_hw: of the developed, upright image.
    """
    try:
        main = _main_directory(data)
    except (UnsupportedImageError, struct.error):
        main = None
    if not main:
        return RawMetadata(
            {ORIENTATION_TAG: shorts(1)}, ("its Exif data (unreadable) are not carried over",)
        )
    notes: list[str] = []
    if _XMP in main:
        notes.append("its XMP data (develop settings) are not carried over")
    kept = {tag: entry for tag, entry in main.items() if tag in _KEPT}
    exif = kept.get(_EXIF)
    if exif is not None and exif.child is not None:
        child = dict(exif.child)
        if child.pop(_MAKER_NOTE, None) is not None:
            notes.append("its maker note is not carried over")
        if _COLOUR_SPACE in child:
            child[_COLOUR_SPACE] = shorts(1)  # sRGB, whatever the camera's JPEGs are in
        kept[_EXIF] = replace(exif, child=child)
    cleaned = clean_directory(kept, (), 1, size_hw)
    directory = cleaned.directory | {ORIENTATION_TAG: shorts(1)}
    return RawMetadata(directory, (*notes, *cleaned.notes))


def _main_directory(data: bytes) -> Directory | None:
    """Return the directory of make, model and Exif, wherever the maker puts it."""
    if data.startswith(b"FUJIFILMCCD-RAW"):
        start, length = struct.unpack_from(">II", data, 84)
        for segment in parse_segments(data[start : start + length]).segments:
            if segment.payload.startswith(EXIF_ID):
                return parse_tiff(segment.payload[6:]).pages[0]
        return None
    if data.startswith(b"ftypcrx ", 4):
        return _cr3_directory(data)
    if data[:2] in (b"II", b"MM") and data[6:14] != b"HEAPCCDR":
        return parse_tiff(data).pages[0]
    return None


def _cr3_directory(data: bytes) -> Directory | None:
    """Return Canon's three blocks, each a TIFF header with one directory, as one."""
    blocks: dict[bytes, Directory] = {}
    for kind, start, end in walk_boxes(data):
        if kind != b"moov":
            continue
        for inner, at, stop in walk_boxes(data, start, end):
            if inner != b"uuid":
                continue
            for name, first, last in walk_boxes(data, at + 16, stop):
                if name in (b"CMT1", b"CMT2", b"CMT4"):
                    blocks[name] = parse_tiff(data[first:last]).pages[0]
            break  # Canon's own box is the first
    main = dict(blocks.get(b"CMT1", {}))
    for tag, name in ((_EXIF, b"CMT2"), (_GPS, b"CMT4")):
        if name in blocks:
            main[tag] = Entry(4, 1, b"", blocks[name])
    return main or None
