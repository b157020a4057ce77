"""What to remove and how: the options that a photo, a clip or a run of photos is processed with.

They are checked once, when they are made, and passed on unopened.
"""

import math
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, Self, get_args

from cleanplate.errors import InputError

Area = float | str
"""Pixels, or a share of the photo such as "5%"."""

Region = tuple[Area, Area, Area, Area]
"""Left, top, width and height: pixels, or shares of the photo's width and height such as "25%"."""

Point = tuple[float, float]
"""x and y in px, from the photo's upper left corner."""

PointBox = tuple[float, float, float, float]
"""Left, top, width and height in px."""

_SHORT = 60  # characters of a value that a message shows

Effects = Literal["auto", "off", "strong"]
"""Which shadows and reflections are removed with their objects:

auto    those that the network is certain of, up to three times the object's area
off     none
strong  uncertain and larger ones too
"""

DEFAULT_MIN_SCORE = 0.5
"""Objects of a lower score are kept. The built-in segmenter's scores are calibrated: at 0.5, about
every second detection is right (docs/quality_of_masks.md, "Scores")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which objects of the given classes are kept. The defaults keep none.

    Raises:
        InputError: a value out of range.
    """

    keep: int = 0
    """Number of the largest objects to keep."""

    background_people: bool = False
    """People are removed, whether named or not, except the main subject of the photo."""

    max_area: Area | None = None
    """Larger objects are kept: px, or a share of the photo such as "5%"."""

    protect: Collection[str] = ()
    """Labels of objects that are never filled, not even by a margin, and never copied from."""

    only: Collection[int] = ()
    """Numbers (`Instance.id`) of the objects that may be removed; none means all of them."""

    region: Region | None = None
    """Objects that lie mostly outside this part of the photo are kept."""

    def __post_init__(self) -> None:
        """Check the values."""
        check_type("background_people", self.background_people, bool, "True or False")
        numbers = _sequence("only", self.only, "object numbers such as (1, 3)")
        _set(
            self,
            keep=_whole("keep", self.keep),
            protect=as_names("protect", self.protect),
            only=tuple(_whole("only", number, 1) for number in numbers),
            max_area=None if self.max_area is None else _area("max_area", self.max_area),
            region=None if self.region is None else _region(self.region),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalOptions:
    """What is removed from a photo, and how.

    Raises:
        InputError: a value of the wrong type or out of range.
    """

    classes: Collection[str] = ()
    """Label names, everyday words or VOC ids of what is removed."""

    min_score: float = DEFAULT_MIN_SCORE
    """[0, 1]; objects of a lower score are kept."""

    min_area: Area = 0
    """Smaller objects are kept: px, or a share of the photo such as "5%"."""

    dilation: float | None = None
    """px, >= 0; margin around every object. None scales it with each object."""

    effects: Effects = "auto"
    """Which shadows and reflections are removed with their objects."""

    verify: bool = True
    """Recheck the filled holes, and refill where anything is still detected, at most twice."""

    texture: bool = True
    """Give smooth fills the photo's own texture; False keeps them as the network returns them."""

    seed: int = 0
    """>= 0; random seed of fills: another one gives another fill, if the inpainter is random."""

    rules: Rules = field(default_factory=Rules)
    """Which objects of these classes are kept."""

    points: Collection[Point] = ()
    """(x, y) in px; the objects at these points are removed."""

    boxes: Collection[PointBox] = ()
    """(left, top, width, height) in px; the object in each box is removed."""

    def __post_init__(self) -> None:
        """Check the values."""
        known = f"one of {', '.join(get_args(Effects))}"
        check_type("effects", self.effects, str, known)
        if self.effects not in get_args(Effects):
            raise InputError(f"effects must be {known}, got {self.effects!r}")
        check_type("verify", self.verify, bool, "True or False")
        check_type("texture", self.texture, bool, "True or False")
        check_type("rules", self.rules, Rules, "Rules(...)")
        points = _places("points", self.points, 2, "(x, y) in px, such as [(120, 80)]")
        boxes = _places("boxes", self.boxes, 4, "(x, y, w, h) in px, such as [(10, 20, 64, 64)]")
        for box in boxes:
            if not (box[2] and box[3]):
                raise InputError(f"boxes must be wider and higher than 0 px, got {box}")
        if self.rules.only and (points or boxes):
            raise InputError("only and points or boxes exclude each other; give one of them")
        _set(
            self,
            classes=as_names("classes", self.classes),
            min_score=float(_number("min_score", self.min_score, "in [0, 1]", 1)),
            min_area=_area("min_area", self.min_area),
            dilation=None
            if self.dilation is None
            else _number("dilation", self.dilation, "at least 0 px"),
            seed=_whole("seed", self.seed),
            points=points,
            boxes=boxes,
        )

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


def region_box(region: Region, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
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
        raise InputError(f"region {given} lies outside the photo of {width} x {height} px")
    return box


def check_places(
    points: Collection[Point], boxes: Collection[PointBox], size_hw: tuple[int, int]
) -> None:
    """Raise unless all points and a part of each box are in a photo.

    Args:
        points: (x, y) in px.
        boxes: (left, top, width, height) in px.
        size_hw: H and W of the photo.

    Raises:
        InputError: one is outside; the message names it and the photo's size.
    """
    for x, y in points:
        if not (x < size_hw[1] and y < size_hw[0]):
            raise InputError(
                f"point ({x:g}, {y:g}) is outside the photo, which is {size_hw[1]} x {size_hw[0]} "
                "px; give x, y from its upper left corner"
            )
    for box in boxes:
        box_in_photo(box, size_hw)


def box_in_photo(box: PointBox, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box as left, top, right, bottom, clipped to the photo.

    Raises:
        InputError: it is outside the photo.
    """
    x, y, width, height = box
    left, top = round(x), round(y)
    right, bottom = min(size_hw[1], round(x + width)), min(size_hw[0], round(y + height))
    if left >= right or top >= bottom:
        raise InputError(
            f"box {box} lies outside the photo of {size_hw[1]} x {size_hw[0]} px; "
            "give left, top, width, height"
        )
    return left, top, right, bottom


def invalid(name: str, expected: str, value: object) -> InputError:
    """Return the error of an argument that cannot be used.

    Args:
        name: the parameter.
        expected: what it must be, such as "a path".
        value: what was given. Its type is named, and the value itself if it is short.
    """
    kind, text = type(value).__name__, repr(value)
    is_short = "\n" not in text and len(text) <= _SHORT
    return InputError(f"{name} must be {expected}, got {f'{text} ({kind})' if is_short else kind}")


def check_type(name: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Raise unless a value is of a type, or of one of several.

    Raises:
        InputError: see `invalid`, which takes the same.
    """
    if not isinstance(value, kinds):
        raise invalid(name, expected, value)


def as_names(name: str, value: Collection[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple.

    Args:
        name: the parameter, for the message.
        value: such as "person" or ["person"].

    Raises:
        InputError: it is something else.
    """
    names = (value,) if isinstance(value, str) else _sequence(name, value, 'names like ["person"]')
    for item in names:
        check_type(name, item, str, "names")
    return names


def _set(options: object, **values: object) -> None:
    """Set fields of a frozen dataclass that is being made."""
    for name, value in values.items():
        object.__setattr__(options, name, value)


def _sequence(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise invalid(name, expected, value)
    return tuple(value)


def _places(name: str, value: Any, length: int, expected: str) -> tuple[Any, ...]:
    """Return tuples of `length` finite numbers of at least 0."""
    items = [_sequence(name, item, expected) for item in _sequence(name, value, expected)]
    for item in items:
        if len(item) != length:
            raise InputError(f"{name} must be {expected}, got {item}")
    return tuple(tuple(_number(name, number, expected) for number in item) for item in items)


def _number(name: str, value: Any, expected: str, highest: float = sys.float_info.max) -> float:
    """Return a finite number of at least 0, NumPy's too, as Python's int or float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise invalid(name, expected, value)
    number = int(value) if isinstance(value, Integral) else float(value)
    if not 0 <= number <= highest:
        raise InputError(f"{name} must be {expected}, got {number}")
    return number


def _whole(name: str, value: Any, lowest: int = 0) -> int:
    """Return a whole number, NumPy's too, as an int."""
    expected = f"a whole number from {lowest} on"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise invalid(name, expected, value)
    if value < lowest:
        raise InputError(f"{name} must be {expected}, got {value}")
    return int(value)


def _check_keys(what: str, values: object, kind: type) -> None:
    if not isinstance(values, Mapping):
        raise invalid(what, "a mapping", values)
    known = [option.name for option in fields(kind)]
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise InputError(f"unknown {what}: {', '.join(unknown)}; there are {', '.join(known)}")


def _plain(value: Any) -> Any:
    """Return a value with its tuples as lists."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _region(region: Region) -> Region:
    expected = "left, top, width, height"
    edges = _sequence("region", region, expected)
    if len(edges) != 4:
        raise InputError(f"region must be {expected}, got {region!r}")
    left, top, width, height = (_area("region", edge) for edge in edges)
    if not (_parse("region", width)[0] and _parse("region", height)[0]):
        raise InputError(f"region must be wider and higher than 0, got {region!r}")
    return left, top, width, height


def _area(name: str, amount: Area) -> Area:
    """Return an area that can be parsed; NumPy's numbers as Python's."""
    value, _ = _parse(name, amount)
    return amount if isinstance(amount, str) else value


def _parse(name: str, amount: Area) -> tuple[float, bool]:
    """Return a number, and whether it is in percent."""
    expected = "at least 0 px, or a share of the photo such as 5%"
    if not isinstance(amount, str):
        return _number(name, amount, expected), False
    is_share = amount.strip().endswith("%")
    try:
        value = float(amount.strip().removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value <= (100 if is_share else sys.float_info.max):
        raise InputError(f"{name} must be {expected}, got {amount}")
    return value, is_share
