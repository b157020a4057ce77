"""Read and write photos without damage to anything outside the hole.

`read_photo` gives the upright 8-bit RGB image that networks see, and keeps a record of
everything else that the file held; `write_photo` puts a filled hole into that record and writes it
atomically.
"""

from cleanplate.io.files import (
    PHOTO_SUFFIXES,
    SUFFIXES_BY_FORMAT,
    AnyPhoto,
    OpenedPhoto,
    PhotoT,
    check_result_name,
    encode_photo,
    encode_with_notes,
    is_photo_name,
    must_convert,
    open_photo,
    read_format,
    read_photo,
    read_size,
    result_name,
    write_photo,
)
from cleanplate.io.mask_files import MaskReading, read_mask, write_mask
from cleanplate.io.photo import (
    MAX_PIXELS,
    RESULT_SUFFIXES,
    Photo,
    RawOutput,
    lost_in,
)
from cleanplate.io.pillow_images import photo_from_pil, pil_from_photo
from cleanplate.io.storage import (
    COPIED_NOTE,
    TEMPORARY_SUFFIX,
    OutputLock,
    abort_writes,
    copy_photo,
    copy_times,
    hash_bytes,
    hash_files,
    link_photo,
    read_error,
    remove_leftovers,
    sha256_of,
    temporary_path,
    write_bytes_atomic,
)

__all__ = [
    "COPIED_NOTE",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "RESULT_SUFFIXES",
    "SUFFIXES_BY_FORMAT",
    "TEMPORARY_SUFFIX",
    "AnyPhoto",
    "MaskReading",
    "OpenedPhoto",
    "OutputLock",
    "Photo",
    "PhotoT",
    "RawOutput",
    "abort_writes",
    "check_result_name",
    "copy_photo",
    "copy_times",
    "encode_photo",
    "encode_with_notes",
    "hash_bytes",
    "hash_files",
    "is_photo_name",
    "link_photo",
    "lost_in",
    "must_convert",
    "open_photo",
    "photo_from_pil",
    "pil_from_photo",
    "read_error",
    "read_format",
    "read_mask",
    "read_photo",
    "read_size",
    "remove_leftovers",
    "result_name",
    "sha256_of",
    "temporary_path",
    "write_bytes_atomic",
    "write_mask",
    "write_photo",
]
