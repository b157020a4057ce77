"""Camera RAW: developed by LibRaw, and written as 16-bit TIFF or as JPEG.

A RAW file cannot be written again, so this is the one format that is not kept. The choices: the
camera's white balance, LibRaw's default demosaicing, the sRGB colour space with its own curve, and
no automatic brightness. So photos of a series stay alike and no highlight is clipped that the
sensor holds; the result may look darker than the camera's JPEG.
"""

import functools
import io
from dataclasses import dataclass
from types import ModuleType
from typing import cast

import numpy as np

from cleanplate.io.formats.raw_files import RawMetadata, read_raw_metadata
from cleanplate.io.formats.tiff import TiffContainer
from cleanplate.io.metadata import Entry, serialize_exif
from cleanplate.io.photo import Decoded, RawOutput
from cleanplate.io.samples import Samples, Samples16, to_8bit, union
from cleanplate.io.unsupported import (
    DAMAGED_ADVICE,
    UnsupportedImageError,
    check_pixel_count,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

JPEG_QUALITY = 95
_SRGB_CURVE = (2.4, 12.92)  # IEC 61966-2-1: power and slope at black, as LibRaw takes them
_ICC_TAG, _DEFLATE, _WITH_PREDICTOR = 34675, 8, 2
_PROFILE_DATE = bytes((7, 208, 0, 1, 0, 1)) + bytes(6)  # 2000-01-01: equal files from equal photos
_DEVELOPED = "it is developed by LibRaw (camera white balance, sRGB, no automatic brightness)"


def read_raw(data: bytes, max_pixels: int, *, output: RawOutput) -> Decoded:
    """Return the developed, upright picture of a RAW file.

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


@dataclass(frozen=True, slots=True, eq=False)
class DevelopedJpegContainer:
    """A developed RAW on its way to JPEG."""

    metadata: RawMetadata

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> bytes:
        """Return the JPEG, without chroma subsampling."""
        from PIL import Image

        stream = io.BytesIO()
        with translate_decoder_errors("JPEG"):
            Image.fromarray(union(samples, pixels, filled, mask)).save(
                stream,
                format="JPEG",
                quality=JPEG_QUALITY,
                subsampling="4:4:4",
                optimize=False,
                icc_profile=srgb_profile(),
                exif=b"Exif\x00\x00" + serialize_exif(self.metadata.directory),
            )
        return stream.getvalue()


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
            "LibRaw does not know this kind of RAW file",
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
            "camera RAW needs the package rawpy", 'install it: pip install "cleanplate[raw]"'
        ) from error
    return cast("ModuleType", rawpy)
