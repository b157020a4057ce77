"""Metadata: what is kept, what is edited, and the containers that hold it."""

from cleanplate.io.metadata.exif import clean_exif
from cleanplate.io.metadata.ifd import (
    Directory,
    Entry,
    IfdReader,
    TiffFile,
    longs,
    parse_tiff,
    serialize_exif,
    serialize_tiff,
    shorts,
)
from cleanplate.io.metadata.isobmff import (
    HeifFile,
    Item,
    Property,
    Reference,
    brands_of,
    parse_heif,
    serialize_heif,
    walk_boxes,
)
from cleanplate.io.metadata.jpeg_segments import (
    APP0,
    APP14,
    APP15,
    COM,
    Segment,
    Stream,
    parse_segments,
    select_segments,
    serialize_segments,
    with_size,
)
from cleanplate.io.metadata.png_chunks import (
    Chunk,
    SelectedChunks,
    compress_16bit,
    parse_chunks,
    select_chunks,
    serialize_chunks,
)
from cleanplate.io.metadata.thumbnails import contains_image
from cleanplate.io.metadata.tiff_tags import clean_directory
from cleanplate.io.metadata.xmp import clean_xmp

__all__ = [
    "APP0",
    "APP14",
    "APP15",
    "COM",
    "Chunk",
    "Directory",
    "Entry",
    "HeifFile",
    "IfdReader",
    "Item",
    "Property",
    "Reference",
    "Segment",
    "SelectedChunks",
    "Stream",
    "TiffFile",
    "brands_of",
    "clean_directory",
    "clean_exif",
    "clean_xmp",
    "compress_16bit",
    "contains_image",
    "longs",
    "parse_chunks",
    "parse_heif",
    "parse_segments",
    "parse_tiff",
    "select_chunks",
    "select_segments",
    "serialize_chunks",
    "serialize_exif",
    "serialize_heif",
    "serialize_segments",
    "serialize_tiff",
    "shorts",
    "walk_boxes",
    "with_size",
]
