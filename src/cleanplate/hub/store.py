"""Local storage of model files, with verification of size and SHA-256.

The built-in files are in the package. All others are in a user folder, one subfolder per model:
the ONNX files, and `manifest.json`, which lists their names, hashes and source checkpoints. File
names contain the first digits of the hash and the manifest is replaced last, so a model can be read
while another version is installed. Processes that change it wait for each other.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from cleanplate.errors import ChecksumError, PhotoError, WeightsError
from cleanplate.hub.registry import Checkpoint, Model

HOME_VARIABLE = "CLEANPLATE_HOME"
"""Environment variable: the folder for downloaded and converted models."""

_BUILT_IN = Path(__file__).parent / "data"
MANIFEST = "manifest.json"
"""Name of the file that lists the files of a model's folder."""


Origin = Literal["registered", "unstated", "own"]
"""Whose weights they are: "registered": their checksum is that of the registry. "unstated": the
publisher states none, the user imported them as the model's. "own": custom weights.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file, as it was when it was installed."""

    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Files and provenance of an installed model."""

    files: Mapping[str, StoredFile]  # role -> the ONNX file that runs
    made_from: tuple[StoredFile, ...] = ()  # checkpoints they were converted from
    origin: Origin = "registered"
    # Largest difference between network and original that the conversion measured, by role.
    largest_difference: Mapping[str, float] | None = None
    versions: Mapping[str, str] | None = None  # of what converted them


def home() -> Path:
    """Return the folder for models that are not built in; it may not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("cleanplate", appauthor=False)


def model_folder(model: Model) -> Path:
    """Return the folder of a model that is not built in."""
    return home() / "models" / model.name


def is_installed(model: Model) -> bool:
    """Return whether a model that is not built in has a folder on this machine."""
    return not model.is_built_in and model_folder(model).is_dir()


def is_available(model: Model) -> bool:
    """Return whether all files of a model exist; their content is not verified."""
    if model.is_built_in:
        return all((_BUILT_IN / file.filename).is_file() for file in model.files)
    try:
        manifest = read_manifest(model)
    except WeightsError:
        return False
    return all((model_folder(model) / file.filename).is_file() for file in manifest.files.values())


def read_manifest(model: Model) -> Manifest:
    """Return the manifest of an installed model.

    Raises:
        WeightsError: it is not installed, or its manifest is damaged.
    """
    path = model_folder(model) / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WeightsError(f"{model.name} is not installed; {install_hint(model)}") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); {_reinstall_hint(model)}") from None
    try:
        manifest = Manifest(
            files={role: StoredFile(**file) for role, file in content.pop("files").items()},
            made_from=tuple(StoredFile(**file) for file in content.pop("made_from")),
            **content,
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: is damaged ({error}); {_reinstall_hint(model)}") from None
    missing = {file.role for file in model.files} - set(manifest.files)
    if missing:
        raise WeightsError(f"{path}: lacks {', '.join(sorted(missing))}; {_reinstall_hint(model)}")
    for file in model.files:
        if file.sha256 not in (None, manifest.files[file.role].sha256) and manifest.origin != "own":
            cause = "the installed version is not the registered one"
            raise WeightsError(f"{model.name}: {cause}; {_reinstall_hint(model)}")
    return manifest


def network_roles(model: Model, *, on_cpu: bool) -> dict[str, str]:
    """Return role -> role of the file that computes it: "X_cpu" in place of "X" on the CPU.

    Args:
        model: the registry's entry.
        on_cpu: whether the CPU computes.
    """
    roles = [file.role for file in model.files if file.filename.endswith(".onnx")]
    return {
        role: f"{role}_cpu" if on_cpu and f"{role}_cpu" in roles else role
        for role in roles
        if not role.endswith("_cpu")
    }


def find_file(model: Model, role: str) -> Path:
    """Return the path of a role's file. Its content is not verified.

    Raises:
        WeightsError: it is not there.
    """
    return _locate(model, role)[0]


def read_file(model: Model, role: str) -> bytes:
    """Return the content of a model's file after verifying size and SHA-256.

    Args:
        model: an entry of the registry.
        role: of one of its files.

    Raises:
        WeightsError: it is not there or cannot be read.
        ChecksumError: size or SHA-256 differs.
    """
    path, known = _locate(model, role)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from None
    from cleanplate.io import hash_bytes  # loads NumPy, which listing models need not

    _check(model, path, known, len(content), hash_bytes(content))
    return content


def _check(model: Model, path: Path, known: StoredFile, size_bytes: int, found: str) -> None:
    if size_bytes != known.size_bytes:
        raise ChecksumError(
            f"{path}: {size_bytes:,} bytes, expected {known.size_bytes:,}; the file is "
            f"incomplete or was changed, {_reinstall_hint(model)}"
        )
    if found != known.sha256:
        raise ChecksumError(
            f"{path}: SHA-256 {found}, expected {known.sha256}; the file was changed, "
            f"{_reinstall_hint(model)}"
        )


def verify_file(model: Model, role: str) -> Path:
    """Return the path of a file after verifying size and SHA-256; raises as `read_file`."""
    path, known = _locate(model, role)
    found = describe_file(path)  # in pieces: it may be larger than the memory
    _check(model, path, known, found.size_bytes, found.sha256)
    return path


def install(
    model: Model,
    files: Mapping[str, Path],
    *,
    made_from: tuple[StoredFile, ...] = (),
    origin: Origin = "registered",
    largest_difference: Mapping[str, float] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Manifest:
    """Copy files into the model's folder, replacing the installed version.

    Args:
        model: an entry that is not built in.
        files: role -> ONNX file; copied. Their content must have been checked.
        made_from: see `Manifest`, as the others.
        origin: likewise.
        largest_difference: likewise.
        versions: likewise.

    Raises:
        WeightsError: a file cannot be written, for example because the disk is full.
    """
    folder = model_folder(model)
    with _changing(model):
        try:
            former = set(read_manifest(model).files.values())
        except WeightsError:
            former = set()
        stored = {}
        for role, path in files.items():
            facts = describe_file(path)
            name = stored_name(path, facts)
            stored[role] = replace(facts, filename=name)
            copy_file(path, folder / name)
        manifest = Manifest(
            files=stored,
            made_from=made_from,
            origin=origin,
            largest_difference=largest_difference,
            versions=versions,
        )
        _write(folder / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        # Of another process, where the disk has no locks.
        kept = {file.filename for file in read_manifest(model).files.values()}
        for file in former:
            if file.filename not in kept:
                (folder / file.filename).unlink(missing_ok=True)
    return manifest


@contextmanager
def _changing(model: Model) -> Iterator[None]:
    """Keep other processes and threads from changing a model's folder."""
    from cleanplate.io import exclusive  # loads NumPy, which listing models need not

    path = model_folder(model).with_name(f"{model.name}.lock")
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(path))
        except OSError as error:
            raise WeightsError(
                f"{path}: cannot be locked ({error.strerror}); check the folder's permissions"
            ) from error
        yield


def stored_name(path: Path, facts: StoredFile) -> str:
    """Return the name under which a file is installed: with the first digits of its hash."""
    digits = f"-{facts.sha256[:8]}"
    return f"{path.stem.removesuffix(digits)}{digits}{path.suffix}"


def remove_model(model: Model) -> bool:
    """Delete the files of a model from this machine; return whether there were any.

    Raises:
        WeightsError: they cannot be deleted.
    """
    folder = model_folder(model)
    if not folder.exists():
        return False
    with _changing(model):
        if not folder.exists():  # another process has deleted it meanwhile
            return False
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise WeightsError(
                f"{folder}: cannot be deleted ({error.strerror}); check its permissions"
            ) from error
    return True


def describe_file(path: Path) -> StoredFile:
    """Return name, SHA-256 and size of a file.

    Raises:
        WeightsError: it cannot be read.
    """
    from cleanplate.io import hash_files

    try:
        digest, [found] = hash_files(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    return StoredFile(filename=path.name, sha256=digest, size_bytes=found.st_size)


def install_hint(model: Model) -> str:
    """Return how to install a model, as the end of a sentence."""
    if model.can_be_pulled:
        return f"run 'cleanplate models pull {model.name}'"
    files = " ".join(
        file.published_name if isinstance(file, Checkpoint) else file.filename
        for file in model.checkpoints or model.files
    )
    must = model.licence.commercial == "no" or model.licence.restrictions
    accept = " --accept-licence" if must else ""
    if "/" in files:  # of several folders: their common one is given
        return (
            f"get its files from {model.published_at} into one folder (see 'Which fill?' in the "
            f"documentation) and run 'cleanplate models import {model.name} FOLDER{accept}'"
        )
    command = f"cleanplate models import {model.name} {files}{accept}"
    return f"get {files} from {model.published_at} and run '{command}'"


def _reinstall_hint(model: Model) -> str:
    if model.is_built_in:
        return "reinstall cleanplate"
    return f"run 'cleanplate models remove {model.name}', then {install_hint(model)}"


def _locate(model: Model, role: str) -> tuple[Path, StoredFile]:
    """Return the path of a file and its expected name, hash and size."""
    if model.is_built_in:
        known = _registered(model, role)
        path = _BUILT_IN / known.filename
        if not path.is_file():
            raise WeightsError(f"{path}: built-in model file is missing; reinstall cleanplate")
        return path, known
    known = read_manifest(model).files[role]
    path = model_folder(model) / known.filename
    if not path.is_file():
        raise WeightsError(f"{path}: model file is missing; {_reinstall_hint(model)}")
    return path, known


def _registered(model: Model, role: str) -> StoredFile:
    file = next(file for file in model.files if file.role == role)
    if file.sha256 is None or file.size_bytes is None:
        raise WeightsError(f"{model.name}: the registry has no file for {role}")
    return StoredFile(filename=file.filename, sha256=file.sha256, size_bytes=file.size_bytes)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically.

    Raises:
        WeightsError: it cannot be read, or its copy not be written.
    """
    from cleanplate.io import copy_photo

    try:
        copy_photo(source, target)
    except PhotoError as error:
        raise WeightsError(str(error)) from error


def _write(path: Path, content: bytes) -> None:
    from cleanplate.io import write_bytes_atomic  # loads NumPy, which listing models need not

    try:
        write_bytes_atomic(path, content)
    except PhotoError as error:
        raise WeightsError(str(error)) from error
