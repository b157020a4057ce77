"""Folders on disks and in object stores, by path or URL: of photos and of results."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

from cleanplate.errors import InputError, MissingExtraError, PhotoError
from cleanplate.io import TEMPORARY_SUFFIX, write_bytes_atomic

_OBJECT_STORES = ("s3", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory")
"""Schemes whose objects appear complete when writing ends, or not at all."""

_ARROW = ("s3", "gs", "hdfs")
"""Schemes that pyarrow supports; the others use fsspec."""

_S3_PAGE = 1000  # keys in one response, the maximum of S3
_TEMPORARY_CHARS = 40  # of a target's name in that of its temporary file
_LEFTOVER_AGE_S = 600.0


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file below a location, as its folder lists it."""

    relative: str  # with slashes, as a key has them
    size: int  # bytes
    mtime_ns: int  # 0 if the store gives no time


@dataclass(frozen=True)
class Location:
    """A folder, given as a path or a URL such as `s3://bucket/photos`.

    Can be pickled. Options of the store, such as `endpoint_override` for S3, follow a question
    mark and are not shown.
    """

    given: str
    root: str = field(init=False)  # as its file system names it, without a final slash

    def __post_init__(self) -> None:
        """Check the URL, and resolve a relative path on this machine.

        Raises:
            InputError: it lacks a bucket or contains a password.
        """
        if self.is_local:
            root = os.path.abspath(self.given.removeprefix("file://"))  # noqa: PTH100
            object.__setattr__(self, "root", root)
            return
        parts = urlsplit(self.given)
        if "@" in parts.netloc:
            raise InputError(
                f"{parts.scheme}://...@{parts.hostname}: a key in a URL would appear in "
                "the report; omit it and set e.g. AWS_ACCESS_KEY_ID, as the store's tools do"
            )
        if not parts.netloc and self.scheme != "memory":
            raise InputError(f"{self.given}: lacks a bucket; write {self.scheme}://BUCKET/FOLDER")
        object.__setattr__(self, "root", (parts.netloc + parts.path).strip("/"))

    @property
    def scheme(self) -> str:
        """The kind of store; "file" for paths."""
        scheme, mark, _ = self.given.partition("://")
        return scheme.lower() if mark else "file"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, or of a disk that all machines mount there."""
        return self.scheme == "file"

    @property
    def shown(self) -> str:
        """Its name in messages and reports."""
        if self.is_local:
            return self.given.removeprefix("file://").rstrip("/") or "/"
        return self.given.partition("?")[0].rstrip("/")

    def url_of(self, relative: str) -> str:
        """Return the name of a file in it, for messages and reports."""
        return f"{self.shown}/{relative}"

    def below(self, other: "Location") -> str | None:
        """Return its path relative to another location: "" if equal, None if outside."""
        if self.scheme != other.scheme:
            return None
        mine, others = self._real(), other._real()
        if mine == others:
            return ""
        return mine.removeprefix(others + "/") if mine.startswith(others + "/") else None

    def read(self, relative: str) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: it cannot be read.
        """
        if self.is_local:
            return Path(self.root, relative).read_bytes()
        with self._files.open_input_file(f"{self.root}/{relative}") as stream:
            return cast("bytes", stream.read())

    def write(self, relative: str, content: bytes) -> None:
        """Write a file atomically: complete or not at all; an existing one is replaced.

        Raises:
            OSError: it cannot be written, or a link leads out of this location.
        """
        if self.is_local:
            target = Path(self.root, relative)
            real = os.path.realpath(target.parent)
            if os.path.commonpath([real, self._real()]) != self._real():
                cause = f"a link leads out of {self.shown}, to {real}"
                raise PhotoError(target, cause, "remove the link, or name another folder")
            write_bytes_atomic(target, content)
            return
        path = f"{self.root}/{relative}"
        if self.scheme in _OBJECT_STORES:
            self._write_stream(path, content)
            return
        folder, _, name = path.rpartition("/")
        self._files.create_dir(folder, recursive=True)
        temporary = f"{folder}/.{name[:_TEMPORARY_CHARS]}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"
        try:
            self._write_stream(temporary, content)
            self._files.move(temporary, path)
        except OSError:
            with suppress(OSError):
                self._files.delete_file(temporary)
            raise

    def remove(self, relative: str) -> None:
        """Delete a file that the run wrote, if it exists."""
        with suppress(OSError):
            self._files.delete_file(f"{self.root}/{relative}")

    def remove_leftovers(self, relative: str) -> None:
        """Remove the temporary files that killed processes left beside a file on a disk.

        No other process may be writing that file now.
        """
        if not self.is_local:
            return
        target = Path(self.root, relative)
        start = f".{target.name[:_TEMPORARY_CHARS]}."
        unique = (
            len(target.name) <= _TEMPORARY_CHARS
        )  # or it may be that of another file, being written
        newest = time.time() - (0 if unique else _LEFTOVER_AGE_S)
        with suppress(OSError), os.scandir(target.parent) as entries:
            for entry in entries:
                if entry.name.startswith(start) and entry.name.endswith(TEMPORARY_SUFFIX):
                    with suppress(OSError):
                        if entry.stat().st_mtime <= newest:
                            Path(entry.path).unlink()

    def stat(self, relative: str) -> FileInfo | None:
        """Return size and time of a file; None if there is none.

        Raises:
            OSError: the store does not respond, or a folder has that name.
        """
        from pyarrow.fs import FileType

        info = self._files.get_file_info(f"{self.root}/{relative}")
        if info.type == FileType.NotFound:
            return None
        if info.type == FileType.Directory:
            place = self.url_of(relative)
            raise PhotoError(place, "a folder has the output's name", "move it away")
        return FileInfo(relative, info.size or 0, info.mtime_ns or 0)

    def list(self, below: str = "") -> Iterator[FileInfo]:
        """Yield the files below a sub-folder in the store's order, without a list of all.

        For disks and S3, the memory used does not grow with their number. For other stores, which
        pyarrow lists folder by folder, it grows with the largest folder.

        Args:
            below: the sub-folder; "" for all. A missing one has no files.

        Raises:
            OSError: the store cannot be listed.
        """
        if self.is_local:
            yield from self._list_disk(below)
        elif self.scheme == "s3":
            yield from self._list_s3(below)
        else:
            yield from self._list_folders(below)

    def check_exists(self) -> None:
        """Raise unless it exists and can be listed.

        Raises:
            InputError: it does not exist, or the store refuses.
        """
        try:
            if next(self.list(), None) is not None or (self.is_local and Path(self.root).is_dir()):
                return
        except OSError as error:
            raise InputError(
                f"{self.shown}: cannot be listed ({_one_line(error)}); check its name "
                "and permissions"
            ) from error
        raise InputError(f"{self.shown}: no such folder, or it is empty; check its spelling")

    @cached_property
    def _files(self) -> Any:
        """The pyarrow file system."""
        try:
            from pyarrow import fs
        except ImportError as error:
            raise _missing("pyarrow") from error
        if self.is_local:
            return fs.LocalFileSystem()
        if self.scheme in _ARROW:
            options = self._options
            if self.scheme == "s3":  # one request to write a file, instead of three
                options.setdefault("allow_delayed_open", "true")
            query = f"?{urlencode(options)}" if options else ""
            bucket = self.root.partition("/")[0]
            return fs.FileSystem.from_uri(f"{self.scheme}://{bucket}{query}")[0]
        import fsspec

        try:
            inner = fsspec.filesystem(self.scheme, **self._options)
        except (ImportError, ValueError) as error:
            raise InputError(f"{self.shown}: fsspec cannot open it ({_one_line(error)})") from error
        return fs.PyFileSystem(fs.FSSpecHandler(inner))

    @property
    def _options(self) -> dict[str, str]:
        query = parse_qs(urlsplit(self.given).query)
        return {name: values[-1] for name, values in query.items()}

    def __getstate__(self) -> dict[str, str]:
        """Leave connections behind."""
        return {"given": self.given, "root": self.root}

    def _real(self) -> str:
        return os.path.realpath(self.root) if self.is_local else self.root

    def _write_stream(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as stream:
            stream.write(content)

    def _list_disk(self, below: str) -> Iterator[FileInfo]:
        folders = [below]
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(Path(self.root, folder))
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    relative = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(relative)
                    elif entry.is_file():  # or a link to one; links to folders are not followed
                        found = entry.stat()
                        yield FileInfo(relative, found.st_size, found.st_mtime_ns)

    def _list_s3(self, below: str) -> Iterator[FileInfo]:
        try:
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
            from botocore.session import Session
        except ImportError as error:
            raise _missing("botocore") from error
        options = {
            name: values[-1] for name, values in parse_qs(urlsplit(self.given).query).items()
        }
        endpoint = options.get("endpoint_override")
        if endpoint is not None and "://" not in endpoint:
            endpoint = f"{options.get('scheme', 'https')}://{endpoint}"
        bucket, _, prefix = self.root.partition("/")
        prefix = "/".join(part for part in (prefix, below) if part)
        base = len(self.root.partition("/")[2]) + 1 if "/" in self.root else 0
        try:
            session = Session()
            # botocore's own parser takes half the time of a listing.
            session.get_component("response_parser_factory").set_parser_defaults(
                timestamp_parser=_parse_timestamp
            )
            client = session.create_client(
                "s3",
                region_name=options.get("region"),
                endpoint_url=endpoint,
                config=Config(retries={"mode": "standard", "max_attempts": 5}),
            )
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket,
                Prefix=f"{prefix}/" if prefix else "",
                PaginationConfig={"PageSize": _S3_PAGE},
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    if found["Key"].endswith("/"):
                        continue  # represents a folder
                    time_s = found["LastModified"].timestamp()
                    key = found["Key"][base:]
                    yield FileInfo(key, found["Size"], round(time_s * 1000) * 1_000_000)
        except (BotoCoreError, ClientError) as error:
            raise OSError(f"{self.shown}: {_one_line(error)}") from error

    def _list_folders(self, below: str) -> Iterator[FileInfo]:
        from pyarrow.fs import FileSelector, FileType

        folders = [f"{self.root}/{below}".rstrip("/")]
        while folders:
            selector = FileSelector(folders.pop(), allow_not_found=True)
            for info in self._files.get_file_info(selector):
                if info.type == FileType.Directory:
                    folders.append(info.path)
                elif info.type == FileType.File:
                    relative = info.path.strip("/").removeprefix(self.root + "/")
                    yield FileInfo(relative, info.size or 0, info.mtime_ns or 0)


def is_valid_key(relative: str) -> bool:
    """Return whether a key can be a path below another place: not `../a`, `a//b` or `a/./b`."""
    parts = relative.split("/")
    return "\0" not in relative and not any(part in ("", ".", "..") for part in parts)


def name_of(relative: str) -> str:
    """Return the last part of a key."""
    return PurePosixPath(relative).name


def _parse_timestamp(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # of a store that is not quite S3
        from botocore.utils import parse_timestamp

        return cast("datetime", parse_timestamp(text))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"{package} is not installed; run 'pip install \"cleanplate[ray]\"' on every machine"
    )
