"""SHA-256 of files: whether they are still what they were."""

import hashlib
from pathlib import Path

from cleanplate.io.storage.atomic import reading_error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise reading_error(path, error) from error
