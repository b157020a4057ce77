"""Fetching a registered file: over HTTP, or from a folder; checked, and never half."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.hub.registry import Checkpoint, ModelFile
from cleanplate.hub.store import copy_file

if TYPE_CHECKING:
    from requests import RequestException

OFFLINE_VARIABLE = "CLEANPLATE_OFFLINE"
"""Environment variable; with any value but "" and "0", nothing is ever downloaded."""

MIRROR_VARIABLE = "CLEANPLATE_MIRROR"
"""Environment variable: a folder, or the http(s) address of one, to take the files from instead."""

DownloadProgress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that have come, and the bytes in all (0: not known)."""

_TIMEOUT_S = (15, 60)  # to connect; between two pieces
_RETRIES = 2  # in a row that bring nothing new
_CHUNK_BYTES = 1 << 18


def is_offline() -> bool:
    """Return whether downloads are switched off."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


def fetch_file(
    file: Checkpoint | ModelFile,
    folder: Path,
    *,
    mirror: str | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Fetch one file into `folder`, verify its checksum and return its path.

    Proxies are taken from the usual environment variables (`HTTPS_PROXY`, `NO_PROXY` ...).

    Args:
        file: an entry with an address and a checksum.
        folder: exists; of this process alone.
        mirror: a folder or the address of one, containing the file under its registered name; None
            takes it from `MIRROR_VARIABLE`, and without that from the publisher.
        progress: called with the progress.

    Raises:
        ChecksumError: what came is not the registered file; it is deleted.
        WeightsError: it cannot be downloaded or written.
    """
    mirror = mirror or os.environ.get(MIRROR_VARIABLE) or None
    target = folder / file.filename
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        source = str(Path(mirror).expanduser() / file.filename)
        copy_file(Path(source), target)
    else:
        url = file.url if mirror is None else f"{mirror.rstrip('/')}/{file.filename}"
        if url is None:
            raise WeightsError(f"{file.filename}: has no download address")
        source = url
        if is_offline():
            raise WeightsError(
                f"{file.filename} cannot be downloaded: {OFFLINE_VARIABLE} is set; unset it, or "
                "use a copy: 'cleanplate models import', or 'pull --from FOLDER'"
            )
        _download(url, target, progress or (lambda *_: None))
    try:
        check_file(target, file, shown=source)
    except ChecksumError as error:
        target.unlink(missing_ok=True)
        raise ChecksumError(
            f"{error}; try again, or take it from another source (--from)"
        ) from None
    return target


def check_file(path: Path, file: Checkpoint | ModelFile, *, shown: str | None = None) -> None:
    """Verify the size and checksum of a file, where registered.

    Args:
        path: of the file.
        file: what it should be.
        shown: the name of the file in messages; None: its path.

    Raises:
        ChecksumError: size or checksum differs; the message states both.
        WeightsError: it cannot be read.
    """
    from cleanplate.io import hash_files  # loads NumPy, which listing models need not

    try:
        size = path.stat().st_size
        if file.size_bytes is not None and size != file.size_bytes:
            raise ChecksumError(
                f"{shown or path}: {size:,} bytes, expected {file.size_bytes:,}; it is "
                "truncated or another file"
            )
        stated = checksum_of(file)
        if stated is None:
            return
        kind, _, expected = stated.partition(":")
        found, _ = hash_files(path, algorithm=kind)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    if found != expected:
        name = "MD5" if kind == "md5" else "SHA-256"
        raise ChecksumError(
            f"{shown or path}: {name} {found}, expected {expected}; it is another file or was "
            "changed"
        )


def checksum_of(file: Checkpoint | ModelFile) -> str | None:
    """Return the registered checksum of a file; see `Checkpoint.checksum`."""
    if isinstance(file, Checkpoint):
        return file.checksum
    return None if file.sha256 is None else f"sha256:{file.sha256}"


def _download(url: str, target: Path, progress: DownloadProgress) -> None:
    """Download a file, going on where a connection was cut; leave nothing if that fails."""
    import requests

    most_received = failures = 0
    try:
        while True:
            try:
                return _receive(url, target, progress)
            except requests.RequestException as error:
                received = target.stat().st_size if target.exists() else 0
                failures = 1 if received > most_received else failures + 1
                most_received = max(most_received, received)
                if error.response is not None or failures > _RETRIES:
                    raise WeightsError(f"{url}: {_reason(error)}") from error
    except WeightsError:
        target.unlink(missing_ok=True)
        raise
    except OSError as error:
        target.unlink(missing_ok=True)
        cause = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
        }.get(error.errno or 0, f"cannot be written ({error.strerror}); check the permissions")
        raise WeightsError(f"{target}: {cause} or set CLEANPLATE_HOME to another disk") from error


def _receive(url: str, target: Path, progress: DownloadProgress) -> None:
    """Write what is missing of a file to `target`, which may hold its beginning."""
    import requests

    received = target.stat().st_size if target.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # or the bytes could not be counted
    if received:
        headers["Range"] = f"bytes={received}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if received and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # all of it has come, and the connection was cut after that
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            received = 0  # the server sends all of it again
        length = answer.headers.get("Content-Length")
        total = 0 if length is None else received + int(length)
        with target.open("ab" if received else "wb") as stream:
            for piece in answer.iter_content(_CHUNK_BYTES):
                stream.write(piece)
                received += len(piece)
                progress(target.name, received, total)


def _reason(error: "RequestException") -> str:
    """Return in words why a download failed, and what to do."""
    import requests

    if error.response is not None:
        status = f"{error.response.status_code} {error.response.reason}"
        return (
            f"the server returned {status}; try again later, or give another source with --from or "
            f"{MIRROR_VARIABLE}"
        )
    again = f"check the network and its proxy, or set {MIRROR_VARIABLE}"
    match error:
        case requests.exceptions.ProxyError():
            cause = "the proxy cannot be used"
        case requests.exceptions.SSLError():
            cause = "the server's certificate is not trusted"
        case requests.Timeout():
            cause = "the server does not answer"
        case requests.exceptions.ChunkedEncodingError():
            cause = "the connection was cut"
        case requests.ConnectionError():
            cause = "the server cannot be reached"
        case _:
            cause = f"cannot be downloaded ({type(error).__name__}: {error})"
    return f"{cause}; {again}"
