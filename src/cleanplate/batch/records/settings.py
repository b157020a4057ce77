"""What was done with every photo of a run: as a report states it, and as a journal compares it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cleanplate.batch.job import Job
from cleanplate.batch.planning import MaskFiles
from cleanplate.batch.records.results import ModelNames
from cleanplate.errors import CleanplateError, InputError
from cleanplate.hub import get_model, read_manifest
from cleanplate.options import OPTION_NAMES, RemovalOptions

_OPTIONS = {
    "classes": "--remove",
    "dilation": "--dilate",
    "points": "--point",
    "boxes": "--box",
    "plans": "--masks",
}
"""Settings that are called otherwise on the command line."""

_WITHOUT_EFFECT = ("untouched", "like", "like_mask")
"""Settings that change neither what is filled nor how; of examples, the contents do."""

_ALWAYS_TOLD = ("min_score",)
"""Settings whose default on the command line is not that of `Job`."""

_HASH_DIGITS = 12  # shown of each file's SHA-256


def describe_settings(job: Job) -> dict[str, object]:
    """Return what a report says about the options of a run, from which it can be done again."""
    return {
        **job.options.to_json(),
        "like": [str(example.photo) for example in job.examples],
        "like_mask": [str(example.mask) for example in job.examples],
        "raw_output": job.raw_output,
        "untouched": job.untouched,
        "mask": None if job.own_masks is None else str(job.own_masks.path),
        "plans": None if job.own_plans is None else str(job.own_plans.path),
    }


def job_of(settings: Mapping[str, Any]) -> Job:
    """Return the job that `describe_settings` described, set to replace what exists.

    Its examples are excluded: see `examples_of_run`.

    Raises:
        InputError: it cannot be understood.
    """
    try:
        options = {name: settings[name] for name in OPTION_NAMES}
        mask, plans = settings["mask"], settings["plans"]
        return Job(
            options=RemovalOptions.from_json(options),
            raw_output=settings["raw_output"],
            untouched=settings.get("untouched", "copy"),
            own_masks=None if mask is None else MaskFiles(Path(mask)),
            own_plans=None if plans is None else MaskFiles(Path(plans)),
            overwrite=True,
        )
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the report's settings are not understood ({error}); give the options to 'run' anew"
        ) from error


def settings_in_words(job: Job, models: ModelNames) -> Mapping[str, str]:
    """Return option or model -> value; two runs with equal ones make the same of the same photo.

    Options at their default are omitted, so that a new option changes nothing for old journals.

    Args:
        job: what is done with every photo.
        models: from `describe_models`.
    """
    default = flat_settings(describe_settings(Job()))
    words = {
        _OPTIONS.get(name, "--" + name.replace("_", "-")): _in_words(name, value)
        for name, value in flat_settings(describe_settings(job)).items()
        if name not in _WITHOUT_EFFECT and (value != default[name] or name in _ALWAYS_TOLD)
    }
    if job.examples:
        words["--like"] = ", ".join(
            f"{example.photo_sha256[:_HASH_DIGITS]} {example.mask_sha256[:_HASH_DIGITS]}"
            for example in job.examples
        )
    for role, model in models["models"].items():
        if model is not None:
            words[f"--{role}"] = _with_hash(model)
    return words


def difference_in_words(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return how two results of `settings_in_words` differ."""
    names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    return ", ".join(
        f"{name} {then.get(name, 'not given')}, now {now.get(name, 'not given')}" for name in names
    )


def flat_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings with the rules among them, each under its own name."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _in_words(name: str, value: object) -> str:
    if name in ("mask", "plans"):
        return str(Path(str(value)).absolute())
    if isinstance(value, tuple | list):
        items = [str(item) for item in value]
        return ", ".join(items if name == "region" else sorted(items))
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
    return f"{name} ({', '.join(sorted(text[:_HASH_DIGITS] for text in hashes))})"
