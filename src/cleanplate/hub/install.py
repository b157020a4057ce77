"""Installing models: downloaded from their publishers, or imported from files."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.errors import ChecksumError, InputError, LicenceError, WeightsError
from cleanplate.hub.convert import check_can_convert, convert, converter_versions
from cleanplate.hub.download import DownloadProgress, check_file, checksum_of, fetch_file
from cleanplate.hub.registry import MODELS, Checkpoint, Model, ModelFile, TensorSpec, get_model
from cleanplate.hub.store import (
    HOME_VARIABLE,
    Manifest,
    Origin,
    describe_file,
    home,
    install,
    install_hint,
    is_available,
    read_manifest,
    verify_file,
)

if TYPE_CHECKING:
    from cleanplate.runtime import TensorInfo

_INCOMING_S = 7 * 86400.0  # no download or conversion takes so long


def pull_model(
    name: str,
    *,
    accept_licence: bool = False,
    mirror: str | None = None,
    progress: DownloadProgress | None = None,
) -> Manifest:
    """Fetch a registered model, convert it if need be, and install it.

    A model that is already installed is verified and kept.

    Args:
        name: of a model that is not built in.
        accept_licence: the user has read the licence and keeps to it; needed where it forbids
            commercial or other use.
        mirror: a folder, or the address of one, to take the files from; see `fetch_file`.
        progress: called with the progress of each download.

    Raises:
        UnknownNameError: no such model.
        InputError: it is built in.
        LicenceError: the licence was not accepted.
        MissingExtraError: it has to be converted and the extra `convert` is not installed.
        ChecksumError: a file differs from the registered one.
        WeightsError: it cannot be fetched, converted or written, or there is no address.
    """
    model = _get_downloadable(name)
    if is_available(model):
        for file in model.files:
            verify_file(model, file.role)
        return read_manifest(model)
    if not model.can_be_pulled:
        raise WeightsError(f"{name} cannot be pulled: {install_hint(model)}")
    _check_licence(model, accepted=accept_licence)
    if model.checkpoints:
        check_can_convert(model)
    with _temporary_folder() as folder:
        paths = [
            fetch_file(file, folder, mirror=mirror, progress=progress)
            for file in model.checkpoints or model.files
        ]
        if model.checkpoints:
            return _convert(model, paths, folder, "registered")
        roles = [file.role for file in model.files]
        return install(model, dict(zip(roles, paths, strict=True)), origin="registered")


def import_model(
    name: str,
    paths: Sequence[Path],
    *,
    accept_licence: bool = False,
    own_weights: bool = False,
) -> Manifest:
    """Install a registered model from files that the user has, in place of what is installed.

    Args:
        name: of a model that is not built in.
        paths: its files as its publisher offers them, in any order and under any names; or one
            folder that has them under their publisher's names. They are not modified.
        accept_licence: as for `pull_model`.
        own_weights: accept files that are not the registered ones but of the same architecture,
            such as the user's own training.

    Raises:
        UnknownNameError: no such model.
        InputError: it is built in, or the number of files is wrong.
        LicenceError: the licence was not accepted.
        MissingExtraError: it has to be converted and the extra `convert` is not installed.
        ChecksumError: a file is not the registered one.
        WeightsError: a file cannot be read, is of another architecture, or cannot be installed.
    """
    model = _get_downloadable(name)
    wanted = model.checkpoints or model.files
    if len(paths) == 1 and paths[0].is_dir():
        paths = _files_in(paths[0], model)
    if len(paths) != len(wanted):
        names = ", ".join(_published_name(file) for file in wanted)
        raise InputError(f"{name} consists of {len(wanted)} files ({names}), got {len(paths)}")
    if not own_weights:
        _check_licence(model, accepted=accept_licence)
    if model.checkpoints:
        check_can_convert(model)
    origin, ordered = _identify(model, paths, own_weights=own_weights)
    if origin == "unstated":
        _check_folders(model, ordered)
    with _temporary_folder() as folder:
        if model.checkpoints:
            return _convert(model, ordered, folder, origin)
        if origin == "own":
            return install(model, _assign_roles(model, ordered), origin=origin)
        roles = [file.role for file in model.files]
        return install(model, dict(zip(roles, ordered, strict=True)), origin=origin)


def _check_folders(model: Model, paths: Sequence[Path]) -> None:
    """Refuse files without checksums in a folder named after other training photos."""
    others = {
        other.name.partition(".")[2]: other.name
        for other in MODELS.values()
        if other.converter == model.converter and other is not model
    }
    for path in paths:
        other = others.get(path.resolve().parent.name.lower())
        if other is not None:
            raise WeightsError(
                f"{path}: lies in a folder of {other}; import it as that, or move it if it is "
                f"{model.name}"
            )


def _published_name(file: Checkpoint | ModelFile) -> str:
    return file.published_name if isinstance(file, Checkpoint) else file.filename


def _files_in(folder: Path, model: Model) -> list[Path]:
    """Return a model's files in a folder, in the order of the registry.

    Of weights in single and half precision (`.fp16.safetensors`), either will do.

    Raises:
        WeightsError: some are missing; the message names them.
    """
    found, missing = [], []
    wanted = [_published_name(file) for file in model.checkpoints or model.files]
    bare = [Path(name).name for name in wanted]
    for name in wanted:
        single = name.replace(".fp16.", ".")
        half = single.replace(".safetensors", ".fp16.safetensors")
        places = [folder / it for it in (name, single, half)]
        if bare.count(Path(name).name) == 1:
            places.append(folder / Path(name).name)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            missing.append(name)
        else:
            found.append(path)
    if missing:
        raise WeightsError(
            f"{folder}: lacks {', '.join(missing)} of {model.name}; get them from "
            f"{model.published_at}"
        )
    return found


def _get_downloadable(name: str) -> Model:
    model = get_model(name)
    if model.is_built_in:
        raise InputError(f"{name} is built in; there is nothing to download")
    return model


def _check_licence(model: Model, *, accepted: bool) -> None:
    if accepted:
        return
    if model.licence.restrictions:
        raise LicenceError(
            f"{model.name} may not be used {model.licence.restrictions} ({model.licence.spdx}); "
            "if you comply, give --accept-licence"
        )
    if model.licence.commercial == "no":
        raise LicenceError(
            f"{model.name} is not for commercial use ({model.licence.spdx}: {model.licence.note}); "
            "if you comply, give --accept-licence"
        )


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield a temporary folder, on the disk where models are installed."""
    parent = home() / "incoming"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for former in parent.iterdir():  # of processes that were killed
            with suppress(FileNotFoundError):  # another one removes it, too
                if time.time() - former.stat().st_mtime > _INCOMING_S:
                    shutil.rmtree(former, ignore_errors=True)
        folder = tempfile.TemporaryDirectory(dir=parent)
    except OSError as error:
        raise WeightsError(
            f"{parent}: cannot be created ({error.strerror}); set {HOME_VARIABLE} to another folder"
        ) from error
    with folder as path:
        yield Path(path)


def _identify(
    model: Model, paths: Sequence[Path], *, own_weights: bool
) -> tuple[Origin, list[Path]]:
    """Return whose files these are, and the files in the order of the registry."""
    wanted: Sequence[Checkpoint | ModelFile] = model.checkpoints or model.files
    for path in paths:
        describe_file(path)  # says what is wrong with a file that cannot be read
    if all(checksum_of(file) is None for file in wanted):
        own = own_weights or not model.checkpoints  # ONNX without a checksum: trained by the user
        return ("own" if own else "unstated"), list(paths)
    matched: dict[str, Path] = {}
    wrong: list[ChecksumError] = []
    for path in paths:
        for file in wanted:
            if file.filename in matched:
                continue
            try:
                check_file(path, file)
            except ChecksumError as error:
                wrong.append(error)
            else:
                matched[file.filename] = path
                break
    if len(matched) == len(wanted):
        return "registered", [matched[file.filename] for file in wanted]
    if own_weights:
        return "own", list(paths)
    raise ChecksumError(
        f"{wrong[0]}; if these are custom weights for {model.name}, give --own-weights"
    )


def _assign_roles(model: Model, paths: Sequence[Path]) -> dict[str, Path]:
    """Return role -> the ONNX file that takes and returns what the registry states for it.

    Raises:
        WeightsError: a file fits none of the roles that are left.
    """
    from cleanplate.runtime import interface_of

    chosen: dict[str, Path] = {}
    for path in paths:
        inputs, outputs = interface_of(path.read_bytes(), name=str(path))
        left = [file for file in model.files if file.role not in chosen]
        fitting = [
            file.role
            for file in left
            if _values_match(inputs, file.inputs) and _values_match(outputs, file.outputs)
        ]
        if not fitting:
            wanted = " or ".join(_format_interface(file.inputs, file.outputs) for file in left)
            raise WeightsError(
                f"{path}: is not {model.name}: it computes {_format_interface(inputs, outputs)}, "
                f"expected {wanted}; import it as the model that it is"
            )
        chosen[fitting[0]] = path
    return chosen


def _values_match(found: "Sequence[TensorInfo]", wanted: Sequence[TensorSpec]) -> bool:
    return len(found) == len(wanted) and all(
        dtype == spec.dtype
        and len(shape) == len(spec.shape)
        and all(map(_size_matches, shape, spec.shape))
        for (dtype, shape), spec in zip(found, wanted, strict=True)
    )


def _size_matches(found: object, wanted: object) -> bool:
    """Return whether an axis of a file, a number or not fixed, has every size that is wanted."""
    if not isinstance(found, int):
        return True
    if wanted == "N":
        return found == 1
    return found in wanted if isinstance(wanted, tuple) else found == wanted


def _format_interface(
    inputs: "Sequence[TensorInfo | TensorSpec]", outputs: "Sequence[TensorInfo | TensorSpec]"
) -> str:
    """Return "float32 1x3xHxW -> float32 1x1xHxW" and the like."""
    return " -> ".join(
        ", ".join(
            f"{dtype} {'x'.join('?' if size is None else str(size) for size in shape)}"
            for dtype, shape, *_ in values
        )
        for values in (inputs, outputs)
    )


def _convert(model: Model, paths: Sequence[Path], folder: Path, origin: Origin) -> Manifest:
    made_from = tuple(describe_file(path) for path in paths)
    converted = convert(model, paths, folder / "converted")
    return install(
        model,
        converted.files,
        origin=origin,
        made_from=made_from,
        largest_difference=converted.largest_difference,
        versions=converter_versions(model),
    )
