"""The settings that decide what a run makes of a photo, in words."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.report import ModelNames
from cleanplate.batch.running import Job
from cleanplate.errors import CleanplateError
from cleanplate.models.registry import get_model
from cleanplate.models.store import read_manifest

_WITHOUT_EFFECT = {"masks", "dry_run", "overwrite", "fail_fast", "untouched"}
"""Fields of a job that do not change what is filled or how."""

_OPTIONS = {"labels": "--remove", "own_masks": "--mask"}
"""Fields that are called otherwise on the command line."""


def describe_settings(job: Job, models: ModelNames) -> Mapping[str, str]:
    """Return option or model -> value; two runs with equal ones make the same of the same photo.

    What has its default is left out, so that a new option changes nothing for old journals.

    Args:
        job: what is done with every photo.
        models: from `describe_models`.
    """
    settings = {}
    for field in fields(job):
        value = getattr(job, field.name)
        default = field.default if field.default is not MISSING else None
        if field.name not in _WITHOUT_EFFECT and value != default:
            name = _OPTIONS.get(field.name, "--" + field.name.replace("_", "-"))
            settings[name] = _in_words(value)
    for role, model in models["models"].items():
        if model is not None:
            settings[f"--{role}"] = _with_hash(model)
    return settings


def _in_words(value: object) -> str:
    if isinstance(value, MaskFiles):
        return str(value.path.absolute())
    if isinstance(value, tuple | list | set | frozenset):
        return ", ".join(sorted(str(item) for item in value))
    if isinstance(value, Path):
        return str(value.absolute())
    return str(value)


def _with_hash(name: str) -> str:
    """Return a model's name with the start of its files' hashes, where it is registered."""
    try:
        model = get_model(name)
        if model.is_built_in:
            hashes = [file.sha256 or "" for file in model.files]
        else:
            hashes = [file.sha256 for file in read_manifest(model).files.values()]
    except CleanplateError:  # OpenCV's methods, and models of the caller's own
        return name
    return f"{name} ({', '.join(sorted(text[:12] for text in hashes))})"
