"""Metadata: what is kept, what is edited, and the containers that hold it."""

from cleanplate.io.metadata.exif import EXIF_ID, clean_exif, turn_subject
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
from cleanplate.io.metadata.iptc import clean_resources
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
    APP1,
    APP2,
    APP5,
    APP6,
    APP12,
    APP13,
    APP14,
    APP15,
    COM,
    DHT,
    DQT,
    DRI,
    SOS,
    Frame,
    Segment,
    Stream,
    contains_image,
    find_jpeg_streams,
    parse_segments,
    serialize_segments,
    walk_markers,
    with_size,
)
from cleanplate.io.metadata.regions import drop_regions, is_portrait
from cleanplate.io.metadata.xmp import clean_xmp, is_full_panorama
