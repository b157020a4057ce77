"""Model registry, download, conversion and local storage."""

from cleanplate.hub.convert import check_can_convert
from cleanplate.hub.download import MIRROR_VARIABLE, OFFLINE_VARIABLE, DownloadProgress, checksum_of
from cleanplate.hub.install import import_model, pull_model
from cleanplate.hub.presets import PRESETS, preset_model
from cleanplate.hub.registry import (
    MODELS,
    Checkpoint,
    Model,
    ModelFile,
    ModelKind,
    Preprocessing,
    get_model,
    list_models,
    model_names,
)
from cleanplate.hub.store import (
    HOME_VARIABLE,
    MANIFEST,
    Manifest,
    find_file,
    home,
    install_hint,
    is_available,
    is_installed,
    network_roles,
    read_file,
    read_manifest,
    remove_model,
    verify_file,
)

__all__ = [
    "HOME_VARIABLE",
    "MANIFEST",
    "MIRROR_VARIABLE",
    "MODELS",
    "OFFLINE_VARIABLE",
    "PRESETS",
    "Checkpoint",
    "DownloadProgress",
    "Manifest",
    "Model",
    "ModelFile",
    "ModelKind",
    "Preprocessing",
    "check_can_convert",
    "checksum_of",
    "find_file",
    "get_model",
    "home",
    "import_model",
    "install_hint",
    "is_available",
    "is_installed",
    "list_models",
    "model_names",
    "network_roles",
    "preset_model",
    "pull_model",
    "read_file",
    "read_manifest",
    "remove_model",
    "verify_file",
]
