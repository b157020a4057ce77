"""Which of a TIFF's tags may be written again with the edited, upright picture."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from cleanplate.io.metadata.ifd import Directory, Entry, longs, shorts
from cleanplate.io.metadata.iptc import clean_resources
from cleanplate.io.metadata.thumbnails import contains_image, find_jpeg_streams
from cleanplate.io.metadata.xmp import clean_xmp

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 274, 282, 283
_XMP, _PHOTOSHOP, _EXIF, _MAKER_NOTE, _PIXEL_X, _PIXEL_Y = 700, 34377, 34665, 37500, 40962, 40963
_LAYERS = 37724  # Photoshop's ImageSourceData: every layer, also those below the removed object
_SUB_IFDS = 330  # previews and pyramids
_OLD_JPEG = range(512, 522)
_UNTRUE = frozenset({254, 255, 288, 289, 326, 327, 328, _SUB_IFDS, *_OLD_JPEG})
"""Subfile type, free space, fax error counts, and tags that point to other pictures."""


@dataclass(frozen=True, slots=True)
class CleanDirectory:
    """The tags to be written, without those of the picture itself."""

    directory: Directory
    notes: tuple[str, ...]


def clean_directory(
    page: Directory, picture_tags: Collection[int], orientation: int, size_hw: tuple[int, int]
) -> CleanDirectory:
    """Return the tags that stay true, with orientation 1 and without other pictures.

    Args:
        page: the page's tags. Not modified.
        picture_tags: tags that the encoder writes anew.
        orientation: what the page stated, 1 to 8.
        size_hw: the picture's size as stored, before it is turned upright.
    """
    kept: Directory = {}
    notes: list[str] = []
    for tag, entry in page.items():
        if tag in picture_tags:
            continue
        if tag in _UNTRUE:
            if tag == _SUB_IFDS:
                notes.append("the previews in it (SubIFDs) are not carried over")
            continue
        clean, note = _clean_entry(tag, entry)
        notes += note
        if clean is not None:
            kept[tag] = clean
    if _ORIENTATION in kept:
        kept[_ORIENTATION] = shorts(1)
    is_turned = orientation in (5, 6, 7, 8)
    if is_turned and _X_RESOLUTION in kept and _Y_RESOLUTION in kept:
        kept[_X_RESOLUTION], kept[_Y_RESOLUTION] = kept[_Y_RESOLUTION], kept[_X_RESOLUTION]
    if _EXIF in kept:
        height, width = size_hw[::-1] if is_turned else size_hw
        kept[_EXIF], note = _clean_exif(kept[_EXIF], (height, width))
        notes += note
    return CleanDirectory(kept, tuple(dict.fromkeys(notes)))


def _clean_entry(tag: int, entry: Entry) -> tuple[Entry | None, tuple[str, ...]]:
    if tag == _LAYERS:
        return None, ("its Photoshop layers are not carried over",)
    if tag in (_XMP, _PHOTOSHOP):
        clean = clean_xmp(entry.data) if tag == _XMP else clean_resources(entry.data)
        if not clean.data:
            return None, clean.notes
        kind = entry.type if entry.type in (1, 7) else 7
        return Entry(kind, len(clean.data), clean.data), clean.notes
    if entry.child is None and contains_image(entry.data):
        return None, (f"TIFF tag {tag} holds a picture and is not carried over",)
    return entry, ()


def _clean_exif(entry: Entry, size_hw: tuple[int, int]) -> tuple[Entry, tuple[str, ...]]:
    """Return the Exif directory with the upright size, and its maker note without previews."""
    child = dict(entry.child or {})
    for tag, value in ((_PIXEL_X, size_hw[1]), (_PIXEL_Y, size_hw[0])):
        if tag in child:
            child[tag] = longs([value])
    notes: tuple[str, ...] = ()
    maker_note = child.get(_MAKER_NOTE)
    if maker_note is not None and (spans := find_jpeg_streams(maker_note.data)):
        data = bytearray(maker_note.data)
        for start, end in spans:
            data[start:end] = bytes(end - start)
        child[_MAKER_NOTE] = replace(maker_note, data=bytes(data))
        notes = ("a preview inside its Exif data is not carried over",)
    return replace(entry, child=child), notes
