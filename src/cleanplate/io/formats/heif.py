"""HEIC and AVIF: the image is re-encoded, all other items are kept unchanged.

Both are lossy: an image is decoded, and encoded again at a high fixed quality with the bit depth,
chroma subsampling and colour description it had. Alpha is an image of its own in these files and is
copied bit for bit. So are rotation and mirroring (which are properties here, not pixels) and every
other property. Exif orientation has no meaning in these formats and is kept. Images are decoded as
they are stored, before any rotation, with 8, 10 or 12 bits.

Not carried over, and said so: thumbnails, depth maps, HDR gain maps and other auxiliary images,
which show what was removed; videos appended to the file.

References:
    ISO/IEC 23008-12 (HEIF), 6.5 and 6.6.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from cleanplate.io.formats.heif_coding import (
    CODED_TYPES,
    CONVERT,
    QUALITY,
    Coding,
    check_coding,
    coding_of,
    decode_image,
    encode_image,
    expand_to_16bit,
    reduce_from_16bit,
)
from cleanplate.io.metadata import (
    HeifFile,
    Item,
    Property,
    Reference,
    brands_of,
    clean_exif,
    clean_xmp,
    drop_regions,
    is_portrait,
    parse_heif,
    serialize_heif,
)
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
    check_one_frame,
    check_pixel_count,
    gray_to_rgb,
    merge_fill,
    to_8bit,
    translate_decoder_errors,
)
from cleanplate.types import Mask, RGBImage

_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"),
}
_BRANDS_OF_ANY_CODEC = (b"mif1", b"msf1")
_DERIVED = (b"grid", b"iden", b"iovl", b"tmap")
_ALPHA_NAMES = (b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
_AUXILIARY_NAMES = (
    (b"hdrgainmap", "HDR gain map"),
    (b"depth", "depth map"),
    (b"auxid:2", "depth map"),
)
_XMP_TYPE = b"application/rdf+xml"
_TRANSFORMS = (b"irot", b"imir")
_OF_THE_CODING = frozenset((b"hvcC", b"av1C", b"ispe", b"pixi", b"clap", b"a1op", b"a1lx", b"lsel"))
_OF_TILES = frozenset(
    (b"colr", b"pasp", b"clli", b"mdcv", b"cclv", b"amve")
)  # true of the image too
_MIN_HIDDEN_PX = 16  # less is the padding of an encoder that codes whole blocks only


class HeicFormat(ImageFormat):
    """HEIC: HEIF with HEVC, or with a codec that the brands do not name."""

    name = "HEIC"
    suffixes: ClassVar[tuple[str, ...]] = (".heic", ".heif", ".hif")

    @classmethod
    def sniff(cls, data: bytes) -> bool:
        """Return whether a file is of this format, by its content."""
        return _format_of_brands(data) == cls.name

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a HEIC or AVIF file.

        Raises:
            UnsupportedImageError: damaged, truncated, several images or a sequence, a codec other
                than HEVC and AV1, premultiplied alpha, or too many pixels; or a package is not
                installed.
        """
        file = parse_heif(data)
        if b"moov" in file.other_boxes:
            raise UnsupportedImageError(
                "it holds an image sequence, and only single images can be edited",
                "split it into single images first",
            )
        if not file.items:
            raise UnsupportedImageError("damaged HEIF or AVIF: it holds no image", DAMAGED_ADVICE)
        check_one_frame(_count_pictures(file), "images (HEIF)")
        primary = file.items[file.primary]
        height, width = _stored_size(primary)
        check_pixel_count((height, width), max_pixels)
        coding = coding_of(file)
        alpha = _alpha_items(file)
        if primary.find(b"clap") is not None and coding.codec == "AV1":
            raise UnsupportedImageError(
                "an AVIF with a clean aperture (clap) is not supported", CONVERT
            )
        check_coding(coding)
        stored = decode_image(_image_only(file, alpha), coding)
        if stored.shape[:2] != (height, width) and primary.find(b"clap") is None:
            raise UnsupportedImageError(
                "damaged HEIF or AVIF: its size differs from the stated one", DAMAGED_ADVICE
            )
        transforms = tuple(p for p in primary.properties if p.type in _TRANSFORMS)
        upright = cast("Raster", np.ascontiguousarray(_apply_transforms(stored, transforms)))
        metadata, notes = _metadata(file)
        container = HeifContainer(
            coding=coding,
            transforms=transforms,
            properties=_kept_properties(file),
            alpha={number: file.items[number] for number in alpha},
            alpha_references=tuple(r for r in file.references if r.source in alpha),
            primary=file.primary,
            metadata=metadata,
        )
        pixels, samples = _split(upright, coding)
        notes += _dropped_image_notes(file)
        if max(height - stored.shape[0], width - stored.shape[1]) >= _MIN_HIDDEN_PX:
            notes += ("what its clean aperture (clap) hides is not carried over",)
        notes += (f"it is encoded again, as {coding.kind} at quality {QUALITY[coding.codec]}",)
        return Decoded(pixels, samples, container, notes)

    @classmethod
    def read_size(cls, path: Path) -> tuple[int, int]:
        """Return the size by Pillow, or else by the primary item."""
        try:
            return super().read_size(path)
        except OSError:
            file = parse_heif(path.read_bytes())
            return _stored_size(file.items[file.primary])


class AvifFormat(HeicFormat):
    """AVIF: HEIF with AV1."""

    name = "AVIF"
    suffixes = (".avif",)


def _format_of_brands(data: bytes) -> str | None:
    """Return "HEIC" or "AVIF" by a file's brands; None if it is of neither format."""
    brands = brands_of(data)
    by_brand = (name for brand in brands for name, known in _BRANDS.items() if brand in known)
    return next(by_brand, "HEIC" if set(_BRANDS_OF_ANY_CODEC) & set(brands) else None)


@dataclass(frozen=True, slots=True, eq=False)
class HeifContainer:
    """How an image is coded, and the items and properties that stay."""

    coding: Coding
    transforms: tuple[Property, ...]
    properties: tuple[Property, ...]  # of the image, besides those of its coding
    alpha: dict[int, Item]
    alpha_references: tuple[Reference, ...]
    primary: int
    metadata: tuple[Item, ...]

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited file; see `Container.encode`."""
        raster = merge_fill(samples, pixels, filled, mask)
        if raster.ndim == 3 and raster.shape[2] in (2, 4):
            raster = raster[..., :-1]
        if raster.ndim == 3 and raster.shape[2] == 1:
            raster = raster[..., 0]
        if samples.samples16 is not None:
            raster = reduce_from_16bit(cast("Samples16", raster), self.coding.bits)
        stored = np.ascontiguousarray(_undo_transforms(raster, self.transforms))
        coded = parse_heif(encode_image(cast("Raster", stored), self.coding))
        with translate_decoder_errors(self.coding.kind):
            return serialize_heif(self._assemble(coded, mask)), ()

    def _assemble(self, coded: HeifFile, mask: Mask) -> HeifFile:
        """Return the encoder's file with the properties and items of the original."""
        items = dict(coded.items)
        references = list(coded.references)
        encoded = items[coded.primary]
        own = tuple(self._with_colour(p) for p in encoded.properties)
        items[coded.primary] = replace(encoded, properties=own + self.properties + self.transforms)
        number = max(items)
        numbers = {self.primary: coded.primary}
        for old, item in self.alpha.items():
            number += 1
            numbers[old] = number
            items[number] = item
        for reference in self.alpha_references:
            targets = tuple(numbers[t] for t in reference.targets if t in numbers)
            references.append(Reference(reference.type, numbers[reference.source], targets))
        for item in self.metadata:
            number += 1
            items[number] = replace(item, data=self._without_regions(item, mask))
            references.append(Reference(b"cdsc", number, (coded.primary,)))
        return replace(coded, items=items, references=tuple(references))

    def _without_regions(self, item: Item, mask: Mask) -> bytes:
        """Return an item's data without regions in the hole.

        They may be of the image as stored or as shown; the size to which they apply tells which.
        """
        if item.content_type != _XMP_TYPE:
            return item.data
        if is_portrait(item.data) not in (None, mask.shape[0] > mask.shape[1]):
            mask = np.asarray(_undo_transforms(mask, self.transforms), np.bool_)
        return drop_regions(item.data, mask)

    def _with_colour(self, encoded: Property) -> Property:
        """Return the encoder's colour description with primaries and transfer of the original.

        Its matrix and range stay: they say how the encoder made YCbCr of RGB.
        """
        if encoded.type != b"colr" or encoded.data[:4] != b"nclx":
            return encoded
        if self.coding.colour is None:  # then an ICC profile speaks, or nothing (sRGB) does
            has_profile = any(p.type == b"colr" for p in self.properties)
            primaries, transfer = (2, 2) if has_profile else (1, 13)
        else:
            primaries, transfer = self.coding.colour[:2]
        said = primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big")
        return replace(encoded, data=b"nclx" + said + encoded.data[8:])


def _count_pictures(file: HeifFile) -> int:
    """Return how many images a viewer would show; those that belong to another do not count."""
    parts = {t for r in file.references if r.type == b"dimg" for t in r.targets}
    belonging = {r.source for r in file.references if r.type in (b"thmb", b"auxl")}
    return 1 + sum(
        number != file.primary
        and item.type in (*CODED_TYPES, *_DERIVED)
        and item.type != b"tmap"  # the same image, with its gain map applied
        and not item.is_hidden
        and number not in parts | belonging
        for number, item in file.items.items()
    )


def _stored_size(item: Item) -> tuple[int, int]:
    extent = item.find(b"ispe")
    if extent is None or len(extent.data) < 12:
        raise UnsupportedImageError("damaged HEIF or AVIF: it states no size", DAMAGED_ADVICE)
    return int.from_bytes(extent.data[8:12], "big"), int.from_bytes(extent.data[4:8], "big")


def _alpha_items(file: HeifFile) -> set[int]:
    """Return the items of the alpha image, its tiles included."""
    masters = {number for number in file.sources(b"auxl", file.primary) if _is_alpha(file, number)}
    tiles = file.targets(b"dimg", file.primary)
    if any(_is_alpha(file, n) for tile in tiles for n in file.sources(b"auxl", tile)):
        raise UnsupportedImageError("a HEIF file with alpha tile by tile is not supported", CONVERT)
    if any(file.targets(b"prem", number) for number in (*masters, file.primary)):
        raise UnsupportedImageError(
            "a HEIF file with premultiplied alpha is not supported", CONVERT
        )
    return file.with_tiles(masters)


def _is_alpha(file: HeifFile, number: int) -> bool:
    item = file.items.get(number)
    kind = item.find(b"auxC") if item is not None else None
    return kind is not None and kind.data[4:].split(b"\x00")[0] in _ALPHA_NAMES


def _image_only(file: HeifFile, alpha: Collection[int]) -> bytes:
    """Return a file of only the image as it is stored, with its alpha."""
    kept = file.with_tiles([file.primary]) | set(alpha)
    items = {
        number: replace(
            item, properties=tuple(p for p in item.properties if p.type not in _TRANSFORMS)
        )
        for number, item in file.items.items()
        if number in kept
    }
    references = tuple(r for r in file.references if r.type in (b"dimg", b"auxl"))
    # Decoders refuse a file of the brand `tmap` without such an item.
    compatible = tuple(brand for brand in file.compatible if brand != b"tmap")
    return serialize_heif(replace(file, compatible=compatible, items=items, references=references))


def _apply_transforms(
    raster: npt.NDArray[np.generic], transforms: Collection[Property]
) -> npt.NDArray[np.generic]:
    """Return the stored image upright; a view."""
    for transform in transforms:
        value = transform.data[0] if transform.data else 0
        if transform.type == b"irot":
            raster = np.rot90(raster, value & 3)  # anticlockwise
        else:
            raster = raster[:, ::-1] if value & 1 else raster[::-1]
    return raster


def _undo_transforms(
    raster: npt.NDArray[np.generic], transforms: tuple[Property, ...]
) -> npt.NDArray[np.generic]:
    """Return the upright image as it is stored; a view."""
    for transform in reversed(transforms):
        if transform.type == b"irot":
            value = transform.data[0] if transform.data else 0
            raster = np.rot90(raster, -(value & 3))
        else:
            raster = _apply_transforms(raster, (transform,))
    return raster


def _kept_properties(file: HeifFile) -> tuple[Property, ...]:
    """Return the properties of the original that hold for the image that is encoded again.

    Some phones state ICC profile and pixel aspect ratio of a grid at its tiles alone.
    """
    own = [p for p in file.items[file.primary].properties if _is_kept(p)]
    stated = {p.type for p in own}
    tiles = [file.items[n] for n in file.targets(b"dimg", file.primary) if n in file.items]
    of_tiles = tiles[0].properties if tiles else ()
    own += [p for p in of_tiles if p.type in _OF_TILES - stated and _is_kept(p)]
    return tuple(own)


def _is_kept(prop: Property) -> bool:
    is_description = prop.type == b"colr" and prop.data[:4] == b"nclx"
    return not is_description and prop.type not in _OF_THE_CODING | set(_TRANSFORMS)


def _metadata(file: HeifFile) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return Exif and XMP of the primary image without thumbnails, and notes."""
    kept: list[Item] = []
    notes: list[str] = []
    for number in file.sources(b"cdsc", file.primary):
        item = file.items.get(number)
        if item is None:
            continue
        if item.type == b"Exif":
            start = 4 + int.from_bytes(item.data[:4], "big")
            cleaned = clean_exif(item.data[start:], size_hw=(1, 1), keep_orientation=True)
            content, said = cleaned.data, cleaned.notes
            content = bytes(4) + content if content else b""  # 4 bytes: where the TIFF header is
        elif item.content_type == _XMP_TYPE:
            packet = clean_xmp(item.data)
            content, said = packet.data, packet.notes
        else:
            name = (item.content_type or item.type).decode("latin-1")
            content, said = b"", (f"its {name} metadata are not carried over",)
        notes += said
        if content:
            kept.append(replace(item, data=content))
    return tuple(kept), tuple(dict.fromkeys(notes))


def _dropped_image_notes(file: HeifFile) -> tuple[str, ...]:
    """Return notes on images that show the photo a second time."""
    notes: list[str] = []
    if file.sources(b"thmb", file.primary):
        notes.append("its thumbnail is removed")
    for number in file.sources(b"auxl", file.primary):
        kind = file.items[number].find(b"auxC") if number in file.items else None
        if _is_alpha(file, number):
            continue
        urn = kind.data[4:].split(b"\x00")[0] if kind is not None else b"?"
        names = (name for part, name in _AUXILIARY_NAMES if part in urn.lower())
        name = next(names, f"auxiliary image {urn.decode('latin-1')}")
        notes.append(f"its {name} is not carried over")
    if any(item.type == b"tmap" for item in file.items.values()):
        notes.append("its HDR gain map is not carried over")
    notes += [
        f"its {kind.decode('latin-1').strip()} box is not carried over"
        for kind in file.other_boxes
        if kind not in (b"skip", b"wide")
    ]
    return tuple(dict.fromkeys(notes))


def _split(raster: Raster, coding: Coding) -> tuple[RGBImage, Samples]:
    """Return the 8-bit RGB image, and the record of what it does not hold."""
    is_gray = coding.chroma == 400
    if raster.ndim == 2:
        raster = raster[..., None]
    channels = raster.shape[2]
    if is_gray and channels in (3, 4):  # Pillow has no grey with alpha for AVIF
        raster = raster[..., [0] if channels == 3 else [0, 3]]
    raster.flags.writeable = False
    if raster.dtype == np.uint16:
        samples16 = expand_to_16bit(cast("Samples16", raster), coding.bits)
        samples16.flags.writeable = False
        colours = to_8bit(samples16[..., :1] if is_gray else samples16[..., :3])
        pixels = gray_to_rgb(colours[..., 0]) if is_gray else colours
        return pixels, Samples(kind="gray" if is_gray else "rgb", bits=16, samples16=samples16)
    samples8 = cast("Plane", raster)
    alpha = None
    if samples8.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(samples8[..., -1])
        alpha.flags.writeable = False
    pixels = gray_to_rgb(samples8[..., 0]) if is_gray else np.ascontiguousarray(samples8[..., :3])
    return pixels, Samples(kind="gray" if is_gray else "rgb", alpha=alpha)
