"""The options object: checked once, and the same after JSON."""

import json
import math
from dataclasses import asdict, fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.options import OPTION_NAMES, RemovalOptions, Rules

AREAS = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e9),
    st.integers(0, 100).map(lambda share: f"{share}%"),
)
RULES = st.builds(
    Rules,
    keep=st.integers(0, 9),
    background_people=st.booleans(),
    max_area=st.none() | AREAS,
    protect=st.lists(st.sampled_from(["dog", "cat"])),
    only=st.sets(st.integers(1, 99)),
    region=st.none() | st.tuples(AREAS, AREAS, st.integers(1, 99), st.just("50%")),
)
PX = st.floats(0, 1e6)


def options(rules, **others):
    """Return options of which either `only` or the places are used: they exclude each other."""
    if rules.only:
        others.update(points=(), boxes=())
    return RemovalOptions(rules=rules, **others)


OPTIONS = st.builds(
    options,
    classes=st.lists(st.text()) | st.text(),
    min_score=st.floats(0, 1),
    min_area=AREAS,
    dilation=st.none() | st.floats(0, 500),
    effects=st.sampled_from(["auto", "off", "strong"]),
    verify=st.booleans(),
    texture=st.booleans(),
    seed=st.integers(0, 9),
    rules=RULES,
    points=st.lists(st.tuples(PX, PX)),
    boxes=st.lists(st.tuples(PX, PX, st.floats(1, 99), st.integers(1, 99))),
)


@given(made=OPTIONS)
def test_options_are_the_same_after_json(made):
    written = made.to_json()
    assert set(written) == set(OPTION_NAMES)
    assert RemovalOptions.from_json(json.loads(json.dumps(written))) == made


def test_what_is_missing_in_json_has_its_default():
    assert RemovalOptions.from_json({}) == RemovalOptions()
    assert RemovalOptions.from_json({"rules": {"keep": 2}}).rules == Rules(keep=2)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"grow": 3}, "grow.*dilation"),
        ({"rules": {"keeps": 1}}, "keeps.*keep"),
        ({"rules": [1]}, "list"),
        ({"min_score": "high"}, "min_score.*high"),
        ({"verify": "yes"}, "verify.*yes"),
        ({"seed": -1}, "seed.*-1"),
        ({"seed": 1.5}, "seed.*1.5"),
    ],
)
def test_json_that_cannot_be_understood_is_refused(values, named):
    with pytest.raises(InputError, match=named):
        RemovalOptions.from_json(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"classes": 7}, "classes.*int"),
        ({"classes": ["dog", 7]}, "classes.*7"),
        ({"min_score": -0.1}, "min_score.*-0.1"),
        ({"min_score": math.nan}, "min_score.*nan"),
        ({"min_score": True}, "min_score.*True"),
        ({"min_area": "5 px"}, "min_area.*5 px"),
        ({"dilation": -1}, "dilation.*-1"),
        ({"dilation": math.inf}, "dilation.*inf"),
        ({"dilation": "3"}, "dilation.*3"),
        ({"effects": "all"}, "auto, off, strong.*all"),
        ({"rules": {"keep": 1}}, "rules.*dict"),
        ({"points": [(1, 2, 3)]}, r"points.*\(1, 2, 3\)"),
        ({"points": (1, 2)}, "points.*int"),
        ({"points": [(-1, 2)]}, "points.*-1"),
        ({"boxes": [(1, 2, 0, 4)]}, r"boxes.*\(1, 2, 0, 4\)"),
        ({"boxes": [("1", 2, 3, 4)]}, "boxes"),
    ],
    ids=repr,
)
def test_options_out_of_range_are_refused_with_the_value(values, named):
    with pytest.raises(InputError, match=named):
        RemovalOptions(**values)


NUMPY = {
    "keep": lambda n: {"rules": Rules(keep=np.int64(n))},
    "only": lambda n: {"rules": Rules(only=np.array([n + 1]))},
    "max_area": lambda n: {"rules": Rules(max_area=np.float32(n))},
    "region": lambda n: {"rules": Rules(region=np.array([0, n, n + 1, n + 2]))},
    "min_score": lambda n: {"min_score": np.float32(n / 10)},
    "min_area": lambda n: {"min_area": np.uint8(n)},
    "dilation": lambda n: {"dilation": np.float16(n)},
    "seed": lambda n: {"seed": np.int32(n)},
    "points": lambda n: {"points": np.array([(n, n + 1)])},
    "boxes": lambda n: {"boxes": np.array([(n, n, n + 0.5, n + 1.5)])},
}


@given(name=st.sampled_from(sorted(NUMPY)), number=st.integers(0, 9))
def test_numbers_of_numpy_become_those_of_python(name, number):
    made = RemovalOptions(**NUMPY[name](number))
    assert RemovalOptions.from_json(json.loads(json.dumps(made.to_json()))) == made


WRONG = [
    None,
    5,
    1.5,
    math.nan,
    10**400,
    "a",
    b"5",
    True,
    object(),
    [object()],
    {"a": 1},
    np.ones(3),
]


@given(kind=st.sampled_from([Rules, RemovalOptions]), data=st.data(), value=st.sampled_from(WRONG))
def test_any_value_of_any_option_is_taken_and_survives_json_or_is_refused_by_name(
    kind, data, value
):
    name = data.draw(st.sampled_from([option.name for option in fields(kind)]))
    try:
        made, error = kind(**{name: value}), None
    except InputError as refused:
        made, error = None, str(refused)
    if made:
        json.dumps(asdict(made), allow_nan=False)
        return
    inner = next(iter(value)) if isinstance(value, list | dict | np.ndarray) else value
    assert name in error
    shown = (str(value), repr(value), type(value).__name__, type(inner).__name__)
    assert isinstance(value, int | float) or any(text in error for text in shown)
