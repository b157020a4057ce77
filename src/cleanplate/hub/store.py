"""Where model files lie on this machine, and whether they are the right ones.

The built-in files lie in the package. All others lie in a folder of the user's, one folder a model:
the ONNX files, and `manifest.json`, which tells their names and hashes and what they were made
from. A file carries the first digits of its hash in its name and the manifest is replaced last, so
that two processes that install the same model at once both end with a whole one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cleanplate.errors import ChecksumError, PhotoError, WeightsError
from cleanplate.hub.registry import Model

HOME_VARIABLE = "CLEANPLATE_HOME"
"""Environment variable: the folder for downloaded and converted models."""

_BUILT_IN = Path(__file__).parent / "data"
MANIFEST = "manifest.json"
"""Name of the file in a model's folder that tells which files it has."""


Origin = Literal["registered", "unstated", "own"]
"""Whose weights they are: "registered": their checksum is that of the registry. "unstated": the
publisher states none, the user imported them as the model's. "own": the user's own weights.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file, as it was when it was installed."""

    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of an installed model."""

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
    """Return whether anything of a model that is not built in lies on this machine."""
    return not model.is_built_in and model_folder(model).is_dir()


def is_available(model: Model) -> bool:
    """Return whether the files of a model lie on this machine; their content is not looked at."""
    if model.is_built_in:
        return all((_BUILT_IN / file.filename).is_file() for file in model.files)
    try:
        manifest = read_manifest(model)
    except WeightsError:
        return False
    return all((model_folder(model) / file.filename).is_file() for file in manifest.files.values())


def read_manifest(model: Model) -> Manifest:
    """Return what is known of an installed model.

    Raises:
        WeightsError: it is not installed, or its manifest is damaged.
    """
    path = model_folder(model) / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WeightsError(f"{model.name} is not on this machine; {install_hint(model)}") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); {_again(model)}") from None
    try:
        manifest = Manifest(
            files={role: StoredFile(**file) for role, file in content.pop("files").items()},
            made_from=tuple(StoredFile(**file) for file in content.pop("made_from")),
            **content,
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: is damaged ({error}); {_again(model)}") from None
    missing = {file.role for file in model.files} - set(manifest.files)
    if missing:
        raise WeightsError(f"{path}: lacks {', '.join(sorted(missing))}; {_again(model)}")
    for file in model.files:
        if file.sha256 not in (None, manifest.files[file.role].sha256) and manifest.origin != "own":
            raise WeightsError(
                f"{model.name} is here in another version than is registered; {_again(model)}"
            )
    return manifest


def find_file(model: Model, role: str) -> Path:
    """Return where the file of a role lies on this machine. Its content is not looked at.

    Raises:
        WeightsError: it is not there.
    """
    return _locate(model, role)[0]


def read_file(model: Model, role: str) -> bytes:
    """Return the content of a model's file after checking that it is the right one.

    Args:
        model: an entry of the registry.
        role: of one of its files.

    Raises:
        WeightsError: it is not there or cannot be read.
        ChecksumError: size or SHA-256 is another one.
    """
    path, known = _locate(model, role)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    if len(content) != known.size_bytes:
        raise ChecksumError(
            f"{path}: {len(content):,} bytes, registered are {known.size_bytes:,}; the file is "
            f"incomplete or was changed, {_again(model)}"
        )
    from cleanplate.io import hash_bytes  # loads NumPy, which listing models need not

    found = hash_bytes(content)
    if found != known.sha256:
        raise ChecksumError(
            f"{path}: SHA-256 {found}, registered is {known.sha256}; the file was changed, "
            f"{_again(model)}"
        )
    return content


def verify_file(model: Model, role: str) -> Path:
    """Return where a file lies after checking its size and SHA-256; raises as `read_file`."""
    read_file(model, role)
    return find_file(model, role)


def install(
    model: Model,
    files: Mapping[str, Path],
    *,
    made_from: tuple[StoredFile, ...] = (),
    origin: Origin = "registered",
    largest_difference: Mapping[str, float] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Manifest:
    """Take files over into the model's folder, in place of what was installed before.

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
    try:
        former = set(read_manifest(model).files.values())
    except WeightsError:
        former = set()
    stored = {}
    for role, path in files.items():
        facts = describe_file(path)
        name = f"{path.stem}-{facts.sha256[:8]}{path.suffix}"
        stored[role] = StoredFile(filename=name, sha256=facts.sha256, size_bytes=facts.size_bytes)
        _write(folder / name, path.read_bytes())
    manifest = Manifest(
        files=stored,
        made_from=made_from,
        origin=origin,
        largest_difference=largest_difference,
        versions=versions,
    )
    _write(folder / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    kept = {file.filename for file in read_manifest(model).files.values()}  # another's, if it came
    for file in former:
        if file.filename not in kept:
            (folder / file.filename).unlink(missing_ok=True)
    return manifest


def remove(model: Model) -> bool:
    """Delete the files of a model from this machine; return whether there were any.

    Raises:
        WeightsError: they cannot be deleted.
    """
    folder = model_folder(model)
    if not folder.exists():
        return False
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be deleted ({error.strerror})") from error
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
    """Return what a user has to do to have a model here, as the end of a sentence."""
    if model.can_be_pulled:
        return f"run 'cleanplate models pull {model.name}'"
    files = " ".join(file.filename for file in model.checkpoints or model.files)
    return f"get {files} from {model.page} and run 'cleanplate models import {model.name} {files}'"


def _again(model: Model) -> str:
    if model.is_built_in:
        return "reinstall cleanplate"
    return f"run 'cleanplate models remove {model.name}', then {install_hint(model)}"


def _locate(model: Model, role: str) -> tuple[Path, StoredFile]:
    """Return where a file is to lie, and what it is to be."""
    if model.is_built_in:
        known = _registered(model, role)
        path = _BUILT_IN / known.filename
        if not path.is_file():
            raise WeightsError(f"{path}: built-in model file is missing; reinstall cleanplate")
        return path, known
    known = read_manifest(model).files[role]
    path = model_folder(model) / known.filename
    if not path.is_file():
        raise WeightsError(f"{path}: model file is missing; {_again(model)}")
    return path, known


def _registered(model: Model, role: str) -> StoredFile:
    file = next(file for file in model.files if file.role == role)
    if file.sha256 is None or file.size_bytes is None:
        raise WeightsError(f"{model.name}: nothing is registered for {role}")
    return StoredFile(filename=file.filename, sha256=file.sha256, size_bytes=file.size_bytes)


def _write(path: Path, content: bytes) -> None:
    from cleanplate.io import write_bytes_atomic  # loads NumPy, which listing models need not

    try:
        write_bytes_atomic(path, content)
    except PhotoError as error:
        raise WeightsError(str(error)) from error
