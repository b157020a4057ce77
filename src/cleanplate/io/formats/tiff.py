"""TIFF: every sample outside the hole is preserved bit for bit, with the compression it had.

The directories are read and written here; Pillow codes the samples up to 8 bits, OpenCV those of
16. Limits: tiles come back as strips, separate planes as one, BigTIFF as TIFF; maker notes are
copied as they are, so that those with offsets into the file lose them; lossy compression inside
(JPEG, WebP) becomes deflate, which keeps the decoded samples exactly.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cleanplate.io.cmyk import ink_to_rgb
from cleanplate.io.metadata import (
    Directory,
    Entry,
    TiffFile,
    clean_resources,
    clean_xmp,
    contains_image,
    drop_regions,
    find_jpeg_streams,
    longs,
    parse_tiff,
    serialize_tiff,
    shorts,
    turn_subject,
)
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    ORIENTATION_TAG,
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
    unpremultiply,
)
from cleanplate.types import Mask, RGBImage

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SUBFILE = 256, 257, 258, 259, 262, 254
_CHANNELS, _PLANES, _PREDICTOR, _COLOUR_MAP = 277, 284, 317, 320
_EXTRA, _SAMPLE_FORMAT = 338, 339
_IMAGE_TAGS = frozenset(
    (_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, 273, _CHANNELS, 278, 279, _PLANES)
) | {292, 293, _PREDICTOR, _COLOUR_MAP, 322, 323, 324, 325, _EXTRA, _SAMPLE_FORMAT, 347, 529}
_IMAGE_TAGS |= {530, 531, 532}
_SINGLE_NUMBERS = frozenset(
    (_WIDTH, _LENGTH, _COMPRESSION, _PHOTOMETRIC, 266, _CHANNELS, 278, _PLANES, _PREDICTOR)
) | {322, 323}
_X_RESOLUTION, _Y_RESOLUTION = 282, 283
_XMP, _PHOTOSHOP, _EXIF, _MAKER_NOTE, _PIXEL_X, _PIXEL_Y = 700, 34377, 34665, 37500, 40962, 40963
_SUBJECT_AREA, _SUBJECT_LOCATION = 37396, 41492
_LAYERS = 37724  # Photoshop's ImageSourceData: every layer, also those below the removed object
_SUB_IFDS = 330  # previews and pyramids
_OLD_JPEG = range(512, 522)
_UNTRUE = frozenset({254, 255, 288, 289, 326, 327, 328, _SUB_IFDS, *_OLD_JPEG})
"""Subfile type, free space, fax error counts, and tags that point to other images."""
_DEFLATE = 8
_PILLOW_COMPRESSION = {
    1: "raw",
    2: "tiff_ccitt",
    3: "group3",
    4: "group4",
    5: "tiff_lzw",
    _DEFLATE: "tiff_adobe_deflate",
    32946: "tiff_adobe_deflate",
    32773: "packbits",
    34925: "lzma",
    50000: "zstd",
}
_WEBP = 50001
_LOSSY_COMPRESSION = {6: "old JPEG", 7: "JPEG", _WEBP: "WebP"}
_COMPRESSION_16BIT = (1, 5, _DEFLATE, 32773)  # what OpenCV writes for 16 bits
_SEPARATED = 5  # into inks
_UNSUPPORTED_COLOURS = {
    4: "transparency masks",
    8: "Lab",
    9: "Lab",
    10: "Lab",
    32803: "raw sensor data",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw sensor data",
}
_COLOUR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, _SEPARATED: 4, 6: 3}
_INK_SET = 332
_ASSOCIATED_ALPHA = 1
_REDUCED, _MASK = 1, 4  # subfile types; 2 is a page of several


@dataclass(frozen=True, slots=True)
class CleanDirectory:
    """The tags to be written, without those of the image itself."""

    directory: Directory
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    size_hw: tuple[int, int]
    bits: int
    photometric: int
    compression: int
    channels: int
    extra: int | None  # meaning of the channel after the colours: 0 unknown, 1 or 2 alpha
    is_bands: bool  # three or four channels declared as grey and extra ones, as GDAL writes them

    @property
    def is_gray(self) -> bool:
        return self.photometric in (0, 1)


class TiffFormat(ImageFormat):
    """TIFF and BigTIFF of up to 16 bits and a single page."""

    name = "TIFF"
    suffixes = (".tif", ".tiff")
    signatures = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a TIFF file.

        Raises:
            UnsupportedImageError: damaged, truncated, several pages, Lab, floating point, more
                than 16 bits, or too many pixels.
        """
        file = parse_tiff(data)
        page = file.pages[0]
        layout = _layout_of(page)
        check_pixel_count(layout.size_hw, max_pixels)
        reduced = sum(bool(_number(p, _SUBFILE, 0) & _REDUCED) for p in file.pages[1:])
        masks = [p for p in file.pages[1:] if _number(p, _SUBFILE, 0) & ~2 == _MASK]
        check_one_frame(len(file.pages) - reduced - len(masks), "pages (TIFF)")
        _check_supported(page, layout, max_pixels)
        orientation = _number(page, ORIENTATION_TAG, 1)
        with translate_decoder_errors("TIFF"):
            stored = _decode(file, page, layout)
        upright = np.ascontiguousarray(apply_orientation(stored, orientation))
        upright.flags.writeable = False
        metadata = clean_directory(page, _IMAGE_TAGS, orientation, layout.size_hw)
        further = [(file.strips(mask), mask) for mask in masks if orientation == 1]
        container = TiffContainer(
            order=file.order if layout.bits < 16 else "<",
            compression=layout.compression,
            predictor=_number(page, _PREDICTOR, 1),
            extra=layout.extra,
            colour_map=page.get(_COLOUR_MAP),
            metadata=metadata.directory,
            bands={tag: page[tag] for tag in (_PHOTOMETRIC, _EXTRA) if layout.is_bands},
            masks=tuple((mask, strips, tag == 324) for (tag, _, strips), mask in further),
        )
        notes = list(metadata.notes)
        if len(masks) > len(further):
            notes.append("its mask is not carried over")
        if reduced:
            notes.append("its reduced-resolution images are removed")
        if file.damaged:
            tags = ", ".join(str(tag) for tag in file.damaged)
            notes.append(f"damaged TIFF tags ({tags}) are not carried over")
        if layout.compression in _LOSSY_COMPRESSION:
            name = _LOSSY_COMPRESSION[layout.compression]
            notes.append(f"its {name} compression is written as deflate, which loses nothing")
        if layout.bits in (2, 4) and layout.photometric != 3:
            notes.append(f"its {layout.bits} bits per sample are written as 8")
        pixels, samples = _split(upright, layout, container)
        return Decoded(pixels, samples, container, tuple(notes), orientation)


@dataclass(frozen=True, slots=True, eq=False)
class TiffContainer:
    """How a TIFF's samples are coded, and its other tags."""

    order: str
    compression: int
    predictor: int
    extra: int | None
    colour_map: Entry | None
    metadata: Directory
    bands: Directory = field(default_factory=dict)  # tags of RGB that is declared as grey and more
    masks: tuple[tuple[Directory, list[bytes], bool], ...] = ()  # pages: where data are missing

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited TIFF; see `Container.encode`."""
        raster = merge_fill(samples, pixels, filled, mask)
        with translate_decoder_errors("TIFF"):
            if raster.dtype == np.uint16:
                coded = self._encode_16bit(cast("Samples16", raster))
            else:
                coded = self._encode(cast("Plane", raster), samples)
        del raster  # one copy of the image less while the file is assembled
        file = parse_tiff(coded)
        page = file.pages[0]
        _, _, strips = file.strips(page)
        page_tags = {tag: entry for tag, entry in page.items() if tag in _IMAGE_TAGS}
        if self.extra is not None:
            page_tags[_EXTRA] = shorts(self.extra)
        if self.colour_map is not None:
            page_tags[_COLOUR_MAP] = _full_colour_map(self.colour_map)
        metadata = dict(self.metadata)
        if _XMP in metadata:
            packet = drop_regions(metadata[_XMP].data, mask)
            metadata[_XMP] = replace(metadata[_XMP], count=len(packet), data=packet)
        tags = metadata | page_tags | self.bands
        return serialize_tiff(tags, strips, order=self.order, further=self.masks), ()

    def _encode(self, raster: Plane, samples: Samples) -> bytes:
        """Return a TIFF of 1 or 8 bits without metadata."""
        from PIL import Image

        image = Image.fromarray(raster > 127 if samples.bits == 1 else raster)
        if samples.ink is not None:
            image = Image.fromarray(raster, "CMYK")
        if samples.kind == "palette":
            image = Image.fromarray(raster, "P")
            image.putpalette(bytes(768))
        method = _PILLOW_COMPRESSION.get(self.compression, "tiff_adobe_deflate")
        for compression in dict.fromkeys((method, "tiff_adobe_deflate")):
            options: dict[str, Any] = {"compression": compression}
            if self.predictor == 2 and samples.bits == 8 and method in _WITH_PREDICTOR:
                options["tiffinfo"] = {_PREDICTOR: 2}
            stream = io.BytesIO()
            try:
                image.save(stream, format="TIFF", **options)
            except (OSError, ValueError):  # a method that this Pillow was built without
                if compression == "tiff_adobe_deflate":
                    raise
                continue
            break
        return stream.getvalue()

    def _encode_16bit(self, raster: Samples16) -> bytes:
        """Return a TIFF of 16 bits without metadata."""
        import cv2

        order = {1: (0,), 3: (2, 1, 0), 4: (2, 1, 0, 3)}[raster.shape[2]]
        is_known = self.compression in _COMPRESSION_16BIT
        method = self.compression if is_known else _DEFLATE
        options = [cv2.IMWRITE_TIFF_COMPRESSION, method]
        if method in (5, _DEFLATE):
            options += [cv2.IMWRITE_TIFF_PREDICTOR, self.predictor]
        is_done, coded = cv2.imencode(".tiff", raster[..., list(order)], options)
        if not is_done:
            raise ValueError("the samples cannot be encoded")
        return coded.tobytes()


_WITH_PREDICTOR = ("tiff_lzw", "tiff_adobe_deflate", "zstd")


def _number(page: Directory, tag: int, default: int) -> int:
    entry = page.get(tag)
    numbers = entry.numbers() if entry is not None else ()
    return int(numbers[0]) if numbers else default


def _layout_of(page: Directory) -> _Layout:
    bits = set(page[_BITS].numbers()) if _BITS in page else {1}
    extra = page[_EXTRA].numbers() if _EXTRA in page else ()
    if len(bits) != 1:
        raise UnsupportedImageError(
            "a TIFF with unequal bits per channel is not supported", "convert it to 8 or 16 bits"
        )
    photometric, channels = _number(page, _PHOTOMETRIC, -1), _number(page, _CHANNELS, 1)
    is_bands = photometric == 1 and channels in (3, 4) and extra == (0,) * (channels - 1)
    if is_bands:
        photometric, extra = 2, extra[2:]
    colours = _COLOUR_CHANNELS.get(photometric, 0)
    return _Layout(
        (_number(page, _LENGTH, 0), _number(page, _WIDTH, 0)),
        bits.pop(),
        photometric,
        _number(page, _COMPRESSION, 1),
        channels,
        int(extra[0]) if extra else (0 if channels == colours + 1 else None),
        is_bands,
    )


def _check_supported(page: Directory, layout: _Layout, max_pixels: int) -> None:
    """Raise for kinds of TIFF that could not be brought back as they came."""
    if _number(page, _SUBFILE, 0) & _REDUCED:
        raise UnsupportedImageError(
            "its first image is only a preview (a raw file?)",
            "export it as TIFF or JPEG with the program of its camera or scanner",
        )
    if _number(page, 322, 1) * _number(page, 323, 1) > max(max_pixels, 1 << 20):
        raise UnsupportedImageError("damaged TIFF: impossibly large tiles", DAMAGED_ADVICE)
    advice = "convert it to 8- or 16-bit RGB first"
    sample_format = _number(page, _SAMPLE_FORMAT, 1)
    if sample_format not in (1, 4):  # unsigned, undefined
        names = {2: "signed integer", 3: "floating-point"}
        kind = names.get(sample_format, f"format {sample_format}")
        raise UnsupportedImageError(
            f"a TIFF of {layout.bits}-bit {kind} samples is not supported", advice
        )
    _check_colours(layout)
    problem = None
    if layout.bits not in (1, 2, 4, 8, 16):
        problem = f"a TIFF of {layout.bits} bits per sample is not supported"
    elif layout.photometric == _SEPARATED and (
        layout.channels > 4 or layout.bits != 8 or _number(page, _INK_SET, 1) != 1
    ):
        problem = "a TIFF of inks other than 8-bit CMYK is not supported"
    elif layout.compression not in (*_PILLOW_COMPRESSION, *_LOSSY_COMPRESSION):
        problem = f"a TIFF of compression method {layout.compression} is not supported"
        advice = "save it with LZW, deflate or no compression"
    elif layout.bits == 16:
        problem = _problem_16bit(page, layout)
        advice = "save it as 16-bit PNG, or as RGB without extra channels"
    elif layout.bits == 1 and layout.photometric == 2:
        problem = "a TIFF of 1-bit RGB is not supported"
    elif layout.channels == 2 and (layout.photometric == 0 or _number(page, _PLANES, 1) != 1):
        # Of separate planes, Pillow would lose alpha.
        problem = "a TIFF of grey with alpha, inverted or in separate planes, is not supported"
    elif layout.photometric == 3 and layout.channels > 1:
        problem = "a palette TIFF with alpha is not supported"
    if problem is not None:
        raise UnsupportedImageError(problem, advice)


def _check_colours(layout: _Layout) -> None:
    """Raise unless the channels are grey, RGB, YCbCr or a palette, with at most one more."""
    colours = _COLOUR_CHANNELS.get(layout.photometric)
    if colours is None:
        name = _UNSUPPORTED_COLOURS.get(layout.photometric, f"colour type {layout.photometric}")
        advice = "convert it to 8- or 16-bit RGB first"
        raise UnsupportedImageError(f"a TIFF of {name} is not supported", advice)
    if layout.channels < colours:
        cause = f"damaged TIFF: {layout.channels} of {colours} channels"
        raise UnsupportedImageError(cause, DAMAGED_ADVICE)
    if layout.channels > colours + 1 or (layout.channels > colours and layout.extra is None):
        raise UnsupportedImageError(
            f"a TIFF of {layout.channels} channels is not supported",
            "remove the extra channels first",
        )


def _problem_16bit(page: Directory, layout: _Layout) -> str | None:
    """Return what OpenCV would not decode as it is, among 16-bit TIFFs."""
    if layout.photometric not in (1, 2):
        return f"a 16-bit TIFF of colour type {layout.photometric} is not supported"
    if layout.channels == 2:
        return "a 16-bit TIFF of grey with alpha is not supported"
    if layout.channels > 1 and _number(page, _PLANES, 1) != 1:
        return "a 16-bit TIFF of separate planes is not supported"
    return None


def _decode(file: TiffFile, page: Directory, layout: _Layout) -> Raster:
    """Return (H, W) or (H, W, C) as stored; (H, W, C) uint16 for 16 bits."""
    offsets_tag, _, strips = file.strips(page)
    page_tags = {tag: entry for tag, entry in page.items() if tag in _IMAGE_TAGS}
    for tag in _SINGLE_NUMBERS & page_tags.keys():  # Pillow warns of more than one
        page_tags[tag] = longs([_number(page, tag, 1)])
    page_tags[_PHOTOMETRIC] = shorts(layout.photometric)
    page_tags.pop(_EXTRA, None)
    if layout.extra is not None:
        page_tags[_EXTRA] = shorts(2)  # Pillow drops what is not alpha, and divides by associated
    if layout.compression == _WEBP:
        return _decode_webp(page, layout, strips)
    bare = serialize_tiff(page_tags, strips, order=file.order, is_tiled=offsets_tag == 324)
    del strips  # one copy of the file less while it is decoded
    if layout.bits == 16:
        return _decode_16bit(bare, layout)
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    class UncheckedTiff(TiffImageFile):
        """Without Pillow's second check of the size, which warns; ours came before."""

        def load_prepare(self) -> None:
            ImageFile.load_prepare(self)

    with UncheckedTiff(io.BytesIO(bare)) as image:
        image.load()
        expected = {0: ("1", "L", "LA"), 1: ("1", "L", "LA"), 3: ("P",), _SEPARATED: ("CMYK",)}
        if image.mode not in expected.get(layout.photometric, ("RGB", "RGBA", "RGBX")):
            raise UnsupportedImageError(
                f"a TIFF of Pillow mode {image.mode} is not supported", "convert it to RGB first"
            )
        array: npt.NDArray[np.uint8] = np.asarray(image)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    return array


def _decode_webp(page: Directory, layout: _Layout, strips: list[bytes]) -> Plane:
    """Return the image of strips or tiles that are WebP files, which not every libtiff decodes."""
    from PIL.WebPImagePlugin import WebPImageFile

    height, width = layout.size_hw
    tile_wh = _number(page, 322, width), _number(page, 323, _number(page, 278, height))
    out = np.zeros((height, width, layout.channels), np.uint8)
    places = [(y, x) for y in range(0, height, tile_wh[1]) for x in range(0, width, tile_wh[0])]
    if layout.channels not in (3, 4) or layout.bits != 8 or len(places) != len(strips):
        raise ValueError("its WebP compression cannot be decoded")
    for (y, x), strip in zip(places, strips, strict=True):
        with WebPImageFile(io.BytesIO(strip)) as image:
            tile = np.asarray(image.convert("RGBA"))[..., : layout.channels]
        here = out[y : y + tile.shape[0], x : x + tile.shape[1]]
        here[:] = tile[: here.shape[0], : here.shape[1]]
    return out


def _decode_16bit(bare: bytes, layout: _Layout) -> Samples16:
    import cv2

    array = cv2.imdecode(np.frombuffer(bare, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != layout.size_hw:
        raise ValueError("its image data cannot be decoded")
    array = array.reshape(*layout.size_hw, -1)
    if array.shape[2] != layout.channels:
        raise ValueError(f"{array.shape[2]} channels instead of {layout.channels}")
    order = {1: (0,), 3: (2, 1, 0), 4: (2, 1, 0, 3)}[layout.channels]
    return np.ascontiguousarray(array[..., list(order)]).astype(np.uint16, copy=False)


def _split(raster: Raster, layout: _Layout, container: TiffContainer) -> tuple[RGBImage, Samples]:
    """Return the 8-bit RGB image, and the record of what it does not hold."""
    is_premultiplied = layout.extra == _ASSOCIATED_ALPHA
    if raster.dtype == np.uint16:
        samples16 = cast("Samples16", raster)
        if layout.is_gray:
            return gray_to_rgb(to_8bit(samples16[..., 0])), Samples(
                kind="gray", bits=16, samples16=samples16
            )
        colours = samples16[..., :3]
        if is_premultiplied:
            colours = unpremultiply(colours, samples16[..., 3])
        samples = Samples(
            bits=16,
            samples16=samples16,
            is_premultiplied=is_premultiplied,
            alpha_is_opacity=layout.extra != 0,
        )
        return to_8bit(colours), samples
    samples8 = cast("Plane", raster)
    if layout.photometric == _SEPARATED:
        return ink_to_rgb(samples8), Samples(ink=samples8)
    if layout.photometric == 3:
        if container.colour_map is None:
            raise UnsupportedImageError("damaged TIFF: it has no palette", DAMAGED_ADVICE)
        values = np.frombuffer(_full_colour_map(container.colour_map).data, dtype="<u2")
        palette = np.ascontiguousarray((values >> 8).astype(np.uint8).reshape(3, 256).T)
        count = min(256, 2**layout.bits)
        samples = Samples(kind="palette", bits=8, indices=samples8, palette=palette[:count])
        return palette[samples8], samples
    alpha = None
    if samples8.ndim == 3 and samples8.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(samples8[..., -1])
        alpha.flags.writeable = False
        samples8 = samples8[..., 0] if layout.is_gray else samples8[..., :3]
    stored = None
    if is_premultiplied and alpha is not None:
        stored, samples8 = samples8, unpremultiply(samples8, alpha)
    pixels = gray_to_rgb(samples8) if layout.is_gray else np.ascontiguousarray(samples8)
    return pixels, Samples(
        kind="gray" if layout.is_gray else "rgb",
        bits=1 if layout.bits == 1 else 8,
        alpha=alpha,
        alpha_is_opacity=layout.extra != 0,
        premultiplied=stored,
    )


def _full_colour_map(entry: Entry) -> Entry:
    """Return a colour map of any depth as one of 256 entries: all reds, all greens, all blues."""
    values = np.array(entry.numbers(), dtype="<u2")
    count = min(256, len(values) // 3)
    full = np.zeros((3, 256), dtype="<u2")
    full[:, :count] = values[: 3 * (len(values) // 3)].reshape(3, -1)[:, :count]
    return Entry(3, 768, full.tobytes())


def clean_directory(
    page: Directory, picture_tags: Collection[int], orientation: int, size_hw: tuple[int, int]
) -> CleanDirectory:
    """Return the tags that stay true, with orientation 1 and without other images.

    Args:
        page: the page's tags. Not modified.
        picture_tags: tags that the encoder writes anew.
        orientation: what the page stated, 1 to 8.
        size_hw: the image's size as stored, before it is turned upright.
    """
    kept: Directory = {}
    notes: list[str] = []
    for tag, entry in page.items():
        if tag in picture_tags:
            continue
        if tag in _UNTRUE:
            if tag == _SUB_IFDS:
                notes.append("the previews in it (SubIFDs) are removed")
            continue
        clean, note = _clean_entry(tag, entry, orientation, size_hw)
        notes += note
        if clean is not None:
            kept[tag] = clean
    if ORIENTATION_TAG in kept:
        kept[ORIENTATION_TAG] = shorts(1)
    is_turned = orientation in (5, 6, 7, 8)
    if is_turned and _X_RESOLUTION in kept and _Y_RESOLUTION in kept:
        kept[_X_RESOLUTION], kept[_Y_RESOLUTION] = kept[_Y_RESOLUTION], kept[_X_RESOLUTION]
    if _EXIF in kept:
        height, width = size_hw[::-1] if is_turned else size_hw
        kept[_EXIF], note = _clean_exif(kept[_EXIF], (height, width), orientation)
        notes += note
    return CleanDirectory(kept, tuple(dict.fromkeys(notes)))


def _clean_entry(
    tag: int, entry: Entry, turned: int, size_hw: tuple[int, int]
) -> tuple[Entry | None, tuple[str, ...]]:
    if tag == _LAYERS:
        return None, ("its Photoshop layers are not carried over",)
    if tag in (_XMP, _PHOTOSHOP):
        clean = (
            clean_xmp(entry.data, turned=turned, size_hw=size_hw)
            if tag == _XMP
            else clean_resources(entry.data)
        )
        if not clean.data:
            return None, clean.notes
        kind = entry.type if entry.type in (1, 7) else 7
        return Entry(kind, len(clean.data), clean.data), clean.notes
    if entry.child is None and contains_image(entry.data):
        return None, (f"TIFF tag {tag} (with an image) is not carried over",)
    return entry, ()


def _clean_exif(
    entry: Entry, size_hw: tuple[int, int], orientation: int
) -> tuple[Entry, tuple[str, ...]]:
    """Return the Exif directory with the upright size, and its maker note without previews."""
    child = dict(entry.child or {})
    for tag, value in ((_PIXEL_X, size_hw[1]), (_PIXEL_Y, size_hw[0])):
        if tag in child:
            child[tag] = longs([value])
    for tag in (_SUBJECT_AREA, _SUBJECT_LOCATION):
        said = child[tag].numbers() if tag in child else ()
        if 2 <= len(said) <= 4:
            child[tag] = shorts(*turn_subject(said, orientation, size_hw))
    notes: tuple[str, ...] = ()
    maker_note = child.get(_MAKER_NOTE)
    if maker_note is not None and (spans := find_jpeg_streams(maker_note.data)):
        data = bytearray(maker_note.data)
        for start, end in spans:
            data[start:end] = bytes(end - start)
        child[_MAKER_NOTE] = replace(maker_note, data=bytes(data))
        notes = ("a preview inside its Exif data is removed",)
    return replace(entry, child=child), notes
