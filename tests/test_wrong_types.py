"""Whatever is passed to a public function, it is used or refused with our error, by name."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cleanplate
from cleanplate.errors import InputError
from cleanplate.remover import Remover
from cleanplate.video import remove_from_video

IMAGE = np.zeros((8, 8, 3), np.uint8)
MASK = np.ones((8, 8), np.bool_)


class Anything:
    """Of a type that no parameter takes."""


def filling():
    return Remover(inpainter="telea")


# Call -> parameters that it takes by name, and what makes the call with them.
DOORS = {
    "create_segmenter": (("name", "device", "threads"), cleanplate.create_segmenter),
    "create_inpainter": (("name", "device", "threads"), cleanplate.create_inpainter),
    "create_inpainter without a model": (
        ("device", "threads"),
        lambda **it: cleanplate.create_inpainter("telea", **it),
    ),
    "Remover": (("segmenter", "inpainter", "prompter", "device", "threads"), Remover),
    "with_inpainter": (("inpainter",), lambda **it: filling().with_inpainter(**it)),
    "call": (
        ("photo", "classes", "options", "points", "boxes", "mask"),
        lambda **it: filling()(**{"photo": IMAGE, "mask": MASK, **it}),
    ),
    "find": (
        ("photo", "classes", "options"),
        lambda **it: filling().find(**{"photo": IMAGE, **it}),
    ),
    "Remover.fill": (
        ("photo", "mask", "seed"),
        lambda **it: filling().fill(**{"photo": IMAGE, "mask": MASK, **it}),
    ),
    "remove": (
        ("photo", "classes", "options", "points", "boxes", "mask", "device", "remover"),
        lambda **it: cleanplate.remove(**{"photo": IMAGE, "mask": MASK, **it}),
    ),
    "remove_file": (
        ("source", "target"),
        lambda **it: cleanplate.remove_file(**{"source": "a.png", "target": "b.png", **it}),
    ),
    "fill": (
        ("photo", "mask", "device", "remover"),
        lambda **it: cleanplate.fill(**{"photo": IMAGE, "mask": MASK, **it}),
    ),
    "remove_from_video": (
        ("source", "target", "options", "remover", "crf", "threads", "overwrite", "on_progress"),
        lambda **it: remove_from_video(**{"source": "a.mp4", "target": "b.mp4", **it}),
    ),
    "list_models": (("kind", "commercial_only"), cleanplate.list_models),
    "ExampleSegmenter": (
        ("image", "mask", "label"),
        lambda **it: cleanplate.ExampleSegmenter(**{"image": IMAGE, "mask": MASK, **it}),
    ),
}
PARAMETERS = [(door, name) for door, (names, _) in DOORS.items() for name in names]
WRONG = [5.5, 2j, Anything(), Anything, [Anything()], {1, 2}, {1: "a"}, len, b"\xff"]


@settings(max_examples=200)
@given(place=st.sampled_from(PARAMETERS), value=st.sampled_from(WRONG))
def test_a_wrong_type_is_refused_by_name_and_type(place, value):
    (door, name), items = place, value if isinstance(value, list | set | dict) else ()
    assume(not (name == "on_progress" and callable(value)))
    assume(not (name == "photo" and isinstance(value, bytes)))
    _, call = DOORS[door]
    with pytest.raises(InputError) as refused:
        call(**{name: value})
    message = str(refused.value)
    assert re.match(rf"{name}\b", message)
    assert any(type(it).__name__ in message for it in (value, *items))
