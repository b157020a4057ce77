"""Where model files lie, and whether they are the registered ones."""

import hashlib
from pathlib import Path

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.models.registry import ModelFile

_BUILT_IN = Path(__file__).parent / "data"


def find_file(file: ModelFile) -> Path:
    """Return where `file` lies on this machine. Its content is not looked at.

    Raises:
        WeightsError: it is not there.
    """
    path = _BUILT_IN / file.filename
    if not path.is_file():
        raise WeightsError(f"{path}: built-in model file is missing; reinstall cleanplate")
    return path


def read_file(file: ModelFile) -> bytes:
    """Return the content of `file` after checking that it is the registered one.

    Raises:
        WeightsError: it is not there or cannot be read.
        ChecksumError: size or SHA-256 is another one.
    """
    path = find_file(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    if len(content) != file.size_bytes:
        raise ChecksumError(
            f"{path}: {len(content):,} bytes, registered are {file.size_bytes:,}; the file is "
            "incomplete or was changed, reinstall cleanplate"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ChecksumError(
            f"{path}: SHA-256 {found}, registered is {file.sha256}; the file was changed, "
            "reinstall cleanplate"
        )
    return content


def verify_file(file: ModelFile) -> Path:
    """Return where `file` lies after checking its size and SHA-256.

    Raises:
        WeightsError: it is not there or cannot be read.
        ChecksumError: size or SHA-256 is another one.
    """
    read_file(file)
    return find_file(file)
