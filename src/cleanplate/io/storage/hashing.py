"""SHA-256 of contents and files."""

import hashlib
import os
from pathlib import Path

from cleanplate.io.storage.atomic import read_error


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def hash_files(*paths: Path, algorithm: str = "sha256") -> tuple[str, tuple[os.stat_result, ...]]:
    """Return the hash of files, one after another, and the status of each as it was opened.

    Args:
        paths: files; their contents are hashed as if they were one.
        algorithm: as `hashlib` names it.

    Returns:
        The hash in hexadecimal, and the status of each file.

    Raises:
        OSError: one cannot be read.
    """
    digest, stats = hashlib.new(algorithm, usedforsecurity=False), []
    for path in paths:
        with path.open("rb") as stream:
            stats.append(os.fstat(stream.fileno()))
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest(), tuple(stats)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        return hash_files(path)[0]
    except OSError as error:
        raise read_error(path, error) from error
