"""Transfer of models: packed once where a run is started, unpacked once on every machine.

Built-in models are part of the package and not transferred. Others are read from the store of the
machine that starts the run, so that the machines need neither the internet nor a shared disk.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from cleanplate.errors import ChecksumError, UnknownNameError, WeightsError
from cleanplate.hub import (
    HOME_VARIABLE,
    MANIFEST,
    get_model,
    home,
    read_file,
    read_manifest,
)
from cleanplate.io import exclusive, hash_bytes, write_bytes_atomic

PackedModels = Mapping[str, Mapping[str, bytes]]
"""Model -> file name below its folder -> content. The manifest is the last."""

_DIGITS = 12


def pack_models(names: Iterable[object]) -> dict[str, dict[str, bytes]]:
    """Return the files of those models that are registered and not built in.

    Args:
        names: of segmenter and inpainter; what is not a registered name needs no files.

    Raises:
        WeightsError, ChecksumError: one is not installed, or damaged.
    """
    packed: dict[str, dict[str, bytes]] = {}
    for name in names:
        if not isinstance(name, str):
            continue
        try:
            model = get_model(name)
        except UnknownNameError:
            continue
        if model.is_built_in:
            continue
        manifest = read_manifest(model)
        files = {it.filename: read_file(model, role) for role, it in manifest.files.items()}
        packed[model.name] = {**files, MANIFEST: json.dumps(asdict(manifest), indent=1).encode()}
    return packed


def hashes_of(packed: PackedModels) -> dict[str, tuple[str, ...]]:
    """Return model -> the sorted SHA-256 of its files, which a machine needs to have."""
    return {
        name: tuple(
            sorted(
                hash_bytes(content) for filename, content in files.items() if filename != MANIFEST
            )
        )
        for name, files in packed.items()
    }


def unpack_models(hashes: Mapping[str, tuple[str, ...]], fetch: Callable[[], PackedModels]) -> None:
    """Make models available to this process; they are fetched if this machine lacks them.

    They are written once per machine, to a folder named after their content, below that of the
    installed models, which are not modified.

    Args:
        hashes: from `hashes_of`.
        fetch: returns the result of `pack_models`; called only if needed.

    Raises:
        WeightsError: they cannot be written.
        ChecksumError: they were damaged in transfer.
    """
    if all(_has(name, files) for name, files in hashes.items()):
        return
    digest = hash_bytes(json.dumps(hashes, sort_keys=True).encode())[:_DIGITS]
    folder = home() / "cluster" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "lock"):
            os.environ[HOME_VARIABLE] = str(folder)
            if not all(_has(name, files) for name, files in hashes.items()):
                _write(folder / "models", fetch(), hashes)
    except OSError as error:
        raise WeightsError(
            f"{folder}: models cannot be written to this folder ({error}); set {HOME_VARIABLE} to "
            "a folder "
            "that can be written on every machine"
        ) from error


def _has(name: str, hashes: tuple[str, ...]) -> bool:
    model = get_model(name)
    try:
        manifest = read_manifest(model)
        for role in manifest.files:
            read_file(model, role)
    except WeightsError:
        return False
    return tuple(sorted(file.sha256 for file in manifest.files.values())) == hashes


def _write(folder: Path, packed: PackedModels, hashes: Mapping[str, tuple[str, ...]]) -> None:
    if hashes_of(packed) != dict(hashes):
        raise ChecksumError(f"{', '.join(packed)}: damaged in transfer; start the run again")
    for name, files in packed.items():
        for filename, content in files.items():
            write_bytes_atomic(folder / name / filename, content)
