"""What a run does with every photo, and how its options and models are recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cleanplate.batch.planning import Example, MaskFiles
from cleanplate.errors import CleanplateError, InputError
from cleanplate.hub import get_model, read_manifest
from cleanplate.io import MaskReading, RawOutput
from cleanplate.options import OPTION_NAMES, RemovalOptions
from cleanplate.segmentation import DEFAULT_EFFECTS_MODEL, OUTLINING_MODEL

if TYPE_CHECKING:
    from cleanplate.remover import Remover

Untouched = Literal["copy", "link", "skip"]
"""What becomes of a photo that has nothing to remove:

copy  a byte-for-byte copy
link  a copy that shares its blocks where the disk can, else a hard link: one file, two names
skip  nothing is written
"""

MaskOrientation = Literal["upright", "stored"]
"""How masks are saved: as the photo is shown, or as its pixels are stored."""

Step = Literal["remove", "plan", "fill"]
"""What is done with a photo:

remove  detect the objects and fill them
plan    detect the objects and write what would be filled, for a person to edit
fill    fill masks or edited plans
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How `--preset published` fills: by an older tool's steps instead of this project's."""

    as_published_size: bool = False  # write the filled square, 256 x 256 px, instead of the photo
    canny_sigma: float = 2.0  # px, of the blur before edges are found
    edges: MaskFiles | None = None  # edges that the user drew, instead of the network's
    save_intermediate: Path | None = None  # folder for the square with its hole, and its edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with every photo of a run."""

    options: RemovalOptions = field(default_factory=RemovalOptions)  # classes are canonical labels
    raw_output: RawOutput = "tiff"  # what camera RAW files are written as
    published: Published | None = None  # None: this project's pipeline
    own_masks: MaskFiles | None = None  # the user's masks instead of the segmenter's
    masks: Path | None = None  # folder to save masks to
    mask_orientation: MaskOrientation = "upright"  # of these
    untouched: Untouched = "copy"  # what to do with a photo that has nothing to remove
    preserve_times: bool = False  # whether changed photos get their original's mtime
    plan_only: bool = False  # the first stage: write plans to the targets, no photo
    own_plans: MaskFiles | None = None  # the second stage: fill these plans
    examples: tuple[Example, ...] = ()  # what the segmenter uses, if it finds by example
    thumbnails: bool = False  # make thumbnails for the report's page
    dry_run: bool = False  # write no photo and no mask
    overwrite: bool = False
    fail_fast: bool = False

    @property
    def drawings(self) -> MaskFiles | None:
        """The user's masks, plans or edges; None if the run uses none."""
        edges = None if self.published is None else self.published.edges
        return self.own_plans or self.own_masks or edges

    @property
    def step(self) -> Step:
        """What is done with every photo."""
        if self.plan_only:
            return "plan"
        return "remove" if self.own_masks is None and self.own_plans is None else "fill"


ModelNames = dict[str, dict[str, str | None]]
"""{"models": {"segmenter": name, "inpainter": name}, "provider": the same}; None: not used."""


def describe_models(remover: "Remover", job: Job) -> ModelNames:
    """Return the names and providers of the models that a run needs; None for the others.

    A segmenter is not loaded for a run with the user's own masks, nor an inpainter for a dry run.
    """
    segmenter = remover.segmenter if job.own_masks is None else None
    inpainter = None if job.dry_run or job.plan_only else remover.inpainter
    both = {"segmenter": segmenter, "inpainter": inpainter}
    return {
        "models": {role: model.name if model else None for role, model in both.items()},
        "provider": {role: model.provider if model else None for role, model in both.items()},
    }


_OPTIONS = {
    "classes": "--remove",
    "dilation": "--dilate",
    "points": "--point",
    "boxes": "--box",
    "plans": "--masks",
}
"""Settings that are called otherwise on the command line."""

_WITHOUT_EFFECT = ("untouched", "preserve_times", "like", "like_mask", "save_intermediate")
"""Settings that change neither what is filled nor how; of examples, the contents do."""

_ALWAYS_SHOWN = ("min_score",)
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
        "preserve_times": job.preserve_times,
        "mask": None if job.own_masks is None else str(job.own_masks.path),
        **_describe_reading(job.own_masks),
        "published": _describe_published(job.published),
        "plans": None if job.own_plans is None else str(job.own_plans.path),
    }


def job_of(settings: Mapping[str, Any]) -> Job:
    """Return the job that `describe_settings` described, set to replace what exists.

    Its examples are excluded: see `examples_of_run`.

    Raises:
        InputError: it cannot be understood.
    """
    try:
        options = {name: settings[name] for name in OPTION_NAMES if name in settings}
        mask, plans = settings["mask"], settings["plans"]
        return Job(
            options=RemovalOptions.from_json(options),
            raw_output=settings["raw_output"],
            untouched=settings.get("untouched", "copy"),
            preserve_times=settings.get("preserve_times", False),
            own_masks=None if mask is None else _mask_files(Path(mask), settings),
            own_plans=None if plans is None else MaskFiles(Path(plans)),
            published=_published(settings.get("published")),
            overwrite=True,
        )
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the report's settings are not understood ({error}); use 'run' with all options"
        ) from error


def _describe_reading(masks: MaskFiles | None) -> dict[str, object]:
    name = None if masks is None else masks.name
    reading = MaskReading() if masks is None else masks.reading
    return {
        "mask_name": name,
        "mask_label": list(reading.labels),
        "mask_alpha": reading.alpha,
        "invert_mask": reading.invert,
    }


def _describe_published(published: Published | None) -> dict[str, object] | None:
    if published is None:
        return None
    return {
        "preset": "published",
        "as_published_size": published.as_published_size,
        "canny_sigma": published.canny_sigma,
        "edges": None if published.edges is None else str(published.edges.path),
        "save_intermediate": None
        if published.save_intermediate is None
        else str(published.save_intermediate),
    }


def _published(settings: Mapping[str, Any] | None) -> Published | None:
    if settings is None:
        return None
    edges, folder = settings["edges"], settings["save_intermediate"]
    return Published(
        as_published_size=settings["as_published_size"],
        canny_sigma=settings["canny_sigma"],
        edges=None if edges is None else MaskFiles(Path(edges)),
        save_intermediate=None if folder is None else Path(folder),
    )


def _mask_files(path: Path, settings: Mapping[str, Any]) -> MaskFiles:
    reading = MaskReading(
        labels=tuple(settings["mask_label"]),
        alpha=settings["mask_alpha"],
        invert=settings["invert_mask"],
    )
    return MaskFiles(path, name=settings["mask_name"], reading=reading)


def settings_in_words(job: Job, remover: "Remover") -> Mapping[str, str]:
    """Return option or model -> value; two runs with equal ones make the same of the same photo.

    Options at their default are omitted, so that a new option changes nothing for old journals. Of
    each network that decides what is removed or how it is filled, the start of its files' hashes
    is among the values.

    Args:
        job: what is done with every photo.
        remover: does it; loads what `describe_models` does, and a prompter where points need one.
    """
    default = flat_settings(describe_settings(Job()))
    words = {
        _OPTIONS.get(name, "--" + name.replace("_", "-")): _in_words(name, value)
        for name, value in flat_settings(describe_settings(job)).items()
        if name not in _WITHOUT_EFFECT and (value != default.get(name) or name in _ALWAYS_SHOWN)
    }
    if job.examples:
        words["--like"] = ", ".join(
            f"{example.photo_sha256[:_HASH_DIGITS]} {example.mask_sha256[:_HASH_DIGITS]}"
            for example in job.examples
        )
    for role, model in describe_models(remover, job)["models"].items():
        if model is not None:
            hashes = _hashes(model)
            words[f"--{role}"] = f"{model} ({hashes})" if hashes else model
    return words | {name: _hashes(name) for name in _other_networks(remover, job)}


def _other_networks(remover: "Remover", job: Job) -> Iterator[str]:
    """Yield the names of a run's networks that are neither its segmenter nor its inpainter."""
    if job.published is not None:
        return
    yield DEFAULT_EFFECTS_MODEL  # with effects "off" too: what is kept is not copied from
    if job.own_masks is None:
        yield from getattr(remover.segmenter, "helpers", ())
        prompter = remover.prompter_for(job.options)
        yield OUTLINING_MODEL if prompter is None else prompter.name


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


def _hashes(name: str) -> str:
    """Return the start of the hashes of a model's files; "" where it is not registered."""
    try:
        model = get_model(name)
        if model.is_built_in:
            hashes = [file.sha256 or "" for file in model.files]
        else:
            hashes = [file.sha256 for file in read_manifest(model).files.values()]
    except CleanplateError:  # OpenCV's methods, and models of the caller's own
        return ""
    return ", ".join(sorted(text[:_HASH_DIGITS] for text in hashes))
