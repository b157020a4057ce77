"""Files on disk: atomic writes, copies and links, hashes, locks."""

from cleanplate.io.storage.atomic import (
    TEMPORARY_SUFFIX,
    abandon_writing,
    copy_photo,
    reading_error,
    remove_leftovers,
    temporary_beside,
    write_bytes_atomic,
)
from cleanplate.io.storage.hashing import hash_bytes, hash_files, sha256_of
from cleanplate.io.storage.links import COPIED_INSTEAD, link_photo
from cleanplate.io.storage.lock import OutputLock

__all__ = [
    "COPIED_INSTEAD",
    "TEMPORARY_SUFFIX",
    "OutputLock",
    "abandon_writing",
    "copy_photo",
    "hash_bytes",
    "hash_files",
    "link_photo",
    "reading_error",
    "remove_leftovers",
    "sha256_of",
    "temporary_beside",
    "write_bytes_atomic",
]
