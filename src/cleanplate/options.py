"""What to remove and how: the options that a photo, a clip or a run of photos is processed with.

They are checked once, when they are made, and passed on unopened.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from cleanplate.errors import InputError

if TYPE_CHECKING:
    from cleanplate.types import Box

Area = float | str
"""Pixels, or a share of the photo such as "5%"."""

Region = tuple[Area, Area, Area, Area]
"""Left, top, width and height: pixels, or shares of the photo's width and height such as "25%"."""

Point = tuple[float, float]
"""x and y in px, from the photo's upper left corner."""

PointBox = tuple[float, float, float, float]
"""Left, top, width and height in px."""

Effects = Literal["auto", "off", "strong"]
"""Whether shadows and reflections go with their objects:

auto    those that the network is certain of, up to three times the object's area
off     none
strong  uncertain and larger ones too
"""

DEFAULT_MIN_SCORE = 0.5
"""Objects below this mean probability stay. True detections on real photos are mostly above 0.6,
false ones below 0.5; figures against the light are near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which objects of the given classes stay. The defaults keep none.

    Raises:
        InputError: a value out of range.
    """

    keep: int = 0
    """So many of the largest objects stay."""

    background_people: bool = False
    """People are removed, whether named or not, except the main subject of the photo."""

    max_area: Area | None = None
    """Larger objects stay: px, or a share of the photo such as "5%"."""

    protect: Collection[str] = ()
    """Labels of objects that are never filled, not even by a margin, and never copied from."""

    only: Collection[int] = ()
    """Numbers (`Instance.id`) of the objects that may be removed; none means all of them."""

    region: Region | None = None
    """Objects that lie mostly outside this part of the photo stay."""

    def __post_init__(self) -> None:
        """Check the values."""
        object.__setattr__(self, "protect", _names("protect", self.protect))
        if not _is_number(self.keep) or self.keep < 0:
            raise InputError(f"keep must be at least 0, got {self.keep!r}")
        _check_bool("background_people", self.background_people)
        only = _sequence("only", self.only, "object numbers such as (1, 3)")
        object.__setattr__(self, "only", only)
        for number in only:
            if not _is_number(number) or number < 1:
                raise InputError(f"only takes object numbers from 1 on, got {number!r}")
        if self.max_area is not None:
            _parse("max_area", self.max_area)
        if self.region is not None:
            object.__setattr__(self, "region", _checked_region(self.region))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalOptions:
    """What is removed from a photo, and how.

    Raises:
        InputError: a value of the wrong type or out of range.
    """

    classes: Collection[str] = ()
    """Label names, everyday words or VOC ids of what is removed."""

    min_score: float = DEFAULT_MIN_SCORE
    """[0, 1]; objects of a lower mean probability stay."""

    min_area: Area = 0
    """Smaller objects stay: px, or a share of the photo such as "5%"."""

    dilation: float | None = None
    """px, >= 0; margin around every object. None scales it with each object."""

    effects: Effects = "auto"
    """Whether shadows and reflections go with their objects."""

    verify: bool = True
    """Recheck the filled holes, and fill again what is still detected there, at most twice."""

    texture: bool = True
    """Give smooth fills the photo's own texture; False leaves them as the network draws them."""

    seed: int = 0
    """>= 0; of what is drawn at random in a fill: another one gives another fill, unless the
    inpainter draws nothing."""

    rules: Rules = field(default_factory=Rules)
    """Which objects of these classes stay."""

    points: Collection[Point] = ()
    """(x, y) in px; the objects at these points are removed."""

    boxes: Collection[PointBox] = ()
    """(left, top, width, height) in px; the object in each box is removed."""

    def __post_init__(self) -> None:
        """Check the values."""
        object.__setattr__(self, "classes", _names("classes", self.classes))
        if not _is_number(self.min_score) or not 0 <= self.min_score <= 1:
            raise InputError(f"min_score must be in [0, 1], got {self.min_score!r}")
        object.__setattr__(self, "min_score", float(self.min_score))
        _parse("min_area", self.min_area)
        if self.dilation is not None and not (
            _is_number(self.dilation) and 0 <= self.dilation < math.inf
        ):
            raise InputError(f"dilation must be at least 0 px, got {self.dilation!r}")
        if self.effects not in get_args(Effects):
            known = ", ".join(get_args(Effects))
            raise InputError(f"effects must be one of {known}, got {self.effects!r}")
        _check_bool("verify", self.verify)
        _check_bool("texture", self.texture)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise InputError(f"seed must be a whole number from 0 on, got {self.seed!r}")
        if not isinstance(self.rules, Rules):
            raise InputError(f"rules must be Rules(...), got {type(self.rules).__name__}")
        points = _numbers("points", self.points, 2, "(x, y) in px, such as [(120, 80)]")
        object.__setattr__(self, "points", points)
        boxes = _numbers("boxes", self.boxes, 4, "(x, y, w, h) in px, such as [(10, 20, 64, 64)]")
        for box in boxes:
            if not (box[2] and box[3]):
                raise InputError(f"boxes must be wider and higher than 0 px, got {box}")
        object.__setattr__(self, "boxes", boxes)

    def of_mask(self) -> Self:
        """Return those of `OPTIONS_OF_MASKS`; the others have their defaults."""
        return type(self)(**{name: getattr(self, name) for name in OPTIONS_OF_MASKS})

    def to_json(self) -> dict[str, Any]:
        """Return the options as what JSON can hold; `from_json` takes it."""
        return dict(_plain(asdict(self)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the options that `to_json` described; what is missing has its default.

        Raises:
            InputError: an unknown name, or a value that cannot be used.
        """
        _check_keys("options", values, cls)
        rules = values.get("rules", {})
        _check_keys("rules", rules, Rules)
        return cls(**{**values, "rules": Rules(**rules)})


OPTIONS_OF_MASKS = ("effects", "texture", "seed")
"""Those that apply to a mask that a person gives, too."""

OPTION_NAMES = tuple(option.name for option in fields(RemovalOptions))
"""Keys of `RemovalOptions.to_json`."""


def area_px(name: str, area: Area, size_hw: tuple[int, int]) -> int:
    """Return an area in px, rounded up.

    Args:
        name: what it is, for the message.
        area: px, or a share of the photo such as "5%".
        size_hw: H and W of the photo.

    Raises:
        InputError: it cannot be understood.
    """
    value, is_share = _parse(name, area)
    return math.ceil(value / 100 * size_hw[0] * size_hw[1]) if is_share else math.ceil(value)


def region_box(region: Region, size_hw: tuple[int, int]) -> "Box":
    """Return the part of the photo that a region covers, clipped to the photo.

    Raises:
        InputError: it cannot be parsed, or is outside the photo.
    """
    height, width = size_hw
    x, y, across, down = (
        value * length / 100 if is_share else value
        for (value, is_share), length in zip(
            (_parse("region", edge) for edge in region), (width, height) * 2, strict=True
        )
    )
    box = (round(x), round(y), min(width, round(x + across)), min(height, round(y + down)))
    if box[0] >= box[2] or box[1] >= box[3]:
        given = ",".join(str(edge) for edge in region)
        raise InputError(f"region {given} holds no pixel of a photo of {width} x {height} px")
    return box


def _names(name: str, value: Collection[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else _sequence(name, value, 'names like ["person"]')
    for item in names:
        if not isinstance(item, str):
            raise InputError(f"{name} must be names, got {item!r} ({type(item).__name__})")
    return names


def _sequence(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise InputError(f"{name} must be {expected}, got {type(value).__name__}") from None


def _numbers(name: str, value: Any, length: int, expected: str) -> tuple[Any, ...]:
    """Return tuples of `length` finite numbers of at least 0."""
    items = tuple(_sequence(name, item, expected) for item in _sequence(name, value, expected))
    for item in items:
        if len(item) != length or not all(
            _is_number(number) and 0 <= number < math.inf for number in item
        ):
            raise InputError(f"{name} must be {expected}, got {item}")
    return items


def _is_number(value: object) -> bool:
    if isinstance(value, bool | str | bytes):
        return False
    try:
        float(value)  # type: ignore[arg-type]  # whatever is a number, NumPy's too
    except (TypeError, ValueError):
        return False
    return True


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, got {value!r}")


def _check_keys(what: str, values: object, kind: type) -> None:
    if not isinstance(values, Mapping):
        raise InputError(f"{what} must be a mapping, got {type(values).__name__}")
    known = [option.name for option in fields(kind)]
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise InputError(f"unknown {what}: {', '.join(unknown)}; there are {', '.join(known)}")


def _plain(value: Any) -> Any:
    """Return a value with its tuples as lists."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _checked_region(region: Region) -> Region:
    if isinstance(region, str) or len(region) != 4:
        raise InputError(f"region must be left, top, width, height, got {region!r}")
    width, height = (_parse("region", edge)[0] for edge in region[2:])
    if not (width and height):
        raise InputError(f"region must be wider and higher than 0, got {region!r}")
    for edge in region[:2]:
        _parse("region", edge)
    return (region[0], region[1], region[2], region[3])


def _parse(name: str, amount: Area) -> tuple[float, bool]:
    """Return a number, and whether it is in percent."""
    is_share = isinstance(amount, str) and amount.strip().endswith("%")
    try:
        value = float(amount.strip().removesuffix("%") if isinstance(amount, str) else amount)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf or (is_share and value > 100):
        raise InputError(
            f"{name} must be at least 0 px, or a share of the photo such as 5%, got {amount}"
        )
    return value, is_share
