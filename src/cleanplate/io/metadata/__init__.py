"""Metadata: what is kept, what is edited, and the containers that hold it."""

from cleanplate.io.metadata.exif import clean_exif
from cleanplate.io.metadata.ifd import (
    Directory,
    Entry,
    TiffFile,
    longs,
    read_tiff_file,
    shorts,
    write_exif_block,
    write_tiff_file,
)
from cleanplate.io.metadata.isobmff import (
    Item,
    PictureFile,
    Property,
    Reference,
    brands_of,
    read_picture_file,
    walk_boxes,
    write_picture_file,
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
    compress_deep,
    parse_chunks,
    select_chunks,
    serialize_chunks,
)
from cleanplate.io.metadata.thumbnails import holds_picture
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
    "Item",
    "PictureFile",
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
    "compress_deep",
    "holds_picture",
    "longs",
    "parse_chunks",
    "parse_segments",
    "read_picture_file",
    "read_tiff_file",
    "select_chunks",
    "select_segments",
    "serialize_chunks",
    "serialize_segments",
    "shorts",
    "walk_boxes",
    "with_size",
    "write_exif_block",
    "write_picture_file",
    "write_tiff_file",
]
