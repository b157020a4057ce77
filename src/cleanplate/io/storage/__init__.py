"""Files on disk: atomic writes, copies and links, hashes, locks."""

from cleanplate.io.storage.atomic import (
    TEMPORARY_SUFFIX,
    abort_writes,
    copy_photo,
    read_error,
    remove_leftovers,
    temporary_path,
    write_bytes_atomic,
)
from cleanplate.io.storage.hashing import hash_bytes, hash_files, sha256_of
from cleanplate.io.storage.links import COPIED_NOTE, link_photo
from cleanplate.io.storage.lock import OutputLock

__all__ = [
    "COPIED_NOTE",
    "TEMPORARY_SUFFIX",
    "OutputLock",
    "abort_writes",
    "copy_photo",
    "hash_bytes",
    "hash_files",
    "link_photo",
    "read_error",
    "remove_leftovers",
    "sha256_of",
    "temporary_path",
    "write_bytes_atomic",
]
