"""Options of the command line, each declared once, in groups that commands receive as objects."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from cleanplate.errors import InputError
from cleanplate.labels import ALL

if TYPE_CHECKING:
    from cleanplate.batch import Example, MaskFiles, PhotoFilter, Published, Resources, RunPlan
    from cleanplate.options import Effects, Point, PointBox, Region, Rules
    from cleanplate.remover import Remover

WHAT, PHOTOS, HOW, RESULTS, WORK = (
    "What is removed",
    "Which photos",
    "How",
    "Results",
    "The run",
)
"""Headings that `--help` groups options under."""


def option(*names: str, panel: str | None = None, show_default: Any = False, **more: Any) -> Any:
    """Return an option that shows no default unless told to."""
    return typer.Option(*names, rich_help_panel=panel, show_default=show_default, **more)


def flag(*names: str, panel: str | None = None, help: str) -> Any:
    """Return an option that is on or off; its type is omitted from the help."""
    return typer.Option(*names, rich_help_panel=panel, help=help, metavar="")


def expand_options(
    *, omit: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that expands option groups in the signature that Typer reads.

    A parameter of the command whose type is a dataclass is replaced by the fields of that class,
    each an option; the command is called with an instance made of their values.

    Args:
        omit: fields that the command does not offer; they keep their defaults.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        groups: dict[str, tuple[Any, list[str]]] = {}
        for parameter in inspect.signature(command).parameters.values():
            group: Any = parameter.annotation
            if not is_dataclass(group):
                parameters.append(parameter)
                continue
            hints = get_type_hints(group, include_extras=True)
            offered = [field for field in fields(group) if field.name not in omit]
            groups[parameter.name] = group, [field.name for field in offered]
            parameters += [
                parameter.replace(
                    name=field.name, default=field.default, annotation=hints[field.name]
                )
                for field in offered
            ]

        @functools.wraps(command)
        def call(**values: Any) -> None:
            for name, (group, keys) in groups.items():
                values[name] = group(**{key: values.pop(key) for key in keys})
            command(**values)

        paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
        call.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        return call

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalArguments:
    """What is removed and what is kept, as given on the command line; None: not given."""

    remove: Annotated[
        list[str] | None,
        option(
            metavar="NAMES",
            panel=WHAT,
            help="What to remove: person,car or ids such as 15,7 or all. Repeatable. "
            "'cleanplate labels' lists them.",
        ),
    ] = None
    like: Annotated[
        list[Path] | None,
        option(
            metavar="FILE",
            panel=WHAT,
            help="Instead of --remove: remove the object that is marked in this example photo, "
            "wherever it is found. Repeatable.",
        ),
    ] = None
    like_mask: Annotated[
        list[Path] | None,
        option(
            metavar="FILE",
            panel=WHAT,
            help="Mask of the example, white = the object; one for each --like.",
        ),
    ] = None
    point: Annotated[
        list[str] | None,
        option(
            metavar="X,Y",
            panel=WHAT,
            help="Remove the object at this pixel, from the upper left corner. Repeatable. With "
            "--remove, only among the objects named there.",
        ),
    ] = None
    box: Annotated[
        list[str] | None,
        option(
            metavar="X,Y,W,H",
            panel=WHAT,
            help="Remove the object in this rectangle, in pixels. Repeatable.",
        ),
    ] = None
    min_score: Annotated[
        float | None,
        option(
            metavar="0..1",
            min=0.0,
            max=1.0,
            panel=WHAT,
            help="Keep objects with a lower confidence score.",
            show_default="0.5",  # cleanplate.options.DEFAULT_MIN_SCORE
        ),
    ] = None
    min_area: Annotated[
        str | None,
        option(
            metavar="PX|%",
            panel=WHAT,
            help="Keep smaller objects: pixels, or a percentage of the photo such as 1%.",
            show_default="0",
        ),
    ] = None
    max_area: Annotated[
        str | None,
        option(
            metavar="PX|%",
            panel=WHAT,
            help="Keep larger objects: pixels, or a percentage of the photo such as 5%.",
            show_default="no limit",
        ),
    ] = None
    keep: Annotated[
        str | None,
        option(metavar="largest|N", panel=WHAT, help="Keep the largest object, or the N largest."),
    ] = None
    background_people: Annotated[
        bool,
        flag(
            "--background-people",
            panel=WHAT,
            help="Remove people, but keep the main subject: large, sharp and central people, and "
            "those who stand with them.",
        ),
    ] = False
    protect: Annotated[
        list[str] | None,
        option(
            metavar="NAMES",
            panel=WHAT,
            help="Objects that are never filled, not even by a margin: dog,cat. Repeatable.",
        ),
    ] = None
    only: Annotated[
        str | None,
        option(
            metavar="NUMBERS",
            panel=WHAT,
            help="Remove only these objects of one photo, such as 1,3: the numbers shown by "
            "--dry-run -v, or in a report.",
        ),
    ] = None
    region: Annotated[
        str | None,
        option(
            metavar="X,Y,W,H",
            panel=WHAT,
            help="Keep objects that lie mostly outside this rectangle; pixels or percentages, such "
            "as 50%,0,50%,100% for the right half.",
        ),
    ] = None
    dilate: Annotated[
        int | None,
        option(
            metavar="PX",
            min=0,
            panel=HOW,
            help="Margin to remove around each object.",
            show_default="by its size",
        ),
    ] = None
    effects: Annotated[
        str | None,
        option(
            metavar="auto|off|strong",
            panel=HOW,
            help="Also remove the shadows and reflections of the objects: those found with "
            "certainty (auto), none (off), or uncertain and large ones too (strong).",
            show_default="auto",
        ),
    ] = None
    shadows: Annotated[
        bool | None,
        option(
            "--shadows/--no-shadows",
            metavar="",
            panel=HOW,
            help="Deprecated: give --effects auto, or off.",
        ),
    ] = None
    verify: Annotated[
        bool | None,
        option(
            "--verify/--no-verify",
            metavar="",
            panel=HOW,
            help="Recheck the filled holes, and refill where anything is still detected.",
            show_default="--verify",
        ),
    ] = None

    texture: Annotated[
        bool | None,
        option(
            "--texture/--no-texture",
            metavar="",
            panel=HOW,
            help="Give smooth fills the photo's own texture, or keep them as the network returns "
            "them.",
            show_default="--texture",
        ),
    ] = None
    seed: Annotated[
        int | None,
        option(
            metavar="N",
            min=0,
            panel=HOW,
            help="Random seed: another number gives another fill, if the inpainter is random.",
            show_default="0",
        ),
    ] = None

    @property
    def names(self) -> list[str]:
        """What to remove: of the examples all that they show."""
        return [ALL] if self.like else self.remove or []

    @property
    def is_empty(self) -> bool:
        """Whether nothing says what to remove."""
        return not (self.names or self.background_people or self.point or self.box)

    def points(self) -> "tuple[Point, ...]":
        """Parse the points.

        Raises:
            InputError: one cannot be parsed.
        """
        return tuple(
            (x, y) for x, y in (_parse_pixels("--point", it, 2) for it in self.point or ())
        )

    def boxes(self) -> "tuple[PointBox, ...]":
        """Parse the boxes.

        Raises:
            InputError: one cannot be parsed.
        """
        boxes = (_parse_pixels("--box", it, 4) for it in self.box or ())
        return tuple((x, y, width, height) for x, y, width, height in boxes)

    def settings(self) -> dict[str, Any]:
        """Return the fields of `RemovalOptions` that were given, but for what is to be removed.

        Raises:
            InputError: an option cannot be parsed.
        """
        from cleanplate.options import Rules

        rules = self.rules()
        given = {
            "min_score": self.min_score,
            "min_area": self.min_area,
            "rules": None if rules == Rules() else rules,
            "dilation": self.dilate,
            "effects": self.effects_wanted(),
            "verify": self.verify,
            "texture": self.texture,
            "seed": self.seed,
        }
        return {name: value for name, value in given.items() if value is not None}

    def effects_wanted(self) -> "Effects | None":
        """Return what was given about effects; warn of the deprecated option.

        Raises:
            InputError: an unknown value, or both options were given.
        """
        from cleanplate.options import RemovalOptions

        given: Any = self.effects
        if self.shadows is not None:
            given = "auto" if self.shadows else "off"
            name = "--shadows" if self.shadows else "--no-shadows"
            if self.effects is not None:
                raise InputError(f"{name} and --effects exclude each other; give only --effects")
            typer.echo(f"{name} is deprecated; give --effects {given}", err=True)
        return None if given is None else RemovalOptions(effects=given).effects

    def rules(self) -> "Rules":
        """Parse and check the rules, and `min_area` with them.

        Raises:
            InputError: one of them cannot be parsed.
        """
        from cleanplate.options import Rules, area_px

        area_px("min_area", self.min_area or 0, (1, 1))
        return Rules(
            keep=0 if self.keep is None else _parse_count(self.keep),
            background_people=self.background_people,
            max_area=self.max_area,
            protect=tuple(self.protect or ()),
            only=() if self.only is None else _parse_numbers(self.only),
            region=None if self.region is None else _parse_region(self.region),
        )

    def given(self) -> dict[str, object]:
        """Return the options that were given, except what to remove: name on the command line."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("remove", "like", "like_mask") or value in (None, field.default):
                continue
            no = "no-" if value is False else ""
            found[f"--{no}{field.name.replace('_', '-')}"] = value
        return found

    def check_examples(self, *, excluded: Mapping[str, object | None], report: Path | None) -> None:
        """Check examples, if there are any: each has a mask, and no other option chooses objects.

        Args:
            excluded: values of the options that name in another way what to remove.
            report: a file that will be replaced.

        Raises:
            InputError: a mask is missing, an excluded option is given, or the report would replace
                an example.
        """
        like, masks = self.like or [], self.like_mask or []
        if not like and not masks:
            return
        from cleanplate.batch import check_report

        if len(like) != len(masks):
            raise InputError(
                "--like and --like-mask belong together, one mask for each example; got "
                f"{len(like)} and {len(masks)}"
            )
        others = [name for name, value in {"--remove": self.remove, **excluded}.items() if value]
        if others:
            raise InputError(
                f"--like and {' and '.join(others)} exclude each other: the example defines what "
                "is removed; give one of them"
            )
        if report is not None:
            check_report(report, stay=(*like, *masks))

    def examples(
        self, plan: "RunPlan | None" = None, *, masks: Path | None = None
    ) -> "tuple[Example, ...]":
        """Open the examples.

        Args:
            plan: what will be written; it must not overwrite an example.
            masks: the folder that masks are saved to, likewise.

        Raises:
            InputError: one cannot be read, or would be overwritten.
        """
        if not self.like:
            return ()
        from cleanplate.batch import check_examples_stay, open_examples

        examples = open_examples(self.like, self.like_mask or [])
        if plan is not None:
            check_examples_stay(plan, examples, masks=masks)
        return examples


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionOptions:
    """Which photos of the inputs are processed."""

    recursive: Annotated[
        bool, flag("--recursive", "-r", panel=PHOTOS, help="Include sub-folders.")
    ] = False
    include: Annotated[
        list[str] | None,
        option(
            metavar="GLOB",
            panel=PHOTOS,
            help="Process only photos whose name, or path below the input, matches: '*.jpg', "
            "'a/**'. Repeatable.",
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        option(
            metavar="GLOB",
            panel=PHOTOS,
            help="Exclude photos whose name, folder or path matches. Repeatable.",
        ),
    ] = None
    min_size: Annotated[
        int | None,
        option(
            metavar="PX", min=1, panel=PHOTOS, help="Exclude photos whose long side is shorter."
        ),
    ] = None
    max_size: Annotated[
        int | None,
        option(metavar="PX", min=1, panel=PHOTOS, help="Exclude photos whose long side is longer."),
    ] = None

    def photo_filter(self) -> "PhotoFilter":
        """Return what lets these photos pass.

        Raises:
            InputError: no size lies between the two.
        """
        from cleanplate.batch import PhotoFilter

        return PhotoFilter(
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            min_size=self.min_size,
            max_size=self.max_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskArguments:
    """The user's masks, as given on the command line."""

    mask: Annotated[
        Path | None,
        option(
            metavar="DIR|FILE",
            panel=WHAT,
            help="Instead of --remove: remove what your own masks show in white; one file for all "
            "photos, or a folder with a.png for a.jpg. Photos without a mask are copied.",
        ),
    ] = None
    mask_name: Annotated[
        str | None,
        option(
            metavar="NAME",
            panel=WHAT,
            help="Names of the masks in the folder: '{stem}_mask.png' for a_mask.png, "
            "'{name}.png' for a.jpg.png.",
        ),
    ] = None
    mask_label: Annotated[
        str | None,
        option(
            metavar="NUMBERS",
            panel=WHAT,
            help="Remove the pixels of these values or palette entries of the masks, such as 15,7.",
        ),
    ] = None
    mask_alpha: Annotated[
        bool, flag("--mask-alpha", panel=WHAT, help="Remove what is transparent in the masks.")
    ] = False
    invert_mask: Annotated[
        bool, flag("--invert-mask", panel=WHAT, help="Remove the rest: black instead of white.")
    ] = False

    def files(self) -> "MaskFiles | None":
        """Return the masks; None if none are given.

        Raises:
            InputError: an option cannot be parsed, or needs --mask.
        """
        from cleanplate.batch import MaskFiles
        from cleanplate.io import MaskReading

        given = {
            "--mask-name": self.mask_name,
            "--mask-label": self.mask_label,
            "--mask-alpha": self.mask_alpha,
            "--invert-mask": self.invert_mask,
        }
        if self.mask is None:
            unused = next((name for name, value in given.items() if value), None)
            if unused is not None:
                raise InputError(f"{unused} belongs to --mask; give both")
            return None
        if self.mask_label and self.mask_alpha:
            raise InputError("--mask-label and --mask-alpha exclude each other; give one of them")
        labels = () if self.mask_label is None else _parse_labels(self.mask_label)
        reading = MaskReading(labels=labels, alpha=self.mask_alpha, invert=self.invert_mask)
        return MaskFiles(self.mask, name=self.mask_name, reading=reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The models, and the device that computes."""

    preset: Annotated[
        str | None,
        option(
            metavar="fast|best|published",
            panel=HOW,
            help="Segmenter and inpainter, unless given: fast, the built-in ones; best, "
            "RF-DETR-Seg, and OSOR if installed, else LaMa; published (only 'run'), all steps as "
            "in Automated-Objects-Removal-Inpainter. "
            "Missing models are offered for download.",
        ),
    ] = None
    segmenter: Annotated[
        str | None,
        option(
            metavar="NAME",
            panel=HOW,
            help="Model that finds the objects; 'cleanplate models list' lists them.",
            show_default="deeplabv3plus_lite2.voc",
        ),
    ] = None
    inpainter: Annotated[
        str | None,
        option(
            metavar="NAME",
            panel=HOW,
            help="Inpainter: telea, navier-stokes, a model ('cleanplate models list' lists them), "
            "or diffusers:FOLDER, a diffusers pipeline.",
            show_default="edgeconnect.photos",
        ),
    ] = None
    trust_pickle: Annotated[
        bool,
        flag(
            "--trust-pickle",
            panel=HOW,
            help="Read the pickled weights of diffusers:FOLDER too; they may run code.",
        ),
    ] = False
    device: Annotated[
        str,
        option(
            metavar="NAME",
            panel=HOW,
            help="Device: auto, cpu, cuda, cuda-fp16, openvino, coreml or directml.",
            show_default=True,
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedArguments:
    """Options of `--preset published`, as given on the command line."""

    as_published_size: Annotated[
        bool,
        flag(
            "--as-published-size",
            panel=RESULTS,
            help="With --preset published: write squares of 256 x 256 px, whatever the photo's "
            "size, instead of the photos.",
        ),
    ] = False
    edges: Annotated[
        Path | None,
        option(
            metavar="DIR",
            panel=HOW,
            help="With --preset published: fill along these edges, white on black, a.png for "
            "a.jpg, instead of the predicted ones.",
        ),
    ] = None
    canny_sigma: Annotated[
        float | None,
        option(
            metavar="PX",
            min=0.1,
            max=50.0,
            panel=HOW,
            help="With --preset published: blur before edge detection around the hole.",
            show_default="2",
        ),
    ] = None
    save_intermediate: Annotated[
        Path | None,
        option(
            metavar="DIR",
            panel=RESULTS,
            help="With --preset published: save the networks' inputs in this folder, as "
            "a_masked.png and a_edges.png. Files of their names are replaced.",
        ),
    ] = None

    def settings(self, preset: str | None, excluded: Mapping[str, object]) -> "Published | None":
        """Return how `--preset published` fills; None without it.

        Args:
            preset: value of `--preset`.
            excluded: values of the options that do not go with it.

        Raises:
            InputError: one of them was given, or an option without the preset.
        """
        from cleanplate.batch import MaskFiles, Published

        own = {f"--{f.name.replace('_', '-')}": getattr(self, f.name) for f in fields(self)}
        if preset != "published":
            unused = next((name for name, value in own.items() if value), None)
            if unused is not None:
                raise InputError(f"{unused} belongs to --preset published; give both")
            return None
        given = [name for name, value in excluded.items() if value]
        if given:
            raise InputError(
                f"{', '.join(given)} and --preset published exclude each other; omit one of them"
            )
        if self.edges is not None and not self.edges.is_dir():
            raise InputError(f"{self.edges}: no such folder; --edges takes a folder")
        return Published(
            as_published_size=self.as_published_size,
            canny_sigma=2.0 if self.canny_sigma is None else self.canny_sigma,
            edges=None if self.edges is None else MaskFiles(self.edges),
            save_intermediate=self.save_intermediate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The files that a run writes."""

    report: Annotated[
        Path | None,
        option(
            metavar="FILE",
            panel=RESULTS,
            help="Write one line of JSON per photo to this file. If its name ends in .html: a page "
            "with thumbnails, and the lines beside it. Replaced if it exists.",
        ),
    ] = None
    raw_output: Annotated[
        str,
        option(
            metavar="tiff|jpeg",
            panel=RESULTS,
            help="Format for camera RAW photos: tiff (16 bits) or jpeg. One in which nothing is "
            "found is copied as it is.",
            show_default=True,
        ),
    ] = "tiff"
    untouched: Annotated[
        str,
        option(
            metavar="copy|link|skip",
            panel=RESULTS,
            help="What to do with a photo in which nothing is found: copy it; link it, which takes "
            "no space (where the disk cannot share blocks, editing one in place edits both); or "
            "write nothing.",
            show_default=True,
        ),
    ] = "copy"
    preserve_times: Annotated[
        bool,
        flag(
            "--preserve-times",
            panel=RESULTS,
            help="Set the modification time of changed photos to that of the original.",
        ),
    ] = False
    overwrite: Annotated[
        bool, flag("--overwrite", panel=RESULTS, help="Replace outputs and masks that exist.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceOptions:
    """How much of the machine a run uses; None: as much as is useful."""

    threads: Annotated[
        int | None,
        option(
            metavar="N",
            min=1,
            panel=WORK,
            help="CPU cores for all workers together.",
            show_default="all available",
        ),
    ] = None
    workers: Annotated[
        int | None,
        option(
            metavar="N",
            min=1,
            panel=WORK,
            help="Photos to process at once; they share the CPU cores.",
            show_default="by cores, memory and photos",
        ),
    ] = None
    max_memory: Annotated[
        str | None,
        option(
            metavar="SIZE",
            panel=WORK,
            help="Memory limit, such as 800M or 4G. A photo that needs more is processed alone.",
            show_default="3/4 of the free memory",
        ),
    ] = None

    def resources(self, photos: int, remover: "Remover") -> "Resources":
        """Return what a run of so many photos uses.

        Raises:
            InputError: the options ask for more than there is, or less than is needed.
        """
        from cleanplate import batch, inpainting

        # Two copies of a network of gigabytes would not fit.
        name = remover.config[1]
        is_large = inpainting.finds_effects(name) or (
            isinstance(name, str) and name.startswith(inpainting.PIPELINES)
        )
        return batch.Resources.for_run(
            photos,
            workers=self.workers,
            threads=self.threads,
            max_memory=None if self.max_memory is None else batch.parse_size(self.max_memory),
            portable=batch.is_portable(remover) and not is_large,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(ResourceOptions):
    """How a run proceeds and what it prints."""

    fail_fast: Annotated[
        bool, flag("--fail-fast", panel=WORK, help="Stop at the first photo that fails.")
    ] = False
    verbose: Annotated[
        bool,
        flag(
            "--verbose",
            "-v",
            panel=WORK,
            help="Print boxes, areas, notes and the time of each stage.",
        ),
    ] = False
    quiet: Annotated[bool, flag("--quiet", "-q", panel=WORK, help="Print errors only.")] = False

    def check(self) -> None:
        """Raise InputError if `quiet` and `verbose` are both given."""
        if self.quiet and self.verbose:
            raise InputError("-q and -v exclude each other; give one of them")


Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN...",
        help="Photos, folders, or quoted patterns such as 'photos/**/*.jpg'; @FILE for a list of "
        "them, one a line.",
        show_default=False,
    ),
]


def check_only(rules: "Rules", photos: int) -> None:
    """Refuse object numbers for several photos: each photo has its own numbering.

    Raises:
        InputError: there are numbers, but not exactly one photo.
    """
    if rules.only and photos != 1:
        raise InputError(
            f"--only takes the object numbers of one photo, but {photos} were given; name one"
        )


def _parse_count(text: str) -> int:
    word = text.strip().lower()
    if word == "largest":
        return 1
    if not word.isdecimal() or int(word) < 1:
        raise InputError(f"--keep takes 'largest' or a number >= 1, got {text!r}")
    return int(word)


def _parse_numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--only takes object numbers >= 1, such as 1,3, got {text!r}")
    return tuple(dict.fromkeys(int(word) for word in words))


def _parse_labels(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise InputError(f"--mask-label takes values from 0 on, such as 15,7, got {text!r}")
    return tuple(int(word) for word in words)


def _parse_pixels(name: str, text: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        example = "120,80" if count == 2 else "10,20,64,64"
        raise InputError(f"{name} takes {count} numbers in pixels, such as {example}, got {text!r}")
    return values


def _parse_region(text: str) -> "Region":
    edges = [edge.strip() for edge in text.split(",")]
    if len(edges) != 4:
        raise InputError(
            f"--region takes left, top, width and height, such as 0,50%,100%,50%, got {text!r}"
        )
    return edges[0], edges[1], edges[2], edges[3]
