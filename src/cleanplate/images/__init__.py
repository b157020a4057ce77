"""Files to arrays and back, so that a photo is never damaged.

`read_photo` gives the upright 8-bit RGB picture that networks see, and keeps a record of all else
that the file held; `write_photo` puts a filled hole into that record and writes it whole.
"""

from cleanplate.images.atomic import (
    abandon_writing,
    copy_photo,
    remove_leftovers,
    write_bytes_atomic,
)
from cleanplate.images.files import encode_photo, read_photo, write_photo
from cleanplate.images.header import read_size
from cleanplate.images.links import COPIED_INSTEAD, link_photo
from cleanplate.images.masks import read_mask, write_mask
from cleanplate.images.photo import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    RESULT_SUFFIXES,
    Photo,
    RawOutput,
    is_photo_name,
    result_name,
)
from cleanplate.images.pil import photo_from_pil, pil_from_photo

__all__ = [
    "COPIED_INSTEAD",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "RESULT_SUFFIXES",
    "Photo",
    "RawOutput",
    "abandon_writing",
    "copy_photo",
    "encode_photo",
    "is_photo_name",
    "link_photo",
    "photo_from_pil",
    "pil_from_photo",
    "read_mask",
    "read_photo",
    "read_size",
    "remove_leftovers",
    "result_name",
    "write_bytes_atomic",
    "write_mask",
    "write_photo",
]
