"""`Photo`: the image that is worked on, and the record of all else that its file held."""

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from cleanplate.errors import ShapeMismatchError
from cleanplate.io.cmyk import rgb_to_ink
from cleanplate.types import Mask, RGBImage, check_image_and_mask

DAMAGED_ADVICE = "get an undamaged copy of the file"
_LOST = re.compile(r"(?:its |the |an? )?(?P<what>.+?)(?: \(.*\))* (?:is|are) not carried over")
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
"""What Pillow's plugins raise on damaged files; struct.error and zlib.error become one of these."""


class UnsupportedImageError(Exception):
    """Says what is wrong with a file and what to do; `read_photo` adds the file's name."""

    def __init__(self, cause: str, advice: str) -> None:
        self.cause, self.advice = " ".join(cause.split()), advice  # one line, whatever a file holds
        super().__init__(f"{cause}; {advice}")


def lost_in(note: str) -> str | None:
    """Return what a note says that it is not carried over, such as "HDR gain map"; else None."""
    match = _LOST.match(note)
    return match["what"] if match else None


def check_pixel_count(size_hw: tuple[int, int], max_pixels: int) -> None:
    """Raise unless an image of this size, read from a file's header, may be decoded.

    Args:
        size_hw: height and width as the header states them.
        max_pixels: largest allowed product.

    Raises:
        UnsupportedImageError: no pixels at all, or more than `max_pixels`.
    """
    height, width = size_hw
    if height < 1 or width < 1:
        raise UnsupportedImageError(
            f"its header states a size of {width} x {height} px", DAMAGED_ADVICE
        )
    if height * width > max_pixels:
        raise UnsupportedImageError(
            f"{width} x {height} = {height * width} pixels are more than the limit of {max_pixels}",
            "scale or split it",
        )


def check_one_frame(count: int, unit: str) -> None:
    """Raise if a file holds more than one image.

    Args:
        count: how many it holds.
        unit: what they are, in the plural, and of what format: "frames (APNG)".

    Raises:
        UnsupportedImageError: `count` is above 1; the message states it.
    """
    if count > 1:
        raise UnsupportedImageError(
            f"it holds {count} {unit}, and only single images can be edited",
            f"split it into single {unit.split(' (', maxsplit=1)[0]} first",
        )


@contextmanager
def translate_decoder_errors(kind: str) -> Iterator[None]:
    """Turn what a decoder raises on damaged files into `UnsupportedImageError`.

    Args:
        kind: name of the format, for the message.
    """
    import struct
    import zlib

    try:
        yield
    except (*_PILLOW_ERRORS, struct.error, zlib.error) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "truncated" in text or "broken data stream" in text:
            text = "the file is truncated"
        raise UnsupportedImageError(f"damaged {kind}: {text}", DAMAGED_ADVICE) from error


Plane = npt.NDArray[np.uint8]
"""(H, W) uint8."""

ORIENTATION_TAG = 0x0112
"""Of Exif and TIFF: how the stored pixels are turned."""

Samples16 = npt.NDArray[np.uint16]
"""(H, W, C) uint16: every sample of a 16-bit file, alpha last."""

Raster = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""(H, W) or (H, W, C), in the file's own layout."""

_Sample = TypeVar("_Sample", bound=np.generic)
_Unsigned = TypeVar("_Unsigned", np.uint8, np.uint16)

_DITHER_SEED = 0  # any fixed number: the same photo gives the same file
_PALETTE_CHUNK = 4096  # colours compared with the palette at a time: 4096 x 256 x 3 int32 = 12 MiB

# 16 bit to 8 bit, to the nearest: 65535 = 255 * 257, so that 0 and white are exact.
_TO_8BIT = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
_TO_8BIT.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Samples:
    """The part of a photo that its 8-bit RGB image does not hold; all of it upright.

    Plain 8-bit RGB and grey need nothing here: their samples are in the image itself.
    """

    kind: Literal["gray", "rgb", "palette"] = "rgb"
    bits: int = 8  # per sample: 1, 2, 4, 8 or 16
    alpha: Plane | None = None  # 8 bit, the channel after the colours
    alpha_is_opacity: bool = True  # False: padding or an unknown channel, kept all the same
    # The stored colours are multiplied by alpha; those of 8 bits, (H, W) or (H, W, 3), stand here.
    is_premultiplied: bool = False
    premultiplied: npt.NDArray[np.uint8] | None = None
    samples16: Samples16 | None = None  # all samples when bits == 16
    ink: npt.NDArray[np.uint8] | None = None  # (H, W, 4) CMYK, 0 = no ink
    indices: Plane | None = None  # with kind "palette"
    palette: npt.NDArray[np.uint8] | None = None  # (K, 3)
    palette_alpha: npt.NDArray[np.uint8] | None = None  # (K,)
    key: tuple[int, ...] | None = None  # the colour that counts as transparent, as 8 or 16 bit


def apply_orientation(array: npt.NDArray[_Sample], orientation: int) -> npt.NDArray[_Sample]:
    """Return the stored image upright; a view, not a copy.

    Args:
        array: (H, W) or (H, W, C), any dtype. Not modified.
        orientation: as `ORIENTATION_TAG` has it; anything outside 2..8 changes nothing.

    Returns:
        (H, W, ...) for 1 to 4, (W, H, ...) for 5 to 8.

    References:
        CIPA DC-008-2019 (Exif 2.32), section 4.6.4, Orientation.
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def undo_orientation(array: npt.NDArray[_Sample], orientation: int) -> npt.NDArray[_Sample]:
    """Undo `apply_orientation`, which takes the same."""
    return apply_orientation(array, {6: 8, 8: 6}.get(orientation, orientation))


def to_8bit(samples16: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return 16-bit samples, of any shape, as 8 bit, to the nearest."""
    return np.take(_TO_8BIT, samples16)


def gray_to_rgb(plane: Plane) -> RGBImage:
    """Return a grey plane, (H, W), as (H, W, 3)."""
    return np.repeat(plane[..., None], 3, axis=2)


def to_gray(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (..., 3) RGB as grey; equal channels give exactly their value.

    References:
        ITU-R BT.601 luma weights in 16-bit fixed point, rounded; they sum to 65536.
    """
    weights = np.array((19595, 38470, 7471), dtype=np.uint32)
    gray: npt.NDArray[np.uint8] = ((colours @ weights + 0x8000) >> 16).astype(np.uint8)
    return gray


def premultiply(
    colours: npt.NDArray[_Unsigned], alpha: npt.NDArray[_Unsigned]
) -> npt.NDArray[_Unsigned]:
    """Return colours, (..., C) or (...) of uint8 or uint16, times alpha, (...), to the nearest."""
    share = alpha.astype(np.float32) / np.iinfo(alpha.dtype).max
    share = share if colours.ndim == alpha.ndim else share[..., None]
    return np.rint(colours * share).astype(colours.dtype)


def unpremultiply(
    colours: npt.NDArray[_Unsigned], alpha: npt.NDArray[_Unsigned]
) -> npt.NDArray[_Unsigned]:
    """Undo `premultiply`, as far as the rounding allows; where alpha is 0, colours stay."""
    top = np.iinfo(alpha.dtype).max
    share = np.where(alpha, alpha, top).astype(np.float32) / top
    share = share if colours.ndim == alpha.ndim else share[..., None]
    return np.clip(np.rint(colours / share), 0, top).astype(colours.dtype)


def merge_fill(samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Raster:
    """Return the file's own samples with the hole filled. Alpha is the original's everywhere.

    A filled pixel keeps the transparency it had: in palette files it is mapped to the nearest entry
    of the same alpha, and where one colour counts as transparent it neither takes nor leaves that
    colour.

    Args:
        samples: the photo's record. Not modified.
        pixels: (H, W, 3) uint8, RGB, the photo's image. Not modified.
        filled: (H, W, 3) uint8, RGB; read only where `mask` is True.
        mask: (H, W) bool, True = take from `filled`.

    Returns:
        (H, W) indices or grey, or (H, W, C) with C = 2 (grey, alpha), 3, or 4 (RGB and alpha, or
        CMYK); uint16 when the file has 16 bits, else uint8. A new array, except that 8-bit grey and
        RGB outside the mask are copied from `pixels`.
    """
    hole = filled[mask]  # (N, 3)
    if samples.ink is not None:
        ink = samples.ink.copy()
        ink[mask] = rgb_to_ink(hole, pixels[~mask], samples.ink[~mask])
        return ink
    if samples.indices is not None:
        indices = _merge_palette(samples, samples.indices, hole, mask)
        return indices if samples.alpha is None else np.dstack([indices, samples.alpha])
    if samples.samples16 is not None:
        return _merge_16bit(samples, samples.samples16, hole, mask)
    gray = samples.kind == "gray"
    colours = pixels[..., 0] if gray else pixels
    out = np.array(colours if samples.premultiplied is None else samples.premultiplied, order="C")
    values = _to_levels(to_gray(hole), samples.bits) if gray else hole
    if samples.key is not None:
        step = 255 // (2**samples.bits - 1)
        values = _avoid_key(out[mask], values, samples.key, step=step)
    if samples.premultiplied is not None and samples.alpha is not None:
        values = premultiply(values, samples.alpha[mask])
    out[mask] = values
    return out if samples.alpha is None else np.dstack([out, samples.alpha])


def _to_levels(values: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Round grey to what `bits` bits can hold, spread over [0, 255]."""
    if bits >= 8:
        return values
    step = 255 // (2**bits - 1)  # 255, 85 or 17
    levels = np.rint(np.arange(256) / step) * step
    return np.take(levels.astype(np.uint8), values)


def _avoid_key(
    before: npt.NDArray[_Sample], after: npt.NDArray[_Sample], key: tuple[int, ...], step: int
) -> npt.NDArray[_Sample]:
    """Return `after`, neither making transparent what was opaque nor the reverse."""
    colour = np.array(key if before.ndim == 2 else key[0], dtype=before.dtype)
    was, is_now = before == colour, after == colour
    if before.ndim == 2:
        was, is_now = was.all(axis=1), is_now.all(axis=1)
    last = int(key[-1])
    nudged = last - step if last >= step else last + step
    after = after.copy()
    if before.ndim == 2:
        after[is_now, -1] = nudged
    else:
        after[is_now] = nudged
    after[was] = before[was]
    return after


def _merge_16bit(
    samples: Samples, samples16: Samples16, hole: npt.NDArray[np.uint8], mask: Mask
) -> Raster:
    """Return 16-bit samples with the hole as 257 times the fill plus noise below one 8-bit step.

    The noise keeps smooth sky from banding; rounding to 8 bit takes it away again exactly.
    """
    colours = to_gray(hole)[:, None] if samples.kind == "gray" else hole  # (N, 1) or (N, 3)
    noise = np.random.default_rng(_DITHER_SEED).integers(-128, 129, colours.shape, dtype=np.int32)
    values = np.clip(colours * np.int32(257) + noise, 0, 65535).astype(np.uint16)
    out = samples16.copy()
    channels = colours.shape[1]
    if samples.is_premultiplied:
        values = premultiply(values, samples16[mask][:, -1])
    if samples.key is not None:
        values = _avoid_key(samples16[mask][:, :channels], values, samples.key, step=1)
    out[mask, :channels] = values
    return out


def _merge_palette(
    samples: Samples, indices: Plane, hole: npt.NDArray[np.uint8], mask: Mask
) -> Plane:
    """Return indices with each hole pixel at the nearest entry that is as transparent as before."""
    palette = samples.palette
    if palette is None:
        raise TypeError("indices without a palette")
    alpha = samples.palette_alpha
    if alpha is None:
        alpha = np.full(len(palette), 255, dtype=np.uint8)
    out = indices.copy()
    before = indices[mask]
    after = before.copy()
    for value in np.unique(alpha[before]):
        candidates = np.flatnonzero(alpha == value)
        of_value = alpha[before] == value
        if value == 0:
            continue  # invisible before, the same after: its colour is not touched
        colours, inverse = np.unique(hole[of_value], axis=0, return_inverse=True)
        nearest = np.empty(len(colours), dtype=np.uint8)
        for start in range(0, len(colours), _PALETTE_CHUNK):
            chunk = colours[start : start + _PALETTE_CHUNK]
            difference = chunk[:, None].astype(np.int32) - palette[candidates]
            nearest[start : start + _PALETTE_CHUNK] = candidates[
                (difference**2).sum(axis=2).argmin(axis=1)
            ]
        after[of_value] = nearest[inverse.reshape(-1)]
    out[mask] = after
    return out


MAX_PIXELS: int = 1 << 28
"""268,435,456: more than the 200 megapixels of phones and the largest WebP. A run lets photos wait
until their memory is free, so that the limit only stops what no camera makes."""

RawOutput = Literal["tiff", "jpeg"]
"""What a developed RAW is written as."""

RESULT_SUFFIXES: dict[RawOutput, str] = {"tiff": ".tif", "jpeg": ".jpg"}


Encoded = tuple[bytes, tuple[str, ...]]
"""A file, and notes on what only encoding showed, like those of `Photo`."""


class Container(Protocol):
    """What a file format must remember to write a photo back as it came."""

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the file with `filled` where `mask` is True and the original samples elsewhere.

        Args:
            samples: what the photo holds beside its image. Not modified.
            pixels: (H, W, 3) uint8, RGB, the photo's image, upright.
            filled: likewise; read only where `mask` is True.
            mask: (H, W) bool.

        Raises:
            UnsupportedImageError: it cannot be coded.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo in memory. Made by `read_photo`; its arrays are read-only."""

    path: str  # as the user named it; "<bytes>" or "<image>" when there is no file
    pixels: RGBImage  # (H, W, 3) uint8, RGB, upright
    format: str  # by content: an `ImageFormat.name`
    notes: tuple[str, ...] = ()  # plain statements, e.g. what is not carried over
    wraps: bool = False  # a full panorama: its left and right border meet
    orientation: int = 1  # Exif's, of the stored pixels
    samples: Samples = field(default_factory=Samples, repr=False)  # for this package only
    container: Container | None = field(default=None, repr=False)  # for this package only

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the upright image, in px."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def alpha(self) -> Plane | None:
        """(H, W) uint8 opacity; None where every pixel of the format is opaque."""
        samples = self.samples
        if samples.key is not None:
            stored: Raster = self.pixels
            stored = stored if samples.samples16 is None else samples.samples16
            seen: Mask = (stored != np.array(samples.key)).any(axis=2)
            return seen.astype(np.uint8) * np.uint8(255)
        if not samples.alpha_is_opacity:
            return None
        if samples.alpha is not None:
            return samples.alpha
        if samples.indices is not None and samples.palette_alpha is not None:
            looked_up: Plane = samples.palette_alpha[samples.indices]
            return looked_up
        if samples.samples16 is not None and samples.samples16.shape[2] in (2, 4):
            return to_8bit(samples.samples16[..., -1])
        return None

    def prepare_to_write(self) -> None:
        """Begin what writing it needs, whatever its hole, in another thread if it is worth it."""
        prepare = getattr(self.container, "prepare", None)
        if prepare is not None:
            prepare()

    @property
    def transparent(self) -> Mask | None:
        """(H, W) bool, where nothing is seen of its colours; None if there is no such pixel."""
        alpha = self.alpha
        return None if alpha is None or alpha.all() else np.asarray(alpha == 0)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a format's reader gives back: a `Photo` without its name."""

    pixels: RGBImage
    samples: Samples
    container: Container
    notes: tuple[str, ...] = ()
    orientation: int = 1  # Exif's, by which it was turned


class ImageFormat(ABC):
    """A file format: how it is recognized and read. Its `Container` writes it."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]  # lower case, the usual one first
    signatures: ClassVar[tuple[bytes, ...]] = ()

    @classmethod
    def sniff(cls, data: bytes) -> bool:
        """Return whether a file is of this format, by its content."""
        return data.startswith(cls.signatures)

    @classmethod
    @abstractmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a file.

        Args:
            data: the file.
            max_pixels: files of more pixels are refused before they are decoded.

        Raises:
            UnsupportedImageError: damaged, truncated, too many pixels, or of an unsupported kind.
        """

    @classmethod
    def read_size(cls, path: Path) -> tuple[int, int]:
        """Return height and width in px from a file's header, before any rotation.

        Raises:
            Exception: whatever the decoder raises where the header cannot be read.
        """
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too many pixels are refused later, not here
            try:
                with Image.open(path) as image:
                    return image.height, image.width
            except Image.DecompressionBombError:
                return _size_by_plugin(path)


def _size_by_plugin(path: Path) -> tuple[int, int]:
    """Return height and width of an image that `PIL.Image.open` takes for a decompression bomb."""
    from PIL import Image

    with path.open("rb") as file:
        head = file.read(16)
        for plugin, accepts in Image.OPEN.values():
            if accepts is not None and accepts(head) is True:
                file.seek(0)
                with plugin(file, path.name) as image:
                    return image.height, image.width
    raise OSError("no plugin reads it")


def check_edit(photo: Photo, filled: RGBImage, mask: Mask) -> None:
    """Raise unless `filled` is (H, W, 3) uint8, `mask` (H, W) bool, both of the photo's size.

    Raises:
        InputError: wrong dtype or number of dimensions.
        ShapeMismatchError: a size differs.
    """
    check_image_and_mask(filled, mask)
    if mask.shape != photo.size_hw:
        raise ShapeMismatchError(photo.size_hw, mask.shape)
